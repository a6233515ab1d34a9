"""What Keras's `compile` and `fit` take acts on both players as in Keras, or is refused by name."""

import inspect

import metalearn_tf as mtf

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_networks import LATENT, SHAPE, discriminator, generator

L, K = keras.layers, keras.optimizers
PLAYERS = ("generator", "discriminator")


def new_gan(**options):
    keras.utils.set_random_seed(0)
    return mtf.gan.GAN(generator(), discriminator(activation="softplus"), **options)


def new_meta_gan(**options):
    return mtf.gan.MetaGAN(new_gan(), inner_steps=1, **options)


def data_of(model, images):
    return images if isinstance(model, mtf.gan.GAN) else images[:24].reshape(6, 4, *SHAPE)


def optimizers_of(gan):
    return [getattr(gan, f"{player}_optimizer") for player in PLAYERS]


# === Every argument of Keras's methods ===

TAKEN = {"run_eagerly": True, "steps_per_execution": 2, "jit_compile": False, "auto_scale_loss": False}
REFUSED = {"loss": "mse", "loss_weights": [1.0], "metrics": ["mae"], "weighted_metrics": ["mae"]}


@pytest.mark.rows(default=["optimizer", "steps_per_execution"])
@pytest.mark.parametrize("option", list(inspect.signature(keras.Model.compile).parameters)[1:])
def test_every_option_of_compile_is_taken_or_refused(option):
    gan, meta_gan = new_gan(), new_meta_gan()
    if option == "optimizer":
        meta_gan.compile(optimizer="sgd")
        assert isinstance(meta_gan.optimizer, K.SGD)
        with pytest.raises(ValueError, match="`optimizer` must be left out: .*`generator_optimizer` and"):
            gan.compile(optimizer="sgd")
        return
    for model in (gan, meta_gan):
        if option in TAKEN:
            model.compile(**{option: TAKEN[option]})
            assert getattr(model, option, TAKEN[option]) == TAKEN[option]
        else:
            with pytest.raises(ValueError, match=f"`{option}` must be left out of a GAN's `compile`"):
                model.compile(**{option: REFUSED[option]})


FIT = {
    "x": lambda x: {"x": x},
    "y": lambda x: {"y": None},
    "batch_size": lambda x: {"batch_size": 3},
    "epochs": lambda x: {"epochs": 2},
    "verbose": lambda x: {"verbose": 0},
    "callbacks": lambda x: {"callbacks": keras.callbacks.LambdaCallback()},
    "validation_split": lambda x: {"validation_split": 0.5},
    "validation_data": lambda x: {"validation_data": x},
    "shuffle": lambda x: {"shuffle": False},
    "class_weight": lambda x: {"class_weight": {0: 1.0}},
    "sample_weight": lambda x: {"sample_weight": np.ones(len(x))},
    "initial_epoch": lambda x: {"initial_epoch": 1, "epochs": 2},
    "steps_per_epoch": lambda x: {"steps_per_epoch": 1},
    "validation_steps": lambda x: {"validation_data": tf.data.Dataset.from_tensors(x).repeat(), "validation_steps": 1},
    "validation_batch_size": lambda x: {"validation_data": x, "validation_batch_size": 2},
    "validation_freq": lambda x: {"validation_data": x, "validation_freq": 2, "epochs": 2},
}


