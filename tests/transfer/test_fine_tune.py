"""Fine-tuning: what is trained when and how fast, what stays as it was, and that a saved half goes on."""

import types

import metalearn_tf as mtf
from metalearn_tf.transfer.best_epoch import BestEpoch
from metalearn_tf.transfer.unfreezing_plan import UnfreezingPlan

import keras
import numpy as np
import pytest
from small_transfer import quadrants, small_backbone, weights_of

# TensorFlow's own, of data pipelines, which stay graphs.
pytestmark = pytest.mark.filterwarnings("ignore:Even though the `tf.config.experimental_run_functions_eagerly`")

TransferClassifier = mtf.transfer.TransferClassifier


class Recorder(keras.callbacks.Callback):
    """Keeps all weights by the epoch."""

    def on_train_begin(self, logs=None):
        self.weights = [weights_of(self.model.backbone)]

    def on_epoch_end(self, epoch, logs=None):
        self.weights.append(weights_of(self.model.backbone))

    def changed(self, epoch):
        """The names of the layers whose weights moved in an epoch."""
        before, after = self.weights[epoch], self.weights[epoch + 1]
        return {name.split("/")[0] for name in before if not np.array_equal(before[name], after[name])}


# === The plan ===


@pytest.mark.full
def test_layers_are_unfrozen_from_the_top_one_group_after_the_other():
    recorder = Recorder()
    mtf.transfer.fine_tune(
        small_backbone(),
        *quadrants(),
        epochs=7,
        unfreezing=UnfreezingPlan(2, stage_epochs=2),
        callbacks=[recorder],
        batch_size=16,
    )
    everything = {"convolution", "normalization", "dense"}
    expected = [set(), set(), {"dense"}, {"dense"}, {"dense", "normalization"}, {"dense", "normalization"}, everything]
    assert [recorder.changed(epoch) for epoch in range(7)] == expected


def test_frozen_weights_are_bit_identical_and_the_caller_s_backbone_too(eager):
    backbone, recorder = small_backbone(), Recorder()
    before = backbone.get_weights()
    classifier = mtf.transfer.fine_tune(
        backbone,
        *quadrants(),
        epochs=3,
        unfreezing=UnfreezingPlan(1, ["dense"], train_normalization=True),
        weight_decay=0.1,
        callbacks=[recorder],
    )
    for old, new in zip(before, backbone.get_weights()):
        np.testing.assert_array_equal(old, new)
    assert recorder.changed(0) == set()
    # Below the last stage nothing moves, not even the running averages.
    assert recorder.changed(1) == recorder.changed(2) == {"dense"}
    assert not classifier.backbone.get_layer("convolution").trainable


def test_normalization_follows_the_new_data_only_when_asked(eager):
    for asked in (False, True):
        recorder = Recorder()
        mtf.transfer.fine_tune(
            small_backbone(),
            *quadrants(),
            epochs=1,
            unfreezing=UnfreezingPlan(0, 1, train_normalization=asked),
            callbacks=[recorder],
        )
        before, after = (weights["normalization/moving_mean"] for weights in recorder.weights)
        assert np.array_equal(before, after) is not asked


def test_stages_look_into_models_within_the_backbone():
    inner = small_backbone()
    inputs = keras.Input((4, 4, 1))
    backbone = keras.Model(inputs, inner(keras.layers.Rescaling(2.0)(inputs)))
    classifier = TransferClassifier(backbone, 4, stages=3)
    assert [[layer.name for layer in group] for group in classifier.groups] == [
        ["dense"],
        ["normalization"],
        ["convolution"],
    ]


