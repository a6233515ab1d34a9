"""Image files become the pixels that a network was trained on, inside the graph."""

import functools

import tensorflow as tf

from metalearn_tf.data.resizing import crop_and_resize
from metalearn_tf.serving.exif_orientation import exif_orientation, turn_upright
from metalearn_tf.serving.request_checks import check_encoded, is_png

# Rec. 601, as Pillow's grey.
LUMA = (0.299, 0.587, 0.114)


def takes_encoded_images(network):
    """Whether image files can be brought to the network's input: grey or colour, of a fixed size."""
    shape = network.input_shape[1:]
    return len(shape) == 3 and None not in shape and shape[-1] in (1, 3)


def decode_images(encoded, image_shape, name):
    """Decodes, turns upright, crops and resizes PNG and JPEG files as `mtf.data.from_directory` does.

    Args:
        encoded: string tensor `(n,)`.
        image_shape: `(height, width, channels)`, with 1 channel for grey or 3 for colour.
        name: the input's name, for the errors.

    Returns:
        Images `(n, height, width, channels)` float32 in `[0, 1]`, in steps of 1/255.
    """
    return _decoder(tuple(image_shape), name)(check_encoded(encoded, name))


@functools.lru_cache(maxsize=8)
def _decoder(image_shape, name):
    """A function of its own, and kept: making its graph takes longer than that of a small learner."""
    *size, channels = image_shape

    def decode(file):
        pixels = tf.cond(
            is_png(file),
            lambda: _decode_png(file, name),
            lambda: turn_upright(_decode_jpeg(file, name), exif_orientation(file)),
        )
        pixels.set_shape((None, None, 3))
        if channels == 1:
            luma = tf.tensordot(tf.cast(pixels, tf.float32), LUMA, axes=1)
            pixels = tf.cast(tf.round(luma), tf.uint8)[..., None]
        return tf.cast(crop_and_resize(pixels, size), tf.float32) / 255.0

    def decode_all(encoded):
        return tf.map_fn(decode, encoded, fn_output_signature=tf.TensorSpec(image_shape, tf.float32))

    return tf.function(decode_all, input_signature=[tf.TensorSpec((None,), tf.string)], autograph=False)


# The names of the operations are all that the error of a damaged file carries.


def _decode_jpeg(file, name):
    return tf.io.decode_jpeg(file, 3, dct_method="INTEGER_ACCURATE", name=f"{name}_decode_jpeg")


def _decode_png(file, name):
    """RGB `(height, width, 3)` uint8 of a PNG file, the transparent parts on white."""
    pixels = tf.io.decode_png(file, 4, name=f"{name}_decode_png")
    colour, opacity = tf.cast(pixels[..., :3], tf.float32), tf.cast(pixels[..., 3:], tf.float32)
    # TensorFlow fills in the opacity of a file of 1, 2 or 4 bits without one as 1, 3 or 15 where it is 255.
    bits = tf.io.decode_raw(tf.strings.substr(file, 24, 1, name=f"{name}_png_bits"), tf.uint8)[0]
    opaque = 2.0 ** tf.cast(tf.minimum(bits, 8), tf.float32) - 1.0
    opacity = tf.cond(tf.reduce_all(opacity == opaque), lambda: tf.ones_like(opacity), lambda: opacity / 255.0)
    return tf.cast(tf.round(255.0 + (colour - 255.0) * opacity), tf.uint8)
