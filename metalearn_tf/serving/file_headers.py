"""What the headers of PNG and JPEG files say before a pixel is decoded, read inside the graph."""

from typing import NamedTuple

import tensorflow as tf

# Of the walk through a file's parts; libpng writes one for each 8 KiB.
_MOST_PARTS = 1 << 17


class FileHeader(NamedTuple):
    """What is known of a picture; all scalars.

    Attributes:
        pixels: int64, width times height.
        components: int32, numbers stored for each pixel: 4 for a JPEG file in CMYK.
        opaque: int32, the opacity that TensorFlow's decoder gives to the pixels of a file that has none.
        exif: string, the Exif block; empty where there is none.
    """

    pixels: tf.Tensor
    components: tf.Tensor
    opaque: tf.Tensor
    exif: tf.Tensor


def png_header(file):
    """The `FileHeader` of a PNG file, a string scalar."""
    length, zero = tf.cast(tf.strings.length(file), tf.int64), tf.constant(0, tf.int64)
    head = _bytes_at(file, 16, 10)
    bits = tf.cast(head[8], tf.int32)

    def is_inside(position, *_):
        return position + 8 <= length

    def next_chunk(position, exif_start, exif_length, has_opacity):
        chunk = _bytes_at(file, position, 8)
        size = _number(chunk[:4])
        is_exif, is_opacity = (tf.reduce_all(chunk[4:] == list(name)) for name in (b"eXIf", b"tRNS"))
        return [
            position + 12 + size,
            tf.where(is_exif, position + 8, exif_start),
            tf.where(is_exif, size, exif_length),
            has_opacity | is_opacity,
        ]

    _, start, size, has_opacity = tf.while_loop(
        is_inside, next_chunk, [zero + 8, zero, zero, tf.constant(False)], maximum_iterations=_MOST_PARTS
    )
    # For a file of 1, 2 or 4 bits without opacity the decoder fills in 1, 3 or 15 where it would be 255.
    opaque = tf.where(has_opacity, 255, tf.bitwise.left_shift(1, tf.minimum(bits, 8)) - 1)
    return FileHeader(_number(head[:4]) * _number(head[4:8]), tf.constant(3), opaque, _part(file, start, size))


def jpeg_header(file):
    """The `FileHeader` of a JPEG file, a string scalar."""
    length, zero = tf.cast(tf.strings.length(file), tf.int64), tf.constant(0, tf.int64)

    def is_before_picture(position, marker, *_):
        return (position + 10 <= length) & (marker != 0xDA)

    def next_segment(position, marker, pixels, components, exif_start, exif_length):
        segment = _bytes_at(file, position, 10)
        marker, size = segment[1], _number(segment[2:4])
        is_exif = (marker == 0xE1) & tf.reduce_all(segment[4:] == list(b"Exif\0\0")) & (exif_start == 0)
        is_frame = (marker >= 0xC0) & (marker <= 0xCF) & (marker != 0xC4) & (marker != 0xC8) & (marker != 0xCC)
        # 0xFF before a marker is filling; restart marks and the beginning have no size.
        is_alone = (marker >= 0xD0) & (marker <= 0xD8)
        step = tf.where(
            marker == 0xFF, tf.constant(1, tf.int64), tf.where(is_alone, tf.constant(2, tf.int64), 2 + size)
        )
        return [
            position + step,
            tf.where(segment[0] == 0xFF, marker, 0xDA),
            tf.where(is_frame, _number(segment[5:7]) * _number(segment[7:9]), pixels),
            tf.where(is_frame, tf.cast(segment[9], tf.int32), components),
            tf.where(is_exif, position + 10, exif_start),
            tf.where(is_exif, tf.maximum(size - 8, 0), exif_length),
        ]

    _, _, pixels, components, start, size = tf.while_loop(
        is_before_picture,
        next_segment,
        [zero + 2, zero, zero, tf.constant(0), zero, zero],
        maximum_iterations=_MOST_PARTS,
    )
    return FileHeader(pixels, components, tf.constant(255), _part(file, start, size))


def _bytes_at(file, position, count):
    """`count` bytes of a file, int64; zeros past its end."""
    found = tf.io.decode_raw(_part(file, position, count), tf.uint8)
    return tf.ensure_shape(tf.pad(tf.cast(found, tf.int64), [[0, count - tf.size(found)]]), [count])


def _part(file, position, count):
    position = tf.minimum(tf.cast(position, tf.int64), tf.cast(tf.strings.length(file), tf.int64))
    return tf.strings.substr(file, position, tf.cast(count, tf.int64))


def _number(digits):
    """The integer of a few bytes, the highest first."""
    return tf.reduce_sum(digits * 256 ** tf.range(digits.shape[0] - 1, -1, -1, dtype=tf.int64))
