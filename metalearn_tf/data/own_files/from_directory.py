"""`from_directory`: your own images, one folder per class."""

import logging
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from metalearn_tf.data.class_dataset import ClassDataset
from metalearn_tf.data.own_files.read_image import check_reading, read_pixels, readable_formats
from metalearn_tf.engine.usable_cores import usable_cores
from metalearn_tf.files.local_path import local_path

_log = logging.getLogger(__name__)

# The usual names of the parts of a dataset.
_PARTS = {"train", "training", "val", "valid", "validation", "dev", "eval", "evaluation", "test", "testing"}


def from_directory(path, image_size, channels=None, crop_to_aspect_ratio=True, class_names=None):
    """Images in folders, one folder per class, as a `ClassDataset`.

    ```
    animals/cat/one.jpg
    animals/cat/two.png
    animals/dog/holiday/three.jpg
    ```

    Reads PNG, JPEG, BMP, GIF, WebP, TIFF and PPM, and AVIF and HEIF where Pillow can. The case of the endings does not
    matter, and subfolders are searched too. `mtf.data.read_image` reads each file and says how. Files of other kinds
    are left out with a warning through `logging`. Hidden files and folders, and files outside the class folders, are
    left out silently.

    If the data is already divided into parts, read each part by itself. Pass the class names of the first part to the
    others. Then all parts have the same class numbers, even if a part has no image of some class:

    ```python
    train = mtf.data.from_directory("pets/train", image_size=84)
    validation = mtf.data.from_directory("pets/val", image_size=84, class_names=train.class_names)
    ```

    Args:
        path: folder of the class folders. Links to folders are followed.
        image_size: height and width of square images, or a pair `(height, width)`.
        channels: 1 for grey, 3 for RGB. By default 1 if every image is grey in all its pixels, else 3.
        crop_to_aspect_ratio: whether to crop the middle of an image to the aspect ratio of `image_size` before the
            resize. `False` stretches the whole image. (The name is Keras's, whose default is `False`.)
        class_names: names of the classes in the order of their numbers, by default those of the folders in sorted
            order. Each folder must be among them; a class without a folder has no examples.

    Returns:
        `ClassDataset` of `uint8` images `(height, width, channels)`, the classes named after the folders.

    Raises:
        FileNotFoundError: if `path` does not exist.
        NotADirectoryError: if `path` is a file.
        ValueError: if an argument is not accepted, there is no class folder, a class folder has no image, all of them
            are parts such as `train` and `val`, or an image cannot be read; the message names the folder or file.
    """
    size = check_reading(image_size, channels)
    root = local_path("path", path).expanduser()
    if not root.exists():
        raise FileNotFoundError(f"`path` must be a folder with one folder per class. Received: path={str(path)!r}")
    if not root.is_dir():
        raise NotADirectoryError(f"`path` must be a folder with one folder per class. Received: path={str(path)!r}")
    formats, endings = readable_formats()
    files = {folder.name: _image_files(folder, endings) for folder in _class_folders(root)}
    _check_level(root, files)
    class_names = _check_class_names(class_names, list(files))

    def read(file):
        return read_pixels(file, formats, size, channels, crop_to_aspect_ratio)

    paths = [file for class_files in files.values() for file in class_files]
    images = np.empty((len(paths), *size, channels or 3), "uint8")
    # Threads help, because Pillow decodes outside the interpreter's lock.
    with ThreadPoolExecutor(usable_cores()) as pool:
        for index, image in enumerate(pool.map(read, paths)):
            images[index] = image
    if channels is None and (images == images[..., :1]).all():
        images = images[..., :1]
    labels = np.repeat(np.arange(len(files)), [len(class_files) for class_files in files.values()])
    return ClassDataset(images, labels, class_names=list(files)).with_classes(class_names)


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
        _log.warning("%d files in %s are not images and are left out: %s", len(others), folder, names)
    return images


def _check_level(root, files):
    """Refuses a folder of parts (`train/cat`, `val/cat`), and warns if the folder seems to be one level too high.

    Args:
        root: the folder of the class folders.
        files: dict from the names of the class folders to the paths of their images.
    """
    below = [{image.relative_to(root / name).parts[0] for image in images} for name, images in files.items()]
    names = [{image.name for image in images if image.parent == root / name} for name, images in files.items()]
    if any(names):
        return  # an image directly in a class folder
    first = sorted(below[0])
    if {name.lower() for name in files} <= _PARTS:
        raise ValueError(
            f"`path` must be a folder with one folder per class, and {list(files)} are parts of a dataset, whose "
            f"classes are {first[:5]}. Read each part by itself, as "
            f"`train = from_directory({str(root / next(iter(files)))!r}, ...)`, and the others with "
            f"`class_names=train.class_names`. Received: path={str(root)!r}"
        )
    if len(first) > 1 and all(found == below[0] for found in below):
        _log.warning(
            "The folders in %s are taken as the classes: %s. All of them hold the same folders and no image of their "
            "own: if those are the classes, %s, read one folder above them.",
            root,
            list(files)[:5],
            first[:5],
        )


def _check_class_names(class_names, folders):
    """The names of the classes, after a check that they are distinct and include each folder."""
    if class_names is None:
        return folders
    names = [class_names] if isinstance(class_names, str) else list(class_names)
    if isinstance(class_names, str) or not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        raise ValueError(f"`class_names` must be distinct names of classes. Received: class_names={class_names!r}")
    known = set(names)
    others = [folder for folder in folders if folder not in known]
    if others:
        raise ValueError(
            "`class_names` must name every class folder; `dataset.select(names)` takes some of the classes. "
            f"Received: no {others[:5]} in class_names={names[:10]}"
        )
    return names
