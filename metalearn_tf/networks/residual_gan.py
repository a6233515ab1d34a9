"""A small residual generator and discriminator."""

import keras

from metalearn_tf.networks.checks import check_generator_and_discriminator
from metalearn_tf.networks.conditioning import noise_and_labels, projected_logits
from metalearn_tf.networks.spectral_normalization_of import spectral_normalization_of
from metalearn_tf.networks.task_normalization import TaskNormalization


def residual_gan(image_shape=(28, 28, 1), latent_dim=64, classes=None, filters=64, spectral_normalization=True):
    """A generator of two residual blocks that double the image, and a discriminator of three, two of which halve it.

    For images of 28 and 32 pixels. A block is two 3×3 convolutions with `filters` channels. The networks have fewer
    weights than those of `dcgan`, but take several times the computation. The generator normalises with batch
    statistics in training and their moving averages otherwise, like Keras's `BatchNormalization`. The discriminator has
    no batch normalisation: an image's logit depends on that image alone, as gradient penalties require.

    With `classes`, the generator gets a label embedding beside the noise. The discriminator projects its features on an
    embedding of the label and adds the result to its logit.

    Args:
        image_shape: `(height, width, channels)`, multiples of 4 and at least 16 pixels a side.
        latent_dim: width of the noise.
        classes: number of classes of conditional networks; `None` for networks without labels.
        filters: channels of every map.
        spectral_normalization: if `True`, `keras.layers.SpectralNormalization` of every kernel of the discriminator,
            and the sum over its last maps as features (Miyato et al.); if `False`, no normalisation, and the mean over
            them (Gulrajani et al.).

    Input shape: of the generator, noise `(batch, latent_dim)`, or `[noise, labels]` with int32 labels `(batch,)` in
        `[0, classes)`; of the discriminator, images, or `[images, labels]`.
    Output shape: of the generator, images `(batch, height, width, channels)` float32 in [-1, 1]; of the discriminator,
        logits `(batch, 1)` float32. The input of its head is the layer `"features"`.

    Returns:
        `(generator, discriminator)`, built `keras.Model`s.

    Raises:
        ValueError: if an argument is not among those accepted.

    Reference: [Gulrajani et al., 2017](https://arxiv.org/abs/1704.00028), appendix F;
        [Miyato et al., 2018](https://arxiv.org/abs/1802.05957), appendix B.4.
    """
    check_generator_and_discriminator(image_shape, latent_dim, classes, filters)
    if not isinstance(spectral_normalization, bool):
        raise ValueError(f"`spectral_normalization` must be True or False. Received: {spectral_normalization!r}")
    return (
        _generator(image_shape, latent_dim, classes, filters),
        _discriminator(image_shape, classes, filters, spectral_normalization),
    )


def _generator(image_shape, latent_dim, classes, filters):
    height, width, channels = image_shape

    def activate(x, label):
        x = TaskNormalization("running", name=f"normalization_{label}")(x)
        return keras.layers.ReLU(name=f"relu_{label}")(x)

    def doubled(x, block):
        upsample = keras.layers.UpSampling2D(name=f"upsampling_{block}")
        # A 1×1 convolution and the copying of pixels commute; before the copying, the convolution has a quarter of the
        # work.
        shortcut = upsample(_convolution(filters, 1, f"{block}_shortcut")(x))
        x = upsample(activate(x, f"{block}_1"))
        x = _convolution(filters, 3, f"{block}_1", use_bias=False)(x)
        x = _convolution(filters, 3, f"{block}_2")(activate(x, f"{block}_2"))
        return keras.layers.Add(name=f"sum_{block}")([x, shortcut])

    inputs, x = noise_and_labels(latent_dim, classes)
    x = keras.layers.Dense(height // 4 * (width // 4) * filters, name="dense")(x)
    x = keras.layers.Reshape((height // 4, width // 4, filters), name="maps")(x)
    x = doubled(x, 1)
    x = doubled(x, 2)
    x = _convolution(channels, 3, "3")(activate(x, "3"))
    x = keras.layers.Activation("tanh", dtype="float32", name="generated")(x)
    return keras.Model(inputs, x, name="generator")


def _discriminator(image_shape, classes, filters, spectral_normalization):
    def wrap(layer):
        if not spectral_normalization:
            return layer
        return spectral_normalization_of(layer)

    def block(x, number, halved=True, first=False):
        def pool(x, label):
            return keras.layers.AveragePooling2D(2, name=f"pooling_{number}_{label}")(x) if halved else x

        # The 1×1 convolution and the pooling commute too.
        shortcut = wrap(_convolution(filters, 1, f"{number}_shortcut"))(pool(x, "shortcut")) if halved else x
        # No ReLU on the images themselves.
        x = x if first else keras.layers.ReLU(name=f"relu_{number}_1")(x)
        x = wrap(_convolution(filters, 3, f"{number}_1"))(x)
        x = keras.layers.ReLU(name=f"relu_{number}_2")(x)
        x = wrap(_convolution(filters, 3, f"{number}_2"))(x)
        return keras.layers.Add(name=f"sum_{number}")([pool(x, "sum"), shortcut])

    images = keras.Input(image_shape, name="images")
    labels = None if classes is None else keras.Input((), dtype="int32", name="labels")
    x = block(images, 1, first=True)
    x = block(x, 2)
    x = block(x, 3, halved=False)
    x = keras.layers.ReLU(name="relu")(x)
    pixels = x.shape[1] * x.shape[2]
    x = keras.layers.GlobalAveragePooling2D(dtype="float32", name="mean")(x)
    x = keras.layers.Rescaling(float(pixels if spectral_normalization else 1), dtype="float32", name="features")(x)
    inputs = images if labels is None else [images, labels]
    return keras.Model(inputs, projected_logits(x, labels, classes, wrap), name="discriminator")


def _convolution(filters, kernel, label, **options):
    return keras.layers.Conv2D(filters, kernel, padding="same", name=f"convolution_{label}", **options)
