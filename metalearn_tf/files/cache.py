"""A cache of arrays on disk, for arrays that take seconds to compute and milliseconds to read."""

import logging
import os
import zipfile
import zlib
from pathlib import Path

import numpy as np

from metalearn_tf.files.fingerprint import fingerprint
from metalearn_tf.files.local_path import local_path
from metalearn_tf.files.whole_files import write_whole

CACHE_VARIABLE = "METALEARN_TF_CACHE"
_CONTENTS = "names_of_arrays"
_NAME, _CHECKSUM = "name_of_file", "checksum"

# The errors of reading an archive that is damaged at any byte (tests/data/test_cache.py tries all), or that we may not
# read. MemoryError comes from a header that promises more data than there are.
UNREADABLE = (OSError, ValueError, EOFError, KeyError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error)

_log = logging.getLogger(__name__)


def cached_arrays(name, build, cache_dir=None, must_keep=False):
    """Reads arrays from the cache, or builds them and saves them there.

    A bad file is reported through `logging` and built again. A file is bad if it is incomplete or damaged, if it was
    written under another name and copied here, or if its arrays do not match the checksum of their names, shapes,
    dtypes and bytes. If the folder cannot be read or written, this is reported too, and the arrays are still returned.
    Files are replaced in one step, so several processes may fill the same cache at once. Nothing is ever unpickled.

    Args:
        name: file name without its ending. It must contain everything that the content depends on (a version, the
            sizes), because an existing file with this name is used.
        build: function without arguments that returns a dict from names to arrays. Arrays of numbers or of
            fixed-width strings; not of Python objects.
        cache_dir: folder of the cache. Defaults to the environment variable `METALEARN_TF_CACHE`, then to
            `~/.cache/metalearn_tf`.
        must_keep: whether to raise an error if the file cannot be written: for results that take long to compute.

    Returns:
        A dict from names to numpy arrays.

    Raises:
        ValueError: if `name` is not a plain file name, or the folder has a scheme such as `gs://`.
        TypeError: if `build` returns an array of Python objects.
        OSError: with `must_keep`, if the file cannot be written.
    """
    if not name or Path(name).name != name:
        raise ValueError(f"`name` must be a file name without a folder. Received: name={name!r}")
    folder = _cache_folder(cache_dir)
    if folder is None:
        _log.warning("There is no home folder to keep %s in; the variable %s can name one", name, CACHE_VARIABLE)
        return _checked(build())
    path = folder / f"{name}.npz"
    try:
        return _read_of_name(path, name)
    except FileNotFoundError:
        _log.debug("%s is not there yet and is made", path)
    except UNREADABLE as error:
        _log.warning("The cache file %s cannot be read and is made again: %s", path, error)
    arrays = _checked(build())
    try:
        write_arrays(path, {**arrays, _NAME: np.asarray(name), _CHECKSUM: np.asarray(_checksum(arrays))})
    except OSError as error:
        if must_keep:
            raise
        _log.warning("%s cannot be written, so it will be made again next time: %s", path, error)
    return arrays


def _cache_folder(cache_dir):
    """The folder; `None` if it is in the home folder of a user who has none, as in many containers."""
    if not cache_dir and os.environ.get(CACHE_VARIABLE):
        folder = local_path(CACHE_VARIABLE, os.environ[CACHE_VARIABLE])
    else:
        folder = local_path("cache_dir", cache_dir or "~/.cache/metalearn_tf")
    folder = os.path.expanduser(str(folder))
    return None if folder.startswith("~") else Path(folder)


def _checked(built):
    """The built values as arrays, once it is clear that they can be saved without pickling."""
    arrays = {key: np.asarray(value) for key, value in built.items()}
    for key, array in arrays.items():
        if array.dtype.hasobject:
            raise TypeError(
                "`build` must return arrays of numbers or fixed-width strings; convert with `array.astype(str)`. "
                f"Received: {key!r} of dtype {array.dtype}"
            )
    return arrays


def _read_of_name(path, name):
    """The arrays of a file, once it is clear that it was written under this name and is undamaged."""
    arrays = read_arrays(path)
    found = arrays.pop(_NAME)
    if found.shape or found.item() != name:
        raise ValueError(f"it was written under the name {found}")
    if arrays.pop(_CHECKSUM).tolist() != _checksum(arrays):
        raise ValueError("its arrays are not those that were written")
    return arrays


def _checksum(arrays):
    return fingerprint(*(part for key, array in arrays.items() for part in (key.encode(), array)))


def read_arrays(path):
    """Reads the arrays that `write_arrays` wrote. If the file is damaged, it raises one of `UNREADABLE`."""
    # The checksums come first: an array with a damaged header can be read incompletely without an error.
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


def write_arrays(path, arrays, previous=None):
    """Writes a dict of arrays in one step, as `write_whole` does."""
    arrays = {**arrays, _CONTENTS: np.asarray(list(arrays), str)}
    write_whole(path, lambda file: np.savez(file, **arrays), previous)
