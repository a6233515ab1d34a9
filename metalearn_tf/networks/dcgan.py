"""The convolutional generator and discriminator of the literature."""

import keras

from metalearn_tf.networks.checks import check_generator_and_discriminator
from metalearn_tf.networks.conditioning import noise_and_labels, projected_logits
from metalearn_tf.networks.example_normalization import ExampleNormalization
from metalearn_tf.networks.spectral_normalization_of import spectral_normalization_of
from metalearn_tf.networks.task_normalization import TaskNormalization

GENERATOR_NORMALIZATIONS = ("batch", "layer", None)
DISCRIMINATOR_NORMALIZATIONS = ("batch", "layer", "spectral", None)


def dcgan(
    image_shape=(28, 28, 1),
    latent_dim=64,
    classes=None,
    filters=64,
    generator_normalization="batch",
    discriminator_normalization="batch",
):
    """A generator of two transposed convolutions, and its mirror image, a discriminator of two convolutions.

    For images of 28 and 32 pixels. Kernels are 4×4 and strides 2; there are `filters` channels at half of the image's
    sides and twice as many at a quarter.

    Normalisations:

    - `"batch"`: batch statistics in training, their moving averages otherwise, like Keras's `BatchNormalization`.
    - `"layer"`: each image by its own statistics (`ExampleNormalization`). With a gradient penalty, the discriminator
      needs this, `"spectral"` or `None`: under batch normalisation an image's logit depends on other images.
    - `"spectral"`: `keras.layers.SpectralNormalization` of every kernel, for the discriminator only. A pass in training
      divides the kernels by an estimate of their largest singular value. It does so in place, in the precision of the
      weights.
    - `None`: none.

    With `classes`, the generator gets a label embedding beside the noise. The discriminator projects its features on an
    embedding of the label and adds the result to its logit.

    Args:
        image_shape: `(height, width, channels)`, multiples of 4 and at least 16 pixels a side.
        latent_dim: width of the noise.
        classes: number of classes of conditional networks; `None` for networks without labels.
        filters: channels of the widest map.
        generator_normalization: `"batch"`, `"layer"` or `None`.
        discriminator_normalization: `"batch"`, `"layer"`, `"spectral"` or `None`.

    Input shape: of the generator, noise `(batch, latent_dim)`, or `[noise, labels]` with int32 labels `(batch,)` in
        `[0, classes)`; of the discriminator, images, or `[images, labels]`.
    Output shape: of the generator, images `(batch, height, width, channels)` float32 in [-1, 1]; of the discriminator,
        logits `(batch, 1)` float32. The input of its head is the layer `"features"`.

    Returns:
        `(generator, discriminator)`, built `keras.Model`s.

    Raises:
        ValueError: if an argument is not among those accepted.

    Reference: [Radford et al., 2016](https://arxiv.org/abs/1511.06434); projection:
        [Miyato and Koyama, 2018](https://arxiv.org/abs/1802.05637); spectral normalisation:
        [Miyato et al., 2018](https://arxiv.org/abs/1802.05957).
    """
    check_generator_and_discriminator(image_shape, latent_dim, classes, filters)
    _check_normalization("generator_normalization", generator_normalization, GENERATOR_NORMALIZATIONS)
    _check_normalization("discriminator_normalization", discriminator_normalization, DISCRIMINATOR_NORMALIZATIONS)
    return (
        _generator(image_shape, latent_dim, classes, filters, generator_normalization),
        _discriminator(image_shape, classes, filters, discriminator_normalization),
    )


def _generator(image_shape, latent_dim, classes, filters, normalization):
    height, width, channels = image_shape
    inputs, x = noise_and_labels(latent_dim, classes)
    x = keras.layers.Dense(height // 4 * (width // 4) * 2 * filters, name="dense", **_kernel_options(normalization))(x)
    x = keras.layers.Reshape((height // 4, width // 4, 2 * filters), name="maps")(x)
    x = _normalize(x, normalization, "normalization_1")
    x = keras.layers.ReLU(name="relu_1")(x)
    options = _kernel_options(normalization)
    x = keras.layers.Conv2DTranspose(filters, 4, 2, "same", name="transposed_convolution_1", **options)(x)
    x = _normalize(x, normalization, "normalization_2")
    x = keras.layers.ReLU(name="relu_2")(x)
    options = _kernel_options(normalization, follows=False)
    x = keras.layers.Conv2DTranspose(channels, 4, 2, "same", name="transposed_convolution_2", **options)(x)
    x = keras.layers.Activation("tanh", dtype="float32", name="generated")(x)
    return keras.Model(inputs, x, name="generator")


def _discriminator(image_shape, classes, filters, normalization):
    def wrap(layer):
        if normalization != "spectral":
            return layer
        return spectral_normalization_of(layer)

    images = keras.Input(image_shape, name="images")
    labels = None if classes is None else keras.Input((), dtype="int32", name="labels")
    # The first maps are not normalised, so that the discriminator sees the images' own statistics.
    options = _kernel_options(normalization, follows=False)
    x = wrap(keras.layers.Conv2D(filters, 4, 2, "same", name="convolution_1", **options))(images)
    x = keras.layers.LeakyReLU(0.2, name="relu_1")(x)
    options = _kernel_options(normalization)
    x = wrap(keras.layers.Conv2D(2 * filters, 4, 2, "same", name="convolution_2", **options))(x)
    x = _normalize(x, normalization, "normalization_2")
    x = keras.layers.LeakyReLU(0.2, name="relu_2")(x)
    x = keras.layers.Flatten(dtype="float32", name="features")(x)
    inputs = images if labels is None else [images, labels]
    return keras.Model(inputs, projected_logits(x, labels, classes, wrap), name="discriminator")


def _normalize(x, normalization, name):
    if normalization == "batch":
        # Does what Keras's layer does, with a faster and exact second derivative for meta-gradients.
        return TaskNormalization("running", name=name)(x)
    return ExampleNormalization(name=name)(x) if normalization == "layer" else x


def _kernel_options(normalization, follows=True):
    """Options for bias and first kernel of a layer, with or without a normalisation after it."""
    has_offset = follows and normalization in ("batch", "layer")
    # The paper's small weights need a normalisation that restores the scale. Layers must not share an initializer: it
    # would give them the same numbers.
    small = keras.initializers.RandomNormal(stddev=0.02)
    return {"use_bias": not has_offset, "kernel_initializer": small if normalization else "glorot_uniform"}


def _check_normalization(name, normalization, accepted):
    if normalization not in accepted:
        raise ValueError(f"`{name}` must be one of {accepted}. Received: {normalization!r}")
