"""A generator that takes an image and makes other images of the same class, and its discriminator."""

import keras

from metalearn_tf.checks.real_numbers import check_positive
from metalearn_tf.networks.checks import check_generator_and_discriminator
from metalearn_tf.networks.deformation import Deformation
from metalearn_tf.networks.example_normalization import ExampleNormalization


def augmentation_gan(image_shape=(28, 28, 1), latent_dim=32, filters=32, largest_move=1.0):
    """Networks that take an image and return another image of its class, also for classes not seen in training.

    The generator bends, turns, moves and scales the image (see `Deformation`). Convolutions over the image and the
    noise decide how. The discriminator sees a source image together with a real or a generated image of its class, so
    it teaches how the images of a class differ. A generator that draws freely learns this too, but for new classes it
    draws other classes: on Omniglot, support sets enlarged by a U-Net cost 16 points. Colours and textures stay those
    of the source. Maps are normalised example by example, so that the networks keep no state.

    Args:
        image_shape: `(height, width, channels)`, multiples of 4 and at least 16 pixels a side.
        latent_dim: width of the noise.
        filters: channels at half of the image's sides; twice as many at a quarter.
        largest_move: the largest move of a grid point, as a part of the four pixels between grid points. Below a half
            no stroke can be doubled or lost.

    Input shape: of the generator, `[noise, images]` of shapes `(batch, latent_dim)` and
        `(batch, height, width, channels)` in [-1, 1]; of the discriminator, `[images, source images]`.
    Output shape: of the generator, images in [-1, 1]; of the discriminator, logits `(batch, 1)`; both float32.

    Returns:
        `(generator, discriminator)`, built `keras.Model`s for `mtf.gan.GAN`, whose labels are the source images.

    Raises:
        ValueError: if an argument is not among those accepted.

    Reference: [Antoniou et al., 2017](https://arxiv.org/abs/1711.04340); deformations,
        [Jaderberg et al., 2015](https://arxiv.org/abs/1506.02025)
    """
    check_generator_and_discriminator(image_shape, latent_dim, None, filters)
    check_positive("largest_move", largest_move)
    return _generator(image_shape, latent_dim, filters, largest_move), _discriminator(image_shape, filters)


def _generator(image_shape, latent_dim, filters, largest_move):
    height, width, _ = image_shape
    noise = keras.Input((latent_dim,), name="noise")
    source = keras.Input(image_shape, name="source_images")
    half = _block(keras.layers.Conv2D(filters, 4, 2, "same", use_bias=False, name="convolution_1"), "1")(source)
    quarter = _block(keras.layers.Conv2D(2 * filters, 4, 2, "same", use_bias=False, name="convolution_2"), "2")(half)
    field = keras.layers.Dense(height // 4 * (width // 4) * filters, name="dense")(noise)
    field = keras.layers.Reshape((height // 4, width // 4, filters), name="noise_maps")(field)
    x = keras.layers.Concatenate(name="maps_and_noise")([quarter, field])
    x = _block(keras.layers.Conv2D(2 * filters, 3, padding="same", use_bias=False, name="convolution_3"), "3")(x)
    # Small at first, so that training starts near the source images.
    small = {"kernel_initializer": keras.initializers.RandomNormal(stddev=0.005), "dtype": "float32"}
    moves = keras.layers.Conv2D(2, 3, padding="same", name="moves", **small)(x)
    x = keras.layers.Concatenate(name="features")([keras.layers.Flatten(name="flat")(x), noise])
    parameters = keras.layers.Dense(7, name="parameters", **small)(x)
    images = Deformation(largest_move, name="generated")([source, moves, parameters])
    return keras.Model([noise, source], images, name="generator")


def _block(layer, label):
    normalize = ExampleNormalization(name=f"normalization_{label}")
    return lambda x: keras.layers.LeakyReLU(0.2, name=f"relu_{label}")(normalize(layer(x)))


def _discriminator(image_shape, filters):
    images = keras.Input(image_shape, name="images")
    source = keras.Input(image_shape, name="source_images")
    x = keras.layers.Concatenate(name="pairs")([images, source])
    # The first maps are not normalised, so that the discriminator sees the images' own statistics.
    x = keras.layers.Conv2D(filters, 4, 2, "same", name="convolution_1")(x)
    x = keras.layers.LeakyReLU(0.2, name="relu_1")(x)
    x = _block(keras.layers.Conv2D(2 * filters, 4, 2, "same", use_bias=False, name="convolution_2"), "2")(x)
    x = keras.layers.Flatten(dtype="float32", name="features")(x)
    return keras.Model([images, source], keras.layers.Dense(1, dtype="float32", name="head")(x), name="discriminator")
