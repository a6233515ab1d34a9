"""Every export says what a request may have at most, and refuses more before any work; a state is of one model."""

import contextlib
import inspect
import io
import json
import struct
import zlib

import metalearn_tf as mtf
from metalearn_tf.serving.file_headers import file_header
from metalearn_tf.serving.limits import LIMITS
from metalearn_tf.serving.task_states import model_fingerprint

import keras
import numpy as np
import pytest
import tensorflow as tf
from odd_files import chunk
from PIL import Image
from served_learners import bag_of_words, served_state

SHAPE = (8, 8, 1)


def flat(outputs=4, shape=SHAPE, seed=0):
    start = keras.initializers.GlorotUniform(seed)
    layers = [keras.layers.Flatten(), keras.layers.Dense(outputs, kernel_initializer=start)]
    return keras.Sequential([keras.Input(shape), *layers])


def gan():
    generator = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(64, activation="tanh"), keras.layers.Reshape(SHAPE)]
    )
    return mtf.gan.GAN(generator, flat(1))


def any_size():
    inputs = keras.Input((None, None, 3))
    return keras.Model(inputs, keras.layers.Dense(4)(keras.layers.GlobalAveragePooling2D()(inputs)))


# One of each export.
MODELS = {
    "learner": lambda: mtf.learners.PrototypicalNetwork(flat()),
    "vectors": lambda: mtf.learners.MAML(mtf.networks.mlp((5,), (4,), outputs=3)),
    "texts": lambda: mtf.learners.PrototypicalNetwork(bag_of_words()),
    "gan": gan,
    "meta_gan": lambda: mtf.gan.MetaGAN(gan(), inner_steps=1),
    "classifier": lambda: mtf.transfer.TransferClassifier(flat(), classes=3),
    "features": flat,
    "features of any size": any_size,
}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A function from a name, limits, and a model of its own if need be, to signatures and the export's folder."""
    made = {}

    def export(name, model=None, **limits):
        if model is not None or limits:
            return write(name, model, limits)
        if name not in made:
            made[name] = write(name, None, {})
        return made[name]

    def write(name, model, limits):
        path, model = tmp_path_factory.mktemp("limits") / name.replace(" ", "_") / "1", model or MODELS[name]()
        if name.startswith("features"):
            mtf.serving.export_features(model, path, warm_up=False, **limits)
        else:
            model.export(path, warm_up=False, **limits)
        return tf.saved_model.load(str(path)).signatures, path

    return export


