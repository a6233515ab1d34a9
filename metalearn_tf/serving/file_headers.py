"""Reads the headers of PNG and JPEG files inside the graph, before any pixel is decoded.

It reads all files of a request at the same time. The loop over their parts is as long as for the file with most parts.
"""

from typing import NamedTuple

import tensorflow as tf


class FileHeader(NamedTuple):
    """The facts in the headers of pictures `(...)`.

    Attributes:
        pixels: int64, width times height; 0 if the header does not tell.
        components: int32, numbers stored for each pixel: 4 for a JPEG file in CMYK.
        opaque: int32, the opacity that TensorFlow's decoder gives to pixels if the file has no opacity.
        exif: string, the Exif block; empty if there is none.
    """

    pixels: tf.Tensor
    components: tf.Tensor
    opaque: tf.Tensor
    exif: tf.Tensor


def file_header(file, most_parts):
    """The `FileHeader` of files `(...)`: PNG if they begin like PNG files, otherwise JPEG; see `png_header`."""
    png, jpeg = png_header(file, most_parts), jpeg_header(file, most_parts)
    return FileHeader(*(tf.where(is_png(file), *both) for both in zip(png, jpeg)))


def is_png(file):
    """Whether files `(...)` begin like PNG files."""
    return tf.equal(tf.strings.substr(file, 0, 8), b"\x89PNG\r\n\x1a\n")


def png_header(file, most_parts=1 << 14):
    """The `FileHeader` of PNG files `(...)`.

    Args:
        file: strings.
        most_parts: the largest number of parts to read in a file. libpng writes one part for each 8 KiB.
    """
    length = tf.cast(tf.strings.length(file), tf.int64)
    head = _bytes_at(file, tf.fill(tf.shape(file), tf.constant(16, tf.int64)), 10)
    bits = tf.cast(head[..., 8], tf.int32)

    def is_inside(position, *_):
        return tf.reduce_any(position + 8 <= length)

    # After a file's end, names are empty and match no part.
    def next_chunk(position, exif_start, exif_length, has_opacity):
        chunk = _bytes_at(file, position, 8)
        size = _number(chunk[..., :4])
        is_exif, is_opacity = (tf.reduce_all(chunk[..., 4:] == list(name), axis=-1) for name in (b"eXIf", b"tRNS"))
        return [
            position + 12 + size,
            tf.where(is_exif, position + 8, exif_start),
            tf.where(is_exif, size, exif_length),
            has_opacity | is_opacity,
        ]

    zero = tf.zeros_like(length)
    _, start, size, has_opacity = tf.while_loop(
        is_inside, next_chunk, [zero + 8, zero, zero, zero > 0], maximum_iterations=most_parts
    )
    # For a file with 1, 2 or 4 bits and no opacity, the decoder fills in 1, 3 or 15 instead of 255.
    opaque = tf.where(has_opacity, 255, tf.bitwise.left_shift(1, tf.minimum(bits, 8)) - 1)
    pixels = _number(head[..., :4]) * _number(head[..., 4:8])
    return FileHeader(pixels, tf.fill(tf.shape(file), 3), opaque, _part(file, start, size))


def jpeg_header(file, most_parts=1 << 14):
    """The `FileHeader` of JPEG files `(...)`; the arguments are those of `png_header`."""
    length = tf.cast(tf.strings.length(file), tf.int64)

    def goes_on(position, marker, *_):
        return (position + 10 <= length) & (marker != 0xDA)

    def next_segment(position, marker, pixels, components, exif_start, exif_length):
        going, before = goes_on(position, marker), marker
        segment = _bytes_at(file, position, 10)
        marker, size = segment[..., 1], _number(segment[..., 2:4])
        is_exif = (marker == 0xE1) & tf.reduce_all(segment[..., 4:] == list(b"Exif\0\0"), axis=-1) & (exif_start == 0)
        is_frame = (marker >= 0xC0) & (marker <= 0xCF) & (marker != 0xC4) & (marker != 0xC8) & (marker != 0xCC)
        is_exif, is_frame = is_exif & going, is_frame & going
        # 0xFF before a marker is padding. Restart markers and the start marker have no size.
        is_alone = (marker >= 0xD0) & (marker <= 0xD8)
        step = tf.where(
            marker == 0xFF, tf.constant(1, tf.int64), tf.where(is_alone, tf.constant(2, tf.int64), 2 + size)
        )
        return [
            tf.where(going, position + step, position),
            tf.where(going, tf.where(segment[..., 0] == 0xFF, marker, 0xDA), before),
            tf.where(is_frame, _number(segment[..., 5:7]) * _number(segment[..., 7:9]), pixels),
            tf.where(is_frame, tf.cast(segment[..., 9], tf.int32), components),
            tf.where(is_exif, position + 10, exif_start),
            tf.where(is_exif, tf.maximum(size - 8, 0), exif_length),
        ]

    zero = tf.zeros_like(length)
    _, _, pixels, components, start, size = tf.while_loop(
        lambda *values: tf.reduce_any(goes_on(*values)),
        next_segment,
        [zero + 2, zero, zero, tf.zeros_like(length, tf.int32), zero, zero],
        maximum_iterations=most_parts,
    )
    return FileHeader(pixels, components, tf.fill(tf.shape(file), 255), _part(file, start, size))


def scan_count(file):
    """The number of scans (passes over the pixels) in a JPEG file, a string scalar: int64, 0 for other files.

    The two bytes that begin a scan cannot occur inside a scan. Scans of a thumbnail in the header count too.
    """
    data = tf.io.decode_raw(file, tf.uint8)
    scans = tf.math.count_nonzero((data[:-1] == 0xFF) & (data[1:] == 0xDA))
    return tf.where(is_png(file), tf.constant(0, tf.int64), scans)


def _bytes_at(file, position, count):
    """`count` bytes of files, int64 `(..., count)`; zeros after the end of a file."""
    found = tf.io.decode_raw(_part(file, position, tf.fill(tf.shape(file), count)), tf.uint8, fixed_length=count)
    return tf.cast(tf.ensure_shape(found, [*file.shape, count]), tf.int64)


def _part(file, position, count):
    position = tf.minimum(position, tf.cast(tf.strings.length(file), tf.int64))
    return tf.strings.substr(file, position, tf.cast(count, tf.int64))


def _number(digits):
    """The integers in a few bytes `(..., bytes)`, the highest byte first."""
    return tf.reduce_sum(digits * 256 ** tf.range(digits.shape[-1] - 1, -1, -1, dtype=tf.int64), axis=-1)
