"""The three workflows end to end, on small domains: arms, resuming, artefacts, and what they refuse."""

import functools
import json

import metalearn_tf as mtf
from metalearn_tf.workflows.meta_gan_arms import drawing

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_domains import SHAPE, augmentation_gan, conditional_gan, domain, pair_gan

layers, workflows = keras.layers, mtf.workflows
# TensorFlow's own, of data pipelines, which stay graphs.
pytestmark = pytest.mark.filterwarnings("ignore:Even though the `tf.config.experimental_run_functions_eagerly`")


def meta_gan(classes=None, shape=SHAPE, **options):
    networks = mtf.networks.dcgan(
        shape, 4, classes, filters=4, generator_normalization="layer", discriminator_normalization="layer"
    )
    meta_gan = mtf.gan.MetaGAN(mtf.gan.GAN(*networks, average_decay=None), inner_steps=2, **options)
    meta_gan.compile()
    return meta_gan


def dense_meta_gan():
    """As `meta_gan`, without convolutions, whose graphs take the most of a test's time."""
    generator = keras.Sequential([keras.Input((2,)), layers.Dense(256, "tanh"), layers.Reshape(SHAPE)])
    discriminator = keras.Sequential([keras.Input(SHAPE), layers.Flatten(), layers.Dense(1)])
    meta_gan = mtf.gan.MetaGAN(mtf.gan.GAN(generator, discriminator, average_decay=None), inner_steps=2)
    meta_gan.compile()
    return meta_gan


def dense_translation_gan():
    """From source images to others."""
    noise, sources, images = keras.Input((2,)), keras.Input(SHAPE), keras.Input(SHAPE)
    x = layers.Concatenate()([noise, layers.Flatten()(sources)])
    generator = keras.Model([noise, sources], layers.Reshape(SHAPE)(layers.Dense(256, "tanh")(x)))
    pairs = layers.Flatten()(layers.Concatenate()([images, sources]))
    gan = mtf.gan.GAN(generator, keras.Model([images, sources], layers.Dense(1)(pairs)))
    gan.compile()
    return gan


def classifier():
    model = plain(6)
    model.compile("adam", "sparse_categorical_crossentropy", jit_compile=False)
    return model


def plain(classes, shape=SHAPE):
    """A classifier that is not compiled."""
    return keras.Sequential([keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(classes, "softmax")])


def small_learner(shape=SHAPE, outputs=None, compiled=True):
    if outputs is None:
        learner = mtf.learners.PrototypicalNetwork(mtf.networks.mlp(shape, (4,)))
    else:
        learner = mtf.learners.MAML(mtf.networks.mlp(shape, (4,), outputs=outputs))
    if compiled:
        learner.compile()
    return learner


