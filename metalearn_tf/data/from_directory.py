"""`from_directory`: your own images, one folder per class."""

import logging
import os
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image, ImageOps

from metalearn_tf.data.class_dataset import ClassDataset
from metalearn_tf.data.resizing import check_image_size, crop_and_resize, resize

# Formats of pictures that Pillow reads by itself; HEIF when the user has registered pillow-heif. Not PDF, EPS or
# videos, which Pillow hands to other programs or only writes.
FORMATS = ("PNG", "JPEG", "MPO", "BMP", "DIB", "GIF", "WEBP", "TIFF", "PPM", "AVIF", "HEIF")

# Pillow has no error of its own for broken files. With bytes changed or missing it raises the decoder's: OSError,
# RuntimeError, SyntaxError, ValueError and the bomb error were seen, the others are what parsing in Python can raise.
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


def from_directory(path, image_size, channels=None, crop_to_aspect_ratio=True):
    """Images in folders, one folder per class, as a `ClassDataset`.

    ```
    animals/cat/one.jpg
    animals/cat/two.png
    animals/dog/holiday/three.jpg
    ```

    PNG, JPEG, BMP, GIF, WebP, TIFF and PPM are read, and AVIF and HEIF where Pillow can, all whatever the case of
    their endings and in subfolders too. Of an animation the first frame is taken. Images are turned as their EXIF
    orientation says, transparent parts are put on white, 16-bit grey is scaled down to 8 bits, and palettes and CMYK
    become RGB. Shrinking averages the area under each new pixel; enlarging is bilinear. Files of other kinds are left
    out with a warning through `logging`; hidden files and folders, and files outside the class folders, silently.

    Args:
        path: folder of the class folders. Links to folders are followed.
        image_size: height and width of square images, or a pair `(height, width)`.
        channels: 1 for grey, 3 for RGB. By default 1 if every image is grey in all its pixels, else 3.
        crop_to_aspect_ratio: whether to crop the middle of an image to the aspect ratio of `image_size` before the
            resize. `False` stretches the whole image. (The name is Keras's, whose default is `False`.)

    Returns:
        `ClassDataset` of `uint8` images `(height, width, channels)`, the classes named after the folders in sorted
        order.

    Raises:
        FileNotFoundError: if `path` does not exist.
        NotADirectoryError: if `path` is a file.
        ValueError: if an argument is not accepted, there is no class folder, a class folder has no image, or an image
            cannot be read; the message names the folder or file.
    """
    size = check_image_size(image_size)
    if size is None:
        raise ValueError("`image_size` must be given, because all images are brought to it. Received: image_size=None")
    if channels not in (None, 1, 3):
        raise ValueError(f"`channels` must be None, 1 or 3. Received: channels={channels!r}")
    root = Path(path).expanduser()
    if not root.exists():
        raise FileNotFoundError(f"`path` must be a folder with one folder per class. Received: path={str(path)!r}")
    if not root.is_dir():
        raise NotADirectoryError(f"`path` must be a folder with one folder per class. Received: path={str(path)!r}")
    formats, endings = _readable_formats()
    files = {folder.name: _image_files(folder, endings) for folder in _class_folders(root)}

    # As one graph: for small images the single operations would cost more than their work.
    @tf.function(input_signature=[tf.TensorSpec((None, None, None), tf.uint8)])
    def to_size(pixels):
        return crop_and_resize(pixels, size) if crop_to_aspect_ratio else resize(pixels, size)

    def read(file):
        return to_size(_read_pixels(file, formats, channels)).numpy()

    paths = [file for class_files in files.values() for file in class_files]
    images = np.empty((len(paths), *size, channels or 3), "uint8")
    # Pillow decodes outside the interpreter's lock.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for index, image in enumerate(pool.map(read, paths)):
            images[index] = image
    if channels is None and (images == images[..., :1]).all():
        images = images[..., :1]
    labels = np.repeat(np.arange(len(files)), [len(class_files) for class_files in files.values()])
    return ClassDataset(images, labels, class_names=list(files))


def _readable_formats():
    """The names of the formats that this Pillow opens, and their endings."""
    endings = Image.registered_extensions()  # this also loads Pillow's plugins
    formats = [name for name in FORMATS if name in Image.OPEN]
    return formats, {ending for ending, name in endings.items() if name in formats}


def _class_folders(root):
    folders = sorted(entry for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not folders:
        raise ValueError(f"`path` must hold one folder per class, and holds no folder. Received: path={str(root)!r}")
    return folders


def _image_files(folder, endings):
    """The images under a class folder in sorted order."""
    images, others, seen = [], [], set()
    for parent, subfolders, names in os.walk(folder, followlinks=True):
        # A link to a folder above would go round for ever.
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        real = os.path.realpath(parent)
        if real in seen:
            subfolders[:] = []
            continue
        seen.add(real)
        for name in sorted(names):
            if not name.startswith("."):
                kind = images if Path(name).suffix.lower() in endings else others
                kind.append(Path(parent, name))
    if not images:
        found = f"only {[file.name for file in others[:5]]}" if others else "no files"
        raise ValueError(
            f"Each class folder must hold at least one image; {str(folder)!r} holds {found}. "
            f"Accepted endings: {' '.join(sorted(endings))}"
        )
    if others:
        names = ", ".join(file.name for file in others[:5])
        logging.warning("%d files in %s are not images and are left out: %s", len(others), folder, names)
    return images


def _read_pixels(file, formats, channels):
    """The upright image, uint8 `(height, width, channels or 3)`."""
    try:
        with Image.open(file, formats=formats) as image:
            image = _to_eight_bits(ImageOps.exif_transpose(image))
            return np.atleast_3d(image.convert("L" if channels == 1 else "RGB"))
    except _BROKEN as error:
        raise ValueError(f"The image {str(file)!r} cannot be read: {error}") from error


def _to_eight_bits(image):
    """An image of mode L or RGB."""
    if image.mode.startswith("I"):
        # 16-bit grey, which Pillow would clip at 255 and not scale.
        values = np.asarray(image).astype("int64")
        if values.min() < 0 or values.max() > 65535:
            raise ValueError("integer pixels must have at most 16 bits")
        return Image.fromarray(np.round(values / 257).astype("uint8"))
    if image.mode == "F":
        raise ValueError("floating pixels have no fixed range; save the image with 8 or 16 bits")
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image if image.mode == "L" else image.convert("RGB")
