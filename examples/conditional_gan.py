"""Trains a conditional GAN: digits, or clothes, on demand. Asks a classifier whether it draws what it is told to.

python examples/conditional_gan.py --data_dir DIR
"""

import argparse
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import metalearn_tf as mtf

import keras
import numpy as np


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", choices=["mnist", "fashion_mnist"], default="mnist")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--steps_per_epoch", type=int, default=200)
    parser.add_argument("--samples", type=int, default=2000, help="generated images that a score looks at")
    parser.add_argument("--data_dir", default=None, help="of TensorFlow Datasets; by default TFDS_DATA_DIR")
    parser.add_argument("--run_dir", type=pathlib.Path, default=None, help="by default runs/conditional_DATASET_gan")
    arguments = parser.parse_args()
    run_dir = arguments.run_dir or pathlib.Path(f"runs/conditional_{arguments.dataset}_gan")

    train = mtf.data.load(arguments.dataset, "train", data_dir=arguments.data_dir)
    test = mtf.data.load(arguments.dataset, "test", data_dir=arguments.data_dir)
    network = mtf.evaluation.feature_network(arguments.dataset)
    classifier = mtf.evaluation.feature_classifier(arguments.dataset)

    keras.utils.set_random_seed(0)
    # Without batch normalisation in the discriminator, of which a projection on labels has no need.
    networks = mtf.networks.dcgan((28, 28, 1), latent_dim=64, classes=10, discriminator_normalization=None)
    gan = mtf.gan.GAN(*networks)
    gan.compile(monitor="kid")
    labels = np.arange(arguments.samples) % 10
    start = time.perf_counter()
    history = gan.fit(
        train.examples,
        train.labels,
        batch_size=64,
        steps_per_epoch=arguments.steps_per_epoch,
        epochs=arguments.epochs,
        callbacks=[
            mtf.evaluation.GenerativeScores(test.examples, network, count=arguments.samples, labels=labels),
            mtf.evaluation.SampleGrid(run_dir / "grids", count=100, labels=np.arange(100) % 10, columns=10),
        ],
        verbose=2,
    )
    print(f"trained for {time.perf_counter() - start:.0f} s")
    mtf.evaluation.training_curves(history, run_dir / "curves.png")
    images = gan.sample(arguments.samples, labels=labels, seed=1)
    print(mtf.evaluation.generative_report(test.examples, images, network))
    share = mtf.evaluation.generated_accuracy(images, labels, classifier)
    real = mtf.evaluation.generated_accuracy(test.examples, test.labels, classifier)
    print(f"drawn as told: {100 * share:.2f} % (the classifier is right about {100 * real:.2f} % of real images)")
    print(f"pictures: {run_dir}")


if __name__ == "__main__":
    main()
