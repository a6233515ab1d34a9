"""The orientation that a camera wrote into a JPEG file, read inside the graph.

Telephones save portraits lying down with a note to turn them. Training data is turned by `mtf.data.from_directory`; a
served model that left its pictures lying would answer wrongly, and nothing would say so.
"""

import tensorflow as tf

# Cameras put the tag into the first segment, and segments have at most 64 KiB.
_HEADER_BYTES = 1 << 17
_ORIENTATION_TAG = 0x0112


def exif_orientation(file):
    """The orientation, 1 to 8 as in the EXIF standard, of a JPEG file.

    Args:
        file: string scalar.

    Returns:
        int32 scalar; 1, upright, for a file without the tag or with a broken one.
    """
    header = tf.cast(tf.io.decode_raw(tf.strings.substr(file, 0, _HEADER_BYTES), tf.uint8), tf.int32)
    last = tf.size(header) - 1

    def number(position, length, little_endian=False):
        """The unsigned integer of `length` bytes at `position`; of the last byte again and again past the end."""
        position = tf.convert_to_tensor(position)[..., None] + tf.range(length)
        digits = tf.gather(header, tf.clip_by_value(position, 0, last))
        digits = tf.where(little_endian, tf.reverse(digits, axis=[-1]), digits)
        return tf.reduce_sum(digits * 256 ** tf.range(length - 1, -1, -1), axis=-1)

    def is_other_segment(start):
        # Application data and comments, 0xFFE0 to 0xFFEF and 0xFFFE, may come before the tag; the picture comes after.
        marker = number(start, 2)
        is_application_data = ((marker >= 0xFFE0) & (marker <= 0xFFEF)) | (marker == 0xFFFE)
        return is_application_data & ~is_exif(start) & (start < last)

    def is_exif(start):
        return (number(start, 2) == 0xFFE1) & (number(start + 4, 3) == 0x457869) & (number(start + 7, 3) == 0x660000)

    def next_segment(start):
        return [start + 2 + number(start + 2, 2)]

    (start,) = tf.while_loop(is_other_segment, next_segment, [tf.constant(2)], maximum_iterations=32)
    # Inside is a TIFF file: its byte order, a place to go to, and there a table of twelve bytes an entry.
    tiff = start + 10
    little_endian = tf.equal(number(tiff, 2), 0x4949)
    # Three bytes of the four: the segment has no more, and a broken file can then not overflow.
    offset = tf.where(little_endian, number(tiff + 4, 3, True), number(tiff + 5, 3))
    table = tiff + tf.minimum(offset, _HEADER_BYTES)
    entries = table + 2 + 12 * tf.range(tf.minimum(number(table, 2, little_endian), 1000))
    found = tf.boolean_mask(entries, number(entries, 2, little_endian) == _ORIENTATION_TAG)
    # With a sentinel, since the tag may not be there.
    orientation = tf.concat([number(found + 8, 2, little_endian), [1]], axis=0)[0]
    return tf.where(is_exif(start) & (orientation >= 1) & (orientation <= 8), orientation, 1)


def turn_upright(image, orientation):
    """The image `(height, width, channels)` turned and mirrored as its orientation, 1 to 8, says."""

    def one_of(*orientations):
        return tf.reduce_any(tf.equal(orientation, orientations))

    image = tf.cond(one_of(5, 6, 7, 8), lambda: tf.transpose(image, (1, 0, 2)), lambda: image)
    image = tf.cond(one_of(2, 3, 6, 7), lambda: tf.reverse(image, [1]), lambda: image)
    return tf.cond(one_of(3, 4, 7, 8), lambda: tf.reverse(image, [0]), lambda: image)
