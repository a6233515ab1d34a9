"""The networks of GANs that know of classes and domains: pair_gan, augmentation_gan and translation_gan."""

import metalearn_tf as mtf

import keras
import numpy as np
import pytest
import tensorflow as tf

SHAPE = (16, 20, 1)
BUILDERS = {
    "pair": lambda: mtf.networks.pair_gan(SHAPE, class_dim=3, style_dim=2, filters=4),
    "augmentation": lambda: mtf.networks.augmentation_gan(SHAPE, latent_dim=5, filters=4),
    "translation": lambda: mtf.networks.translation_gan(SHAPE, latent_dim=5, filters=4),
}


def noise(n, width, seed=0):
    return tf.random.stateless_normal([n, width], [0, seed])


def images(n=3, seed=0, channels=1):
    return tf.random.stateless_uniform([n, *SHAPE[:2], channels], [1, seed], -1, 1)


@pytest.mark.full
@pytest.mark.parametrize("name", BUILDERS)
def test_a_gan_of_them_trains_samples_and_comes_back_from_a_file(name, tmp_path):
    gan = mtf.gan.GAN(*BUILDERS[name]())
    gan.compile()
    channels = 2 if name == "pair" else 1
    labels = None if name == "pair" else images(8, 1).numpy()
    before = gan.get_weights()
    gan.fit(images(8, 0, channels).numpy(), labels, batch_size=4, epochs=2, verbose=0)
    assert all(np.isfinite(weights).all() for weights in gan.get_weights())
    assert any(np.any(old != new) for old, new in zip(before, gan.get_weights()))
    samples = gan.sample(8, labels)
    assert samples.shape == (8, 16, 20, channels) and np.abs(samples).max() <= 1.0 and gan.image_range == (-1.0, 1.0)
    gan.save(tmp_path / "gan.keras")
    np.testing.assert_allclose(keras.models.load_model(tmp_path / "gan.keras").sample(8, labels), samples, atol=1e-6)


@pytest.mark.parametrize("name", ["augmentation", "translation"])
def test_they_keep_no_state_and_judge_examples_one_by_one(name):
    generator, discriminator = BUILDERS[name]()
    assert not generator.non_trainable_variables and not discriminator.non_trainable_variables
    together = discriminator([images(3), images(3, 1)])
    np.testing.assert_allclose(discriminator([images(3)[:1], images(3, 1)[:1]]), together[:1], atol=1e-5)


# === Pairs ===


def test_both_images_of_a_pair_are_drawn_alike_from_their_styles():
    generator, _ = mtf.networks.pair_gan(SHAPE, class_dim=3, style_dim=2, filters=4)
    both = noise(6, 7)
    swapped = tf.concat([both[:, :3], both[:, 5:], both[:, 3:5]], axis=1)
    pairs, mirrored = generator(both), generator(swapped)
    np.testing.assert_allclose(pairs, mirrored[..., ::-1], atol=1e-5)
    assert np.any(np.abs(pairs[..., 0] - pairs[..., 1]) > 1e-4)
    same_style = tf.concat([both[:, :5], both[:, 3:5]], axis=1)
    np.testing.assert_allclose(generator(same_style)[..., 0], generator(same_style)[..., 1], atol=1e-6)


@pytest.mark.full
def test_a_pair_learns_that_both_are_of_one_class():
    """Classes differ in brightness, pixels in noise: a drawn pair is of one brightness, and pairs of several."""
    random = np.random.default_rng(0)
    brightness = random.uniform(-0.8, 0.8, (512, 1, 1, 1))
    pairs = np.broadcast_to(brightness, (512, 16, 16, 2)) + random.normal(0, 0.05, (512, 16, 16, 2))
    keras.utils.set_random_seed(0)
    networks = mtf.networks.pair_gan(
        (16, 16, 1), 4, 4, filters=8, generator_normalization="layer", discriminator_normalization="layer"
    )
    gan = mtf.gan.GAN(*networks, penalty="r1", average_decay=None)
    gan.compile(*(keras.optimizers.Adam(1e-3, beta_1=0.0) for _ in range(2)))
    gan.fit(pairs.clip(-1, 1).astype("float32"), batch_size=32, epochs=25, verbose=0)
    first, second = gan.sample(200).mean(axis=(1, 2)).T
    assert np.corrcoef(first, second)[0, 1] > 0.8 and first.std() > 0.1


@pytest.mark.parametrize("options", [{"class_dim": 0}, {"style_dim": 1.5}, {"image_shape": (15, 16, 1)}])
def test_pairs_refuse_bad_sizes(options):
    with pytest.raises(ValueError, match=f"`{next(iter(options))}` must"):
        mtf.networks.pair_gan(**{"image_shape": SHAPE, **options})


# === Augmentation ===


def test_an_augmentation_starts_near_its_source_and_differs_by_its_noise():
    generator, _ = mtf.networks.augmentation_gan((28, 28, 1))
    smooth = np.sin(np.linspace(0, 6, 28))[:, None] * np.cos(np.linspace(0, 6, 28))[None]
    source = tf.constant(np.tile(smooth, (20, 1, 1))[..., None], "float32")
    drawn = generator([noise(20, 32), source])
    assert np.abs(drawn - np.tanh(1.5 * source) / np.tanh(1.5)).mean() < 0.25
    assert np.std(drawn, axis=0).mean() > 0.01


@pytest.mark.parametrize("largest_move", [0, -1.0, float("nan")])
def test_an_augmentation_refuses_moves_of_no_size(largest_move):
    with pytest.raises(ValueError, match="`largest_move` must be a positive number. Received: largest_move="):
        mtf.networks.augmentation_gan(SHAPE, largest_move=largest_move)


# === Translation ===


def test_a_translation_starts_from_the_image_and_sees_eleven_pixels():
    generator, _ = mtf.networks.translation_gan(SHAPE, latent_dim=5, filters=4)
    source, z = images(1), noise(1, 5)
    np.testing.assert_allclose(generator([z, source]), np.tanh(2.5 * source), atol=1e-6)
    keras.utils.set_random_seed(0)
    change = generator.get_layer("change")
    change.set_weights([np.random.default_rng(0).normal(size=w.shape) for w in change.get_weights()])
    other = source.numpy()
    other[0, 8, 10] += 0.5
    differs = np.abs(generator([z, tf.constant(other)]) - generator([z, source]))[0, ..., 0] > 1e-6
    rows, columns = np.nonzero(differs)
    assert rows.min() >= 3 and rows.max() <= 13 and columns.min() >= 5 and columns.max() <= 15 and differs.sum() > 20
    manners = generator([noise(1, 5, seed=1), source])
    assert np.abs(manners - generator([z, source])).max() > 1e-3


def test_the_judge_of_a_translation_does_not_see_the_source():
    _, discriminator = mtf.networks.translation_gan(SHAPE, latent_dim=5, filters=4)
    np.testing.assert_array_equal(discriminator([images(3), images(3, 1)]), discriminator([images(3), images(3, 2)]))


@pytest.mark.parametrize("build", [mtf.networks.augmentation_gan, mtf.networks.translation_gan])
@pytest.mark.parametrize("options", [{"latent_dim": 0}, {"filters": -1}, {"image_shape": (18, 20, 1)}])
def test_image_to_image_networks_refuse_bad_sizes(build, options):
    with pytest.raises(ValueError, match=f"`{next(iter(options))}` must"):
        build(**{"image_shape": SHAPE, **options})
