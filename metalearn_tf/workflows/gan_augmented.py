"""Meta-learning on tasks that a GAN adds to."""

import functools

import keras
import numpy as np

from metalearn_tf.checks.real_numbers import check_all_positive, check_positive, check_share
from metalearn_tf.checks.whole_numbers import check_whole
from metalearn_tf.data.class_dataset import ClassDataset
from metalearn_tf.data.tasks.episodes import episodes as make_episodes
from metalearn_tf.engine.describe import describe
from metalearn_tf.engine.random_state_kept import random_state_kept
from metalearn_tf.engine.schedule import warm_up_and_cosine
from metalearn_tf.files.local_path import local_path
from metalearn_tf.gan.gan import GAN
from metalearn_tf.learners.ensemble import Ensemble
from metalearn_tf.learners.prototypical_network import PrototypicalNetwork
from metalearn_tf.networks.augmentation_gan import augmentation_gan
from metalearn_tf.networks.conv4 import conv4
from metalearn_tf.training.descriptions import describe_dataset
from metalearn_tf.workflows.arms import ArmScores, episode_scores, trained_learner
from metalearn_tf.workflows.built_models import built_model
from metalearn_tf.workflows.class_gans import as_in, gan_kind, more_examples, new_classes, train_gan
from metalearn_tf.workflows.enlarged_support import EnlargedSupport
from metalearn_tf.workflows.run_directory import RunDirectory
from metalearn_tf.workflows.workflow_checks import (
    check_compiled,
    check_disjoint,
    check_images,
    check_learner,
    checked_augmentation,
    merged_sources,
)
from metalearn_tf.workflows.workflow_report import WorkflowReport, finish

# Of a configuration, what a GAN and its images depend on.
_OF_GANS = (
    "workflow",
    "sources",
    "gan",
    "gan_range",
    "gan_steps",
    "gan_batch_size",
    "seeds",
    "classes",
    "ratios",
    "keep",
    "variety",
)
# What `quick` leaves of the budget.
_QUICK = {"steps": 20, "gan_steps": 10, "episodes": 20, "seeds": 2, "classes": 20}


