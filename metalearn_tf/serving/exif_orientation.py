"""Reads, inside the graph, the orientation that a camera wrote into a picture's Exif block.

Phones save upright pictures lying on the side, with a note to turn them. `mtf.data.read_image` turns training data. If
a served model did not turn its pictures too, it would give wrong answers without an error.
"""

import tensorflow as tf

_ORIENTATION_TAG = 0x0112
_SHORT, _LONG = 3, 4
# Larger than any segment of a JPEG file.
_MOST_BYTES = 1 << 17


def exif_orientation(block):
    """The orientation, 1 to 8 as in the Exif standard.

    Args:
        block: string scalar, an Exif block: a TIFF file, with or without `b"Exif\\0\\0"` before it.

    Returns:
        int32 scalar; 1 (upright) if the block is empty, has no orientation, or is broken.
    """
    block = tf.cond(
        tf.equal(tf.strings.substr(block, 0, 6), b"Exif\0\0"),
        lambda: tf.strings.substr(block, 6, _MOST_BYTES),
        lambda: tf.strings.substr(block, 0, _MOST_BYTES),
    )
    # Zeros at the end, for an empty block.
    data = tf.concat([tf.cast(tf.io.decode_raw(block, tf.uint8), tf.int32), tf.zeros([1], tf.int32)], axis=0)
    last = tf.size(data) - 1

    def number(position, length, little_endian=False):
        """The unsigned integer of `length` bytes at `position`; zeros past the end."""
        position = tf.convert_to_tensor(position)[..., None] + tf.range(length)
        digits = tf.gather(data, tf.clip_by_value(position, 0, last))
        digits = tf.where(little_endian, tf.reverse(digits, axis=[-1]), digits)
        return tf.reduce_sum(digits * 256 ** tf.range(length - 1, -1, -1), axis=-1)

    # A TIFF file has its byte order and the position of a table. An entry there has 12 bytes: tag, type, count, value.
    little_endian = tf.equal(number(0, 2), 0x4949)
    # Read three of the four bytes: so a broken file cannot overflow.
    table = tf.minimum(tf.where(little_endian, number(4, 3, True), number(5, 3)), _MOST_BYTES)
    entries = table + 2 + 12 * tf.range(tf.minimum(number(table, 2, little_endian), 1000))
    entries = tf.boolean_mask(entries, number(entries, 2, little_endian) == _ORIENTATION_TAG)
    kind = number(entries + 2, 2, little_endian)
    long = tf.where(little_endian, number(entries + 8, 3, True), number(entries + 9, 3))
    values = tf.where(kind == _SHORT, number(entries + 8, 2, little_endian), tf.where(kind == _LONG, long, 1))
    # With a sentinel, because the tag may be missing.
    orientation = tf.concat([values, [1]], axis=0)[0]
    return tf.where((orientation >= 1) & (orientation <= 8), orientation, 1)


def turn_upright(image, orientation):
    """The image `(height, width, channels)` turned and mirrored as its orientation, 1 to 8, says."""

    def one_of(*orientations):
        return tf.reduce_any(tf.equal(orientation, orientations))

    image = tf.cond(one_of(5, 6, 7, 8), lambda: tf.transpose(image, (1, 0, 2)), lambda: image)
    image = tf.cond(one_of(2, 3, 6, 7), lambda: tf.reverse(image, [1]), lambda: image)
    return tf.cond(one_of(3, 4, 7, 8), lambda: tf.reverse(image, [0]), lambda: image)
