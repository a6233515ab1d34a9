"""Paths on this machine's file system."""

import os
import pathlib
import re

# "gs://bucket", and "gs:/bucket", which `pathlib` makes of it. A single letter is a Windows drive.
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


def local_path(argument, path):
    """Checks that a path is on this machine's file system, and returns it as a `pathlib.Path`.

    Args:
        argument: name of the argument that gave it, for the error.
        path: text, or an object with a file system path.

    Raises:
        ValueError: if it has a scheme such as `gs://`. As a local path, this would be a folder named `gs:`.
        TypeError: if it is not a path.
    """
    if not isinstance(path, (str, os.PathLike)) or not isinstance(os.fspath(path), str):
        raise TypeError(f"`{argument}` must be a path. Received: {argument}={path!r}")
    text = os.fspath(path)
    if _SCHEME.match(text):
        raise ValueError(
            f"`{argument}` must be a path of this machine's file system: mount what is elsewhere, or copy it with "
            f"`tf.io.gfile.copy`. Received: {argument}={text!r}"
        )
    return pathlib.Path(text)
