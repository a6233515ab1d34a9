# %% [markdown]
# # A GAN that adapts to eight images
#
# An ordinary GAN needs thousands of images. A `MetaGAN` learns a good starting point from many classes. Then a few
# steps on eight images of a new class are enough to draw more images of it. Both players take these steps inside the
# graph.
#
# This page trains for a minute, so its drawings are rough. Longer runs are under [Results](../results/gans.md).

# %%
# %matplotlib inline
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import metalearn_tf as mtf

import keras
import numpy as np

keras.utils.set_random_seed(0)

# %% [markdown]
# ## Tasks of images
#
# A task is a few images of one class, drawn anew. GANs take images in [-1, 1]; `image_tasks` scales uint8 images to
# this range.

# %%
train, test = mtf.data.load("glyphs", "train"), mtf.data.load("glyphs", "test")
tasks = mtf.data.image_tasks(train, shots=8, tasks_per_batch=2)

# %% [markdown]
# ## The GAN, and the MetaGAN around it
#
# Batch normalisation needs averages over more than eight images, so these networks use layer normalisation.

# %%
networks = mtf.networks.dcgan(
    (28, 28, 1), latent_dim=32, filters=16, generator_normalization="layer", discriminator_normalization="layer"
)
meta_gan = mtf.gan.MetaGAN(mtf.gan.GAN(*networks, penalty="r1"), algorithm="reptile", inner_steps=10)
meta_gan.compile()
meta_gan.fit(tasks, steps_per_epoch=30, epochs=2, verbose=2)

# %% [markdown]
# ## Adapt, and draw

# %%
images = test.class_examples(7)[:8]
adapted = meta_gan.adapt(images, steps=30, seed=0)
drawn = adapted.sample(16, seed=0)
print(drawn.shape, float(np.min(drawn)), float(np.max(drawn)))

# %% [markdown]
# The images that it was shown, the images that it draws, and the shown image that is nearest to each drawing. A
# distance of 0 would be a
# copy.

# %%
mtf.evaluation.few_shot_figure(images, drawn, columns=8)

# %% [markdown]
# ## How good are they?
#
# KID compares the features of drawn images with those of real ones of the class; less is better, and real images have
# about 0. With so few images it says little about one class, so the tables show means over many classes.

# %%
network = mtf.evaluation.feature_network("omniglot")
print(mtf.evaluation.kid(test.class_examples(7), adapted.sample(20, seed=1), network))
