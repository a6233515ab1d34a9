"""A generator of two images of one class, and the discriminator of such pairs."""

import keras

from metalearn_tf.checks.whole_numbers import check_python_whole
from metalearn_tf.networks.dcgan import dcgan


def pair_gan(image_shape=(28, 28, 1), class_dim=56, style_dim=8, **options):
    """Networks that learn from pairs of images what a class is, so that they can draw classes that do not exist.

    The noise has three parts: the class, and the style of each of two images. The same network draws both images, each
    from the class and its own style. The discriminator sees the pair: it judges whether both images are real and
    whether they are of one class. Noise with the same first `class_dim` numbers gives images of the same, new, class.

    A pair is one array with both images stacked along the channels. The networks are those of `dcgan`.

    Args:
        image_shape: `(height, width, channels)` of one image, multiples of 4 and at least 16 pixels a side.
        class_dim: numbers of the noise that make the class.
        style_dim: numbers of the noise that make one image of it.
        **options: `filters` and the normalisations of `dcgan`.

    Input shape: of the generator, noise `(batch, class_dim + 2 * style_dim)`; of the discriminator, pairs
        `(batch, height, width, 2 * channels)`.
    Output shape: of the generator, pairs in [-1, 1]; of the discriminator, logits `(batch, 1)`; both float32.

    Returns:
        `(generator, discriminator)`, built `keras.Model`s for `mtf.gan.GAN`.

    Raises:
        ValueError: if an argument is not among those accepted.

    Reference: [Donahue et al., 2018](https://arxiv.org/abs/1705.07904)
    """
    check_python_whole(class_dim=class_dim, style_dim=style_dim)
    drawing, _ = dcgan(image_shape, class_dim + style_dim, **options)
    # Without its last activation, which is applied once, to the pair.
    drawing = keras.Model(drawing.inputs, drawing.layers[-1].input, name="drawing")
    noise = keras.Input((class_dim + 2 * style_dim,), name="noise")
    parts = keras.ops.split(noise, [class_dim, class_dim + style_dim], axis=1)
    images = [drawing(keras.layers.Concatenate(name=f"noise_{n}")([parts[0], parts[n]])) for n in (1, 2)]
    pairs = keras.layers.Concatenate(name="pairs")(images)
    pairs = keras.layers.Activation("tanh", dtype="float32", name="generated")(pairs)
    _, discriminator = dcgan((*image_shape[:2], 2 * image_shape[2]), 1, **options)
    return keras.Model(noise, pairs, name="generator"), discriminator