@pytest.mark.full
@pytest.mark.parametrize("model", ["gan", pytest.param("meta_gan", marks=pytest.mark.slow)])
def test_every_option_of_fit_is_taken_or_refused(model, images):
    model = {"gan": new_gan, "meta_gan": new_meta_gan}[model]()
    model.compile(run_eagerly=True)
    x = data_of(model, images)
    assert set(FIT) == set(list(inspect.signature(keras.Model.fit).parameters)[1:])
    for option, make in FIT.items():
        arguments = {"x": x, "batch_size": len(x), "verbose": 0, **make(x)}
        if option in ("class_weight", "sample_weight"):
            with pytest.raises(ValueError, match=f"`{option}` must be left out of a GAN's `fit`"):
                model.fit(**arguments)
            continue
        before = int(model.steps)
        history = model.fit(**arguments)
        steps = {"batch_size": len(x) // 3, "epochs": 2, "validation_freq": 2}.get(option, 1)
        assert int(model.steps) - before == steps, option
        assert ("val_generator_loss" in history.history) == option.startswith("validation"), option


def test_a_callback_may_stand_alone_or_in_keras_s_list(images):
    class Count(keras.callbacks.Callback):
        epochs = 0

        def on_epoch_end(self, epoch, logs=None):
            self.epochs += 1

    gan, counts = new_gan(), [Count() for _ in range(3)]
    gan.compile(run_eagerly=True)
    for callbacks in (counts[0], (counts[1],), keras.callbacks.CallbackList([counts[2]], model=gan)):
        gan.fit(images, None, 30, 1, 0, callbacks)
    assert [count.epochs for count in counts] == [1, 1, 1]


def test_data_without_end_need_a_number_of_steps(images):
    for model in (new_gan(), new_meta_gan()):
        model.compile()
        endless = tf.data.Dataset.from_tensors(data_of(model, images)).repeat()
        with pytest.raises(ValueError, match="`steps_per_epoch` must say how many batches of `x`"):
            model.fit(endless, verbose=0)
        with pytest.raises(ValueError, match="`validation_steps` must say how many batches of `validation_data`"):
            model.fit(data_of(model, images), validation_data=endless, verbose=0)
        with pytest.raises(ValueError, match="`steps` must say how many batches of `x`"):
            model.evaluate(endless, verbose=0)


def test_weights_as_a_third_part_of_the_data_are_refused(images):
    keras.utils.set_random_seed(0)
    gan = mtf.gan.GAN(generator(3), discriminator(3))
    gan.compile()
    labels, weights = np.arange(30) % 3, np.ones(30, "float32")
    dataset = tf.data.Dataset.from_tensor_slices((images, labels, weights)).batch(10)
    for data in ({"x": dataset}, {"x": images, "y": labels, "validation_data": (images, labels, weights)}):
        with pytest.raises(ValueError, match="a GAN takes no weights. Received: 3 parts"):
            gan.fit(**data, verbose=0)
    for method in (gan.train_on_batch, gan.test_on_batch, gan.evaluate):
        with pytest.raises(ValueError, match="`sample_weight` must be left out"):
            method(images, labels, sample_weight=weights)


def test_all_doors_look_at_the_pixels(images):
    gan = new_gan()
    gan.compile()
    bytes_as_floats = images.astype("float32")
    for door in (
        gan.fit,
        gan.evaluate,
        gan.train_on_batch,
        gan.test_on_batch,
        lambda x: gan.fit(images, validation_data=(x, None), verbose=0),
    ):
        with pytest.raises(ValueError, match=r"must be in \[-1, 1\]"):
            door(bytes_as_floats)


# === Two optimizers ===


@pytest.mark.parametrize(
    ("optimizer", "kind"),
    [("sgd", K.SGD), ({"class_name": "adam", "config": {"learning_rate": 0.5}}, K.Adam), (None, K.Adam)],
)
def test_optimizers_by_name_configuration_or_default_are_two(optimizer, kind):
    gan = new_gan()
    gan.compile(optimizer, optimizer)
    first, second = optimizers_of(gan)
    assert isinstance(first, kind) and isinstance(second, kind) and first is not second and first.name != second.name


def test_an_optimizer_for_both_or_of_others_is_refused():
    gan, optimizer = new_gan(), K.Adam()
    with pytest.raises(ValueError, match="must be two objects, since each keeps a state of its own"):
        gan.compile(optimizer, optimizer)
    gan.compile(optimizer)
    gan.compile(optimizer)  # it may be compiled with its own again
    for model in (new_gan(), new_meta_gan()):
        with pytest.raises(ValueError, match="must be an optimizer of its own, .*that is in use"):
            model.compile(optimizer)
    with pytest.raises(ValueError, match="must not scale losses"):
        new_meta_gan().compile(K.LossScaleOptimizer(K.SGD()))


@pytest.mark.full
def test_learning_rate_callbacks_reach_both_players(images):
    class Halve(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            self.model.optimizer.learning_rate = 0.5 * float(self.model.optimizer.learning_rate)

    callbacks = {
        "schedule": lambda: keras.callbacks.LearningRateScheduler(lambda epoch, rate: 0.5 * rate),
        "plateau": lambda: keras.callbacks.ReduceLROnPlateau("generator_loss", 0.5, 1, mode="min", min_delta=1e9),
        "own": Halve,
    }
    gan = new_gan()
    for name, make in callbacks.items():
        gan.compile(K.SGD(1e-2, name="one"), K.SGD(1e-2, name="other"), run_eagerly=True)
        logs = gan.fit(images, batch_size=30, epochs=3, verbose=0, callbacks=make()).history
        rates = [float(optimizer.learning_rate) for optimizer in optimizers_of(gan)]
        assert rates[0] == rates[1] == pytest.approx(1e-2 / (4 if name == "plateau" else 8))
        if name == "schedule":
            for player in ("one", "other"):
                np.testing.assert_allclose(logs[f"learning_rate_{player}"], [5e-3, 2.5e-3, 1.25e-3])


def test_each_player_keeps_a_rate_of_its_own(images):
    gan = new_gan()
    gan.compile(K.SGD(1e-3), K.SGD(4e-3), run_eagerly=True)
    gan.fit(
        images, batch_size=30, verbose=0, callbacks=keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    )
    np.testing.assert_allclose([float(one.learning_rate) for one in optimizers_of(gan)], [5e-4, 2e-3])
    with pytest.raises(ValueError, match="is one rate, and the players have several"):
        gan.optimizer.learning_rate = 1.0


@pytest.mark.rows(default=["False"])
@pytest.mark.parametrize("swap", [False, True])
def test_averages_of_the_optimizers_are_the_final_weights(swap, images):
    gan = new_gan(average_decay=None)
    gan.compile(*(K.SGD(0.1, use_ema=True, ema_momentum=0.9) for _ in range(2)), run_eagerly=True)
    callbacks = keras.callbacks.SwapEMAWeights() if swap else None
    gan.fit(images, batch_size=10, epochs=2, verbose=0, validation_data=images, callbacks=callbacks)
    for player, optimizer in zip(PLAYERS, optimizers_of(gan)):
        averages = optimizer._model_variables_moving_average
        for average, variable in zip(averages, getattr(gan, player).trainable_variables, strict=True):
            np.testing.assert_allclose(average, variable, atol=1e-7)


def test_averages_are_those_of_the_best_epoch(images):
    class Scores(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs):
            logs["score"] = [0.0, 1.0][epoch]

    def fit(epochs):
        gan = new_gan(average_decay=None)
        gan.compile(*(K.SGD(0.1, use_ema=True) for _ in range(2)), monitor="score", run_eagerly=True)
        gan.fit(images, batch_size=10, epochs=epochs, verbose=0, shuffle=False, callbacks=Scores())
        return gan.get_weights()

    for one, other in zip(fit(1), fit(2), strict=True):
        np.testing.assert_array_equal(one, other)


def test_accumulated_steps_have_noise_of_their_own(images):
    """Four steps of one batch are the step of the mean gradient over the noise of steps 0 to 3."""

    def updates(start, accumulate):
        gan = new_gan(average_decay=None)
        gan.steps.assign(start)
        gan.compile(*(K.SGD(rate, gradient_accumulation_steps=accumulate) for rate in (1.0, 1e-12)), run_eagerly=True)
        before = gan.generator.get_weights()
        for _ in range(accumulate or 1):
            gan.train_on_batch(images[:8])
        return [old - new for old, new in zip(before, gan.generator.get_weights())]

    single = [updates(start, None) for start in range(4)]
    assert not np.allclose(single[0][0], single[1][0], rtol=0.05)
    for accumulated, *each in zip(updates(0, 4), *single):
        np.testing.assert_allclose(accumulated, np.mean(each, axis=0), atol=1e-5)


@pytest.mark.full
@pytest.mark.parametrize("make", [new_gan, pytest.param(new_meta_gan, marks=pytest.mark.slow)])
def test_accumulating_training_resumes_bit_for_bit(make, images, tmp_path):
    model = make()
    options = [K.SGD(0.1, gradient_accumulation_steps=4) for _ in range(1 + isinstance(model, mtf.gan.GAN))]
    model.compile(*options)
    x = data_of(model, images)[:4]
    for _ in range(3):
        model.train_on_batch(x)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    for one in (model, again):
        for _ in range(2):
            one.train_on_batch(x)
    assert int(again.steps) == 5
    for one, other in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


# === Regularisers ===


class Toll(keras.layers.Layer):
    """Adds 0.25 to the losses of each pass."""

    def call(self, x):
        self.add_loss(tf.constant(0.25))
        return x


def regularised(l2=0.0, toll=False):
    keras.utils.set_random_seed(0)
    options = {"kernel_regularizer": keras.regularizers.L2(l2)} if l2 else {}
    extra = [Toll()] if toll else []
    drawing = keras.Sequential(
        [keras.Input((LATENT,)), L.Dense(64, **options), *extra, L.Reshape(SHAPE), L.Activation("tanh")]
    )
    judging = keras.Sequential([keras.Input(SHAPE), L.Flatten(), *extra, L.Dense(1, **options)])
    return mtf.gan.GAN(drawing, judging, average_decay=None)


def test_regularisers_are_in_each_player_s_loss_once(images):
    """Against the same networks without: L2's gradient is 2 c w, and a pass of the discriminator costs the toll."""
    plain, penalised, tolled = regularised(), regularised(0.1), regularised(toll=True)
    before = penalised.generator.get_weights()[0], penalised.discriminator.get_weights()[0]
    logs = []
    for gan in (plain, penalised, tolled):
        gan.compile(K.SGD(0.5), K.SGD(0.5), run_eagerly=True)
        logs.append(gan.test_on_batch(images[:8], return_dict=True))
        gan.train_on_batch(images[:8])
    for player, weights in zip(PLAYERS, before):
        extra = logs[1][f"{player}_loss"] - logs[0][f"{player}_loss"]
        assert extra == pytest.approx(0.1 * np.sum(weights**2), rel=1e-4)
        passes = {"generator": 1, "discriminator": 2}[player]
        assert logs[2][f"{player}_loss"] - logs[0][f"{player}_loss"] == pytest.approx(0.25 * passes, abs=1e-5)
    step = plain.discriminator.get_weights()[0] - penalised.discriminator.get_weights()[0]
    np.testing.assert_allclose(step, 0.5 * 2 * 0.1 * before[1], atol=1e-6)


def test_regularisers_are_in_the_inner_and_outer_losses(images):
    """The inner loop is that of an ordinary GAN, whose regularisers are tested above."""
    gan = regularised(0.1, toll=True)
    meta_gan = mtf.gan.MetaGAN(gan, "maml", inner_steps=2, inner_learning_rate=0.5)
    plain = gan.copy()
    plain.compile(K.SGD(0.5), K.SGD(0.5), run_eagerly=True)
    for _ in range(2):
        plain.train_on_batch(images[:6])
    adapted = meta_gan.adapt(images[:6])
    for one, other in zip(plain.get_weights()[1:], adapted.get_weights()[1:], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    logs = []
    for toll in (True, False):
        one = mtf.gan.MetaGAN(regularised(0.1, toll), "maml", inner_steps=1)
        one.compile(run_eagerly=True)
        logs.append(one.test_on_batch(images[None, :6], return_dict=True))
    for player, passes in (("generator", 1), ("discriminator", 2)):
        assert logs[0][f"{player}_loss"] - logs[1][f"{player}_loss"] == pytest.approx(0.25 * passes, abs=1e-5)
