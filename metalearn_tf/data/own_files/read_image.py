"""`read_image`: the one way from an image file to a network's input."""

import functools
import io
import os
import struct

import numpy as np
import tensorflow as tf
from PIL import Image, ImageOps

from metalearn_tf.data.own_files.decoded_image import to_network_pixels
from metalearn_tf.data.resizing import check_image_size
from metalearn_tf.files.local_path import local_path

# Picture formats that Pillow reads by itself, and HEIF if the user has registered pillow-heif. PDF, EPS and videos
# are not among them: Pillow passes these to other programs, or only writes them.
FORMATS = ("PNG", "JPEG", "MPO", "BMP", "DIB", "GIF", "WEBP", "TIFF", "PPM", "AVIF", "HEIF")

# Pillow has no error class for broken files; it lets the decoder's errors through. OSError, RuntimeError,
# SyntaxError, ValueError and the bomb error were seen when bytes were changed or missing. The others are what parsing
# in Python can raise.
_BROKEN = (
    Image.DecompressionBombError,
    IndexError,
    KeyError,
    MemoryError,
    OSError,
    OverflowError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
)

# How PNG files store grey with few bits, and the factor by which Pillow multiplies it.
_FEW_BITS = {"L;2": 255 // 3, "L;4": 255 // 15}

# Pillow also looks for an orientation in these notes of editing programs. Browsers, cameras and served models use
# only the Exif block, so the notes are ignored.
_NOTES = ("xmp", "XML:com.adobe.xmp", "Raw profile type exif")


def read_image(file, image_size, channels=None, crop_to_aspect_ratio=True):
    """Reads an image file into the pixels that a network was trained on, as `mtf.data.from_directory` does.

    Reads PNG, JPEG, BMP, GIF, WebP, TIFF and PPM, and AVIF and HEIF where Pillow can. An animation gives its first
    frame. The image is turned as its Exif orientation says, transparent parts are put on white, 16-bit grey is scaled
    down to 8 bits, and palettes and CMYK become RGB. Then the middle of the image is resized: shrinking averages the
    area under each new pixel, enlarging is bilinear. The `*_bytes` signatures of a served model give the same pixels,
    within 1/255, for every PNG and JPEG file that they accept.

    ```python
    dataset = mtf.data.from_directory("animals", image_size=84)
    classifier = learner.adapt(dataset.examples, dataset.labels)
    image = mtf.data.read_image("new.jpg", image_size=84, channels=dataset.example_shape[-1])
    classifier.predict(image[None])
    ```

    Args:
        file: path of a file, or its content as `bytes`.
        image_size: height and width of a square image, or a pair `(height, width)`.
        channels: 1 for grey, 3 for RGB, as the network takes it. By default 1 if the image is grey in all its pixels,
            else 3.
        crop_to_aspect_ratio: whether to crop the middle of the image to the aspect ratio of `image_size` before the
            resize. `False` stretches the whole image.

    Returns:
        `uint8` array `(height, width, channels)`, which every model of the library takes as pixels in `[0, 255]`.

    Raises:
        FileNotFoundError: if there is no such file.
        TypeError: if `file` is neither a path nor bytes.
        ValueError: if an argument is not accepted, or the image cannot be read; the message names the file.
    """
    size = check_reading(image_size, channels)
    if not isinstance(file, (str, bytes, os.PathLike)):
        raise TypeError(f"`file` must be a path or the bytes of a file. Received: {type(file).__name__}")
    return read_pixels(file, readable_formats()[0], size, channels, crop_to_aspect_ratio)


def check_reading(image_size, channels):
    """The size `(height, width)`, after a check of it and of `channels`."""
    size = check_image_size(image_size)
    if size is None:
        raise ValueError("`image_size` must be given, because all images are brought to it. Received: image_size=None")
    if channels not in (None, 1, 3):
        raise ValueError(f"`channels` must be None, 1 or 3. Received: channels={channels!r}")
    return size


def readable_formats():
    """The names of the formats that this Pillow opens, and a set of their endings."""
    endings = Image.registered_extensions()  # this also loads Pillow's plugins
    formats = [name for name in FORMATS if name in Image.OPEN]
    return formats, {ending for ending, name in endings.items() if name in formats}


def read_pixels(file, formats, size, channels, crop_to_aspect_ratio):
    """`read_image` without the checks of arguments; `formats` comes from `readable_formats`."""
    pixels = _decode(file, formats)
    to_pixels = _to_pixels(
        pixels.shape[-1], size, channels or (1 if pixels.shape[-1] == 1 else 3), crop_to_aspect_ratio
    )
    image = to_pixels(pixels).numpy()
    return image[..., :1] if channels is None and (image == image[..., :1]).all() else image


@functools.lru_cache(maxsize=32)
def _to_pixels(decoded_channels, size, channels, crop_to_aspect_ratio):
    """One graph, which is kept: for small images, starting single operations would cost more than their work."""

    @tf.function(input_signature=[tf.TensorSpec((None, None, decoded_channels), tf.uint8)], autograph=False)
    def to_pixels(pixels):
        return to_network_pixels(pixels, size, channels, crop_to_aspect_ratio)

    return to_pixels


def _decode(file, formats):
    """The upright image, uint8 `(height, width, 1, 3 or 4)`."""
    is_content = isinstance(file, bytes)
    file = file if is_content else local_path("path", file)
    try:
        with Image.open(io.BytesIO(file) if is_content else file, formats=formats) as image:
            _scale_transparent_value(image)
            image.load()
            for note in _NOTES:
                image.info.pop(note, None)
            return np.atleast_3d(_to_eight_bits(ImageOps.exif_transpose(image)))
    except FileNotFoundError:
        raise
    except _BROKEN as error:
        name = f"of {len(file)} bytes" if is_content else repr(os.fspath(file))
        raise ValueError(f"The image {name} cannot be read: {error}") from error


def _scale_transparent_value(image):
    """Pillow scales grey of 2 and 4 bits to 8, but does not scale the value that marks transparency."""
    storage = image.tile[0].args if image.format == "PNG" and image.tile else None
    if storage in _FEW_BITS and "transparency" in image.info:
        image.info["transparency"] *= _FEW_BITS[storage]


def _to_eight_bits(image):
    """An image of mode L, RGB or RGBA."""
    if image.mode.startswith("I"):
        return _scaled_down(image)
    if image.mode == "F":
        raise ValueError("floating pixels have no fixed range; save the image with 8 or 16 bits")
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        return image.convert("RGBA")
    return image if image.mode == "L" else image.convert("RGB")


def _scaled_down(image):
    """16-bit grey, which Pillow would clip at 255 and not scale."""
    values = np.asarray(image).astype("int64")
    if values.min() < 0 or values.max() > 65535:
        raise ValueError("integer pixels must have at most 16 bits")
    grey = Image.fromarray(np.round(values / 257).astype("uint8"))
    if "transparency" not in image.info:
        return grey
    opacity = Image.fromarray(np.where(values == image.info["transparency"], 0, 255).astype("uint8"))
    return Image.merge("RGBA", (grey, grey, grey, opacity))
