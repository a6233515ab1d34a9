"""A cache of arrays on disk, for what takes seconds to make and milliseconds to read."""

import logging
import os
import uuid
import zipfile
import zlib
from pathlib import Path

import numpy as np

CACHE_VARIABLE = "METALEARN_TF_CACHE"
_CONTENTS = "names_of_arrays"

# What reading an archive raises that is damaged at any byte, as tests/data/test_cache.py does, or not ours to read.
UNREADABLE = (OSError, ValueError, EOFError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error)


def cached_arrays(name, build, cache_dir=None):
    """Reads arrays from the cache, or builds them and keeps them there.

    A file that is cut short or damaged is reported through `logging` and built again, and so is a folder that cannot
    be written: the arrays are returned in either case. Files are replaced in one step, so that several processes may
    fill the same cache at once. Nothing is ever unpickled.

    Args:
        name: file name without its ending. It must say all that the content depends on (a version, the sizes),
            because a file of this name is taken as it is.
        build: function without arguments that returns a dict from names to arrays. Arrays of numbers or of
            fixed-width strings; not of Python objects.
        cache_dir: folder of the cache. Defaults to the environment variable `METALEARN_TF_CACHE`, then to
            `~/.cache/metalearn_tf`.

    Returns:
        A dict from names to numpy arrays.

    Raises:
        ValueError: if `name` is not a plain file name.
        TypeError: if `build` returns an array of Python objects.
    """
    if not name or Path(name).name != name:
        raise ValueError(f"`name` must be a file name without a folder. Received: name={name!r}")
    path = _cache_folder(cache_dir) / f"{name}.npz"
    if path.exists():
        try:
            return read_arrays(path)
        except UNREADABLE as error:
            logging.warning("The cache file %s cannot be read and is made again: %s", path, error)
    arrays = {key: np.asarray(value) for key, value in build().items()}
    for key, array in arrays.items():
        if array.dtype.hasobject:
            raise TypeError(
                "`build` must return arrays of numbers or fixed-width strings; convert with `array.astype(str)`. "
                f"Received: {key!r} of dtype {array.dtype}"
            )
    try:
        write_arrays(path, arrays)
    except OSError as error:
        logging.warning("%s cannot be written, so it will be made again next time: %s", path, error)
    return arrays


def _cache_folder(cache_dir):
    return Path(cache_dir or os.environ.get(CACHE_VARIABLE) or "~/.cache/metalearn_tf").expanduser()


def read_arrays(path):
    """The arrays that `write_arrays` wrote; one of `UNREADABLE` is raised where the file is damaged."""
    # The checksums come first: an array whose header is damaged can be read short without an error.
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise zipfile.BadZipFile(f"wrong checksum of {damaged}")
    with np.load(path, allow_pickle=False) as archive:
        arrays = {key: archive[key] for key in archive.files}
    # A damaged table of contents can lose an array without an error.
    if arrays.pop(_CONTENTS).tolist() != list(arrays):
        raise zipfile.BadZipFile(f"arrays are missing, there are only {list(arrays)}")
    return arrays


def write_arrays(path, arrays):
    """Writes a dict of arrays in one step: a reader finds all of them or no file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with open(temporary, "xb") as file:
            np.savez(file, **arrays, **{_CONTENTS: np.asarray(list(arrays), str)})
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path, text):
    """Writes a text file in one step: a reader finds all of it or no file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_text(text)
    os.replace(part, path)
