"""Decodes image files to the pixels that a network was trained on, inside the graph."""

import functools
from typing import NamedTuple

import tensorflow as tf

from metalearn_tf.data.own_files.decoded_image import to_network_pixels
from metalearn_tf.serving.exif_orientation import exif_orientation, turn_upright
from metalearn_tf.serving.file_headers import FileHeader, file_header, is_png, scan_count
from metalearn_tf.serving.limits import LIMITS
from metalearn_tf.serving.request_checks import check_encoded, check_headers

# The number of files to decode at the same time. Decoding takes about ten bytes for each pixel of a file.
_AT_ONCE = 4


class ImageFiles(NamedTuple):
    """Files that passed the checks and may be decoded.

    Attributes:
        encoded: strings `(n,)`.
        header: their `FileHeader`, with tensors `(n,)`.
    """

    encoded: tf.Tensor
    header: FileHeader


def takes_encoded_images(network):
    """Whether image files fit the network's input: it must be grey or colour images of a fixed size."""
    shape = network.input_shape[1:]
    return len(shape) == 3 and None not in shape and shape[-1] in (1, 3)


def read_files(encoded, name, limits, most):
    """Checks the headers of a request's files against the limits, and returns `ImageFiles`. Nothing is decoded yet.

    Args:
        encoded: string tensor `(n,)`.
        name: the input's name, for the errors.
        limits: a dictionary, see `mtf.serving.limits`.
        most: the name of the limit on the number of files.
    """
    encoded = check_encoded(encoded, name, limits, most)
    # One part for each kibibyte of the largest image: far more than any program writes.
    header = file_header(encoded, max(1024, limits["max_pixels"] >> 10))
    scans = tf.map_fn(scan_count, encoded, fn_output_signature=tf.int64, parallel_iterations=_AT_ONCE)
    return ImageFiles(check_headers(encoded, header, scans, name, limits), header)


def decode_images(encoded, image_shape, name):
    """Decodes, turns upright, crops and resizes PNG and JPEG files like `mtf.data.read_image`.

    The operations are the same, except the decoder: TensorFlow's instead of Pillow's. JPEG files in CMYK are refused,
    because TensorFlow would decode them to other pixels.

    Args:
        encoded: string tensor `(n,)`; or `ImageFiles`, if the limits of an export have already been checked.
        image_shape: `(height, width, channels)`, with 1 channel for grey or 3 for colour.
        name: the input's name, for the errors.

    Returns:
        Images `(n, height, width, channels)` float32 in `[0, 1]`, in steps of 1/255.
    """
    if not isinstance(encoded, ImageFiles):
        encoded = read_files(encoded, name, {key: default for key, (default, _) in LIMITS.items()}, "max_images")
    return _decoder(tuple(image_shape), name)(encoded)


@functools.lru_cache(maxsize=8)
def _decoder(image_shape, name):
    """Makes the decoding function once and keeps it: making its graph takes longer than that of a small learner."""
    *size, channels = image_shape

    def decode(file):
        encoded, header = file
        pixels = tf.cond(
            is_png(encoded), lambda: _decode_png(encoded, header, name), lambda: _decode_jpeg(encoded, name)
        )
        pixels.set_shape((None, None, 4))
        pixels = turn_upright(pixels, exif_orientation(header.exif))
        return tf.cast(to_network_pixels(pixels, size, channels), tf.float32) / 255.0

    def decode_all(files):
        image = tf.TensorSpec(image_shape, tf.float32)
        return tf.map_fn(decode, files, fn_output_signature=image, parallel_iterations=_AT_ONCE)

    types = ImageFiles(tf.string, FileHeader(tf.int64, tf.int32, tf.int32, tf.string))
    files = tf.nest.map_structure(lambda dtype: tf.TensorSpec((None,), dtype), types)
    return tf.function(decode_all, input_signature=[files], autograph=False)


# These return pixels `(height, width, 4)` uint8: red, green, blue and opacity. The error of a damaged file shows only
# the names of the operations.


def _decode_jpeg(file, name):
    pixels = tf.io.decode_jpeg(file, 3, dct_method="INTEGER_ACCURATE", name=f"{name}_decode_jpeg")
    return tf.pad(pixels, [[0, 0], [0, 0], [0, 1]], constant_values=tf.constant(255, tf.uint8))


def _decode_png(file, header, name):
    pixels = tf.io.decode_png(file, 4, name=f"{name}_decode_png")

    def with_full_opacity():
        full = tf.fill(tf.shape(pixels[..., 3:]), tf.constant(255, tf.uint8))
        return tf.concat([pixels[..., :3], full], axis=-1)

    return tf.cond(header.opaque == 255, lambda: pixels, with_full_opacity)
