"""Digits of USPS or MNIST from a few labelled images and other domains: DAML against fine-tuning and its parts.

    python examples/daml.py --data_dir DIR --usps_dir DIR --target usps --sources mnist omniglot glyphs
    python examples/daml.py --data_dir DIR --usps_dir DIR --target mnist --sources omniglot glyphs usps --shots 1

A GAN learns to redraw images of the sources in the style of the target, of which it sees ten labelled images a class.
Prototypes and MAML are meta-trained on the sources and on the GAN's images, and fine-tuned on the labelled target
images. Tests are 10-way tasks of the target. A run that was stopped continues with the same command.
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import metalearn_tf as mtf

import keras

DOMAINS = ("mnist", "usps", "omniglot", "glyphs")


def load(name, arguments):
    """A domain of 28×28 images, light on dark."""
    if name == "glyphs":
        return mtf.data.load("glyphs", "train")
    folder = (arguments.usps_dir or arguments.data_dir) if name == "usps" else arguments.data_dir
    return mtf.data.load(name, "train", data_dir=folder, image_size=28)


def build_learner(name, steps, precision):
    """A new learner, whose network computes in `precision`."""
    keras.mixed_precision.set_global_policy(precision)
    if name == "prototypes":
        learner, rate = mtf.learners.PrototypicalNetwork(mtf.networks.conv4()), 2e-3
    else:
        learner, rate = mtf.learners.MAML(mtf.networks.conv4(outputs=10), inner_steps=1, inner_learning_rate=0.4), 1e-3
    keras.mixed_precision.set_global_policy("float32")
    schedule = keras.optimizers.schedules.CosineDecay(rate, steps)
    learner.compile(keras.optimizers.Adam(schedule), metrics=["accuracy"])
    return learner


def build_backbone(precision):
    keras.mixed_precision.set_global_policy(precision)
    backbone = mtf.networks.conv4(normalization="running")
    keras.mixed_precision.set_global_policy("float32")
    return backbone


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", choices=["usps", "mnist"], default="usps")
    parser.add_argument("--sources", nargs="+", choices=DOMAINS, default=None, help="by default all others")
    parser.add_argument("--shots", type=int, default=5, help="support images of a class")
    parser.add_argument("--target_images", type=int, default=10, help="labelled target images of a class")
    parser.add_argument("--steps", type=int, default=1000, help="outer steps of four tasks each")
    parser.add_argument("--gan_steps", type=int, default=2000)
    parser.add_argument("--ratio", type=float, default=1.0, help="virtual tasks for each task of the sources")
    parser.add_argument("--episodes", type=int, default=600, help="test episodes for each seed")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="a few steps, to check that everything works")
    parser.add_argument("--data_dir", default=None, help="folder of TensorFlow Datasets; by default TFDS_DATA_DIR")
    parser.add_argument("--usps_dir", default=None, help="the folder with usps/usps.npz in it; by default data_dir")
    parser.add_argument("--run_dir", default=None, help="by default runs/daml_TARGET_SHOTS")
    parser.add_argument(
        "--precision",
        choices=["auto", "float32", "mixed_bfloat16", "mixed_float16"],
        default="auto",
        help="precision of the training; by default the fastest one on this machine",
    )
    arguments = parser.parse_args()
    if arguments.precision == "auto":
        arguments.precision = mtf.training.fastest_precision()

    mtf.training.use_task_parallelism()
    sources = arguments.sources or [name for name in DOMAINS if name != arguments.target]
    report = mtf.workflows.daml(
        [load(name, arguments) for name in sources],
        load(arguments.target, arguments),
        arguments.run_dir or f"runs/daml_{arguments.target}_{arguments.shots}",
        build_learners={
            name: lambda name=name: build_learner(name, arguments.steps, arguments.precision)
            for name in ("prototypes", "MAML")
        },
        build_backbone=lambda: build_backbone(arguments.precision),
        tasks=mtf.workflows.DAMLTasks(arguments.shots, arguments.target_images),
        ratio=arguments.ratio,
        budget=mtf.workflows.DAMLBudget(
            steps=arguments.steps,
            gan_steps=arguments.gan_steps,
            episodes=arguments.episodes,
            seeds=arguments.seeds,
        ),
        quick=arguments.quick,
    )
    print(report.to_markdown())
    best, gain = report.best_with_gan, report.gain(report.best_with_gan, over="fine-tuning")
    print(f"{best}: {gain} over fine-tuning")


if __name__ == "__main__":
    main()
