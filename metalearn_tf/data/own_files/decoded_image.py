"""Decoded pixels become a network's input. Python and the served graph use the same operations."""

import functools

import tensorflow as tf

from metalearn_tf.data.resizing import crop, resize

# Rec. 601, the grey of JPEG files and of Pillow.
LUMA = (0.299, 0.587, 0.114)


def to_network_pixels(pixels, size, channels, crop_to_aspect_ratio=True):
    """Decoded pixels, cut, put on white, resized, and made grey or coloured.

    Args:
        pixels: `uint8` tensor `(height, width, 4)` of red, green, blue and opacity, or without the last
            `(height, width, 3)`, or of grey alone `(height, width, 1)`.
        size: pair `(height, width)`.
        channels: 1 or 3.
        crop_to_aspect_ratio: whether to cut out the middle in the aspect ratio of `size`; otherwise the whole image is
            stretched.

    Returns:
        `uint8` tensor `(*size, channels)`.
    """
    pixels = crop(pixels, size) if crop_to_aspect_ratio else pixels
    if pixels.shape[-1] == 4:
        pixels = tf.cond(
            tf.reduce_all(pixels[..., 3] == 255), lambda: pixels[..., :3], functools.partial(_on_white, pixels)
        )
    pixels = resize(pixels, size)
    # After the resize, since there are fewer pixels then.
    if channels == 1 and pixels.shape[-1] == 3:
        return _to_bytes(tf.tensordot(tf.cast(pixels, tf.float32), LUMA, axes=1))[..., None]
    return tf.repeat(pixels, channels // pixels.shape[-1], axis=-1)


def _on_white(pixels):
    colour, opacity = tf.cast(pixels[..., :3], tf.float32), tf.cast(pixels[..., 3:], tf.float32) / 255.0
    return _to_bytes(255.0 + (colour - 255.0) * opacity)


def _to_bytes(values):
    return tf.cast(tf.round(values), tf.uint8)