@keras.saving.register_keras_serializable("test_fine_tune")
class Scaled(keras.Model):
    """A model with a weight of its own beside its layer's."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(3)

    def build(self, shape):
        self.factor = self.add_weight(shape=(), initializer="ones", name="factor")
        self.dense.build(shape)

    def call(self, x):
        return self.factor * self.dense(x)


def test_a_weight_of_a_model_s_own_is_unfrozen_with_its_layers():
    inputs = keras.Input((3,))
    backbone = keras.Model(inputs, Scaled(name="scaled")(inputs))
    classifier = TransferClassifier(backbone, 2, head_epochs=1)
    assert [[layer.name for layer in group] for group in classifier.groups] == [["scaled"]]
    classifier.unfreeze(0)
    assert [variable.path.split("/")[0] for variable in classifier.trainable_variables] == ["head", "head"]
    classifier.unfreeze(1)
    assert len(classifier.trainable_variables) == 5


def test_of_a_frozen_backbone_the_head_alone_is_trained(eager):
    backbone = small_backbone()
    backbone.trainable = False
    recorder = Recorder()
    classifier = mtf.transfer.fine_tune(
        backbone,
        *quadrants(),
        epochs=2,
        batch_size=8,
        unfreezing=UnfreezingPlan(train_normalization=True),
        callbacks=[recorder],
    )
    assert recorder.changed(0) == recorder.changed(1) == set()
    assert [variable.path for variable in classifier.optimizer._trainable_variables] == ["head/kernel", "head/bias"]


# === Rates ===


def moved_in_one_step(decay):
    """How far a step of plain gradient descent moves the weights when all layers are unfrozen."""
    x, y = quadrants(8)
    classifier = TransferClassifier(small_backbone(), 4, stages=3, layer_decay=decay)
    classifier.head.kernel.assign(np.linspace(-1, 1, 24).reshape(6, 4))
    classifier.compile(keras.optimizers.SGD(0.1))
    before = {**weights_of(classifier.backbone), "head": classifier.head.kernel.numpy().copy()}
    classifier.fit(x, y, batch_size=8, initial_epoch=2, epochs=3, shuffle=False, verbose=0)
    after = {**weights_of(classifier.backbone), "head": classifier.head.kernel.numpy()}
    return {name: after[name] - before[name] for name in before}


def test_lower_groups_move_by_powers_of_the_decay(eager):
    full, slowed = moved_in_one_step(1.0), moved_in_one_step(0.5)
    factors = {"head": 1.0, "dense/kernel": 0.5, "normalization/gamma": 0.25, "convolution/kernel": 0.125}
    for name, factor in factors.items():
        np.testing.assert_allclose(slowed[name], factor * full[name], rtol=1e-3, atol=1e-7)
        assert np.abs(full[name]).max() > 1e-5


@pytest.mark.full
def test_l2_sp_pulls_towards_the_start_and_is_half_the_squared_distance():
    classifier = TransferClassifier(small_backbone(), 4, l2_sp=0.3)
    assert float(classifier.distance_from_start()) == 0.0
    kernel = classifier.backbone.get_layer("dense").kernel
    kernel.assign(np.asarray(kernel) + 0.5)
    assert float(classifier.distance_from_start()) == pytest.approx(0.5 * 0.25 * kernel.shape[0] * kernel.shape[1])
    far = {}
    for weight in (0.0, 10.0):
        backbone = small_backbone()
        tuned = mtf.transfer.fine_tune(
            backbone, *quadrants(), epochs=10, unfreezing=UnfreezingPlan(0, 1, l2_sp=weight), learning_rate=0.01
        )
        pairs = zip(tuned.backbone.get_weights(), backbone.get_weights())
        far[weight] = sum(float(np.square(a - b).sum()) for a, b in pairs)
    assert far[10.0] < 0.5 * far[0.0]


def test_biases_and_scales_are_not_decayed():
    classifier = TransferClassifier(small_backbone(), 4)
    classifier.compile(keras.optimizers.AdamW(0.0, weight_decay=0.5))
    optimizer = classifier.optimizer
    decayed = [v.name for v in classifier.trainable_variables if optimizer._use_weight_decay(v)]
    assert decayed == ["kernel"] * 3


# === Training ===


@pytest.mark.full
def test_it_learns_and_gives_probabilities_for_uint8_and_floating_images():
    x, y = quadrants(64)
    classifier = mtf.transfer.fine_tune(
        small_backbone(), x, y, epochs=30, unfreezing=UnfreezingPlan(1, 1), learning_rate=0.02, batch_size=16
    )
    assert classifier.evaluate(x, y, verbose=0)[1] > 0.9
    probabilities = classifier.predict(x, verbose=0)
    assert probabilities.shape == (64, 4)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(classifier.predict(x / 255.0, verbose=0), probabilities, atol=1e-5)


@pytest.mark.full
def test_training_stops_early_and_gives_the_best_epoch_back(eager):
    x, y = quadrants()
    # Validation labels that are wrong: the better the fit, the worse the validation loss.
    classifier = mtf.transfer.fine_tune(
        small_backbone(),
        x,
        y,
        validation_data=(x, (y + 1) % 4),
        epochs=40,
        unfreezing=UnfreezingPlan(4, 1),
        patience=2,
        learning_rate=0.05,
    )
    losses = classifier.history.history["val_loss"]
    assert 6 <= len(losses) < 40 and np.argmin(losses) < 4  # the best one before all layers are unfrozen
    assert classifier.evaluate(x, (y + 1) % 4, verbose=0)[0] == pytest.approx(min(losses), rel=1e-4)


@pytest.mark.parametrize(
    "losses, first_counted, best, end",
    [
        ([3, 2, 1, 2, 3, 4], 0, 2, 4),
        ([1, 9, 9, 9, 8, 7, 7, 8], 3, 0, 7),  # patience compares with what has come since
        ([3, 4, 5, 6], 9, 0, 3),
        ([np.nan, 2, 3, np.nan], 0, 1, 3),
        ([5], 0, 0, 0),
    ],
)
def test_the_best_epoch_may_be_any(losses, first_counted, best, end):
    model, epoch = types.SimpleNamespace(stop_training=False), -1
    model.get_weights, model.set_weights = lambda: epoch, lambda weights: setattr(model, "weights", weights)
    callback = BestEpoch(patience=2, first_counted=first_counted)
    callback.set_model(model)
    callback.on_train_begin()
    while epoch + 1 < len(losses) and not model.stop_training:
        epoch += 1
        callback.on_epoch_end(epoch, {"val_loss": losses[epoch]})
    callback.on_train_end()
    assert (model.weights, epoch) == (best, end)


@pytest.mark.parametrize("seed", [None, -1, 2**32, 1.0, True])
def test_other_seeds_are_refused(seed):
    for call in (mtf.transfer.fine_tune, lambda b, x, y, seed: mtf.transfer.pretrain(b, x, y, seed=seed)):
        with pytest.raises(ValueError, match="`seed` must be an integer from 0 to 2\\*\\*32 - 1.*Received: seed="):
            call(small_backbone(), *quadrants(), seed=seed)
    with pytest.raises(ValueError, match="`seed` must be an integer from 0"):
        mtf.transfer.DomainAdaptation(small_backbone(), 4, seed=seed)


@pytest.mark.full
def test_the_same_seed_gives_the_same_weights(eager):
    one, same, other = (
        mtf.transfer.fine_tune(
            small_backbone(), *quadrants(), epochs=1, unfreezing=UnfreezingPlan(0, 1), batch_size=8, seed=seed
        )
        for seed in (1, np.int64(1), 2)
    )
    for a, b in zip(one.get_weights(), same.get_weights()):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(one.head.kernel, other.head.kernel)


def test_augmentation_acts_in_training_alone():
    black = keras.layers.Rescaling(0.0, name="black")
    x, _ = quadrants()
    classifier = TransferClassifier(small_backbone(), 4, augmentation=black)
    assert np.ptp(np.asarray(classifier(x, training=True)), axis=0).max() < 1e-6
    assert np.ptp(np.asarray(classifier(x)), axis=0).max() > 1e-3


@pytest.mark.full
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_it_trains_in_mixed_precision(policy):
    keras.mixed_precision.set_global_policy(policy)
    backbone = small_backbone()
    keras.mixed_precision.set_global_policy("float32")
    x, y = quadrants(64)
    classifier = mtf.transfer.fine_tune(
        backbone, x, y, epochs=20, unfreezing=UnfreezingPlan(0, 1, layer_decay=0.9), learning_rate=0.02, batch_size=16
    )
    assert classifier.evaluate(x, y, verbose=0)[1] > 0.7
    assert classifier.predict(x, verbose=0).dtype == np.float32


# === Saving ===


@pytest.mark.full
def test_a_saved_half_goes_on_as_if_never_stopped(tmp_path, eager):
    """Stopped while some layers are still frozen; without shuffling, whose order a new process draws anew."""
    x, y = quadrants()

    def build():
        keras.utils.set_random_seed(3)
        classifier = TransferClassifier(
            small_backbone(), 4, head_epochs=1, stages=3, stage_epochs=2, layer_decay=0.5, l2_sp=0.01
        )
        classifier.compile(keras.optimizers.AdamW(0.01, weight_decay=0.1))
        return classifier

    fit = {"batch_size": 8, "shuffle": False, "verbose": 0}
    whole = build()
    whole.fit(x, y, epochs=7, **fit)
    half = build()
    half.fit(x, y, epochs=4, **fit)
    half.save(tmp_path / "half.keras")
    loaded = keras.models.load_model(tmp_path / "half.keras")
    loaded.fit(x, y, initial_epoch=4, epochs=7, **fit)
    for expected, value in zip(whole.get_weights(), loaded.get_weights()):
        np.testing.assert_array_equal(expected, value)
    np.testing.assert_array_equal(whole.predict(x, verbose=0), loaded.predict(x, verbose=0))


# === Bad input ===


@pytest.mark.parametrize(
    "changes, match",
    [
        ({"layer_decay": 1.5}, r"`layer_decay` must be a number in \(0, 1\]"),
        ({"l2_sp": -1.0}, "`l2_sp` must be a number of at least 0"),
        ({"head_epochs": -1}, "`head_epochs` must be an integer of at least 0"),
        ({"stage_epochs": 0}, "`stage_epochs` must be a positive integer"),
    ],
)
def test_a_plan_is_checked_when_it_is_made(changes, match):
    with pytest.raises(ValueError, match=match):
        UnfreezingPlan(**changes)


def test_a_plan_is_an_unfreezing_plan():
    with pytest.raises(TypeError, match=r"`unfreezing` must be a `UnfreezingPlan`.*Received: dict"):
        mtf.transfer.fine_tune(small_backbone(), *quadrants(), unfreezing={"stages": 2})


def bad(match, **changes):
    return pytest.param(changes, match, id=match[:40])


@pytest.mark.parametrize(
    "changes, match",
    [
        bad(r"`x` must have the shape \(n, 4, 4, 1\).*Received: shape \(32, 8, 8, 1\)", x=np.zeros((32, 8, 8, 1))),
        bad(r"`x` must be in \[0, 1\].*Received: values from 0 to", x=255.0 * quadrants()[0]),
        bad(r"`x` must hold at least one example", x=np.zeros((0, 4, 4, 1), "uint8"), y=np.zeros(0, int)),
        bad(r"`y` must be of at least 2 classes. Received: one class", y=np.zeros(32, int)),
        bad(r"each of the classes 0 to 2.*np.unique.*no example of the classes \[1\]", y=np.arange(32) % 2 * 2),
        bad(r"`y` must have one label for each example. Received: 5 for 32", y=np.arange(5)),
        bad(r"`y` must be integers.*np.argmax", y=np.eye(32)),
        bad(r"`y` must be class numbers in \[0, 31\). Received: labels from -1", y=np.arange(32) - 1),
        bad(r"`epochs` must be at least 5.*Received: epochs=4", epochs=4, unfreezing=UnfreezingPlan(2, 3)),
        bad(r"`epochs` must be a positive integer", epochs=0),
        bad(r"`stages` must be from 1 to 3", unfreezing=UnfreezingPlan(stages=4)),
        bad(r"`stages` must be names of layers of.*\['nothing'\]", unfreezing=UnfreezingPlan(stages=["nothing"])),
        bad(r"`stages` must name layers from the top", unfreezing=UnfreezingPlan(stages=["convolution", "dense"])),
        bad(r"`learning_rate` must be a positive number", learning_rate=0.0),
        bad(r"`patience` needs `validation_data`", patience=3),
        bad(r"`validation_data` must be a pair", validation_data=np.zeros(3)),
        bad(r"`validation_data\[1\]` must be class", validation_data=(quadrants(4)[0], np.arange(4) * 3)),
        bad(r"`image_range` must be the lowest and the highest", image_range=(1.0, 0.0)),
    ],
)  # fmt: skip
def test_bad_arguments_are_refused_before_any_work(changes, match):
    x, y = quadrants()
    with pytest.raises(ValueError, match=match):
        mtf.transfer.fine_tune(small_backbone(), **{"x": x, "y": y, "epochs": 9, **changes})


def test_augmentation_that_is_no_layer_is_refused():
    with pytest.raises(TypeError, match=r"`augmentation` must be a Keras layer.*function"):
        mtf.transfer.fine_tune(small_backbone(), *quadrants(), augmentation=lambda x: x)


@pytest.mark.parametrize("name, activation", [("anything", "softmax"), ("predictions", None)])
def test_a_source_s_head_is_not_carried_over(name, activation):
    backbone = small_backbone()
    head = keras.layers.Dense(10, activation=activation, name=name)(backbone.output)
    with pytest.raises(ValueError, match=rf"head of what it was trained for, whose 10 outputs.*ends with '{name}'"):
        mtf.transfer.fine_tune(keras.Model(backbone.input, head), *quadrants())


def test_a_feature_map_is_no_backbone():
    inputs = keras.Input((4, 4, 1))
    with pytest.raises(ValueError, match=r"`backbone` must give features of shape \(batch, d\).*GlobalAveragePooling"):
        mtf.transfer.fine_tune(keras.Model(inputs, keras.layers.Conv2D(2, 3)(inputs)), *quadrants())