@random_state_kept()
def gan_augmented(
    sources,
    target,
    run_directory,
    build_learner=None,
    build_gan=None,
    ways=5,
    shots=1,
    queries=15,
    train_ways=None,
    train_queries=5,
    tasks_per_batch=4,
    steps=2000,
    ratios=(0.5, 1.0, 2.0),
    classes=1000,
    keep=0.5,
    variety=0.3,
    copies=4,
    gan_steps=5000,
    gan_batch_size=64,
    augmentation=None,
    episodes=600,
    seeds=3,
    quick=False,
    verbose=1,
):
    """Trains a GAN on the meta-training classes, and a learner on real and generated tasks; against not doing so.

    The arms, each trained once for each seed with as many steps of as many tasks, and tested on the same episodes:

    - `"no augmentation"` and `"classical augmentation"`, without a GAN.
    - `"GAN, ratio r"`: what the GAN draws is added, and all is augmented classically. What it draws its networks say:

      | networks | draws | ratio |
      |---|---|---|
      | `mtf.networks.pair_gan` | new classes | generated tasks for each real task |
      | `mtf.networks.augmentation_gan` | more examples of each class | generated examples for each real one |
      | with `classes`, such as `mtf.networks.dcgan` | the same | the same |

    - `"…, support enlarged"`: the same learners, whose support sets of *unseen* classes are enlarged by classical
      augmentation, see `EnlargedSupport`.
    - `"…, support enlarged by the GAN"`, where the GAN takes an image and returns another of its class.
    - `"…, ensemble"`: the mean answer of the learners of all seeds, each with a GAN of its own; of every arm without a
      GAN, the best that it has a part in by the training alone, and the best whose support sets it enlarges.

    A run that was stopped goes on at the stage that it had reached, if it is called again with the same arguments. The
    GANs and what they drew are in `run_directory / "gans"`, for any learner and test; all else, with `report.json`,
    `report.md`, `report.png` and the SavedModel of the best arm under `export`, in a folder that is named by the
    learner, ways and shots, such as `MAML_5x1`.

    ```python
    train, test = (mtf.data.load("omniglot", split) for split in ("train", "test"))
    report = mtf.workflows.gan_augmented(train, test, "runs/augmented")
    report.arms["GAN, ratio 1"].accuracy, report.gain("GAN, ratio 1")
    ```

    Args:
        sources: a `ClassDataset` of images, uint8 or in [0, 1], the meta-training classes; or a list of them, each
            with a domain of its own.
        target: a `ClassDataset`, the meta-test classes.
        run_directory: the folder of the run.
        build_learner: function without arguments to a compiled `MetaLearner` with first weights of its own; by default
            a `PrototypicalNetwork` of a Conv4.
        build_gan: the same to a compiled `GAN`; by default one of `mtf.networks.augmentation_gan`.
        ways: classes of a test episode.
        shots: support examples of a class, in training too.
        queries: query examples of a class in the test.
        train_ways: classes of a task in training; by default `ways`.
        train_queries: query examples of a class in training.
        tasks_per_batch: tasks of an outer step.
        steps: outer steps.
        ratios: positive numbers, generated to real.
        classes: new classes, of a GAN that draws them.
        keep: share in (0, 1] of what it draws that is used: what its discriminator takes for real the most.
        variety: of the images of a new class: standard deviation of their noise, which is 1 in the GAN's training. At 1
            a GAN of few classes mixes them up.
        copies: images for each support example where support sets are enlarged.
        gan_steps: steps of the GAN.
        gan_batch_size: images, or pairs, in a step of the GAN.
        augmentation: a Keras layer for images in [0, 1]; by default `classical_augmentation`.
        episodes: test episodes of each seed.
        seeds: how often all is done, each time with other first weights and other draws. The user's random states are
            afterwards what they were.
        quick: a small fraction of the budget, and of `ratios` the least and the largest, to see that all works; its
            figures mean nothing.
        verbose: 0 for silence, 1 for a progress bar over the stages.

    Returns:
        A `WorkflowReport`.

    Raises:
        ValueError: if an argument is not of its kind, the datasets differ in shape or share classes, or the folder
            has a run of another configuration.

    Reference: [Antoniou et al., 2017](https://arxiv.org/abs/1711.04340), for more examples;
        [Donahue et al., 2018](https://arxiv.org/abs/1705.07904), for the GAN that draws new classes
    """
    # === Checks and configuration ===
    train = merged_sources(sources)
    check_images(sources=train, target=target)
    check_disjoint(train, target)
    for dataset in [] if train is sources else sources:  # whose classes have other names in `train`
        if dataset.domain == target.domain:
            check_disjoint(dataset, target)
    check_share("keep", keep)
    check_all_positive("ratios", ratios)
    check_positive("variety", variety)
    budget = {"steps": steps, "gan_steps": gan_steps, "episodes": episodes, "seeds": seeds, "classes": classes}
    if quick:
        budget = {name: min(value, _QUICK[name]) for name, value in budget.items()}
        ratios = list(dict.fromkeys((min(ratios), max(ratios))))
    budget |= {"tasks_per_batch": tasks_per_batch, "gan_batch_size": gan_batch_size, "copies": copies}
    check_whole(**budget)
    build_learner = build_learner or (lambda: _default_learner(train.example_shape, budget["steps"]))
    build_gan = build_gan or (lambda: _default_gan(train.example_shape))
    augmentation = checked_augmentation(augmentation)
    learner, of_learner = built_model("build_learner", build_learner)
    check_learner("build_learner", learner, train.example_shape, max(ways, train_ways or ways))
    gan, of_gan = built_model("build_gan", build_gan)
    check_compiled("build_gan", gan)
    kind = gan_kind(gan, train.example_shape)
    test_task = {"ways": ways, "shots": shots, "queries": queries}
    train_task = {"ways": train_ways or ways, "shots": shots, "queries": train_queries}
    for dataset, task in ((target, test_task), (train, train_task)):
        make_episodes(dataset, **task)  # refuses tasks that its classes do not have
    configuration = {
        "workflow": "gan_augmented",
        "sources": describe_dataset(train),
        "target": describe_dataset(target),
        "learner": of_learner,
        "gan": of_gan,
        "gan_range": list(gan.image_range),
        "test_task": test_task,
        "train_task": train_task,
        **budget,
        "ratios": list(ratios),
        "keep": keep,
        "variety": variety,
        "augmentation": describe(augmentation),
    }
    mixtures = {"no augmentation": 0.0, "classical augmentation": 0.0, **{f"GAN, ratio {r:g}": r for r in ratios}}
    ways_to_enlarge = 1 + (kind == "others")
    ensembles = 4 + ways_to_enlarge
    stages = budget["seeds"] * ((2 + ways_to_enlarge) * len(mixtures) + ensembles)
    folder, of_gans = local_path("run_directory", run_directory), {name: configuration[name] for name in _OF_GANS}
    gans = RunDirectory(folder / "gans", of_gans, 2 * budget["seeds"], verbose)
    run = RunDirectory(folder / f"{type(learner).__name__}_{ways}x{shots}", configuration, stages, verbose)

    # === Training of the GANs ===
    def trained_gan(seed):
        keras.utils.set_random_seed(seed)
        gan, _ = gans.trained(
            f"gan_{seed}", build_gan(), lambda gan: train_gan(gan, train, budget["gan_steps"], gan_batch_size, seed)
        )
        draw = functools.partial(_draw, gan, kind, train, max(ratios), budget["classes"], keep, variety, seed)
        return gan, gans.stage(f"drawn_{seed}", draw)

    trained = [trained_gan(seed) for seed in range(budget["seeds"])]

    # === Training and tests of the learners, seed by seed ===
    scores, learners, gan_parts = ArmScores(run), {}, {}

    def test_learner(name, learner, seed, gan_part, seconds=0.0, one_training=False):
        learners.setdefault(name, []).append(learner)
        gan_parts[name] = gan_part
        options = {**test_task, "episodes": budget["episodes"], "seed": 1000 + seed}
        measure = functools.partial(episode_scores, learner, target, **options)
        scores.add(name, seed, measure, gan_part is not None, seconds, one_training)

    def tasks(ratio, layer, drawn, seed):
        datasets, proportions = _mixture(train, drawn, kind, ratio)
        options = {"support_augmentation": layer, "query_augmentation": layer, "proportions": proportions}
        return make_episodes(datasets, **train_task, tasks_per_batch=tasks_per_batch, seed=seed, **options)

    def run_seed(seed, gan, drawn):
        for name, ratio in mixtures.items():
            layer = None if name == "no augmentation" else augmentation
            make_tasks = functools.partial(tasks, ratio, layer, drawn, seed)
            learner, seconds = trained_learner(run, name, build_learner, seed, make_tasks, budget["steps"])
            gan_part = "training" if ratio else None
            test_learner(name, learner, seed, gan_part, seconds)
            # With copies of its own, as from a GAN of its own: an ensemble gains by what its members do not share.
            enlarged = EnlargedSupport(learner, augmentation, copies, seed)
            test_learner(f"{name}, support enlarged", enlarged, seed, gan_part, seconds)
            if kind == "others":
                enlarged = EnlargedSupport(learner, gan.sampler, copies, seed, gan.image_range)
                test_learner(f"{name}, support enlarged by the GAN", enlarged, seed, "support", seconds)

    for seed, gan_and_drawn in enumerate(trained):
        run_seed(seed, *gan_and_drawn)
    for name in _arms_of_ensembles(scores.arms(), gan_parts):
        ensemble = Ensemble(learners[name])
        for seed in range(budget["seeds"]):
            # Of the learners of all seeds: there is one of it, which has other test episodes in each seed.
            test_learner(f"{name}, ensemble", ensemble, seed, gan_parts[name], one_training=budget["seeds"] > 1)

    # === Report and export ===
    arms = scores.arms()
    report = WorkflowReport("gan_augmented", run.configuration, arms)
    best = max(arms, key=lambda name: arms[name].accuracy)
    return finish(run, report, best, learners[best][0])


