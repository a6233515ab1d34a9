"""Networks that a game cannot be played with are refused when it is set up."""

import metalearn_tf as mtf

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_networks import LATENT, SHAPE, discriminator, generator

L = keras.layers


def judge(*last, outputs=1, shape=SHAPE):
    return keras.Sequential([keras.Input(shape), L.Flatten(), L.Dense(8, "leaky_relu"), L.Dense(outputs), *last])


def functional(last):
    inputs = keras.Input(SHAPE)
    return keras.Model(inputs, last(L.Dense(1)(L.Flatten()(inputs))))


HEADS = {
    "activation": lambda: keras.Sequential([keras.Input(SHAPE), L.Flatten(), L.Dense(1, activation="sigmoid")]),
    "Activation": lambda: judge(L.Activation("sigmoid")),
    "softmax of one": lambda: judge(L.Softmax()),
    "tanh": lambda: judge(L.Activation("tanh")),
    "relu": lambda: judge(L.ReLU()),
    "Reshape behind": lambda: judge(L.Activation("sigmoid"), L.Reshape((1, 1)), L.Flatten()),
    "nested": lambda: keras.Sequential([keras.Input(SHAPE), judge(L.Activation("sigmoid"))]),
    "operation": lambda: functional(keras.ops.sigmoid),
    "function": lambda: functional(keras.activations.hard_sigmoid),
    "of TensorFlow": lambda: judge(L.Activation(tf.nn.sigmoid)),
    "nameless": lambda: judge(L.Activation(lambda x: 1.0 / (1.0 + tf.exp(-x)))),
    "Lambda": lambda: judge(L.Lambda(lambda x: tf.sigmoid(x), output_shape=(1,))),
    "wrapped": lambda: keras.Sequential(
        [keras.Input(SHAPE), L.Flatten(), L.SpectralNormalization(L.Dense(1, activation="sigmoid"))]
    ),
}


@pytest.mark.rows(
    default=["least_squares-operation", "least_squares-wrapped", "least_squares-activation", "least_squares-function"]
)
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("loss", ["non_saturating", "least_squares"])
def test_a_discriminator_of_probabilities_is_refused(head, loss):
    with pytest.raises(ValueError, match="`discriminator` must put out logits, any real numbers.*Received: "):
        mtf.gan.GAN(generator(), HEADS[head](), loss=loss)


def shared():
    layer = L.Dense(LATENT)
    encoder = keras.Sequential([keras.Input(SHAPE), L.Flatten(), layer])
    judging = keras.Sequential([keras.Input(SHAPE), L.Flatten(), layer, L.Dense(1)])
    return {"discriminator": judging, "encoder": encoder, "reconstruction_weight": 1.0}


def of(shape):
    side = int(np.prod(shape))
    return {
        "generator": keras.Sequential([keras.Input((LATENT,)), L.Dense(side), L.Reshape(shape)]),
        "discriminator": keras.Sequential([keras.Input(shape), L.Flatten(), L.Dense(1)]),
    }


