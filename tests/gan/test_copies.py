"""A GAN, its copies and its files compute the same; what draws is what the present weights are."""

import copy

import metalearn_tf as mtf

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_networks import LATENT, SHAPE, discriminator, generator

L = keras.layers


@keras.saving.register_keras_serializable("test_copies")
def real_side(real_logits, fake_logits):
    return tf.reduce_mean(tf.square(fake_logits)) - tf.reduce_mean(real_logits)


@keras.saving.register_keras_serializable("test_copies")
def fake_side(fake_logits):
    return -tf.reduce_mean(fake_logits)


@keras.saving.register_keras_serializable("test_copies")
def slopes(critic, real, fake, mix):
    return mtf.gan.r1_penalty(critic, fake)


def encoder():
    return keras.Sequential([keras.Input(SHAPE), L.Flatten(), L.Dense(LATENT)])


GANS = {
    "plain": {},
    "own loss": {"loss": (real_side, fake_side), "seed": np.int64(3), "name": "one"},
    "losses of two names": {"loss": [mtf.gan.hinge_discriminator_loss, mtf.gan.wasserstein_generator_loss]},
    "own penalty": {"penalty": mtf.gan.Penalty(slopes, 0.5), "penalty_weight": np.float32(0.25)},
    "penalty of another weight": {"penalty": mtf.gan.Penalty(mtf.gan.gradient_penalty, 2.0), "loss": "wasserstein"},
    "one-sided": {"penalty": mtf.gan.PENALTIES["gradient_one_sided"], "discriminator_steps": np.int32(2)},
    "encoder": {"encoder": encoder, "reconstruction_weight": np.float64(0.5), "average_decay": None},
    "features": {"feature_matching_weight": 0.5, "augmentation": ("color", "cutout"), "average_decay": np.float32(0.5)},
    "range": {"generator": lambda: generator(last="linear"), "image_range": np.asarray([0.0, 255.0])},
}


def new_gan(kind="plain"):
    keras.utils.set_random_seed(0)
    options = {"generator": generator, "discriminator": lambda: discriminator(activation="softplus"), **GANS[kind]}
    for name in ("generator", "discriminator", "encoder"):
        options[name] = options[name]() if name in options else None
    return mtf.gan.GAN(**options)


@pytest.mark.rows(default=["encoder"])
@pytest.mark.parametrize("kind", GANS)
def test_every_argument_comes_back(kind, images, tmp_path):
    gan = new_gan(kind)
    gan.compile(run_eagerly=True)
    gan.train_on_batch(images[:4])
    gan.save(tmp_path / "gan.keras")
    again = {
        "file": keras.models.load_model(tmp_path / "gan.keras"),
        "copy": gan.copy(),
        "deepcopy": copy.deepcopy(gan),
        "configuration": mtf.gan.GAN.from_config(gan.get_config()),
    }
    again["configuration"].set_weights(gan.get_weights())
    expected = gan.test_on_batch(images[:4])
    for name, other in again.items():
        if not other.compiled:
            other.compile(run_eagerly=True)
        np.testing.assert_array_equal(gan.sample(3), other.sample(3), err_msg=name)
        np.testing.assert_allclose(other.test_on_batch(images[:4]), expected, rtol=1e-5, err_msg=name)
        assert other.discriminator_steps == gan.discriminator_steps and other.image_range == gan.image_range
        assert (other.seed, other.average_decay) == (gan.seed, gan.average_decay)
        assert int(other.steps) == 1


def test_functions_without_a_name_are_copied_inside_the_process(images):
    loss = (lambda real, fake: real_side(real, fake), lambda fake: fake_side(fake))
    gan = mtf.gan.GAN(generator(), discriminator(), loss=loss)
    other = gan.copy()
    for one in (gan, other):
        one.compile(run_eagerly=True)
    assert gan.test_on_batch(images) == other.test_on_batch(images)