def _default_learner(image_shape, steps):
    learner = PrototypicalNetwork(conv4(image_shape))
    learner.compile(keras.optimizers.Adam(warm_up_and_cosine(2e-3, steps)), metrics=["accuracy"])
    return learner


def _default_gan(image_shape):
    gan = GAN(*augmentation_gan(image_shape), penalty="r1")
    gan.compile()
    return gan


def _draw(gan, kind, train, ratio, classes, keep, variety, seed):
    """What a GAN adds to the meta-training classes, as arrays; enough for the largest ratio."""
    if kind == "classes":
        drawn = new_classes(gan, classes, int(train.class_sizes.min()), seed, keep, variety)
    else:
        drawn = more_examples(gan, train, ratio, seed, keep)
    return {"examples": drawn.examples, "labels": drawn.labels}


def _mixture(train, drawn, kind, ratio):
    """The datasets that tasks are drawn from, and how many of the tasks are from each."""
    if not ratio:
        return train, None
    examples, labels = as_in(train, drawn["examples"]), drawn["labels"]
    if kind == "classes":
        # Whole tasks of new classes: in one task with real ones, traces of the generator would tell them apart.
        return [train, ClassDataset(examples, labels, domain="generated")], [1.0, ratio]
    counts = np.maximum(1, np.round(ratio * train.class_sizes)).astype(int)
    rows = np.concatenate([np.flatnonzero(labels == label)[:count] for label, count in enumerate(counts)])
    more = ClassDataset(examples[rows], labels[rows], train.class_names, train.parents, train.domain)
    return train.merge(more), None


def _arms_of_ensembles(arms, gan_parts):
    """Names of the arms whose learners are averaged.

    All without a GAN, since the best of them need not be the best by itself: a GAN is compared with the best ensemble.
    """
    names = [name for name, part in gan_parts.items() if part is None]
    for wanted in ("training", "support"):
        of_part = [name for name, part in gan_parts.items() if part == wanted]
        names += [max(of_part, key=lambda name: arms[name].accuracy)] if of_part else []
    return names
