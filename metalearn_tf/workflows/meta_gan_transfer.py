"""A meta-trained GAN draws training images for a target domain."""

import dataclasses
import functools
import time

import keras
import numpy as np
import tensorflow as tf

from metalearn_tf.checks.fields import with_fields
from metalearn_tf.checks.instances import check_instance
from metalearn_tf.checks.real_numbers import check_share
from metalearn_tf.checks.whole_numbers import check_whole
from metalearn_tf.data.image_range import to_image_range
from metalearn_tf.data.tasks.augmentation import seed_augmentation
from metalearn_tf.engine.describe import describe
from metalearn_tf.engine.random_state_kept import random_state_kept
from metalearn_tf.files.local_path import local_path
from metalearn_tf.gan.gan import GAN
from metalearn_tf.gan.meta_gan import MetaGAN
from metalearn_tf.networks.conv4 import conv4
from metalearn_tf.networks.dcgan import dcgan
from metalearn_tf.training.descriptions import describe_dataset
from metalearn_tf.workflows.arms import ArmScores
from metalearn_tf.workflows.built_models import built_model
from metalearn_tf.workflows.classifier_training import ClassifierTraining
from metalearn_tf.workflows.meta_gan_arms import check_adaptation, drawing, trained_gans
from metalearn_tf.workflows.parts_of_datasets import target_halves
from metalearn_tf.workflows.plans import MetaGANTransferBudget
from metalearn_tf.workflows.run_directory import RunDirectory
from metalearn_tf.workflows.workflow_checks import (
    check_classifier,
    checked_augmentation,
    checked_sources,
)
from metalearn_tf.workflows.workflow_report import WorkflowReport, finish


