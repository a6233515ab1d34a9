"""conv4, resnet12 and mlp: shapes, configuration, and the arguments they refuse."""

import metalearn_tf as mtf

import keras
import numpy as np
import pytest

SMALL = {
    "conv4": lambda **options: mtf.networks.conv4(**{"input_shape": (16, 16, 1), "filters": 4, **options}),
    "resnet12": lambda **options: mtf.networks.resnet12(
        **{"input_shape": (16, 16, 1), "filters": (2, 3, 4, 5), **options}
    ),
    "mlp": lambda **options: mtf.networks.mlp(**{"input_shape": (16, 16, 1), "units": (6, 7), **options}),
}
FEATURES = {"conv4": 4, "resnet12": 5, "mlp": 7}


def random_images(*shape):
    return np.random.default_rng(0).uniform(size=shape).astype("float32")


@pytest.mark.parametrize("name", SMALL)
def test_embeddings_and_logits_have_their_widths(name):
    images = random_images(3, 16, 16, 1)
    for outputs, width in ((None, FEATURES[name]), (9, 9)):
        network = SMALL[name](outputs=outputs)
        assert isinstance(network, keras.Model) and network.built and network.name == name
        assert network.output_shape == (None, width)
        assert np.asarray(network(images)).shape == (3, width)


def test_the_published_sizes():
    assert mtf.networks.conv4().output_shape == (None, 64)
    assert mtf.networks.conv4((84, 84, 3)).output_shape == (None, 1600)
    assert mtf.networks.conv4(downsampling="stride").output_shape == (None, 64)
    # Three 3x3 convolutions with batch normalisation in each of four blocks, and a linear head.
    kernels = 9 * (1 * 64 + 3 * 64 * 64)
    assert mtf.networks.conv4(outputs=5).count_params() == kernels + 4 * 2 * 64 + 64 * 5 + 5
    assert mtf.networks.mlp(outputs=1).count_params() == (1 * 40 + 40) + (40 * 40 + 40) + 40 + 1
    assert mtf.networks.resnet12((32, 32, 3)).output_shape == (None, 640)


@pytest.mark.parametrize("side", [16, 17, 28])
@pytest.mark.parametrize("downsampling", ["max_pool", "stride"])
def test_conv4_takes_odd_sides_and_rectangles(side, downsampling):
    network = mtf.networks.conv4((side, 20, 3), filters=4, downsampling=downsampling)
    embeddings = np.asarray(network(random_images(2, side, 20, 3)))
    assert embeddings.shape == (2, network.output_shape[-1]) and np.isfinite(embeddings).all()


@pytest.mark.parametrize("downsampling", ["max_pool", "stride"])
def test_feature_maps_of_conv4_are_a_quarter_of_the_image(downsampling):
    network = mtf.networks.conv4((28, 20, 1), 4, downsampling=downsampling, feature_map=True)
    maps = np.asarray(network(random_images(2, 28, 20, 1)))
    assert maps.shape == (2, 7, 5, 4) and maps.dtype == np.float32 and (maps >= 0).all()


@pytest.mark.rows(default=["mixed_float16-mlp", "mixed_bfloat16-mlp", "mixed_bfloat16-conv4", "mixed_float16-conv4"])
@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_outputs_are_float32_and_close_in_half_precision(name, policy):
    images = random_images(3, 16, 16, 1)
    single = SMALL[name](outputs=4)
    keras.mixed_precision.set_global_policy(policy)
    mixed = SMALL[name](outputs=4)
    mixed.set_weights(single.get_weights())
    outputs = np.asarray(mixed(images))
    assert outputs.dtype == np.float32
    np.testing.assert_allclose(outputs, np.asarray(single(images)), atol=0.05)


@pytest.mark.rows(default=["support-mlp", "running-mlp", "transductive-mlp"])
@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("normalization", ["transductive", "support", "running"])
def test_networks_are_saved_and_loaded(name, normalization, tmp_path):
    images = random_images(3, 16, 16, 1)
    network = SMALL[name](outputs=4, normalization=normalization)
    network.save(tmp_path / "network.keras")
    loaded = keras.models.load_model(tmp_path / "network.keras")
    np.testing.assert_array_equal(np.asarray(loaded(images)), np.asarray(network(images)))


@pytest.mark.full
def test_vectorized_tasks_give_the_same_meta_gradient_of_conv4(toy_dataset):
    batch = next(mtf.data.episodes(toy_dataset, 3, 2, 2, tasks_per_batch=2).as_numpy_iterator())
    start = mtf.learners.MAML(mtf.networks.conv4((16, 16, 1), 4, outputs=3), inner_steps=1, inner_learning_rate=0.1)
    steps = []
    for mapping in ("parallel", "vectorized"):
        learner = mtf.learners.MAML(start.copy().network, inner_steps=1, inner_learning_rate=0.1, task_mapping=mapping)
        learner.compile(optimizer=keras.optimizers.SGD(1.0))
        learner.train_on_batch(*batch)
        steps.append(learner.get_weights())
    for parallel, vectorized in zip(*steps):
        np.testing.assert_allclose(vectorized, parallel, rtol=1e-3, atol=1e-4)


def test_dropout_of_resnet12_acts_in_training():
    network = SMALL["resnet12"](dropout=0.5)
    images = random_images(3, 16, 16, 1)
    np.testing.assert_array_equal(np.asarray(network(images)), np.asarray(network(images)))
    assert not np.allclose(np.asarray(network(images, training=True)), np.asarray(network(images, training=True)))


@pytest.mark.parametrize(
    "name, argument, value",
    [
        ("conv4", "input_shape", (28, 28)),
        ("conv4", "input_shape", (28, 28, 0)),
        ("conv4", "input_shape", (15, 28, 1)),
        ("conv4", "input_shape", (None, None, 3)),
        ("conv4", "filters", 0),
        ("conv4", "filters", 4.0),
        ("conv4", "outputs", 0),
        ("conv4", "outputs", "five"),
        ("conv4", "normalization", "batch"),
        ("conv4", "downsampling", "average"),
        ("resnet12", "input_shape", (8, 8, 3)),
        ("resnet12", "filters", (64, 128)),
        ("resnet12", "filters", (64, 128, 256, 0)),
        ("resnet12", "outputs", -1),
        ("resnet12", "normalization", "layer"),
        ("resnet12", "dropout", 1.0),
        ("resnet12", "dropout", -0.1),
        ("mlp", "units", ()),
        ("mlp", "units", (4, 0)),
        ("mlp", "outputs", 1.5),
        ("mlp", "normalization", "group"),
    ],
)
def test_bad_arguments_are_named(name, argument, value):
    with pytest.raises(ValueError, match=rf"(?s)`{argument}(\[\d\])?`.*Received: "):
        SMALL[name](**{argument: value})


def test_feature_maps_have_no_head():
    with pytest.raises(ValueError, match="`feature_map` must be False.*Received: outputs=5"):
        mtf.networks.conv4(outputs=5, feature_map=True)
