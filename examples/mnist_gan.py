"""Trains a GAN on MNIST or Fashion-MNIST, scores it after each epoch, and exports the best.

    python examples/mnist_gan.py --data_dir DIR
    python examples/mnist_gan.py --data_dir DIR --dataset fashion_mnist --epochs 20

Writes a grid of generated digits per epoch, the curves of losses and scores, and a SavedModel that draws digits.
"""

import argparse
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import metalearn_tf as mtf

import keras


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", choices=["mnist", "fashion_mnist"], default="mnist")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--steps_per_epoch", type=int, default=200)
    parser.add_argument("--samples", type=int, default=2000, help="generated images for a score")
    parser.add_argument("--data_dir", default=None, help="folder of TensorFlow Datasets; by default TFDS_DATA_DIR")
    parser.add_argument("--run_dir", type=pathlib.Path, default=None, help="by default runs/DATASET_gan")
    parser.add_argument("--export", default=None, help="where to write a SavedModel, e.g. served/mnist_gan/1")
    arguments = parser.parse_args()
    run_dir = arguments.run_dir or pathlib.Path(f"runs/{arguments.dataset}_gan")

    images = mtf.data.load(arguments.dataset, "train", data_dir=arguments.data_dir).examples
    test = mtf.data.load(arguments.dataset, "test", data_dir=arguments.data_dir).examples
    network = mtf.evaluation.feature_network(arguments.dataset)

    keras.utils.set_random_seed(0)
    generator, discriminator = mtf.networks.dcgan((28, 28, 1), latent_dim=64)
    gan = mtf.gan.GAN(generator, discriminator)
    gan.compile(monitor="kid")  # training ends with the epoch that scores best
    callbacks = [
        mtf.evaluation.GenerativeScores(test, network, count=arguments.samples),
        mtf.evaluation.SampleGrid(run_dir / "grids", count=64),
    ]
    start = time.perf_counter()
    history = gan.fit(
        images,
        batch_size=64,
        steps_per_epoch=arguments.steps_per_epoch,
        epochs=arguments.epochs,
        callbacks=callbacks,
        verbose=2,
    )
    print(f"trained for {time.perf_counter() - start:.0f} s")
    mtf.evaluation.training_curves(history, run_dir / "curves.png")
    print(mtf.evaluation.generative_report(test, gan.sample(arguments.samples, seed=1), network))
    if arguments.export:
        gan.export(arguments.export, description=f"Trained on {arguments.dataset} by `examples/mnist_gan.py`.")
    print(f"pictures: {run_dir}")


if __name__ == "__main__":
    main()
