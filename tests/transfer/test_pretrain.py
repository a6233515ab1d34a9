"""Pre-training in three ways: the losses by hand, what is learned, and what is refused."""

import metalearn_tf as mtf

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_transfer import dataset, quadrants, small_backbone, weights_of

METHODS = ("supervised", "autoencoder", "contrastive")


# === NT-Xent ===


def nt_xent_numpy(first, second, temperature):
    """Equation 1 of the paper, one view after the other."""
    views = np.concatenate([first, second]).astype("float64")
    views /= np.linalg.norm(views, axis=1, keepdims=True)
    count, losses = len(first), []
    for i in range(2 * count):
        j = (i + count) % (2 * count)
        similarity = np.exp(views @ views[i] / temperature)
        losses.append(-np.log(similarity[j] / sum(similarity[k] for k in range(2 * count) if k != i)))
    return np.mean(losses)


@pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0])
def test_nt_xent_is_the_paper_s(temperature):
    random = np.random.default_rng(0)
    first, second = random.normal(size=(2, 5, 3)).astype("float32")
    loss = mtf.transfer.nt_xent(tf.constant(first), tf.constant(second), temperature)
    assert float(loss) == pytest.approx(nt_xent_numpy(first, second, temperature), rel=1e-5)


def test_nt_xent_does_not_depend_on_the_scale_of_the_features():
    first, second = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")
    expected = float(mtf.transfer.nt_xent(tf.constant(first), tf.constant(second)))
    for scale in (1e-12, 1e12):
        scaled = float(mtf.transfer.nt_xent(tf.constant(scale * first), tf.constant(scale * second)))
        assert scaled == pytest.approx(expected, rel=1e-5)


def test_nt_xent_by_hand():
    """Two images along the axes, both views alike: each view has one match of cosine 1 and two others of cosine 0."""
    views = tf.constant([[2.0, 0.0], [0.0, 3.0]])
    assert float(mtf.transfer.nt_xent(views, views, 1.0)) == pytest.approx(np.log(np.e + 2) - 1, rel=1e-6)


def test_the_gradient_of_nt_xent_is_finite_and_that_of_differences():
    random = np.random.default_rng(1)
    first, second = random.normal(size=(2, 3, 2))
    variable = tf.Variable(first, dtype="float32")
    with tf.GradientTape() as tape:
        loss = mtf.transfer.nt_xent(variable, tf.constant(second, "float32"))
    gradient = tape.gradient(loss, variable).numpy()
    for index in np.ndindex(first.shape):
        step = np.zeros_like(first)
        step[index] = 1e-4
        numeric = (nt_xent_numpy(first + step, second, 0.5) - nt_xent_numpy(first - step, second, 0.5)) / 2e-4
        assert gradient[index] == pytest.approx(numeric, abs=1e-4)


# === The three ways ===


@pytest.mark.rows(default=["autoencoder"])
@pytest.mark.parametrize("method", METHODS)
def test_the_backbone_is_trained_in_place_and_nothing_is_put_on_it(method):
    backbone = small_backbone()
    before = weights_of(backbone)
    history = keras.callbacks.History()
    trained = mtf.transfer.pretrain(backbone, dataset(), method=method, epochs=12, batch_size=16, callbacks=[history])
    assert trained is backbone and backbone.output_shape == (None, 6)
    assert all(np.abs(weights_of(backbone)[name] - before[name]).max() > 0 for name in before if "bias" not in name)
    assert history.history["loss"][-1] < history.history["loss"][0]


@pytest.mark.full
def test_supervised_pre_training_learns_the_classes():
    history = keras.callbacks.History()
    x, y = quadrants(64)
    mtf.transfer.pretrain(
        small_backbone(),
        x,
        y,
        epochs=30,
        batch_size=16,
        learning_rate=0.02,
        validation_data=(x, y),
        callbacks=[history],
    )
    assert history.history["val_accuracy"][-1] > 0.9


