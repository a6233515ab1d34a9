"""DAML: meta-learning on source domains and on virtual samples of the target."""

import functools

import keras

from metalearn_tf.checks.real_numbers import check_positive, check_share
from metalearn_tf.checks.whole_numbers import check_whole
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
from metalearn_tf.workflows.run_directory import RunDirectory
from metalearn_tf.workflows.workflow_checks import (
    check_compiled,
    check_disjoint,
    check_learner,
    checked_sources,
    merged_sources,
)
from metalearn_tf.workflows.workflow_report import WorkflowReport, finish

# What `quick` leaves of the budget.
_QUICK = {"steps": 10, "gan_steps": 5, "fine_tune_steps": 3, "episodes": 16, "seeds": 2}


@random_state_kept()
def daml(
    sources,
    target,
    run_directory,
    shots=5,
    target_images=10,
    queries=15,
    build_learners=None,
    build_gan=None,
    build_backbone=None,
    disjoint=False,
    train_queries=5,
    tasks_per_batch=4,
    steps=2000,
    fine_tune_steps=100,
    fine_tune_learning_rate=1e-4,
    gan_steps=3000,
    ratio=1.0,
    keep=0.5,
    virtual_images=500,
    episodes=600,
    seeds=3,
    quick=False,
    verbose=1,
):
    """Trains a generator of virtual target samples, meta-learns on them and on the sources, and fine-tunes.

    The target is a few labelled images of each class. A GAN learns to redraw images of the sources in the manner of
    those; what it draws of a class is a class of a *virtual* domain. A learner is meta-trained on tasks of the source
    domains and of their virtual counterparts, then on tasks of the few target images. The arms:

    - `"fine-tuning"`: a network that learned to classify all source classes, fine-tuned on the few target images.
    - `"CORAL"`: a network that learned the same while the distance between its features of source and target fell.
      Both arms train a linear classifier on the support set, as `Baseline` does.
    - `"…"` and `"…, DAML"` for each learner: meta-trained on the sources alone, and on virtual samples too; both
      fine-tuned on the target.
    - `"ensemble"` and `"ensemble, DAML"`: the mean answer of the learners.

    All see as many training images, the same few target images, and the same test episodes: of all target classes, with
    support sets among the few target images and queries among others.

    A run that was stopped goes on at the stage that it had reached, if it is called again with the same arguments. The
    folder has the weights of every model, `report.json`, `report.md`, `report.png`, and under `export` the SavedModel
    of the best DAML learner.

    ```python
    report = mtf.workflows.daml([mnist, omniglot, glyphs], usps, "runs/to_usps", shots=5)
    report.arms["prototypes, DAML"].accuracy, report.gain("prototypes, DAML", over="fine-tuning")
    ```

    Args:
        sources: a list of `ClassDataset`s of images, uint8 or in [0, 1], each with a domain of its own.
        target: a `ClassDataset` of another domain. The few images are among one half of each class's, the queries are
            the other half.
        run_directory: the folder of the run.
        shots: support examples of a class, in training too.
        target_images: labelled target images of a class, more than `shots`.
        queries: query examples of a class in the test.
        build_learners: dict from names to functions without arguments to a compiled `MetaLearner` with first weights of
            its own; by default `"prototypes"` and `"MAML"`, both of a Conv4, with the defaults of their classes.
        build_gan: function without arguments to a compiled `GAN` that takes source images; by default one of
            `mtf.networks.translation_gan`.
        build_backbone: function without arguments to a network from images to features, for the first two arms; by
            default a Conv4.
        disjoint: whether to refuse sources that have classes of the target.
        train_queries: query examples of a class in training.
        tasks_per_batch: tasks of an outer step.
        steps: outer steps.
        fine_tune_steps: outer steps on the few target images.
        fine_tune_learning_rate: of Adam in them.
        gan_steps: steps of the GAN.
        ratio: virtual tasks for each task of the sources.
        keep: share in (0, 1] of what is drawn that is used: of each class what the discriminator takes for real most.
        virtual_images: images of each class of a source that are redrawn, at most.
        episodes: test episodes of each seed.
        seeds: how often all is done, each time with other first weights and target images. The user's random states are
            afterwards what they were.
        quick: a small fraction of the budget, to see that all works: the learners begin to learn, the GAN hardly.
            Figures of so little training say nothing about the arms.
        verbose: 0 for silence, 1 for a progress bar over the stages.

    Returns:
        A `WorkflowReport`.

    Raises:
        ValueError: if an argument is not of its kind, the domains differ in shape, there are not more target images
            than shots, or the folder has a run of another configuration.

    Reference: the generator, [Bousmalis et al., 2017](https://arxiv.org/abs/1612.05424); CORAL,
        [Sun and Saenko, 2016](https://arxiv.org/abs/1607.01719); fine-tuning as a baseline,
        [Chen et al., 2019](https://arxiv.org/abs/1904.04232)
    """
    # === Checks and configuration ===
    sources = checked_sources(sources, target, target_images, queries)
    if target_images <= shots:
        raise ValueError(
            "`target_images` must be more than `shots`, for the queries of the fine-tuning. "
            f"Received: target_images={target_images}, shots={shots}"
        )
    if disjoint:
        for dataset in sources:
            check_disjoint(dataset, target)
    check_share("keep", keep)
    check_positive("ratio", ratio)
    check_positive("fine_tune_learning_rate", fine_tune_learning_rate)
    budget = {"steps": steps, "gan_steps": gan_steps, "fine_tune_steps": fine_tune_steps}
    budget |= {"episodes": episodes, "seeds": seeds}
    if quick:
        budget = {name: min(value, _QUICK[name]) for name, value in budget.items()}
        virtual_images = min(virtual_images, shots + train_queries)
    budget |= {"virtual_images": virtual_images, "tasks_per_batch": tasks_per_batch, "target_images": target_images}
    check_whole(**budget)
    if virtual_images < shots + train_queries:
        raise ValueError(
            "`virtual_images` must be enough for a task, `shots + train_queries`. "
            f"Received: virtual_images={virtual_images}, shots={shots}, train_queries={train_queries}"
        )
    shape, ways = target.example_shape, target.num_classes
    build_learners = build_learners or _default_learners(shape, ways, budget["steps"])
    build_gan = build_gan or functools.partial(_default_gan, shape)
    build_backbone = build_backbone or functools.partial(conv4, shape, normalization="running")
    test_task = {"ways": ways, "shots": shots, "queries": queries}
    train_task = {"ways": ways, "shots": shots, "queries": train_queries}
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
        **budget,
        "fine_tune_learning_rate": fine_tune_learning_rate,
        "ratio": ratio,
        "keep": keep,
    }
    run = RunDirectory(run_directory, configuration, budget["seeds"] * (9 + 6 * len(build_learners)), verbose)

    # === Training and tests, seed by seed ===
    scores, learners = ArmScores(run), {}
    merged = merged_sources(sources)
    # As many images as the meta-training of a learner sees.
    images = budget["steps"] * tasks_per_batch * ways * (shots + train_queries)

    def run_seed(seed):
        few, test = few_and_test(target, target_images, seed)

        def test_learner(name, learner, seconds, generates=False):
            learners.setdefault(name, []).append(learner)
            options = {**test_task, "episodes": budget["episodes"], "seed": 1000 + seed, "query_dataset": test}
            scores.add(name, seed, lambda: episode_scores(learner, few, **options), generates, seconds)

        # === Without a GAN or tasks ===
        part, epochs = share_of(merged, images)
        keras.utils.set_random_seed(seed)
        backbone, seconds = run.trained(
            f"backbone_{seed}", build_backbone(), lambda backbone: pretrain(backbone, part, epochs=epochs, seed=seed)
        )
        tuned, more_seconds = run.trained(
            f"fine_tuned_{seed}",
            copy_network(backbone),
            lambda network: network.set_weights(
                fine_tune(backbone, few.examples, few.labels, seed=seed).backbone.get_weights()
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
            f"gan_{seed}", build_gan(), lambda gan: train_translation(gan, merged, few, budget["gan_steps"], seed)
        )
        arrays = run.stage(f"virtual_{seed}", lambda: draw_virtual(gan, sources, virtual_images, keep, seed))
        virtual = virtual_domains(sources, arrays)

        # === Learners ===
        parts = {"": (sources, [1.0] * len(sources))}
        parts[", DAML"] = [*sources, *virtual], [1.0] * len(sources) + [ratio] * len(virtual)
        tuning_task = {**train_task, "queries": min(train_queries, target_images - shots)}
        for ending, (domains, proportions) in parts.items():
            for name, build in build_learners.items():
                options = {"tasks_per_batch": tasks_per_batch, "seed": seed}
                tasks = functools.partial(make_episodes, domains, **train_task, **options, proportions=proportions)
                learner, seconds = trained_learner(run, name + ending, build, seed, tasks, budget["steps"])
                few_tasks = make_episodes(few, **tuning_task, **options)
                tune = functools.partial(
                    tune_learner,
                    tasks=few_tasks,
                    steps=budget["fine_tune_steps"],
                    learning_rate=fine_tune_learning_rate,
                )
                _, more_seconds = run.trained(f"fine_tuned_{file_name(name + ending)}_{seed}", learner, tune)
                test_learner(name + ending, learner, seconds + more_seconds, bool(ending))
            of_all = Ensemble([learners[name + ending][seed] for name in build_learners])
            test_learner(f"ensemble{ending}", of_all, 0.0, bool(ending))

    for seed in range(budget["seeds"]):
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
        # One step of 0.4, the paper's, is at 20 % of ten classes after a quick run, where five of 0.1 are at 63 %.
        "MAML": lambda: compiled(MAML(conv4(image_shape, outputs=ways)), 1e-3),
    }


def _default_gan(image_shape):
    # Moves alone: the manner of the images must stay as it is. Without them, few images are known by heart.
    gan = GAN(*translation_gan(image_shape), penalty="r1", augmentation="translation")
    gan.compile()
    return gan
