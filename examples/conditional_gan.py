"""Trains a conditional GAN that draws digits or clothes on demand. A classifier checks that it draws the right class.

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
    parser.add_argument("--samples", type=int, default=2000, help="generated images for a score")
    parser.add_argument("--data_dir", default=None, help="folder of TensorFlow Datasets; by default TFDS_DATA_DIR")
    parser.add_argument("--run_dir", type=pathlib.Path, default=None, help="by default runs/conditional_DATASET_gan")
    arguments = parser.parse_args()
    run_dir = arguments.run_dir or pathlib.Path(f"runs/conditional_{arguments.dataset}_gan")

    train = mtf.data.load(arguments.dataset, "train", data_dir=arguments.data_dir)
    test = mtf.data.load(arguments.dataset, "test", data_dir=arguments.data_dir)
    network = mtf.evaluation.feature_network(arguments.dataset)
    classifier = mtf.evaluation.feature_classifier(arguments.dataset)

    keras.utils.set_random_seed(0)
    # No batch normalisation in the discriminator: a projection on labels does not need it.
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
