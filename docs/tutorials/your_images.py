# %% [markdown]
# # Few-shot learning on your images
#
# You have a folder for each class, with a few images in each. In this tutorial they become a classifier, in four
# steps:
#
# 1. train a *learner* on many other classes of the same kind of image,
# 2. measure its accuracy on classes that it has never seen,
# 3. adapt it to your folder,
# 4. ask it about new images, and save it.
#
# Nothing is downloaded. The images are letters of the world's scripts, which come with the package. To use your own,
# change two lines, which are marked.

# %%
# %matplotlib inline
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import pathlib
import tempfile

import metalearn_tf as mtf

import keras
import numpy as np

mtf.training.use_task_parallelism()  # one task on each core, a fifth faster; all works without
keras.utils.set_random_seed(0)

# %% [markdown]
# ## Train on other classes
#
# A few-shot learner does not learn classes. It learns *to tell classes apart*, from many small tasks. Each task has a
# few classes, drawn anew, with one labelled image of each (the *support set*) and other images to answer (the
# *queries*).

# %%
train = mtf.data.load("glyphs", "train")  # yours: mtf.data.from_directory("many_classes", image_size=28, channels=1)
test = mtf.data.load("glyphs", "test")
tasks = mtf.data.episodes(train, ways=20, shots=1, queries=5, tasks_per_batch=2)

learner = mtf.learners.PrototypicalNetwork(mtf.networks.conv4(filters=32, normalization="running"))
learner.compile(keras.optimizers.Adam(2e-3), metrics=["accuracy"])
learner.fit(tasks, epochs=2, steps_per_epoch=100, verbose=2)

# %% [markdown]
# A prototypical network compares an image with the mean of each class. It is the method to begin with: it trains in
# minutes, takes any number of classes, and adapts at once.
#
# ## What is it worth?
#
# We test it on scripts that it has never seen, with one and with five images of each class. The interval says how
# precisely the mean over these tasks is known.

# %%
for shots in (1, 5):
    print(mtf.evaluation.evaluate_episodes(learner, test, ways=5, shots=shots, queries=10, episodes=200))

# %% [markdown]
# ## Adapt it to a folder
#
# First we write such a folder, as an example: five letters of scripts that were not used in training.

# %%
folder = pathlib.Path(tempfile.mkdtemp()) / "my_images"
for name in test.class_names[::40][:5]:
    (folder / name).mkdir(parents=True)
    for number, image in enumerate(test.class_examples(name)):
        keras.utils.save_img(folder / name / f"{number:02d}.png", image, scale=False)

images = mtf.data.from_directory(folder, image_size=28, channels=1)  # yours: the path of your folder
print(images)

# %% [markdown]
# A few images of each class are the support set. The others are held back to measure the accuracy.

# %%
support, rest = images.split_examples([0.2, 0.4])
classifier = learner.adapt(support.examples, support.labels)
probabilities = classifier.predict(rest.examples, verbose=0)
right = np.mean(probabilities.argmax(axis=1) == rest.labels)
print(f"{len(support)} images shown, {right:.1%} of {len(rest)} others right")

# %%
figure = mtf.evaluation.task_figure(
    support.examples, support.labels, rest.examples, probabilities, rest.labels, images.class_names, 6
)
figure

# %% [markdown]
# ## One new image
#
# `read_image` turns a file into what the network takes: turned upright, transparent parts on white, the middle cut
# out and resized. `from_directory` does the same.

# %%
path = next(folder.glob("*/00.png"))
query = mtf.data.read_image(path, 28, channels=1)[None]
answer = classifier.predict(query, verbose=0)[0]
print(f"{path.parent.name}/{path.name}: {images.class_names[answer.argmax()]} ({answer.max():.0%})")

# %% [markdown]
# ## Keep it
#
# The learner adapts again to other classes. The adapted classifier is an ordinary Keras model.

# %%
learner.save(folder.parent / "learner.keras")
classifier.save(folder.parent / "classifier.keras")
loaded = keras.models.load_model(folder.parent / "classifier.keras")
np.testing.assert_allclose(loaded.predict(query, verbose=0)[0], answer, rtol=1e-5)

# %% [markdown]
# Next: [serve it](serving.py), or read [which method to choose](../concepts/which_method.md).