SHORT = {"steps": 3, "gan_steps": 2, "episodes": 8, "seeds": 1}
SOURCES = [domain("a"), domain("bb", first=6)]
TARGET = domain("ccc", first=20, examples=24)
CALLS = {
    "gan_augmented": functools.partial(
        workflows.gan_augmented,
        SOURCES[0],
        TARGET,
        build_learner=small_learner,
        build_gan=pair_gan,
        tasks=workflows.GANAugmentedTasks(ways=3, queries=4),
        ratios=(1.0,),
        budget=workflows.GANAugmentedBudget(gan_batch_size=8, classes=6, **SHORT),
    ),
    "meta_gan_transfer": functools.partial(
        workflows.meta_gan_transfer,
        SOURCES,
        TARGET,
        shots=2,
        build_meta_gan=dense_meta_gan,
        build_classifier=classifier,
        gan_shots=4,
        budget=workflows.MetaGANTransferBudget(
            gan_tasks=2, batch_size=8, draws=2, **{name: SHORT[name] for name in ("steps", "gan_steps", "seeds")}
        ),
    ),
    "daml": functools.partial(
        workflows.daml,
        SOURCES,
        TARGET,
        build_learners={"prototypes": small_learner},
        build_gan=dense_translation_gan,
        build_backbone=functools.partial(mtf.networks.mlp, SHAPE, (8,)),
        tasks=workflows.DAMLTasks(shots=2, target_images=4, queries=5, train_queries=2),
        budget=workflows.DAMLBudget(**SHORT),
    ),
}
ARMS = {
    "gan_augmented": {
        "no augmentation": False,
        "no augmentation, support enlarged": False,
        "classical augmentation": False,
        "classical augmentation, support enlarged": False,
        "GAN, ratio 1": True,
        "GAN, ratio 1, support enlarged": True,
    },
    "meta_gan_transfer": {
        "real images": False,
        "classical augmentation": False,
        "GAN from scratch": True,
        "GAN fine-tuned": True,
        "MetaGAN": True,
    },
    "daml": {
        "fine-tuning": False,
        "CORAL": False,
        "prototypes": False,
        "ensemble": False,
        "prototypes, DAML": True,
        "ensemble, DAML": True,
    },
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The report and folder of each workflow, run once.

    In steps without graphs, of which a workflow makes dozens; but for DAML, whose fine-tuning takes hundreds of steps.
    """

    @functools.cache
    def run(name):
        path = tmp_path_factory.mktemp(name)
        return CALLS[name](run_directory=path, quick=True, verbose=0), path

    def run_in_its_way(name):
        tf.config.run_functions_eagerly(name != "daml")
        return run(name)

    yield run_in_its_way
    tf.config.run_functions_eagerly(False)


def folder_of_report(name, path):
    return path / {"gan_augmented": "PrototypicalNetwork_3x1", "meta_gan_transfer": "shots_2", "daml": "."}[name]


@pytest.mark.full
@pytest.mark.parametrize("name", CALLS)
def test_every_arm_is_in_the_report(name, finished):
    report, _ = finished(name)
    arms = {arm: found.generates for arm, found in report.arms.items() if name == "daml" or "ensemble" not in arm}
    assert arms == ARMS[name] and report.workflow == name
    tests = 2 if name == "meta_gan_transfer" else 8
    for arm in report.arms.values():
        assert np.shape(arm.accuracies) == (1, tests)
        assert 0.0 <= arm.accuracy <= 1.0 and 0.0 <= arm.recall <= 1.0 and 0.0 <= arm.f1 <= 1.0
    assert all(arm.seconds > 0 for arm_name, arm in report.arms.items() if "ensemble" not in arm_name)


@pytest.mark.parametrize("name", CALLS)
def test_report_figure_and_export_are_in_the_folder(name, finished):
    report, path = finished(name)
    folder = folder_of_report(name, path)
    assert workflows.WorkflowReport.from_json((folder / "report.json").read_text()).arms == report.arms
    assert (folder / "report.md").read_text() == report.to_markdown()
    assert (folder / "report.png").read_bytes().startswith(b"\x89PNG")
    signature = "adapt_and_generate" if name == "meta_gan_transfer" else "adapt_and_predict"
    assert signature in tf.saved_model.load(folder / "export" / "1").signatures
    assert "| arm |" in (folder / "export" / "1" / "model_card.md").read_text()


@pytest.mark.rows(default=["meta_gan_transfer"])
@pytest.mark.parametrize("name", CALLS)
def test_a_second_run_trains_nothing_and_finds_the_same(name, finished, monkeypatch):
    report, path = finished(name)
    monkeypatch.setattr(keras.Model, "fit", lambda *_, **__: pytest.fail("trained again"))
    again = CALLS[name](run_directory=path, quick=True, verbose=0)
    assert again.arms == report.arms


@pytest.mark.full
@pytest.mark.parametrize(
    "name", ["gan_augmented", *(pytest.param(name, marks=pytest.mark.slow) for name in ("meta_gan_transfer", "daml"))]
)
def test_a_run_that_was_stopped_goes_on_and_ends_the_same(name, finished, tmp_path, monkeypatch):
    report, _ = finished(name)
    fit, calls = keras.Model.fit, []

    @functools.wraps(fit)  # our models ask Keras's method for its arguments
    def interrupted(*arguments, **options):
        calls.append(1)
        if len(calls) == (2 if name == "meta_gan_transfer" else 4):
            raise KeyboardInterrupt
        return fit(*arguments, **options)

    monkeypatch.setattr(keras.Model, "fit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        CALLS[name](run_directory=tmp_path, quick=True, verbose=0)
    finished_files = set(tmp_path.rglob("*.npz"))
    assert finished_files
    resumed = CALLS[name](run_directory=tmp_path, quick=True, verbose=0)
    assert finished_files < set(tmp_path.rglob("*.npz"))
    for arm, found in report.arms.items():
        np.testing.assert_allclose(resumed.arms[arm].accuracies, found.accuracies, atol=1e-6)


@pytest.mark.rows(default=["meta_gan_transfer"])
@pytest.mark.parametrize("name", CALLS)
def test_a_folder_of_another_run_is_refused(name, finished):
    _, path = finished(name)
    with pytest.raises(ValueError, match=r"another configuration.*Received: keep=0.25 where the run has 0.5"):
        CALLS[name](run_directory=path, quick=True, verbose=0, keep=0.25)


# === Conditional MetaGANs ===


@pytest.mark.full
def test_a_conditional_meta_gan_adapts_to_all_classes_at_once(tmp_path):
    build = functools.partial(meta_gan, 6)
    report = CALLS["meta_gan_transfer"](run_directory=tmp_path, build_meta_gan=build, quick=True, verbose=0)
    assert {arm: found.generates for arm, found in report.arms.items()} == ARMS["meta_gan_transfer"]
    signature = tf.saved_model.load(tmp_path / "shots_2/export/1").signatures["adapt_and_generate"]
    assert {"labels", "wanted_labels"} < set(signature.structured_input_signature[1])


@pytest.mark.full
@pytest.mark.parametrize("classes", [None, 3])
def test_each_class_is_drawn_from_its_images(classes):
    """Of three brightnesses, each shown under its label, or to a GAN of its own."""
    keras.utils.set_random_seed(0)
    levels = np.asarray([0.1, 0.5, 0.9], "float32")
    shown = np.broadcast_to(levels[:, None, None, None, None], (3, 4, *SHAPE))
    draw = drawing(meta_gan(classes, inner_learning_rate=5e-3), steps=120, count=5, keep=0.5)
    images = draw(tf.constant(shown), tf.constant(1)).numpy()
    assert images.shape == (3, 5, *SHAPE)
    dark, grey, bright = images.mean(axis=(1, 2, 3, 4))
    assert dark < 0.3 and 0.4 < grey < 0.6 and bright > 0.7


# === GAN-augmented meta-learning ===


@pytest.mark.full
def test_a_gan_of_more_examples_enlarges_the_classes_and_support_sets(tmp_path):
    report = CALLS["gan_augmented"](run_directory=tmp_path, build_gan=augmentation_gan, quick=True, verbose=0)
    generates = {
        name: arm.generates for name, arm in report.arms.items() if "enlarged" in name and "ensemble" not in name
    }
    assert generates == {
        "no augmentation, support enlarged": False,
        "no augmentation, support enlarged by the GAN": True,
        "classical augmentation, support enlarged": False,
        "classical augmentation, support enlarged by the GAN": True,
        "GAN, ratio 1, support enlarged": True,
        "GAN, ratio 1, support enlarged by the GAN": True,
    }
    ensembles = {name: arm.generates for name, arm in report.arms.items() if name.endswith(", ensemble")}
    assert list(ensembles.values()) == [False, False, False, False, True, True]
    *_, in_training, in_test = ensembles
    assert "by the GAN" not in in_training and in_test.endswith("support enlarged by the GAN, ensemble")
    drawn = np.load(tmp_path / "gans/drawn_0.npz", allow_pickle=False)
    assert drawn["examples"].shape == (72, *SHAPE) and np.bincount(drawn["labels"]).tolist() == [12] * 6


@pytest.mark.full
def test_several_sources_are_one_set_of_classes(tmp_path, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(keras.Model, "fit", stop)
    with pytest.raises(KeyboardInterrupt):
        workflows.gan_augmented(SOURCES, TARGET, tmp_path, **CALLS["gan_augmented"].keywords)
    assert json.loads((tmp_path / "gans/configuration.json").read_text())["sources"]["classes"] == 12


# === What they refuse ===


def wide(name="wide"):
    return domain(name, shape=(16, 20, 1), first=40)


@pytest.mark.rows(
    default=[
        "daml-changes17-domain of its own",
        "daml-changes19-another domain",
        "daml-changes24-`virtual_images` must be enough for a task.*Received: virtual_images=3",
        "gan_augmented-changes13-`tasks` must be a `GANAugmentedTasks`.*DAMLTasks",
    ]
)
@pytest.mark.parametrize(
    "name, changes, message",
    [
        ("meta_gan_transfer", {"sources": SOURCES[:1]}, "`sources` must hold 2 or more datasets.*Received: 1"),
        ("meta_gan_transfer", {"sources": [SOURCES[0], wide()]}, r"shape of `sources\[0\]`.*image_size=\(16, 16\)"),
        ("meta_gan_transfer", {"target": wide()}, "`target` must hold images of the shape.*resizes them"),
        ("meta_gan_transfer", {"target": domain("a", first=9)}, "`target` must be of another domain"),
        ("meta_gan_transfer", {"shots": 13}, "at least 26 images.*13 of the other half.*smallest of 24"),
        ("meta_gan_transfer", {"keep": 0.0}, r"`keep` must be a number in \(0, 1\]"),
        ("meta_gan_transfer", {"gan_shots": 13}, "`gan_shots` must be at most the images of every class.* 12, and"),
        ("meta_gan_transfer", {"gan_shots": 1}, "make tasks of 2 images or more. Received: gan_shots=1, tasks of 1"),
        ("meta_gan_transfer", {"build_meta_gan": pair_gan}, "`build_meta_gan` must build a MetaGAN. Received: GAN"),
        (
            "meta_gan_transfer",
            {"build_meta_gan": functools.partial(meta_gan, 5)},
            "`build_meta_gan` must build.*of the target's 6 classes. Received: a GAN of 5 classes",
        ),
        (
            "meta_gan_transfer",
            {
                "build_meta_gan": functools.partial(meta_gan, 6),
                "sources": [SOURCES[0].select(SOURCES[0].class_names[:5]), SOURCES[1]],
            },
            "`sources` must each have 6 classes or more.*Received: a source of 5",
        ),
        ("daml", {"tasks": workflows.DAMLTasks(2, 13, queries=5)}, "at least 26 images.*smallest of 24"),
        (
            "daml",
            {"tasks": {"shots": 1}},
            r"must be a `DAMLTasks`: `tasks=mtf.workflows.DAMLTasks\(...\)`.*dict",
        ),
        ("gan_augmented", {"tasks": workflows.DAMLTasks()}, "`tasks` must be a `GANAugmentedTasks`.*DAMLTasks"),
        ("gan_augmented", {"budget": None}, "`budget` must be a `GANAugmentedBudget`.*NoneType"),
        ("meta_gan_transfer", {"budget": 3}, "`budget` must be a `MetaGANTransferBudget`.*int"),
        ("meta_gan_transfer", {"gan_shots": 0}, "`gan_shots` must be a positive integer"),
        ("daml", {"sources": [SOURCES[0], domain("a", first=50)]}, "domain of its own"),
        ("daml", {"sources": []}, "`sources` must hold 1 or more datasets"),
        ("daml", {"disjoint": True, "sources": [domain("ccc", first=20, examples=12)]}, "another domain"),
        ("gan_augmented", {"target": SOURCES[0]}, "no class in common.*6 classes in both"),
        ("gan_augmented", {"sources": SOURCES, "target": SOURCES[1]}, "no class in common.*6 classes in both"),
        ("gan_augmented", {"target": wide()}, "`target` must hold images of the shape"),
        ("gan_augmented", {"sources": "glyphs"}, "must be a ClassDataset"),
        (
            "daml",
            {"budget": workflows.DAMLBudget(virtual_images=3)},
            "`virtual_images` must be enough for a task.*Received: virtual_images=3",
        ),
        ("gan_augmented", {"ratios": (0.0,)}, "`ratios` must be one or more positive numbers"),
        ("gan_augmented", {"ratios": ()}, "`ratios` must be one or more positive numbers"),
        ("gan_augmented", {"variety": -0.5}, "`variety` must be a positive number"),
        ("gan_augmented", {"tasks": workflows.GANAugmentedTasks(7)}, "classes"),
        ("gan_augmented", {"build_learner": lambda: small_learner(compiled=False)}, "`build_learner` must .*compile`"),
        ("gan_augmented", {"build_learner": lambda: small_learner((20, 16, 1))}, r"`build_learner`.*\(20, 16, 1\)"),
        ("gan_augmented", {"build_gan": lambda: conditional_gan(compiled=False)}, "`build_gan` must .*call `compile`"),
        (
            "gan_augmented",
            {"augmentation": keras.layers.RandomBrightness(0.1)},
            r"`augmentation` sees images in \[0, 1\].*Received: value_range=\(0, 255\)",
        ),
        ("daml", {"ratio": 0.0}, "`ratio` must be a positive number"),
        ("daml", {"build_gan": conditional_gan}, "`build_gan` must build a GAN that takes source.*draws labels"),
        (
            "daml",
            {"build_learners": {"few": lambda: small_learner(outputs=5)}},
            r"`build_learners\['few'\]`.*6 classes",
        ),
        ("daml", {"build_learners": {"none": classifier}}, r"`build_learners\['none'\]` must build a MetaLearner"),
        (
            "daml",
            {"build_backbone": functools.partial(mtf.networks.conv4, SHAPE, filters=4)},
            "`build_backbone` must.*running",
        ),
        ("meta_gan_transfer", {"build_classifier": lambda: plain(5)}, r"`build_classifier`.*to \(None, 5\)"),
        ("meta_gan_transfer", {"build_classifier": lambda: plain(6, (8, 8, 1))}, r"`build_classifier`.*\(None, 8, 8"),
        ("meta_gan_transfer", {"build_classifier": lambda: plain(6)}, "`build_classifier` must.*call `compile`"),
        (
            "meta_gan_transfer",
            {"build_meta_gan": lambda: meta_gan(shape=(20, 20, 1))},
            r"`build_meta_gan` must build a MetaGAN of images \(16, 16, 1\).*\(20, 20, 1\)",
        ),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(name, changes, message, tmp_path):
    call = CALLS[name]
    arguments = {**call.keywords, **dict(zip(("sources", "target"), call.args)), **changes}
    with pytest.raises((ValueError, TypeError), match=message):
        call.func(run_directory=tmp_path / "run", verbose=0, **arguments)
    assert not list(tmp_path.rglob("*"))


@pytest.mark.parametrize(
    "kind, changes, message",
    [
        (workflows.DAMLTasks, {"target_images": 5}, "`target_images` must be more than `shots`.*images=5, shots=5"),
        (workflows.DAMLTasks, {"queries": 0}, "`queries` must be a positive integer. Received: queries=0"),
        (workflows.DAMLBudget, {"fine_tune_learning_rate": 0.0}, "`fine_tune_learning_rate` must be a positive number"),
        (workflows.DAMLBudget, {"seeds": True}, "`seeds` must be a positive integer"),
        (workflows.GANAugmentedTasks, {"train_ways": 0}, "`train_ways` must be a positive integer"),
        (workflows.GANAugmentedBudget, {"steps": 1.5}, "`steps` must be a positive integer"),
        (workflows.MetaGANTransferBudget, {"draws": 0}, "`draws` must be a positive integer"),
    ],
)
def test_tasks_and_budgets_are_checked_when_they_are_made(kind, changes, message):
    with pytest.raises(ValueError, match=message):
        kind(**changes)


def test_classes_of_the_target_among_the_sources_are_refused_where_asked(tmp_path):
    target = domain("ccc", first=20, examples=24)
    shared = mtf.data.ClassDataset(target.examples, target.labels, target.class_names, domain="other")
    with pytest.raises(ValueError, match="no class in common.*Received: 6 classes in both, such as"):
        CALLS["daml"].func([shared], target, tmp_path, **{**CALLS["daml"].keywords, "disjoint": True})


def test_images_out_of_range_are_refused(tmp_path):
    images = SOURCES[0].examples.astype("float32")
    dataset = mtf.data.ClassDataset(images, SOURCES[0].labels, domain="float")
    with pytest.raises(ValueError, match=r"`sources` must be in \[0, 1\].*astype\('uint8'\)"):
        workflows.gan_augmented(dataset, TARGET, tmp_path)