@random_state_kept()
def meta_gan_transfer(
    sources, target, run_directory, shots=5, build_meta_gan=None, build_classifier=None, augmentation=None,
    gan_shots=8, keep=0.5, budget=MetaGANTransferBudget(), quick=False, verbose=1, **fields,
):  # fmt: skip
    """Meta-trains a GAN on source domains, adapts it to a few target images of each class, and trains a classifier.

    For each seed a `MetaGAN` is meta-trained on tasks of the source domains; a task is a few images of one class. Then
    `shots` labelled target images of each class are drawn, several times. For each draw, the MetaGAN adapts to each
    class, and the classifier is trained on its images together with the real ones. A conditional MetaGAN is
    meta-trained on tasks with as many classes as the target has, with new labels in each task, and adapts to all
    classes at once. The arms (compared methods) use the same draws and the same number of steps of the classifier:

    - `"real images"` and `"classical augmentation"`, without a GAN.
    - `"GAN from scratch"`: the same GAN, trained on the few images of each class from random weights.
    - `"GAN fine-tuned"`: the same GAN, first trained in the ordinary way on the images of all sources, with the same
      numbers of steps and images, then on the few images of each class. If the GAN is conditional, each label stands
      for several classes of the sources.
    - `"MetaGAN"`: the adapted GAN.

    All GANs adapt with the same optimizer and number of steps, to the real images of a class plus augmented ones,
    `gan_shots` in all. In the arms with a GAN the training images are also augmented classically. All draws are tested
    on the same target images, which are never used in training. An arm has one accuracy for each draw.

    A run that was stopped continues at the stage that it had reached, if you call it again with the same arguments. The
    GANs are in `run_directory / "gans"`, for any number of `shots`. Everything else, with `report.json`, `report.md`,
    `report.png` and the SavedModel of the MetaGAN under `export`, is in a folder for the shots.

    ```python
    report = mtf.workflows.meta_gan_transfer([omniglot, glyphs, fashion], mnist, "runs/to_mnist", shots=5)
    report.arms["MetaGAN"].accuracy, report.gain("MetaGAN")
    ```

    Args:
        sources: a list of at least 2 `ClassDataset`s of images, uint8 or in [0, 1], each with a different domain.
        target: a `ClassDataset` of another domain. Half of each class's images are for the draws, half for the test.
        run_directory: the folder of the run.
        shots: labelled target images of each class.
        build_meta_gan: function without arguments that returns a new compiled `MetaGAN`, without labels or with one
            label for each class of the target; by default Reptile with a `dcgan` and the R1 penalty.
        build_classifier: function without arguments that returns a compiled `keras.Model` from images in [0, 1] to the
            probabilities of the target's classes; by default a Conv4 with 16 filters and random weights.
        augmentation: a Keras layer for images in [0, 1]; by default `classical_augmentation`.
        gan_shots: images of a class to which a GAN adapts, also in meta-training.
        keep: share in (0, 1] of the drawn images that is used: those that look most real to the adapted discriminator.
        budget: a `MetaGANTransferBudget`: steps, images, draws, and seeds (how often everything is repeated). The
            user's random states are restored afterwards.
        quick: uses a small fraction of the budget, to check that everything works. The classifiers learn, the GANs
            hardly do. Figures of so few draws say nothing about the arms.
        verbose: 0 for silence, 1 for a progress bar over the stages.
        **fields: single fields of `budget`, by their names: `seeds=1` is `budget=MetaGANTransferBudget(seeds=1)`.

    Returns:
        A `WorkflowReport`.

    Raises:
        ValueError: if an argument is not accepted, there is only one source, the domains differ in shape, the target
            has fewer images than shots, a source has too few images or classes for a task, or the folder has a run of
            another configuration.
        TypeError: if `budget` is not such an object.

    Reference: [Clouâtre and Demers, 2019](https://arxiv.org/abs/1901.02199)
    """
    # === Checks and configuration ===
    check_instance("budget", budget, MetaGANTransferBudget)
    (budget,) = with_fields(fields, budget=budget)
    check_whole(shots=shots, gan_shots=gan_shots)
    sources = checked_sources(sources, target, shots, tested=1, least=2)
    check_share("keep", keep)
    if quick:
        budget = budget.quick()
    shape, classes = target.example_shape, target.num_classes
    build_meta_gan = build_meta_gan or (lambda: _default_meta_gan(shape))
    build_classifier = build_classifier or (lambda: _default_classifier(shape, classes))
    augmentation = checked_augmentation(augmentation)
    meta_gan, of_meta_gan = built_model("build_meta_gan", build_meta_gan)
    check_adaptation(meta_gan, sources, classes, gan_shots)
    classifier, of_classifier = built_model("build_classifier", build_classifier)
    check_classifier(classifier, shape, classes)
    of_gans = {
        "workflow": "meta_gan_transfer",
        "sources": {dataset.domain: describe_dataset(dataset) for dataset in sources},
        "meta_gan": of_meta_gan,
        "gan_range": list(meta_gan.gan.image_range),
        "gan_steps": budget.gan_steps,
        "gan_shots": gan_shots,
        "gan_tasks": budget.gan_tasks,
        "seeds": budget.seeds,
    }
    configuration = {
        "workflow": "meta_gan_transfer",
        "gans": of_gans,
        "target": describe_dataset(target),
        "shots": shots,
        "classifier": of_classifier,
        **dataclasses.asdict(budget),
        "keep": keep,
        "augmentation": describe(augmentation),
    }
    folder = local_path("run_directory", run_directory)
    gans = RunDirectory(folder / "gans", of_gans, 2 * budget.seeds, verbose)
    run = RunDirectory(folder / f"shots_{shots}", configuration, 6 * budget.seeds, verbose)

    # === Training of the GANs ===
    trained = [
        trained_gans(gans, build_meta_gan, sources, budget.gan_steps, gan_shots, budget.gan_tasks, seed)
        for seed in range(budget.seeds)
    ]

    # === Training of the classifiers ===
    scores = ArmScores(run)
    pool, test = _pool_and_test(target, budget.test_images)
    for seed, meta_gans in enumerate(trained):
        keras.utils.set_random_seed(seed)
        training = ClassifierTraining(build_classifier(), budget.steps, budget.batch_size, augmentation)
        shown = run.stage(
            f"shown_{seed}",
            functools.partial(_shown, pool, shots, max(gan_shots, shots), budget.draws, augmentation, seed),
        )
        for name in ("real images", "classical augmentation", *meta_gans):
            draw = None
            if name in meta_gans:
                draw = drawing(meta_gans[name], budget.adapt_steps, budget.generated, keep)
            measure = functools.partial(_measure, shown, shots, draw, training, test, name != "real images", seed)
            scores.add(name, seed, measure, generates=draw is not None)

    # === Report and export ===
    report = WorkflowReport("meta_gan_transfer", run.configuration, scores.arms())
    return finish(run, report, "MetaGAN", trained[0]["MetaGAN"])


