"""What GANs of classes are trained on and draw."""

import types

import metalearn_tf as mtf
from metalearn_tf.workflows.class_gans import (
    gan_kind,
    more_examples,
    new_classes,
    to_bytes,
    to_gan_range,
    train_gan,
)

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_domains import SHAPE, augmentation_gan, conditional_gan, domain, pair_gan

GANS = {"classes": pair_gan, "others": augmentation_gan, "labels": conditional_gan}


@pytest.mark.parametrize("kind", GANS)
def test_the_networks_say_what_a_gan_draws(kind):
    assert gan_kind(GANS[kind](), SHAPE) == kind


@pytest.mark.parametrize(
    "networks",
    [
        lambda: mtf.networks.dcgan(SHAPE, filters=4),
        lambda: mtf.networks.dcgan((16, 16, 2), filters=4),
        lambda: mtf.networks.augmentation_gan((16, 20, 1), filters=4),
        lambda: mtf.networks.pair_gan((16, 16, 3), filters=4),
    ],
)
def test_a_gan_that_knows_no_classes_of_these_images_is_refused(networks):
    with pytest.raises(ValueError, match="`build_gan` must build a GAN of classes.*pair_gan.*Received: "):
        gan_kind(mtf.gan.GAN(*networks()), SHAPE)


@pytest.mark.full
@pytest.mark.parametrize("kind", GANS)
def test_each_kind_trains_on_the_dataset(kind):
    gan = GANS[kind]()
    before = gan.generator.get_weights()
    train_gan(gan, domain("a"), steps=2, batch_size=8, seed=0)
    assert int(gan.generator_optimizer.iterations) == 2
    assert any(np.any(old != new) for old, new in zip(before, gan.generator.get_weights()))


@pytest.mark.full
def test_pairs_of_training_are_of_one_class(monkeypatch):
    seen = []
    monkeypatch.setattr(mtf.gan.GAN, "fit", lambda self, x, **options: seen.append(next(iter(x))))
    flat = mtf.data.ClassDataset(
        np.repeat(np.arange(6, dtype="uint8"), 12)[:, None, None, None] * np.ones(SHAPE, "uint8"),
        np.repeat(np.arange(6), 12),
    )
    train_gan(pair_gan(), flat, steps=1, batch_size=16, seed=0)
    train_gan(augmentation_gan(), flat, steps=1, batch_size=16, seed=0)
    pairs, (images, sources) = seen
    assert pairs.shape == (16, 16, 16, 2) and len(np.unique(pairs)) > 3
    np.testing.assert_array_equal(pairs[..., 0], pairs[..., 1])
    np.testing.assert_array_equal(images, sources)


@pytest.mark.rows(default=["1.0"])
@pytest.mark.parametrize("variety", [1.0, 0.3])
def test_images_of_a_new_class_have_its_noise_and_styles_of_their_own(variety):
    gan = pair_gan()
    drawn = new_classes(gan, classes=5, examples=3, seed=1, variety=variety)
    assert drawn.examples.shape == (15, *SHAPE) and drawn.dtype == "uint8" and drawn.num_classes == 5
    # From the formula: the class in the first four numbers, then a style of three for each image of a pair.
    noise = np.random.default_rng(1).normal(size=(5, 2, 10)).astype("float32")
    noise[:, 1, :4] = noise[:, 0, :4]
    noise[:, :, 4:] *= variety
    pairs = np.asarray(gan.sampler(noise.reshape(10, 10))).reshape(5, 2, 16, 16, 2)
    expected = np.moveaxis(pairs, -1, 2).reshape(5, 4, 16, 16)[:, :3].reshape(15, 16, 16, 1)
    assert np.abs(drawn.examples.astype(int) - to_bytes(gan, expected).astype(int)).max() <= 1


def test_what_the_discriminator_takes_for_real_the_most_is_kept():
    gan = pair_gan()
    # Untrained, all classes are of one grey.
    random = np.random.default_rng(0)
    gan.sampler.set_weights([random.normal(size=weights.shape) ** 2 for weights in gan.sampler.get_weights()])
    pairs = keras.Input((16, 16, 2))
    brightness = keras.ops.mean(keras.layers.GlobalAveragePooling2D()(pairs), axis=1, keepdims=True)
    gan.discriminator = keras.Model(pairs, brightness)
    everything = new_classes(gan, 8, 4, seed=0).examples.reshape(8, 4, *SHAPE)
    best = new_classes(gan, 4, 4, seed=0, keep=0.5).examples.reshape(4, 4, *SHAPE)
    brightest = np.argsort(-everything.reshape(8, -1).mean(axis=1))[:4]
    np.testing.assert_array_equal(best, everything[np.sort(brightest)])