def png(side, bits=1):
    """A picture of one colour, whose file has a byte for some thousand pixels."""
    rows = zlib.compress(bytes((1 + side * bits // 8) * side), 9)
    header = struct.pack(">IIBBBBB", side, side, bits, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def jpeg(side=16, scans=0):
    """A progressive picture whose last scan comes again and again."""
    file = io.BytesIO()
    Image.new("L", (side, side)).save(file, "JPEG", progressive=True)
    whole = file.getvalue()
    last = whole[whole.rfind(b"\xff\xda") : -2]
    return whole[:-2] + scans * last + whole[-2:]


def images(n, shape=SHAPE):
    return np.zeros((n, *shape), "float32")


def labels(n, ways=2):
    return np.arange(n, dtype="int32") % ways


def support(x, prefix="images"):
    return {f"support_{prefix}": x, "support_labels": labels(len(x))}


def texts(*values):
    return np.asarray(values, object)


# Name of the model, its limits, and requests by signature: `None` for those that are answered.
CASES = {
    "learner": (
        {"max_support": 4, "max_queries": 6, "max_pairs": 12, "max_pixels": 1024, "max_total_pixels": 2000},
        [
            ("adapt", support(images(5)), "max_support"),
            ("adapt", support(images(4)), None),
            ("adapt_and_predict", {**support(images(2)), "query_images": images(7)}, "max_queries"),
            ("adapt_and_predict", {**support(images(4)), "query_images": images(4)}, "max_pairs"),
            ("adapt_and_predict", {**support(images(4)), "query_images": images(3)}, None),
            (
                "adapt_and_predict_bytes",
                {**support(texts(png(32), png(33)), "bytes"), "query_bytes": texts(png(8))},
                "max_pixels",
            ),
            (
                "adapt_and_predict_bytes",
                {**support(texts(png(32), png(24)), "bytes"), "query_bytes": texts(png(40))},
                "`query_bytes`.*max_pixels",
            ),
            (
                "adapt_and_predict_bytes",
                {**support(texts(png(32), png(32)), "bytes"), "query_bytes": texts(png(8))},
                "max_total_pixels",
            ),
            (
                "adapt_and_predict_bytes",
                {**support(texts(*[png(8)] * 4), "bytes"), "query_bytes": texts(*[png(8)] * 4)},
                "max_pairs",
            ),
            (
                "adapt_and_predict_bytes",
                {**support(texts(png(32), jpeg()), "bytes"), "query_bytes": texts(png(8), jpeg(16, 3))},
                None,
            ),
        ],
    ),
    "texts": (
        {"max_support": 3, "max_text_length": 12, "max_total_text_length": 24},
        [
            ("adapt", support(texts("space0 car1", "хоккей1"), "texts"), "max_text_length"),
            ("adapt", support(texts("space0 car1", "a", "b"), "texts"), "max_total_text_length"),
            ("adapt", support(texts("a", "b", "c", "d"), "texts"), "max_support"),
            ("adapt", support(texts("space0 car1", "gun2"), "texts"), None),
        ],
    ),
    "gan": (
        {"max_count": 70},
        [
            ("generate", {"count": np.int32(71), "seed": np.int32(0)}, "max_count"),
            ("generate", {"count": np.int32(2**31 - 1), "seed": np.int32(0)}, "max_count"),
            ("generate", {"count": np.int32(-1), "seed": np.int32(0)}, "must be positive"),
            ("generate", {"count": np.int32(70), "seed": np.int32(0)}, None),
        ],
    ),
    "meta_gan": (
        {"max_images": 3, "max_count": 2},
        [
            ("adapt", {"images": images(4), "seed": np.int32(0)}, "max_images"),
            ("adapt_and_generate", {"images": images(3), "count": np.int32(3), "seed": np.int32(0)}, "max_count"),
            ("adapt_and_generate", {"images": images(3), "count": np.int32(2), "seed": np.int32(0)}, None),
        ],
    ),
    "classifier": (
        {"max_images": 2, "max_pixels": 1024},
        [
            ("predict", {"images": images(3)}, "max_images"),
            ("predict", {"images": images(2)}, None),
            ("predict_bytes", {"image_bytes": texts(png(33))}, r"max_pixels.*\[1089\]"),
            ("predict_bytes", {"image_bytes": texts(*[png(8)] * 3)}, "max_images"),
            ("predict_bytes", {"image_bytes": texts(png(32), jpeg(32, 40))}, r"pixels times scans.*\[4[0-9]\]"),
            ("predict_bytes", {"image_bytes": texts(png(32), jpeg(16, 40))}, None),
        ],
    ),
    "features of any size": (
        {"max_pixels": 80, "max_total_pixels": 100},
        [
            ("embed", {"images": images(1, (9, 9, 3))}, "max_pixels"),
            ("embed", {"images": images(2, (8, 8, 3))}, "max_total_pixels"),
            ("embed", {"images": images(1, (8, 10, 3))}, None),
        ],
    ),
}


def ask(signatures, signature, inputs):
    return signatures[signature](**{name: tf.constant(value) for name, value in inputs.items()})


@pytest.mark.rows(default=["features of any size", "gan"])
@pytest.mark.parametrize("name", CASES)
def test_a_request_beyond_a_limit_is_refused_and_one_within_is_answered(name, served):
    limits, requests = CASES[name]
    signatures, path = served(name, **limits)
    for signature, inputs, message in requests:
        expectation = contextlib.nullcontext()
        if message is not None:
            expectation = pytest.raises(tf.errors.InvalidArgumentError, match=message)
        with expectation:
            ask(signatures, signature, inputs)
    facts, card = json.loads((path / "model_card.json").read_text()), (path / "model_card.md").read_text()
    assert limits.items() <= facts["limits"].items()
    assert all(f"| `{limit}` | {most:,} | {LIMITS[limit][1]} |" in card for limit, most in facts["limits"].items())
    assert set(facts["signatures"]) == set(signatures)
    assert facts["name"] == path.parent.name


def exports():
    return {
        "learner": mtf.serving.export_learner,
        "gan": mtf.serving.export_gan,
        "meta_gan": mtf.serving.export_meta_gan,
        "classifier": mtf.serving.export_classifier,
    }


def test_limits_are_in_the_docstrings_with_their_defaults():
    found = " ".join(inspect.getdoc(export) for export in exports().values())
    for limit, (default, _) in LIMITS.items():
        assert f"`{limit}`" in found and f"{default:,}" in found


@pytest.mark.parametrize(
    ("name", "limits", "error", "message"),
    [
        ("learner", {"max_count": 3}, TypeError, "`max_count` must be left out: nothing in this model"),
        ("vectors", {"max_pixels": 3}, TypeError, "`max_pixels` must be left out: nothing in this model"),
        ("texts", {"max_pixels": 3}, TypeError, "are `max_support`, .*`max_text_length`"),
        ("gan", {"max_images": 3}, TypeError, "are `max_count`. Received: max_images=3"),
        ("classifier", {"max_pixel": 3}, TypeError, "`max_pixel` must be left out: there is no such argument"),
        ("meta_gan", {"max_images": 1}, ValueError, "`max_images` must be at least the 2 images"),
        ("learner", {"max_support": 0}, ValueError, "`max_support` must be a positive integer"),
        ("features", {"max_images": 2.5}, ValueError, "`max_images` must be a positive integer"),
    ],
)
def test_limits_that_are_none_are_refused_at_the_export(name, limits, error, message, served):
    with pytest.raises(error, match=message):
        served(name, **limits)


@pytest.mark.full
def test_a_small_file_of_gigabytes_is_refused_by_default(served):
    """17 KiB took 2.7 GiB and half a minute."""
    answer = served("features")[0]["embed_bytes"]
    bomb = bytearray(png(8))
    bomb[16:24] = struct.pack(">II", 11_500, 11_500)
    for files in ([bytes(bomb)], [png(8), bytes(bomb)]):
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"at most 16777216 pixels.*\[132250000\]"):
            answer(image_bytes=tf.constant(files))
    # A garbage byte before the frame, after which a decoder finds it and a header has no size.
    hidden = jpeg().replace(b"\xff\xc2", b"\x00\xff\xc2")
    many = b"\xff\xd8\xff\xe0\x00\x02" + 20_000 * b"\xff\xe1\x00\x02" + jpeg()[2:]
    for file in (hidden, many):
        with pytest.raises(tf.errors.InvalidArgumentError, match="whose header says their size"):
            answer(image_bytes=tf.constant([file]))


def test_headers_are_read_side_by_side():
    files = [png(8), jpeg(16), png(40, bits=8), jpeg(24), b"\xff\xd8\xff"]
    header = file_header(tf.constant(files), 1000)
    assert header.pixels.numpy().tolist() == [64, 256, 1600, 576, 0]
    assert header.opaque.numpy().tolist() == [1, 255, 255, 255, 255]
    for file, *expected in zip(files, *header):
        assert [value.numpy() for value in file_header(tf.constant(file), 1000)] == [v.numpy() for v in expected]


@pytest.mark.full
def test_many_queries_images_and_draws_are_those_of_few(served):
    """Answered a block at a time, the same to a rounding."""
    random = np.random.default_rng(0)
    many = random.random((300, *SHAPE), dtype="float32")
    learner, network = MODELS["learner"](), flat()
    signatures = served("learner", learner)[0]
    task = support(random.random((6, *SHAPE), dtype="float32"))
    answer = ask(signatures, "adapt_and_predict", {**task, "query_images": many})["probabilities"]
    expected = learner((task["support_images"][None], task["support_labels"][None], many[None]))[0]
    np.testing.assert_allclose(answer, tf.nn.softmax(expected), atol=1e-6)
    answer = ask(served("features", network)[0], "embed", {"images": many})["embeddings"]
    np.testing.assert_allclose(answer, network(many), atol=1e-6)
    model = gan()
    drawn = ask(served("gan", model)[0], "generate", {"count": np.int32(300), "seed": np.int32(3)})["images"]
    np.testing.assert_allclose(drawn, model.sample(300, seed=3), atol=1e-6)


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float64"])
def test_another_dtype_than_declared_is_an_error_in_words(dtype, served):
    """In Python; the C++ loader's words are in `test_bad_requests.py`."""
    words = {"float64": "double"}.get(dtype, dtype)
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"expected to be a float tensor but is a {words} tensor"):
        served("features")[0]["embed"](images=tf.zeros((2, *SHAPE), dtype))


# === Networks of another range and kind ===


def divides_by_255():
    layers = [keras.layers.Rescaling(1 / 255), keras.layers.Flatten(), keras.layers.Dense(4)]
    return keras.Sequential([keras.Input(SHAPE), *layers])


@pytest.mark.full
def test_a_network_that_divides_pixels_itself_is_served_pixels_to_255(served):
    signatures, _ = served("learner", mtf.learners.PrototypicalNetwork(divides_by_255()))
    assert not any("bytes" in name for name in signatures)  # which give pixels in [0, 1]
    task = {**support(images(4) + 200.0), "query_images": images(2) + 90.0}
    ask(signatures, "adapt_and_predict", task)
    with pytest.raises(tf.errors.InvalidArgumentError, match="`query_images` must be in the range that the network"):
        ask(signatures, "adapt_and_predict", {**task, "query_images": images(2) + 0.5})
    with pytest.raises(ValueError, match=r"`image_range` must be the range that.*`image_range=\(0, 255\)`"):
        served("features", divides_by_255())
    served("features", divides_by_255(), image_range=(0, 255))


def test_a_network_of_integers_is_served_integers(served):
    inputs = keras.Input((3,), dtype="int32")
    x = keras.layers.Flatten()(keras.layers.Embedding(10, 4)(inputs))
    learner = mtf.learners.PrototypicalNetwork(keras.Model(inputs, x))
    signatures = served("learner", learner)[0]
    words, y = np.arange(12, dtype="int32").reshape(4, 3) % 10, labels(4)
    answer = signatures["adapt_and_predict"](
        support_inputs=tf.constant(words), support_labels=tf.constant(y), query_inputs=tf.constant(words)
    )
    np.testing.assert_allclose(answer["probabilities"], learner.adapt(words, y).predict(words, verbose=0), atol=1e-6)


# === Task states ===

STATES = {
    "matching": lambda: mtf.learners.MatchingNetwork(flat()),
    "nearest": lambda: mtf.learners.NearestNeighbor(flat()),
    "relation": lambda: mtf.learners.RelationNetwork(flat()),
    "baseline": lambda: mtf.transfer.Baseline(flat(), epochs=2),
    "baseline++": lambda: mtf.transfer.BaselinePlusPlus(flat(), epochs=2),
    "maml": lambda: mtf.learners.MAML(flat(3)),
    "mann": lambda: mtf.learners.MANN(flat(), ways=3, memory_slots=4, memory_width=3, controller_units=4),
    "ensemble": lambda: mtf.learners.Ensemble([mtf.learners.MatchingNetwork(flat()), mtf.learners.MAML(flat(3))]),
}
QUICK = ["matching", "relation", "maml"]


@pytest.mark.full
@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in STATES]
)
def test_a_state_whose_tensors_are_not_of_one_task_of_this_model_is_refused(name, served):
    learner, random = STATES[name](), np.random.default_rng(0)
    signatures = served("learner", learner)[0]
    task = support(random.random((6, *SHAPE), dtype="float32")) | {"support_labels": labels(6, 3)}
    state = {key: tensor.numpy() for key, tensor in ask(signatures, "adapt", task).items()}
    assert state.keys() == served_state(learner, *task.values()).keys()
    queries = {"query_images": random.random((4, *SHAPE), dtype="float32")}
    ask(signatures, "predict", {**state, **queries})

    bad = {}
    *tensors, owner = sorted(state, key=lambda key: int(key.removeprefix("state_")))
    for key in tensors:
        if state[key].ndim:
            bad[f"{key} cut"] = {key: state[key][:1]} if len(state[key]) > 1 else {key: state[key][:0]}
        if state[key].dtype.kind == "f":
            bad[f"{key} NaN"] = {key: state[key] * np.float32(np.nan)}
    if name in ("matching", "nearest", "ensemble"):
        members = state["state_1"]
        bad["no class"] = {"state_1": 0 * members}
        bad["two classes"] = {"state_1": np.maximum(members, members[::-1])}
        bad["a class without examples"] = {"state_1": np.pad(members, [[0, 0], [0, 1]])}
    bad["of another model"] = {owner: state[owner] + 1}
    answered = []
    for what, changes in bad.items():
        try:
            ask(signatures, "predict", {**state, **changes, **queries})
            answered.append(what)
        except tf.errors.InvalidArgumentError as error:
            assert "state_" in error.message  # which tensor it is
    assert answered == []


