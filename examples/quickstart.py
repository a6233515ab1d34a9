"""From the start to a served few-shot classifier without a download, in about two minutes on two cores.

    python examples/quickstart.py

Trains a prototypical network on letters of the world's scripts, tests it on scripts that it has not seen, adapts it to
a folder of images, exports a SavedModel that adapts inside its graph, asks the reloaded model, and draws the answers.
"""

import argparse
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import metalearn_tf as mtf

import keras
import numpy as np
import tensorflow as tf


def write_folder(dataset, classes, path):
    """Stands in for your own images: one folder per class, as `your_own_images.py` takes them."""
    for name in classes:
        folder = path / name
        folder.mkdir(parents=True)
        for number, image in enumerate(dataset.class_examples(name)):
            keras.utils.save_img(folder / f"{number:02d}.png", image, scale=False)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=450)
    parser.add_argument("--test_episodes", type=int, default=600)
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("runs/quickstart"))
    arguments = parser.parse_args()
    if arguments.output.exists():
        parser.error(f"--output must not exist yet: {arguments.output}")

    # 1. Examples become tasks.
    mtf.training.use_task_parallelism()
    keras.utils.set_random_seed(0)
    start = time.perf_counter()
    train, test = mtf.data.load("glyphs", "train"), mtf.data.load("glyphs", "test")
    print(f"{train}\n{test}\nloaded in {time.perf_counter() - start:.1f} s")
    tasks = mtf.data.episodes(train, ways=30, shots=1, queries=5, tasks_per_batch=2)

    # 2. A meta-learner is a Keras model.
    learner = mtf.learners.PrototypicalNetwork(mtf.networks.conv4(normalization="running"))
    learner.compile(optimizer=keras.optimizers.Adam(2e-3), metrics=["accuracy"])
    start = time.perf_counter()
    learner.fit(tasks, epochs=3, steps_per_epoch=arguments.steps // 3, verbose=2)
    print(f"trained for {time.perf_counter() - start:.0f} s")

    # 3. How accurate it is on classes and scripts that it has never seen.
    episodes = arguments.test_episodes
    for shots in (1, 5):
        print(mtf.evaluation.evaluate_episodes(learner, test, ways=5, shots=shots, queries=10, episodes=episodes))

    # 4. A folder of images becomes a classifier. Three images of each class are enough.
    names = [test.class_names[index] for index in np.linspace(0, test.num_classes - 1, 5).astype(int)]
    write_folder(test, names, arguments.output / "images")
    images = mtf.data.from_directory(arguments.output / "images", image_size=28, channels=1)
    support, queries = images.split_examples([0.15, 0.4])
    classifier = learner.adapt(support.examples, support.labels)
    probabilities = classifier.predict(queries.examples / 255.0, verbose=0)
    print(
        f"adapted to {len(support)} images; right on {np.mean(probabilities.argmax(1) == queries.labels):.0%}"
        f" of {len(queries)} others"
    )

    # 5. The same without Python: a SavedModel that takes support and query images.
    path = arguments.output / "served" / "1"
    learner.export(path)
    served = tf.saved_model.load(path).signatures["adapt_and_predict"](
        support_images=tf.constant(support.examples / 255.0, tf.float32),
        support_labels=tf.constant(support.labels),
        query_images=tf.constant(queries.examples / 255.0, tf.float32),
    )
    difference = np.abs(served["probabilities"].numpy() - probabilities).max()
    print(f"exported to {path}; the reloaded model differs by at most {difference:.1e}")

    # 6. A picture of it.
    figure = mtf.evaluation.task_figure(
        support.examples, support.labels, queries.examples, probabilities, queries.labels, support.class_names, 8
    )
    figure.savefig(arguments.output / "task.png", dpi=120)
    print(f"figure: {arguments.output / 'task.png'}")


if __name__ == "__main__":
    main()
