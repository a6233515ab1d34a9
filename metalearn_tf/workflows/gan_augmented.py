"""Meta-learning on real tasks and on tasks from a GAN."""

import dataclasses
import functools

import keras
import numpy as np

from metalearn_tf.checks.fields import with_fields
from metalearn_tf.checks.instances import check_instance
from metalearn_tf.checks.real_numbers import check_all_positive, check_positive, check_share
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
from metalearn_tf.workflows.plans import GANAugmentedBudget, GANAugmentedTasks
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

# The parts of a configuration on which a GAN and its images depend.
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


@random_state_kept()
def gan_augmented(
    sources, target, run_directory, build_learner=None, build_gan=None, augmentation=None,
    tasks=GANAugmentedTasks(), ratios=(0.5, 1.0, 2.0), keep=0.5, variety=0.3,
    budget=GANAugmentedBudget(), quick=False, verbose=1, **fields,
):  # fmt: skip
    """Trains a GAN on the meta-training classes and a learner on real and generated tasks; compares with no GAN.

    The arms (compared methods) are trained once for each seed, with equal numbers of steps and tasks, and tested on the
    same episodes:

    - `"no augmentation"` and `"classical augmentation"`, without a GAN.
    - `"GAN, ratio r"`: the GAN's images are added, and all images are augmented classically. The networks of the GAN
      decide what it draws:

      | networks | draws | ratio |
      |---|---|---|
      | `mtf.networks.pair_gan` | new classes | generated tasks for each real task |
      | `mtf.networks.augmentation_gan` | more examples of each class | generated examples for each real one |
      | with `classes`, such as `mtf.networks.dcgan` | the same | the same |

    - `"…, support enlarged"`: the same learners, with support sets of *unseen* classes enlarged by classical
      augmentation; see `EnlargedSupport`.
    - `"…, support enlarged by the GAN"`, if the GAN takes an image and returns another image of its class.
    - `"…, ensemble"`: the mean answer of the learners of all seeds, each with its own GAN. There is an ensemble for
      every arm without a GAN, for the best arm that uses the GAN only in training, and for the best arm whose support
      sets the GAN enlarges.

    A run that was stopped continues at the stage that it had reached, if you call it again with the same arguments. The
    GANs and their images are in `run_directory / "gans"`, for any learner and test. Everything else, with
    `report.json`, `report.md`, `report.png` and the SavedModel of the best arm under `export`, is in a folder named
    after the learner, ways and shots, such as `MAML_5x1`.

    ```python
    train, test = (mtf.data.load("omniglot", split) for split in ("train", "test"))
    report = mtf.workflows.gan_augmented(train, test, "runs/augmented")
    report.arms["GAN, ratio 1"].accuracy, report.gain("GAN, ratio 1")
    ```

    Args:
        sources: a `ClassDataset` of images, uint8 or in [0, 1], the meta-training classes; or a list of them, each with
            a different domain.
        target: a `ClassDataset`, the meta-test classes.
        run_directory: the folder of the run.
        build_learner: function without arguments that returns a new compiled `MetaLearner`; by default a
            `PrototypicalNetwork` with a Conv4.
        build_gan: the same for a compiled `GAN`; by default one with `mtf.networks.augmentation_gan`.
        augmentation: a Keras layer for images in [0, 1]; by default `classical_augmentation`.
        tasks: a `GANAugmentedTasks`: ways, shots and queries of training and test, and tasks of an outer step.
        ratios: positive numbers: the ratios of generated to real tasks or examples.
        keep: share in (0, 1] of the drawn images that is used: those that look most real to the discriminator.
        variety: standard deviation of the noise for the images of a new class; it is 1 in the GAN's training. At 1, a
            GAN that was trained on few classes mixes classes up.
        budget: a `GANAugmentedBudget`: steps, numbers of drawn images, test episodes, and seeds (how often everything
            is repeated). The user's random states are restored afterwards.
        quick: uses a small fraction of the budget, and only the smallest and the largest of `ratios`, to check that
            everything works. Its figures mean nothing.
        verbose: 0 for silence, 1 for a progress bar over the stages.
        **fields: single fields of `tasks` and `budget`, by their names: `ways=3` is `tasks=GANAugmentedTasks(ways=3)`.

    Returns:
        A `WorkflowReport`.

    Raises:
        ValueError: if an argument is not accepted, the datasets differ in shape or share classes, or the folder has a
            run of another configuration.
        TypeError: if `tasks` or `budget` is not such an object.

    Reference: [Antoniou et al., 2017](https://arxiv.org/abs/1711.04340), for more examples;
        [Donahue et al., 2018](https://arxiv.org/abs/1705.07904), for the GAN that draws new classes
    """
    # === Checks and configuration ===
    check_instance("tasks", tasks, GANAugmentedTasks)
    check_instance("budget", budget, GANAugmentedBudget)
    tasks, budget = with_fields(fields, tasks=tasks, budget=budget)
    train = merged_sources(sources)
    check_images(sources=train, target=target)
    check_disjoint(train, target)
    for dataset in [] if train is sources else sources:  # their classes have other names in `train`
        if dataset.domain == target.domain:
            check_disjoint(dataset, target)
    check_share("keep", keep)
    check_all_positive("ratios", ratios)
    check_positive("variety", variety)
    if quick:
        budget, ratios = budget.quick(), list(dict.fromkeys((min(ratios), max(ratios))))
    train_ways = tasks.train_ways or tasks.ways
    build_learner = build_learner or (lambda: _default_learner(train.example_shape, budget.steps))
    build_gan = build_gan or (lambda: _default_gan(train.example_shape))
    augmentation = checked_augmentation(augmentation)
    learner, of_learner = built_model("build_learner", build_learner)
    check_learner("build_learner", learner, train.example_shape, max(tasks.ways, train_ways))
    gan, of_gan = built_model("build_gan", build_gan)
    check_compiled("build_gan", gan)
    kind = gan_kind(gan, train.example_shape)
    test_task = {"ways": tasks.ways, "shots": tasks.shots, "queries": tasks.queries}
    train_task = {"ways": train_ways, "shots": tasks.shots, "queries": tasks.train_queries}
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
        "tasks_per_batch": tasks.tasks_per_batch,
        **dataclasses.asdict(budget),
        "ratios": list(ratios),
        "keep": keep,
        "variety": variety,
        "augmentation": describe(augmentation),
    }
    mixtures = {"no augmentation": 0.0, "classical augmentation": 0.0, **{f"GAN, ratio {r:g}": r for r in ratios}}
    ways_to_enlarge = 1 + (kind == "others")
    ensembles = 4 + ways_to_enlarge
    stages = budget.seeds * ((2 + ways_to_enlarge) * len(mixtures) + ensembles)
    folder, of_gans = local_path("run_directory", run_directory), {name: configuration[name] for name in _OF_GANS}
    gans = RunDirectory(folder / "gans", of_gans, 2 * budget.seeds, verbose)
    run = RunDirectory(folder / f"{type(learner).__name__}_{tasks.ways}x{tasks.shots}", configuration, stages, verbose)

    # === Training of the GANs ===
    def trained_gan(seed):
        keras.utils.set_random_seed(seed)
        gan, _ = gans.trained(
            f"gan_{seed}", build_gan(), lambda gan: train_gan(gan, train, budget.gan_steps, budget.gan_batch_size, seed)
        )
        draw = functools.partial(_draw, gan, kind, train, max(ratios), budget.classes, keep, variety, seed)
        return gan, gans.stage(f"drawn_{seed}", draw)

    trained = [trained_gan(seed) for seed in range(budget.seeds)]

    # === Training and tests of the learners, seed by seed ===
    scores, learners, gan_parts = ArmScores(run), {}, {}

    def test_learner(name, learner, seed, gan_part, seconds=0.0, one_training=False):
        learners.setdefault(name, []).append(learner)
        gan_parts[name] = gan_part
        options = {**test_task, "episodes": budget.episodes, "seed": 1000 + seed}
        measure = functools.partial(episode_scores, learner, target, **options)
        scores.add(name, seed, measure, gan_part is not None, seconds, one_training)

    def training_tasks(ratio, layer, drawn, seed):
        datasets, proportions = _mixture(train, drawn, kind, ratio)
        options = {"support_augmentation": layer, "query_augmentation": layer, "proportions": proportions}
        return make_episodes(datasets, **train_task, tasks_per_batch=tasks.tasks_per_batch, seed=seed, **options)

    def run_seed(seed, gan, drawn):
        for name, ratio in mixtures.items():
            layer = None if name == "no augmentation" else augmentation
            make_tasks = functools.partial(training_tasks, ratio, layer, drawn, seed)
            learner, seconds = trained_learner(run, name, build_learner, seed, make_tasks, budget.steps)
            gan_part = "training" if ratio else None
            test_learner(name, learner, seed, gan_part, seconds)
            # Each member has its own copies, as from its own GAN: an ensemble gains from differences between its
            # members.
            enlarged = EnlargedSupport(learner, augmentation, budget.copies, seed)
            test_learner(f"{name}, support enlarged", enlarged, seed, gan_part, seconds)
            if kind == "others":
                enlarged = EnlargedSupport(learner, gan.sampler, budget.copies, seed, gan.image_range)
                test_learner(f"{name}, support enlarged by the GAN", enlarged, seed, "support", seconds)

    for seed, gan_and_drawn in enumerate(trained):
        run_seed(seed, *gan_and_drawn)
    for name in _arms_of_ensembles(scores.arms(), gan_parts):
        ensemble = Ensemble(learners[name])
        for seed in range(budget.seeds):
            # One ensemble of the learners of all seeds; it is tested on other episodes in each seed.
            test_learner(f"{name}, ensemble", ensemble, seed, gan_parts[name], one_training=budget.seeds > 1)

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
    """The images that a GAN adds to the meta-training classes, as arrays; enough for the largest ratio."""
    if kind == "classes":
        drawn = new_classes(gan, classes, int(train.class_sizes.min()), seed, keep, variety)
    else:
        drawn = more_examples(gan, train, ratio, seed, keep)
    return {"examples": drawn.examples, "labels": drawn.labels}


def _mixture(train, drawn, kind, ratio):
    """The datasets from which tasks are drawn, and the share of tasks from each."""
    if not ratio:
        return train, None
    examples, labels = as_in(train, drawn["examples"]), drawn["labels"]
    if kind == "classes":
        # Tasks are entirely of new classes: in a task with real classes, traces of the generator would give them away.
        return [train, ClassDataset(examples, labels, domain="generated")], [1.0, ratio]
    counts = np.maximum(1, np.round(ratio * train.class_sizes)).astype(int)
    rows = np.concatenate([np.flatnonzero(labels == label)[:count] for label, count in enumerate(counts)])
    more = ClassDataset(examples[rows], labels[rows], train.class_names, train.parents, train.domain)
    return train.merge(more), None


def _arms_of_ensembles(arms, gan_parts):
    """The names of the arms whose learners are averaged.

    All arms without a GAN are included, because a GAN is compared with the best ensemble, and the arm that is best
    alone need not give the best ensemble.
    """
    names = [name for name, part in gan_parts.items() if part is None]
    for wanted in ("training", "support"):
        of_part = [name for name, part in gan_parts.items() if part == wanted]
        names += [max(of_part, key=lambda name: arms[name].accuracy)] if of_part else []
    return names
