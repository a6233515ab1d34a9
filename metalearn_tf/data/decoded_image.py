"""Decoded pixels become a network's input, in Python and inside a served graph by the same operations."""

import tensorflow as tf

from metalearn_tf.data.resizing import crop_and_resize, resize

# Rec. 601, the grey of JPEG files and of Pillow.
LUMA = (0.299, 0.587, 0.114)


def to_network_pixels(pixels, size, channels, crop_to_aspect_ratio=True):
    """Decoded pixels, cut, put on white, made grey or coloured, and resized.

    Args:
        pixels: `uint8` tensor `(height, width, 4)` of red, green, blue and opacity, or without the last
            `(height, width, 3)`, or of grey alone `(height, width, 1)`.
        size: pair `(height, width)`.
        channels: 1 or 3.
        crop_to_aspect_ratio: whether the middle is cut out in the aspect ratio of `size`; the whole image is stretched
            otherwise.

    Returns:
        `uint8` tensor `(*size, channels)`.
    """
    if pixels.shape[-1] == 4:
        colour, opacity = tf.cast(pixels[..., :3], tf.float32), tf.cast(pixels[..., 3:], tf.float32) / 255.0
        pixels = _to_bytes(255.0 + (colour - 255.0) * opacity)
    if channels == 1 and pixels.shape[-1] == 3:
        pixels = _to_bytes(tf.tensordot(tf.cast(pixels, tf.float32), LUMA, axes=1))[..., None]
    elif channels == 3 and pixels.shape[-1] == 1:
        pixels = tf.repeat(pixels, 3, axis=-1)
    return crop_and_resize(pixels, size) if crop_to_aspect_ratio else resize(pixels, size)


def _to_bytes(values):
    return tf.cast(tf.round(values), tf.uint8)
