"""DAML: meta-learning on source domains and on virtual samples of the target."""

import dataclasses
import functools

import keras

from metalearn_tf.checks.fields import with_fields
from metalearn_tf.checks.instances import check_instance
from metalearn_tf.checks.real_numbers import check_positive, check_share
from metalearn_tf.data.tasks.episodes import episodes as make_episodes
from metalearn_tf.engine.copy_network import copy_network
from metalearn_tf.engine.random_state_kept import random_state_kept
from metalearn_tf.engine.schedule import warm_up_and_cosine
from metalearn_tf.gan.gan import GAN
from metalearn_tf.learners.ensemble import Ensemble
from metalearn_tf.learners.maml import MAML
from metalearn_tf.learners.prototypical_network import PrototypicalNetwork
from metalearn_tf.networks.conv4 import conv4
from metalearn_tf.networks.translation_gan import translation_gan
from metalearn_tf.training.descriptions import describe_dataset
from metalearn_tf.transfer.backbone_checks import check_backbone
from metalearn_tf.transfer.baseline import Baseline
from metalearn_tf.transfer.fine_tune import fine_tune
from metalearn_tf.transfer.pretrain import pretrain
from metalearn_tf.workflows.arms import ArmScores, episode_scores, file_name, trained_learner
from metalearn_tf.workflows.built_models import built_model
from metalearn_tf.workflows.class_gans import check_takes_sources
from metalearn_tf.workflows.daml_stages import (
    draw_virtual,
    train_coral,
    train_translation,
    tune_learner,
    virtual_domains,
)
from metalearn_tf.workflows.parts_of_datasets import few_and_test, share_of
from metalearn_tf.workflows.plans import DAMLBudget, DAMLTasks
from metalearn_tf.workflows.run_directory import RunDirectory
from metalearn_tf.workflows.workflow_checks import (
    check_compiled,
    check_disjoint,
    check_learner,
    checked_sources,
    merged_sources,
)
from metalearn_tf.workflows.workflow_report import WorkflowReport, finish