def test_a_lambda_layer_is_copied(images):
    keras.utils.set_random_seed(0)
    drawing = keras.Sequential(
        [keras.Input((LATENT,)), L.Dense(64, "tanh"), L.Lambda(lambda x: tf.reshape(x, (-1, *SHAPE)))]
    )
    gan = mtf.gan.GAN(drawing, discriminator(), image_range=(-1, 1))
    adapted = mtf.gan.MetaGAN(gan, inner_steps=1).adapt(images[:4])
    assert adapted.sample(2).shape == (2, *SHAPE)


META_GANS = {
    "reptile": {
        "algorithm": "reptile",
        "inner_steps": np.int64(2),
        "inner_optimizer": lambda: keras.optimizers.RMSprop(keras.optimizers.schedules.ExponentialDecay(1e-2, 1, 0.5)),
        "inner_batch_size": 2,
        "seed": np.int32(7),
    },
    "maml": {
        "algorithm": "maml",
        "inner_steps": 1,
        "inner_learning_rate": np.float32(0.05),
        "learned_rates": True,
        "test_inner_steps": 3,
        "name": "meta",
    },
}


@pytest.mark.full
@pytest.mark.parametrize("kind", META_GANS)
def test_every_argument_of_a_meta_gan_comes_back(kind, images, tmp_path):
    options = dict(META_GANS[kind])
    if "inner_optimizer" in options:
        options["inner_optimizer"] = options["inner_optimizer"]()
    meta_gan = mtf.gan.MetaGAN(new_gan("own penalty"), **options)
    meta_gan.compile(run_eagerly=True)
    meta_gan.save(tmp_path / "meta_gan.keras")
    again = [keras.models.load_model(tmp_path / "meta_gan.keras"), mtf.gan.MetaGAN.from_config(meta_gan.get_config())]
    again[1].set_weights(meta_gan.get_weights())
    drawn = meta_gan.adapt(images[:4], seed=2).sample(2)
    for other in again:
        np.testing.assert_array_equal(other.adapt(images[:4], seed=2).sample(2), drawn)
        for name in ("algorithm", "inner_steps", "inner_learning_rate", "learned_rates", "test_inner_steps", "seed"):
            assert getattr(other, name) == getattr(meta_gan, name), name


# === Weights that came another way than by training ===


@pytest.mark.rows(default=["False"])
@pytest.mark.parametrize("trained", [False, True])
def test_loaded_weights_are_drawn_with(trained, images, tmp_path):
    gan, source = new_gan(), new_gan()
    source.generator.set_weights([weight + 0.1 for weight in source.generator.get_weights()])
    source.generator.save_weights(tmp_path / "generator.weights.h5")
    gan.compile(*(keras.optimizers.SGD(1e-3) for _ in range(2)), run_eagerly=True)
    if trained:
        gan.train_on_batch(images)
        assert gan.sampler is gan.averaged_generator
    gan.generator.load_weights(tmp_path / "generator.weights.h5")
    assert gan.sampler is gan.generator
    np.testing.assert_array_equal(gan.sample(4), source.sample(4))
    gan.export(tmp_path / "1", warm_up=False)
    served = tf.saved_model.load(str(tmp_path / "1")).signatures["generate"]
    drawn = served(count=tf.constant(4), seed=tf.constant(0))["images"]
    np.testing.assert_allclose(drawn, source.sample(4), atol=1e-6)
    # The average of further training begins at these weights.
    start = gan.generator.get_weights()
    gan.train_on_batch(images)
    decay = 2 / 11 if not trained else 3 / 12
    for old, new, average in zip(start, gan.generator.get_weights(), gan.averaged_generator.get_weights()):
        np.testing.assert_allclose(average, decay * old + (1 - decay) * new, atol=1e-6)
    assert gan.sampler is gan.averaged_generator


def test_meta_training_is_seen_in_the_gan_s_samples(images):
    meta_gan = mtf.gan.MetaGAN(new_gan(), inner_steps=1)
    meta_gan.compile(run_eagerly=True)
    before = meta_gan.gan.sample(4)
    meta_gan.train_on_batch(images[None, :4])
    after = meta_gan.gan.sample(4)
    assert np.any(before != after)
    noise = mtf.gan.objectives.draw_noise(4, LATENT, [0, 0])
    np.testing.assert_allclose(after, meta_gan.gan.generator(noise), atol=1e-6)
