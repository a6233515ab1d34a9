"""Meta-learning on Omniglot with additional tasks from a GAN, against the same learner without them.

    python examples/gan_augmented.py --data_dir DIR
    python examples/gan_augmented.py --data_dir DIR --classes 100 --learner MAML
    python examples/gan_augmented.py --data_dir DIR --classes 100 --gan classes

`--gan examples` trains a GAN that takes an image and draws other images of its character; it also enlarges the support
sets of the test. `--gan classes` trains a GAN that draws new characters; it learns from pairs of images of one
character. `--classes 100` uses only 100 of the training characters. The GANs are trained once for all learners. A run
that was stopped continues with the same command.
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import metalearn_tf as mtf

import keras
import numpy as np


def schedule(learning_rate, steps):
    return keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(learning_rate, steps))


def build_learner(name, ways, steps, precision):
    """A new learner, whose network computes in `precision`."""
    keras.mixed_precision.set_global_policy(precision)
    if name == "prototypes":
        learner, rate = mtf.learners.PrototypicalNetwork(mtf.networks.conv4()), 2e-3
    else:
        # Half as wide: 15 of them are trained, and they gain more from outer steps than from filters.
        network = mtf.networks.conv4(filters=32, outputs=ways)
        learner, rate = mtf.learners.MAML(network, inner_steps=1, inner_learning_rate=0.4), 1e-3
    keras.mixed_precision.set_global_policy("float32")
    learner.compile(schedule(rate, steps), metrics=["accuracy"])
    return learner


def build_gan(kind):
    if kind == "classes":
        networks = mtf.networks.pair_gan(
            filters=32, generator_normalization="layer", discriminator_normalization="layer"
        )
    else:
        networks = mtf.networks.augmentation_gan()
    gan = mtf.gan.GAN(*networks, penalty="r1")
    gan.compile(*(keras.optimizers.Adam(5e-4, beta_1=0.0, beta_2=0.99) for _ in range(2)))
    return gan


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=int, default=None, help="training characters; by default all")
    parser.add_argument("--learner", choices=["prototypes", "MAML"], default="prototypes")
    parser.add_argument("--gan", choices=["classes", "examples"], default="examples")
    parser.add_argument("--ways", type=int, default=5)
    parser.add_argument("--shots", type=int, default=1)
    parser.add_argument("--steps", type=int, default=800, help="outer steps of four tasks each")
    parser.add_argument("--gan_steps", type=int, default=2000)
    parser.add_argument("--ratios", type=float, nargs="+", default=[0.5, 1.0, 2.0], help="ratios of generated to real")
    parser.add_argument("--episodes", type=int, default=600, help="test episodes for each seed")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="a few steps, to check that everything works")
    parser.add_argument("--data_dir", default=None, help="folder of TensorFlow Datasets; by default TFDS_DATA_DIR")
    parser.add_argument("--run_dir", default=None, help="by default runs/gan_augmented_…")
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
    train, test = (mtf.data.load("omniglot", split, data_dir=arguments.data_dir) for split in ("train", "test"))
    if arguments.classes:
        names = np.random.default_rng(0).permutation(train.class_names)[: arguments.classes]
        train = train.select(names.tolist())
    report = mtf.workflows.gan_augmented(
        train,
        test,
        arguments.run_dir or f"runs/gan_augmented_{arguments.classes or 'all'}_{arguments.gan}",
        build_learner=lambda: build_learner(arguments.learner, arguments.ways, arguments.steps, arguments.precision),
        build_gan=lambda: build_gan(arguments.gan),
        tasks=mtf.workflows.GANAugmentedTasks(
            arguments.ways,
            arguments.shots,
            # More ways in training make better prototypes (Snell et al.); MAML's head needs the ways of the test.
            train_ways=20 if arguments.learner == "prototypes" else arguments.ways,
        ),
        ratios=arguments.ratios,
        budget=mtf.workflows.GANAugmentedBudget(
            steps=arguments.steps,
            gan_steps=arguments.gan_steps,
            episodes=arguments.episodes,
            seeds=arguments.seeds,
        ),
        quick=arguments.quick,
    )
    print(report.to_markdown())
    best, gain = report.best_with_gan, report.gain(report.best_with_gan)
    print(f"{best}: {gain} over the best without a GAN")


if __name__ == "__main__":
    main()