@pytest.mark.full
def test_a_state_is_of_one_version_and_a_model_exported_again_is_the_same_version(served, tmp_path):
    learner = MODELS["learner"]()
    learner.save(tmp_path / "learner.keras")
    same = {
        "the same": learner,
        "a copy": learner.copy(),
        "loaded": keras.models.load_model(tmp_path / "learner.keras"),
        "built again": MODELS["learner"](),
    }
    other = {
        "other weights": mtf.learners.PrototypicalNetwork(flat(seed=1)),
        "another distance": mtf.learners.PrototypicalNetwork(learner.network, distance="cosine"),
        "another learner": mtf.learners.NearestNeighbor(learner.network),
    }

    def fingerprint(model):
        return tuple(model_fingerprint(model, model.weights).tolist())

    assert {what: fingerprint(model) == fingerprint(learner) for what, model in (same | other).items()} == {
        **dict.fromkeys(same, True),
        **dict.fromkeys(other, False),
    }
    signatures = served("learner", learner)[0]
    state = {key: tensor.numpy() for key, tensor in ask(signatures, "adapt", support(images(2))).items()}
    for what, model in (same | other).items():
        theirs = {**state, "state_1": np.array([*fingerprint(model), 2], "int32"), "query_images": images(1)}
        if what in same:
            ask(signatures, "predict", theirs)
        else:
            with pytest.raises(tf.errors.InvalidArgumentError, match="another version of it: adapt again"):
                ask(signatures, "predict", theirs)


@pytest.mark.full
def test_a_meta_gan_draws_from_its_own_states_alone(served):
    signatures = served("meta_gan")[0]
    state = {
        key: tensor.numpy()
        for key, tensor in ask(signatures, "adapt", {"images": images(2), "seed": np.int32(0)}).items()
    }
    wanted = {"count": np.int32(2), "seed": np.int32(0)}
    ask(signatures, "generate", {**state, **wanted})
    owner = f"state_{len(state) - 1}"
    for changes, message in (
        ({owner: state[owner] + 1}, "adapt again"),
        ({"state_0": state["state_0"] + np.float32(np.nan)}, "`state_0` must be finite"),
        ({"count": np.int32(10**6)}, "max_count"),
    ):
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            ask(signatures, "generate", {**state, **wanted, **changes})