@random_state_kept()
def daml(
    sources, target, run_directory, build_learners=None, build_gan=None, build_backbone=None, disjoint=False,
    tasks=DAMLTasks(), ratio=1.0, keep=0.5, budget=DAMLBudget(), quick=False, verbose=1, **fields,
):  # fmt: skip
    """Trains a generator of virtual target samples, meta-learns on them and on the sources, and fine-tunes.

    The target is a few labelled images of each class. A GAN learns to redraw images of the sources in the style of the
    target. Its drawings of a class are a class of a *virtual* domain. A learner is meta-trained on tasks of the source
    domains and of the virtual domains, then on tasks of the few target images. The arms (compared methods):

    - `"fine-tuning"`: a network that learned to classify all source classes, fine-tuned on the few target images.
    - `"CORAL"`: the same network, trained so that the distance between its features of source and target falls. Both
      arms train a linear classifier on the support set, as `Baseline` does.
    - `"…"` and `"…, DAML"` for each learner: meta-trained on the sources alone, or also on virtual samples. Both are
      fine-tuned on the target.
    - `"ensemble"` and `"ensemble, DAML"`: the mean answer of the learners.

    All arms see equally many training images, the same few target images, and the same test episodes. Episodes are of
    all target classes; support sets come from the few target images, queries from others.

    A run that was stopped continues at the stage that it had reached, if you call it again with the same arguments. The
    folder has the weights of every model, `report.json`, `report.md`, `report.png`, and under `export` the SavedModel
    of the best DAML learner.

    ```python
    report = mtf.workflows.daml([mnist, omniglot, glyphs], usps, "runs/to_usps")
    report.arms["prototypes, DAML"].accuracy, report.gain("prototypes, DAML", over="fine-tuning")
    ```

    Args:
        sources: a list of `ClassDataset`s of images, uint8 or in [0, 1], each with a different domain.
        target: a `ClassDataset` of another domain. The few images come from one half of each class's images, the
            queries from the other half.
        run_directory: the folder of the run.
        build_learners: dict from names to functions without arguments that return a new compiled `MetaLearner`; by
            default `"prototypes"` and `"MAML"`, both with a Conv4 and the defaults of their classes.
        build_gan: function without arguments that returns a compiled `GAN` that takes source images; by default one
            with `mtf.networks.translation_gan`.
        build_backbone: function without arguments that returns a network from images to features, for the first two
            arms; by default a Conv4.
        disjoint: whether to refuse sources that have classes of the target.
        tasks: a `DAMLTasks`: shots, queries, labelled target images, and tasks of an outer step.
        ratio: virtual tasks for each task of the sources.
        keep: share in (0, 1] of the drawn images that is used: in each class those that look most real to the
            discriminator.
        budget: a `DAMLBudget`: steps, virtual images, test episodes, and seeds (how often everything is repeated). The
            user's random states are restored afterwards.
        quick: uses a small fraction of the budget, to check that everything works. The learners begin to learn, the GAN
            hardly does. The figures of such a short training say nothing about the arms.
        verbose: 0 for silence, 1 for a progress bar over the stages.
        **fields: single fields of `tasks` and `budget`, by their names: `shots=1` is `tasks=DAMLTasks(shots=1)`.

    Returns:
        A `WorkflowReport`.

    Raises:
        ValueError: if an argument is not accepted, the domains differ in shape, or the folder has a run of another
            configuration.
        TypeError: if `tasks` or `budget` is not such an object.

    Reference: the generator, [Bousmalis et al., 2017](https://arxiv.org/abs/1612.05424); CORAL,
        [Sun and Saenko, 2016](https://arxiv.org/abs/1607.01719); fine-tuning as a baseline,
        [Chen et al., 2019](https://arxiv.org/abs/1904.04232)
    """
    # === Checks and configuration ===
    check_instance("tasks", tasks, DAMLTasks)
    check_instance("budget", budget, DAMLBudget)
    tasks, budget = with_fields(fields, tasks=tasks, budget=budget)
    sources = checked_sources(sources, target, tasks.target_images, tasks.queries)
    if disjoint:
        for dataset in sources:
            check_disjoint(dataset, target)
    check_share("keep", keep)
    check_positive("ratio", ratio)
    least_images = tasks.shots + tasks.train_queries
    if quick:
        budget = dataclasses.replace(budget.quick(), virtual_images=min(budget.virtual_images, least_images))
    if budget.virtual_images < least_images:
        raise ValueError(
            "`virtual_images` must be enough for a task, `shots + train_queries`. Received: virtual_images="
            f"{budget.virtual_images}, shots={tasks.shots}, train_queries={tasks.train_queries}"
        )
    shape, ways = target.example_shape, target.num_classes
    build_learners = build_learners or _default_learners(shape, ways, budget.steps)
    build_gan = build_gan or functools.partial(_default_gan, shape)
    build_backbone = build_backbone or functools.partial(conv4, shape, normalization="running")
    test_task = {"ways": ways, "shots": tasks.shots, "queries": tasks.queries}
    train_task = {"ways": ways, "shots": tasks.shots, "queries": tasks.train_queries}
    make_episodes(sources, **train_task)  # refuses tasks that the classes do not have
    gan, of_gan = built_model("build_gan", build_gan)
    check_compiled("build_gan", gan)
    check_takes_sources(gan, shape)
    backbone, of_backbone = built_model("build_backbone", build_backbone)
    check_backbone(backbone, "build_backbone")
    of_learners = {}
    for name, build in build_learners.items():
        learner, of_learners[name] = built_model(f"build_learners[{name!r}]", build)
        check_learner(f"build_learners[{name!r}]", learner, shape, ways)
    configuration = {
        "workflow": "daml",
        "sources": {dataset.domain: describe_dataset(dataset) for dataset in sources},
        "target": describe_dataset(target),
        "learners": of_learners,
        "gan": of_gan,
        "gan_range": list(gan.image_range),
        "backbone": of_backbone,
        "test_task": test_task,
        "train_task": train_task,
        "target_images": tasks.target_images,
        "tasks_per_batch": tasks.tasks_per_batch,
        **dataclasses.asdict(budget),
        "ratio": ratio,
        "keep": keep,
    }
    run = RunDirectory(run_directory, configuration, budget.seeds * (9 + 6 * len(build_learners)), verbose)

    # === Training and tests, seed by seed ===
    scores, learners = ArmScores(run), {}
    merged = merged_sources(sources)
    # The same number of images as the meta-training of a learner.
    images = budget.steps * tasks.tasks_per_batch * ways * (tasks.shots + tasks.train_queries)

    def run_seed(seed):
        few, test = few_and_test(target, tasks.target_images, seed)

        def test_learner(name, learner, seconds, generates=False):
            learners.setdefault(name, []).append(learner)
            options = {**test_task, "episodes": budget.episodes, "seed": 1000 + seed, "query_dataset": test}
            scores.add(name, seed, lambda: episode_scores(learner, few, **options), generates, seconds)

        # === Without a GAN or tasks ===
        part, epochs = share_of(merged, images)
        keras.utils.set_random_seed(seed)
        backbone, seconds = run.trained(
            f"backbone_{seed}",
            build_backbone(),
            lambda backbone: pretrain(backbone, part, epochs=epochs, verbose=0, seed=seed),
        )
        tuned, more_seconds = run.trained(
            f"fine_tuned_{seed}",
            copy_network(backbone),
            lambda network: network.set_weights(
                fine_tune(backbone, few.examples, few.labels, verbose=0, seed=seed).backbone.get_weights()
            ),
        )
        test_learner("fine-tuning", Baseline(tuned), seconds + more_seconds)
        keras.utils.set_random_seed(seed)
        coral, seconds = run.trained(
            f"coral_{seed}", build_backbone(), lambda backbone: train_coral(backbone, part, few, epochs, seed)
        )
        test_learner("CORAL", Baseline(coral), seconds)

        # === Virtual samples ===
        keras.utils.set_random_seed(seed)
        gan, _ = run.trained(
            f"gan_{seed}", build_gan(), lambda gan: train_translation(gan, merged, few, budget.gan_steps, seed)
        )
        arrays = run.stage(f"virtual_{seed}", lambda: draw_virtual(gan, sources, budget.virtual_images, keep, seed))
        virtual = virtual_domains(sources, arrays)

        # === Learners ===
        parts = {"": (sources, [1.0] * len(sources))}
        parts[", DAML"] = [*sources, *virtual], [1.0] * len(sources) + [ratio] * len(virtual)
        tuning_task = {**train_task, "queries": min(tasks.train_queries, tasks.target_images - tasks.shots)}
        for ending, (domains, proportions) in parts.items():
            for name, build in build_learners.items():
                options = {"tasks_per_batch": tasks.tasks_per_batch, "seed": seed}
                make_tasks = functools.partial(make_episodes, domains, **train_task, **options, proportions=proportions)
                learner, seconds = trained_learner(run, name + ending, build, seed, make_tasks, budget.steps)
                few_tasks = make_episodes(few, **tuning_task, **options)
                tune = functools.partial(
                    tune_learner,
                    tasks=few_tasks,
                    steps=budget.fine_tune_steps,
                    learning_rate=budget.fine_tune_learning_rate,
                )
                _, more_seconds = run.trained(f"fine_tuned_{file_name(name + ending)}_{seed}", learner, tune)
                test_learner(name + ending, learner, seconds + more_seconds, bool(ending))
            of_all = Ensemble([learners[name + ending][seed] for name in build_learners])
            test_learner(f"ensemble{ending}", of_all, 0.0, bool(ending))

    for seed in range(budget.seeds):
        run_seed(seed)

    # === Report and export ===
    report = WorkflowReport("daml", run.configuration, scores.arms())
    best = report.best_with_gan
    return finish(run, report, best, learners[best][0])


def _default_learners(image_shape, ways, steps):
    def compiled(learner, rate):
        learner.compile(keras.optimizers.Adam(warm_up_and_cosine(rate, steps)), metrics=["accuracy"])
        return learner

    return {
        "prototypes": lambda: compiled(PrototypicalNetwork(conv4(image_shape)), 2e-3),
        # With one step of 0.4, as in the paper, a quick run reaches 20 % for ten classes; with five steps of 0.1 it
        # reaches 63 %.
        "MAML": lambda: compiled(MAML(conv4(image_shape, outputs=ways)), 1e-3),
    }


def _default_gan(image_shape):
    # Only moves, because the style of the images must not change. Without moves, the GAN would memorise the few images.
    gan = GAN(*translation_gan(image_shape), penalty="r1", augmentation="translation")
    gan.compile()
    return gan
