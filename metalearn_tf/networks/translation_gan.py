"""A generator that gives an image the look of another domain, and its discriminator."""

import keras

from metalearn_tf.networks.checks import check_generator_and_discriminator
from metalearn_tf.networks.example_normalization import ExampleNormalization


def translation_gan(image_shape=(28, 28, 1), latent_dim=8, filters=16):
    """Networks that redraw images of one domain in the style of another, and do not change what they show.

    The generator adds to each pixel the output of two 5×5 convolutions and one 3×3 convolution over its surroundings
    and the noise. It sees eleven pixels a side: enough to change the width, blur and contrast of strokes, too few to
    draw another class. The discriminator sees only the image, because real images of the target domain have no source
    image.

    Args:
        image_shape: `(height, width, channels)`, multiples of 4 and at least 16 pixels a side.
        latent_dim: width of the noise.
        filters: channels of the generator's maps; the discriminator has twice and four times as many.

    Input shape: of the generator, `[noise, source images]` of shapes `(batch, latent_dim)` and
        `(batch, height, width, channels)` in [-1, 1]; of the discriminator, `[images, source images]`.
    Output shape: of the generator, images in [-1, 1]; of the discriminator, logits `(batch, 1)`; both float32.

    Returns:
        `(generator, discriminator)`, built `keras.Model`s for `mtf.gan.GAN`, whose labels are the source images.

    Raises:
        ValueError: if an argument is not among those accepted.

    Reference: [Bousmalis et al., 2017](https://arxiv.org/abs/1612.05424)
    """
    check_generator_and_discriminator(image_shape, latent_dim, None, filters)
    return _generator(image_shape, latent_dim, filters), _discriminator(image_shape, filters)


def _generator(image_shape, latent_dim, filters):
    noise = keras.Input((latent_dim,), name="noise")
    source = keras.Input(image_shape, name="source_images")
    # Black becomes 0, like the padding, so that the edge cannot be seen: networks that see the edge paint over it.
    x = keras.layers.Rescaling(1.0, 1.0, name="above_black")(source)
    x = keras.layers.Conv2D(filters, 5, padding="same", name="convolution_1")(x)
    # The noise is the same for all pixels: it sets a style, not a shape.
    manner = keras.layers.Dense(filters, use_bias=False, name="manner")(noise)
    x = keras.layers.Add(name="maps_and_manner")([x, keras.layers.Reshape((1, 1, filters), name="maps")(manner)])
    x = keras.layers.LeakyReLU(0.2, name="relu_1")(x)
    x = keras.layers.Conv2D(filters, 5, padding="same", name="convolution_2")(x)
    x = keras.layers.LeakyReLU(0.2, name="relu_2")(x)
    # Zeros at first, so that training starts from the source images: tanh(2.5 x) keeps black and white.
    change = keras.layers.Conv2D(image_shape[2], 3, padding="same", kernel_initializer="zeros", name="change")(x)
    strong = keras.layers.Rescaling(2.5, name="strong")(source)
    x = keras.layers.Add(name="changed")([strong, change])
    x = keras.layers.Activation("tanh", dtype="float32", name="generated")(x)
    return keras.Model([noise, source], x, name="generator")


def _discriminator(image_shape, filters):
    images = keras.Input(image_shape, name="images")
    source = keras.Input(image_shape, name="source_images")
    # No padding, so that a patch at the edge is judged like any other.
    x = keras.layers.Conv2D(2 * filters, 4, 2, "valid", name="convolution_1")(images)
    x = keras.layers.LeakyReLU(0.2, name="relu_1")(x)
    x = keras.layers.Conv2D(4 * filters, 4, 2, "valid", use_bias=False, name="convolution_2")(x)
    x = keras.layers.LeakyReLU(0.2, name="relu_2")(ExampleNormalization(name="normalization_2")(x))
    # The mean over patches: this judges the style everywhere, not what the image as a whole shows.
    x = keras.layers.GlobalAveragePooling2D(dtype="float32", name="features")(x)
    logits = keras.layers.Dense(1, dtype="float32", name="head")(x)
    return keras.Model([images, source], logits, name="discriminator")
