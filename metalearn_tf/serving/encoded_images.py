"""Image files become the pixels that a network was trained on, inside the graph."""

import functools

import tensorflow as tf

from metalearn_tf.data.decoded_image import to_network_pixels
from metalearn_tf.serving.exif_orientation import exif_orientation, turn_upright
from metalearn_tf.serving.file_headers import jpeg_header, png_header
from metalearn_tf.serving.request_checks import check_encoded, check_header, is_png

# How many files are decoded at the same time: each takes a few bytes for each of its pixels.
_AT_ONCE = 4


def takes_encoded_images(network):
    """Whether image files can be brought to the network's input: grey or colour, of a fixed size."""
    shape = network.input_shape[1:]
    return len(shape) == 3 and None not in shape and shape[-1] in (1, 3)


def decode_images(encoded, image_shape, name):
    """Decodes, turns upright, crops and resizes PNG and JPEG files as `mtf.data.read_image` does.

    The same operations as there, but for the decoder: TensorFlow's in place of Pillow's. JPEG files in CMYK, which
    TensorFlow would decode to other pixels, are refused.

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
        pixels = tf.cond(is_png(file), lambda: _decode_png(file, name), lambda: _decode_jpeg(file, name))
        pixels.set_shape((None, None, 4))
        return tf.cast(to_network_pixels(pixels, size, channels), tf.float32) / 255.0

    def decode_all(encoded):
        image = tf.TensorSpec(image_shape, tf.float32)
        return tf.map_fn(decode, encoded, fn_output_signature=image, parallel_iterations=_AT_ONCE)

    return tf.function(decode_all, input_signature=[tf.TensorSpec((None,), tf.string)], autograph=False)


# Upright pixels `(height, width, 4)` uint8: red, green, blue and opacity. The names of the operations are all that the
# error of a damaged file carries.


def _decode_jpeg(file, name):
    header = jpeg_header(file)
    file = check_header(file, header, name)
    pixels = tf.io.decode_jpeg(file, 3, dct_method="INTEGER_ACCURATE", name=f"{name}_decode_jpeg")
    pixels = turn_upright(pixels, exif_orientation(header.exif))
    return tf.concat([pixels, tf.fill(tf.concat([tf.shape(pixels)[:2], [1]], 0), tf.constant(255, tf.uint8))], axis=-1)


def _decode_png(file, name):
    header = png_header(file)
    file = check_header(file, header, name)
    pixels = tf.io.decode_png(file, 4, name=f"{name}_decode_png")
    colour, opacity = pixels[..., :3], pixels[..., 3:]
    opacity = tf.cond(
        header.opaque == 255, lambda: opacity, lambda: tf.fill(tf.shape(opacity), tf.constant(255, tf.uint8))
    )
    return turn_upright(tf.concat([colour, opacity], axis=-1), exif_orientation(header.exif))