@pytest.mark.rows(default=["labels"])
@pytest.mark.parametrize("kind", ["others", "labels"])
def test_more_examples_are_of_the_same_classes_and_as_many_as_asked(kind):
    dataset = domain("a")
    drawn = more_examples(GANS[kind](), dataset, ratio=1.5, seed=0, keep=0.5)
    assert drawn.class_names == dataset.class_names and drawn.class_sizes.tolist() == [18] * 6
    assert drawn.dtype == "uint8" and drawn.domain == "a"


def test_more_examples_come_from_the_examples_of_their_class():
    gan, dataset = augmentation_gan(), domain("a")
    inputs = [keras.Input((3,)), keras.Input(SHAPE)]
    inverted = keras.layers.Rescaling(-1.0)(inputs[1])
    gan.averaged_generator = keras.Model(inputs, inverted)
    drawn = more_examples(gan, dataset, ratio=1.0, seed=0)
    assert np.abs(drawn.examples.astype(int) - (255 - dataset.examples.astype(int))).max() <= 1


def of_range(low, high):
    return types.SimpleNamespace(image_range=(low, high))


def test_ranges():
    np.testing.assert_array_equal(to_bytes(of_range(-1.0, 1.0), np.array([-1.0, 0.0, 1.0, 3.0])), [0, 128, 255, 255])
    np.testing.assert_array_equal(to_bytes(of_range(0.0, 1.0), np.array([0.0, 0.5, 1.0])), [0, 128, 255])
    for (low, high), middle in {(-1.0, 1.0): 0.0, (0.0, 1.0): 0.5, (0.0, 255.0): 127.5}.items():
        gan = of_range(low, high)
        np.testing.assert_allclose(to_gan_range(gan, np.array([0, 255], "uint8")), [low, high])
        np.testing.assert_allclose(to_gan_range(gan, tf.constant([0.0, 0.5, 1.0])), [low, middle, high])


def as_floats(dataset):
    return mtf.data.ClassDataset(
        dataset.examples.astype("float32") / 255, dataset.labels, dataset.class_names, domain=dataset.domain
    )


@pytest.mark.rows(default=["labels-limits2"])
@pytest.mark.parametrize("kind, limits", [("classes", (-1.0, 1.0)), ("others", (0.0, 1.0)), ("labels", (-1.0, 1.0))])
def test_floats_and_bytes_are_the_same_images_to_a_gan_in_its_own_range(kind, limits, monkeypatch):
    """Seen and redrawn: bytes, and floats in [0, 1]."""
    gan, seen, drawn = GANS[kind](), [], []
    monkeypatch.setattr(mtf.gan.GAN, "fit", lambda self, x, **options: seen.append(tf.nest.flatten(next(iter(x)))))
    monkeypatch.setattr(mtf.gan.GAN, "image_range", property(lambda self: limits))
    for dataset in (domain("a"), as_floats(domain("a"))):
        train_gan(gan, dataset, steps=1, batch_size=64, seed=0)
        if kind != "classes":
            drawn.append(more_examples(gan, dataset, ratio=1.0, seed=0).examples)
    for one, other in zip(*seen):
        np.testing.assert_allclose(one, other, atol=1e-5)
    images = seen[0][0].numpy()
    pixels = domain("a").examples / 255.0
    expected = np.quantile(pixels, [0.02, 0.98]) * (limits[1] - limits[0]) + limits[0]
    np.testing.assert_allclose(np.quantile(images, [0.02, 0.98]), expected, atol=0.1)
    if drawn:
        assert np.abs(drawn[0].astype(int) - drawn[1]).max() <= 1


def test_a_gan_whose_range_is_not_known_is_refused():
    generator, discriminator = mtf.networks.dcgan(SHAPE, latent_dim=3, classes=6, filters=4)
    unbounded = keras.Model(generator.inputs, keras.layers.Conv2D(1, 1)(generator.output))
    with pytest.raises(ValueError, match=r"`build_gan` must build a GAN whose pixels are in a known range"):
        gan_kind(mtf.gan.GAN(unbounded, discriminator), SHAPE)
