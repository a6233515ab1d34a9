"""Exported GANs draw and adapt without Python as they do with it."""

import metalearn_tf as mtf

import keras
import numpy as np
import pytest


@pytest.fixture(scope="module")
def images():
    """Eight float images in [-1, 1]."""
    return np.random.default_rng(0).uniform(-1.0, 1.0, (8, 28, 28, 1)).astype("float32")


@pytest.mark.parametrize("algorithm", ["reptile", "maml"])
def test_a_meta_gan_adapts_without_python(algorithm, images, cpp_client, tmp_path):
    keras.utils.set_random_seed(0)
    networks = mtf.networks.dcgan(
        filters=4, latent_dim=8, generator_normalization="layer", discriminator_normalization="layer"
    )
    meta_gan = mtf.gan.MetaGAN(mtf.gan.GAN(*networks, penalty="r1"), algorithm, inner_steps=3)
    meta_gan.export(tmp_path / "1", warm_up=False)
    expected = meta_gan.adapt(images, seed=5).sample(6, seed=5)

    request = {"images": images, "seed": np.int32(5)}
    whole, adapted, refused = cpp_client.ask(
        tmp_path / "1",
        [
            ("adapt_and_generate", {**request, "count": np.int32(6)}),
            ("adapt", request),
            ("adapt_and_generate", {**request, "images": images * 127.5, "count": np.int32(6)}),
        ],
        threads=2,
        repeat=2,
    )
    assert whole.error is None and adapted.error is None
    np.testing.assert_allclose(whole.outputs["generated"], expected, atol=1e-4)
    assert np.abs(expected - meta_gan.gan.sample(6, seed=5)).max() > 1e-2  # adaptation says something
    assert "must be in [-1, 1]" in refused.error

    (later,) = cpp_client.ask(
        tmp_path / "1", [("generate", {**adapted.outputs, "count": np.int32(6), "seed": np.int32(5)})]
    )
    np.testing.assert_allclose(later.outputs["generated"], expected, atol=1e-4)


def test_a_conditional_meta_gan_adapts_without_python(images, cpp_client, tmp_path):
    keras.utils.set_random_seed(0)
    networks = mtf.networks.dcgan(
        filters=4, latent_dim=8, classes=3, generator_normalization="layer", discriminator_normalization="layer"
    )
    meta_gan = mtf.gan.MetaGAN(mtf.gan.GAN(*networks, penalty="r1"), inner_steps=3, inner_batch_size=4)
    meta_gan.export(tmp_path / "1", warm_up=False)
    labels, wanted = np.arange(8, dtype="int32") % 3, np.asarray([2, 0, 2], "int32")
    expected = meta_gan.adapt(images, labels, seed=5).sample(3, wanted, seed=5)

    shown = {"images": images, "labels": labels, "seed": np.int32(5)}
    request = {**shown, "wanted_labels": wanted}
    whole, adapted, *refused = cpp_client.ask(
        tmp_path / "1",
        [
            ("adapt_and_generate", request),
            ("adapt", shown),
            ("adapt_and_generate", {**request, "labels": labels[:7]}),
            ("adapt_and_generate", {**request, "labels": labels[:, None]}),
            ("adapt_and_generate", {**request, "labels": np.minimum(labels, 1)}),
        ],
    )
    assert whole.error is None and adapted.error is None
    np.testing.assert_allclose(whole.outputs["generated"], expected, atol=1e-4)
    for answer, message in zip(refused, ("one entry for each image", "labels_shape", "must be among `labels`")):
        assert message in answer.error
    (later, unknown) = cpp_client.ask(
        tmp_path / "1",
        [
            ("generate", {**adapted.outputs, "wanted_labels": wanted, "seed": np.int32(5)}),
            ("generate", {**adapted.outputs, "wanted_labels": wanted + 1, "seed": np.int32(5)}),
        ],
    )
    np.testing.assert_allclose(later.outputs["generated"], expected, atol=1e-4)
    assert "`wanted_labels` must be from 0 to 2" in unknown.error


def test_a_conditional_gan_draws_without_python(cpp_client, tmp_path):
    keras.utils.set_random_seed(0)
    gan = mtf.gan.GAN(*mtf.networks.dcgan(filters=4, latent_dim=8, classes=3))
    gan.export(tmp_path / "1", warm_up=False)
    labels = np.asarray([2, 0, 1, 2], "int32")
    drawn, refused = cpp_client.ask(
        tmp_path / "1",
        [
            ("generate", {"labels": labels, "seed": np.int32(1)}),
            ("generate", {"labels": labels + 1, "seed": np.int32(1)}),
        ],
    )
    np.testing.assert_allclose(drawn.outputs["images"], gan.sample(4, labels, seed=1), atol=1e-5)
    assert "`labels` must be from 0 to 2" in refused.error
