"""A GAN that was meta-trained on other domains draws training images for a classifier of the target.

    python examples/meta_gan_transfer.py --data_dir DIR --usps_dir DIR --target mnist
    python examples/meta_gan_transfer.py --data_dir DIR --usps_dir DIR --target omniglot --shots 1 5
    python examples/meta_gan_transfer.py --data_dir DIR --usps_dir DIR --target usps --conditional

The domains are MNIST, USPS, Fashion-MNIST, Omniglot and the glyphs. One is the target, the others are the sources. If
the target is Omniglot or the glyphs, ten of its characters are used. A GAN adapts to the images of one class; with
`--conditional` it adapts to the images of all ten classes with their labels. The GANs are trained once for all
`--shots`. A run that was stopped continues with the same command.
"""

import argparse
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import metalearn_tf as mtf

import keras
import numpy as np

DOMAINS = ("mnist", "usps", "fashion_mnist", "omniglot", "glyphs")


def load(name, arguments):
    """A domain of 28×28 images, light on dark."""
    if name == "glyphs":
        return mtf.data.load("glyphs", "train")
    folder = (arguments.usps_dir or arguments.data_dir) if name == "usps" else arguments.data_dir
    return mtf.data.load(name, "train", data_dir=folder, image_size=28)


def ten_classes(dataset):
    if dataset.num_classes <= 10:
        return dataset
    return dataset.select(np.random.default_rng(0).permutation(dataset.class_names)[:10].tolist())


def build_meta_gan(steps, classes=None):
    networks = mtf.networks.dcgan(
        filters=16, classes=classes, generator_normalization="layer", discriminator_normalization="layer"
    )
    gan = mtf.gan.GAN(*networks, penalty="r1", average_decay=None)
    # Two images of each class in an inner step.
    batch = 2 * classes if classes else None
    meta_gan = mtf.gan.MetaGAN(gan, inner_steps=20, inner_learning_rate=1e-3, inner_batch_size=batch)
    meta_gan.compile(keras.optimizers.SGD(keras.optimizers.schedules.PolynomialDecay(0.5, steps, 0.02)))
    return meta_gan


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", choices=DOMAINS, default="mnist")
    parser.add_argument("--sources", nargs="+", choices=DOMAINS, default=None, help="by default all others")
    parser.add_argument("--shots", type=int, nargs="+", default=[1, 5, 10], help="labelled target images of a class")
    parser.add_argument(
        "--conditional", action="store_true", help="one GAN with ten labels instead of one GAN for each class"
    )
    parser.add_argument("--gan_steps", type=int, default=1200, help="outer steps of four tasks each")
    parser.add_argument("--adapt_steps", type=int, default=50, help="inner steps on the target's images")
    parser.add_argument("--generated", type=int, default=256, help="images drawn of each class")
    parser.add_argument("--keep", type=float, default=0.25, help="share that the discriminator keeps")
    parser.add_argument("--draws", type=int, default=6, help="draws of labelled images for each seed")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="a few steps, to check that everything works")
    parser.add_argument("--data_dir", default=None, help="folder of TensorFlow Datasets; by default TFDS_DATA_DIR")
    parser.add_argument("--usps_dir", default=None, help="the folder with usps/usps.npz in it; by default data_dir")
    parser.add_argument("--run_dir", type=pathlib.Path, default=None, help="by default runs/meta_gan_transfer_…")
    arguments = parser.parse_args()

    mtf.training.use_task_parallelism()
    sources = arguments.sources or [name for name in DOMAINS if name != arguments.target]
    domains = [load(name, arguments) for name in sources]
    target = ten_classes(load(arguments.target, arguments))
    classes = target.num_classes if arguments.conditional else None
    kind = f"{arguments.target}_conditional" if arguments.conditional else arguments.target
    for shots in arguments.shots:
        report = mtf.workflows.meta_gan_transfer(
            domains,
            target,
            arguments.run_dir or f"runs/meta_gan_transfer_{kind}",
            shots=shots,
            build_meta_gan=lambda: build_meta_gan(arguments.gan_steps, classes),
            keep=arguments.keep,
            budget=mtf.workflows.MetaGANTransferBudget(
                gan_steps=arguments.gan_steps,
                adapt_steps=arguments.adapt_steps,
                generated=arguments.generated,
                draws=arguments.draws,
                seeds=arguments.seeds,
            ),
            quick=arguments.quick,
        )
        print(f"{shots} images a class\n\n{report.to_markdown()}", flush=True)
        print(f"MetaGAN: {report.gain('MetaGAN')} over the best without a GAN\n", flush=True)


if __name__ == "__main__":
    main()