@pytest.mark.full
def test_features_of_an_autoencoder_tell_images_apart():
    """Of two images the one that is near in its features is the one with the same quadrant."""
    x, y = quadrants(64)
    backbone = mtf.transfer.pretrain(
        small_backbone(), x, method="autoencoder", epochs=40, batch_size=16, learning_rate=0.01, noise=0.05
    )
    features = backbone.predict(x / 255.0, verbose=0)
    distances = np.square(features[:, None] - features).sum(axis=2) + 1e9 * np.eye(64)
    assert np.mean(y[distances.argmin(axis=1)] == y) > 0.8


def test_an_autoencoder_draws_images_of_the_size_it_gets():
    for shape in ((4, 4, 1), (9, 7, 3), (16, 16, 1)):
        inputs = keras.Input(shape)
        backbone = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(inputs)))
        model = mtf.transfer.DenoisingAutoencoder(backbone, filters=2)
        assert model(np.zeros((2, *shape), "float32")).shape == (2, *shape)


def test_noise_and_views_act_in_training_alone():
    images = np.random.default_rng(0).random((2, 4, 4, 1)).astype("float32")
    autoencoder = mtf.transfer.DenoisingAutoencoder(mtf.networks.mlp((4, 4, 1), (5,)), noise=0.5)
    assert np.abs(autoencoder(images) - autoencoder(images)).max() == 0
    assert np.abs(autoencoder(images, training=True) - autoencoder(images, training=True)).max() > 0
    contrastive = mtf.transfer.ContrastiveModel(mtf.networks.mlp((4, 4, 1), (5,)))
    assert np.abs(contrastive(images) - contrastive(images)).max() == 0
    views = [contrastive.augmentation(images, training=True) for _ in range(2)]
    assert np.abs(views[0] - views[1]).max() > 0


@pytest.mark.parametrize("limits", [(0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)])
def test_views_stay_in_the_range_of_pixels(limits):
    low, high = limits
    augmentation = mtf.transfer.view_augmentation((8, 8, 3), limits)
    images = low + (high - low) * np.random.default_rng(0).random((16, 8, 8, 3)).astype("float32")
    views = np.asarray(augmentation(images, training=True))
    assert views.shape == images.shape
    assert views.min() >= low - 0.01 * (high - low) and views.max() <= high + 0.01 * (high - low)
    assert np.ptp(views) > 0.3 * (high - low)