def _default_meta_gan(image_shape):
    networks = dcgan(image_shape, filters=32, generator_normalization="layer", discriminator_normalization="layer")
    meta_gan = MetaGAN(GAN(*networks, penalty="r1", average_decay=None), inner_steps=20)
    meta_gan.compile()
    return meta_gan


def _default_classifier(image_shape, classes):
    backbone = conv4(image_shape, filters=16, normalization="running")
    probabilities = keras.layers.Dense(classes, activation="softmax", dtype="float32", name="head")(backbone.output)
    classifier = keras.Model(backbone.inputs, probabilities, name="classifier")
    classifier.compile(keras.optimizers.Adam(2e-3), "sparse_categorical_crossentropy", jit_compile=False)
    return classifier


# === Data ===


def _pool_and_test(target, test_images):
    """The images of the draws, a list over classes; and test images and labels, all that each class has."""
    each = max(1, test_images // target.num_classes)
    halves = [(shown, tested[:each]) for shown, tested in target_halves(target)]
    pool, test = zip(*((to_image_range(target.examples[part], (0.0, 1.0)).numpy() for part in half) for half in halves))
    return pool, (np.concatenate(test), np.concatenate([target.labels[tested] for _, tested in halves]))


def _shown(pool, shots, most, draws, augmentation, seed):
    """For each draw and class the `shots` images that are shown, then augmented ones, `most` in all."""
    random = np.random.default_rng(seed)
    rows = [[random.permutation(len(images))[:shots] for images in pool] for _ in range(draws)]
    real = np.stack([[images[chosen] for images, chosen in zip(pool, draw)] for draw in rows])
    again = real[:, :, np.arange(most - shots) % shots]
    flat = again.reshape(-1, *real.shape[3:])
    augmentation.build((None, *flat.shape[1:]))
    seed_augmentation(augmentation, seed)
    augmented = np.asarray(augmentation(flat, training=True)) if len(flat) else flat
    return {"images": np.concatenate([real, augmented.reshape(again.shape)], axis=2)}


def _measure(shown, shots, draw, training, test, augments, seed):
    """The scores of an arm for each draw, and the total seconds for adapting, drawing and training."""
    scores, start = [], time.perf_counter()
    for number, images in enumerate(shown["images"], 1000 * seed):
        generated = None
        if draw is not None:
            generated = _flat(np.asarray(draw(images, tf.constant(number))))  # a Python number would cause a new trace
        scores.append(training.scores(_flat(images[:, :shots]), generated, test, augments, number))
    accuracies, recalls, f1s = np.array(scores).T
    seconds = time.perf_counter() - start
    return {"accuracies": accuracies, "recall": recalls.mean(), "f1": f1s.mean(), "seconds": seconds}


def _flat(images):
    """Images `(classes, n, …)` as one array, and the class number of each."""
    return images.reshape(-1, *images.shape[2:]), np.repeat(np.arange(len(images)), images.shape[1])