WRONG = {
    "rows of a table": (lambda: of((6,)), r"must put out images \(n, height, width, channels\)"),
    "series": (lambda: of((10, 2)), r"must put out images \(n, height, width, channels\)"),
    "volumes": (lambda: of((4, 4, 4, 1)), r"must put out images \(n, height, width, channels\)"),
    "patches": (lambda: {"discriminator": keras.Sequential([keras.Input(SHAPE), L.Conv2D(1, 3)])}, r"logits \(n, 1\)"),
    "two classes": (lambda: {"discriminator": judge(outputs=2)}, r"logits \(n, 1\)"),
    "no axis": (lambda: {"discriminator": judge(L.Reshape(()))}, r"logits \(n, 1\)"),
    "an encoder of probabilities": (
        lambda: {
            "encoder": keras.Sequential([keras.Input(SHAPE), L.Flatten(), L.Dense(LATENT, activation="sigmoid")]),
            "reconstruction_weight": 1.0,
        },
        "`encoder` must put out noise, any real numbers",
    ),
    "a layer of two players": (shared, "must not share trainable weights"),
    "noise of any width": (
        lambda: {"generator": keras.Model(x := keras.Input((None,)), L.Reshape(SHAPE)(keras.ops.tile(x, [1, 64])))},
        "must take noise",
    ),
    "another range": (lambda: {"image_range": (0, 1)}, r"must be the range \(-1.0, 1.0\) of the generator"),
    "no range": (lambda: {"image_range": (1, 1)}, "`image_range` must be the lowest and the highest"),
    "no seed": (lambda: {"seed": None}, "`seed` must be an integer"),
    "another dtype": (lambda: {"dtype": "float16"}, "`dtype` must be None, or 'float32'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_networks_and_options_that_do_not_fit_are_refused(name):
    make, message = WRONG[name]
    with pytest.raises(ValueError, match=message):
        mtf.gan.GAN(**{"generator": generator(), "discriminator": discriminator(), **make()})


def test_a_discriminator_of_any_size_takes_the_generator_s_images(images):
    inputs = keras.Input((None, None, 1))
    any_size = keras.Model(inputs, L.Dense(1)(L.GlobalAveragePooling2D()(L.Conv2D(4, 3)(inputs))))
    gan = mtf.gan.GAN(generator(), any_size)
    gan.compile()
    assert np.isfinite(gan.train_on_batch(images[:4])).all()


@pytest.mark.parametrize("player", ["generator", "discriminator"])
def test_a_player_with_nothing_to_train_is_refused(player):
    gan = mtf.gan.GAN(generator(), discriminator())
    getattr(gan, player).trainable = False
    with pytest.raises(ValueError, match=f"`{player}` must have trainable weights"):
        gan.compile()
    with pytest.raises(ValueError, match=f"`{player}` must have trainable weights"):
        mtf.gan.MetaGAN(gan)


@pytest.mark.full
def test_frozen_layers_stay_as_they_are(images):
    networks = generator(), discriminator(activation="softplus")
    frozen = [networks[0].layers[1], networks[1].layers[1]]
    for layer in frozen:
        layer.trainable = False
    gan = mtf.gan.GAN(*networks)
    gan.compile()
    before = [layer.get_weights() for layer in frozen]
    gan.train_on_batch(images)
    adapted = mtf.gan.MetaGAN(gan, "maml", inner_steps=1).adapt(images[:4])
    after = [*frozen, adapted.generator.layers[1], adapted.discriminator.layers[1]]
    for layer, weights in zip(after, 2 * before, strict=True):
        assert not layer.trainable
        for one, other in zip(layer.get_weights(), weights):
            np.testing.assert_array_equal(one, other)


class Cut(keras.layers.Layer):
    def call(self, x):
        return tf.stop_gradient(x)


def cut_generator():
    noise = keras.Input((LATENT,))
    dead = Cut()(L.Dense(64, name="dead")(noise))
    return keras.Model(noise, L.Activation("tanh")(L.Reshape(SHAPE)(L.Add()([L.Dense(64)(noise), dead]))))


def cut_discriminator():
    images = keras.Input(SHAPE)
    x = L.Flatten()(images)
    return keras.Model(images, L.Add()([L.Dense(1)(x), Cut()(L.Dense(1, name="dead")(x))]))


CUT = {
    "generator": lambda: mtf.gan.GAN(cut_generator(), discriminator()),
    "discriminator": lambda: mtf.gan.GAN(generator(), cut_discriminator()),
    "encoder": lambda: mtf.gan.GAN(
        generator(),
        discriminator(),
        encoder=keras.Sequential([keras.Input(SHAPE), L.Flatten(), L.Dense(LATENT, name="dead"), Cut()]),
        reconstruction_weight=1.0,
    ),
}


@pytest.mark.rows(default=["discriminator"])
@pytest.mark.parametrize("player", CUT)
def test_weights_that_no_gradient_reaches_are_named(player, images):
    gan = CUT[player]()
    gan.compile()
    before = gan.get_weights()
    with pytest.raises(
        ValueError, match=r"No gradient reaches the trainable variables \['[^,]*dead/kernel', '[^,]*dead/bias'\]"
    ):
        gan.fit(images, batch_size=15, verbose=0)
    for one, other in zip(before, gan.get_weights()):
        np.testing.assert_array_equal(one, other)


@pytest.mark.rows(default=["maml-discriminator"])
@pytest.mark.parametrize("player", ["generator", "discriminator"])
@pytest.mark.parametrize("algorithm", ["reptile", "maml"])
def test_weights_that_no_inner_gradient_reaches_are_named(player, algorithm, images):
    meta_gan = mtf.gan.MetaGAN(CUT[player](), algorithm, inner_steps=1)
    with pytest.raises(
        ValueError, match=r"No gradient reaches the trainable variables \['[^,]*dead/kernel', '[^,]*dead/bias'\]"
    ):
        meta_gan.adapt(images[:4])