@pytest.mark.full
@pytest.mark.parametrize(
    "build",
    [
        lambda: mtf.transfer.ContrastiveModel(small_backbone(), temperature=0.2, projection=3),
        lambda: mtf.transfer.DenoisingAutoencoder(small_backbone(), noise=0.2, filters=2),
    ],
    ids=["contrastive", "autoencoder"],
)
def test_they_are_keras_models_that_go_on_after_loading(build, tmp_path):
    model = build()
    model.compile("adam", jit_compile=False)
    x, _ = quadrants()
    model.fit(x, batch_size=16, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(model.predict(x, verbose=0), loaded.predict(x, verbose=0))
    options = {key: value for key, value in model.get_config().items() if not isinstance(value, dict)}
    assert {key: loaded.get_config()[key] for key in options} == options
    assert int(loaded.optimizer.iterations) == 2
    loaded.fit(x, batch_size=16, verbose=0)


@pytest.mark.full
def test_a_pre_trained_backbone_helps_where_labels_are_few():
    """The chain that users run: source classes, then 16 labelled images of classes made of the same quadrants."""
    x, y = quadrants(256)
    backbone = mtf.transfer.pretrain(small_backbone(), x, y, epochs=15, batch_size=32, learning_rate=0.02)
    few_x, few_y = quadrants(16, seed=5)
    test_x, test_y = quadrants(200, seed=6)
    plan = mtf.transfer.UnfreezingPlan(head_epochs=10, stages=["dense"])
    target = {"epochs": 11, "unfreezing": plan, "batch_size": 4, "learning_rate": 0.02}
    accuracy = {}
    for name, start in (("pre-trained", backbone), ("random", small_backbone(seed=3))):
        classifiers = [mtf.transfer.fine_tune(start, few_x, few_y // 2, seed=seed, **target) for seed in (0, 1)]
        accuracy[name] = np.mean([one.evaluate(test_x, test_y // 2, verbose=0)[1] for one in classifiers])
    assert accuracy["pre-trained"] > 0.85 and accuracy["pre-trained"] > accuracy["random"] + 0.03


def test_a_pair_is_the_two_arguments():
    trained = []
    for data in (quadrants(), (quadrants(),)):
        backbone = small_backbone()
        mtf.transfer.pretrain(backbone, *data, epochs=1, verbose=0)
        trained.append(backbone.get_weights())
    for one, other in zip(*trained):
        np.testing.assert_array_equal(one, other)


# === Bad input ===


@pytest.mark.parametrize(
    "options, match",
    [
        ({"method": "magic"}, r"`method` must be one of .*'supervised'.*Received: method='magic'"),
        ({"x": quadrants()[0]}, r"`y` must be the labels of `x`.*ClassDataset.*Received: examples alone"),
        ({"x": quadrants()[0], "y": np.zeros(32, int)}, r"`y` must be of at least 2 classes"),
        ({"x": np.zeros((3, 5, 5, 1), "uint8")}, r"`x` must have the shape \(n, 4, 4, 1\)"),
        ({"x": (*quadrants(), None)}, r"`x` must be examples.*or a pair.*Received: x=a tuple of 3"),
        ({"y": quadrants()[1]}, r"`y` must be None, as `x` has the labels. Received: x=ClassDataset"),
        ({"epochs": 0}, r"`epochs` must be a positive integer"),
        ({"batch_size": 1}, r"`batch_size` must be an integer of at least 2"),
        ({"learning_rate": -1.0}, r"`learning_rate` must be a positive number"),
        ({"method": "contrastive", "validation_data": quadrants()}, r'`validation_data` is for "supervised"'),
        ({"method": "contrastive", "temperature": 0.0}, r"`temperature` must be a positive number"),
        ({"method": "contrastive", "projection": 0}, r"`projection` must be a positive integer"),
        ({"method": "autoencoder", "noise": -0.1}, r"`noise` must be a number of at least 0"),
        ({"method": "autoencoder", "filters": 0}, r"`filters` must be a positive integer"),
    ],
)
def test_bad_arguments_are_refused_before_any_work(options, match):
    backbone = small_backbone()
    before = weights_of(backbone)
    with pytest.raises(ValueError, match=match):
        mtf.transfer.pretrain(backbone, **{"x": dataset(), **options})
    for name, value in weights_of(backbone).items():
        np.testing.assert_array_equal(value, before[name])


def test_vectors_have_no_views():
    vectors = np.zeros((8, 3), "float32")
    with pytest.raises(ValueError, match=r"`backbone` must take images of one size for 'contrastive'"):
        mtf.transfer.pretrain(mtf.networks.mlp((3,), (4,)), vectors, method="contrastive")


@pytest.mark.rows(default=["autoencoder-mixed_bfloat16"])
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("method", METHODS)
def test_a_backbone_in_mixed_precision_is_pre_trained_in_it(method, policy):
    keras.mixed_precision.set_global_policy(policy)
    backbone = small_backbone()
    keras.mixed_precision.set_global_policy("float32")
    seen, before = [], weights_of(backbone)

    class Look(keras.callbacks.Callback):
        def on_train_end(self, logs=None):
            seen.append((self.model, logs["loss"]))

    mtf.transfer.pretrain(backbone, *quadrants(), method=method, epochs=2, batch_size=8, callbacks=[Look()])
    ((model, loss),) = seen
    assert np.isfinite(loss) and any(np.any(before[name] != value) for name, value in weights_of(backbone).items())
    if method == "autoencoder":
        assert model.decoder.get_layer("dense").compute_dtype == policy.removeprefix("mixed_")
        assert model(quadrants()[0]).dtype == "float32"
