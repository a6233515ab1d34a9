"""Files that are written in one step, whoever else writes or reads them at the same time."""

import contextlib
import os
import pathlib
import uuid

from metalearn_tf.files.local_path import local_path


def write_whole(path, write, previous=None):
    """Writes a file in one step: a reader finds all of it, or what was there before.

    Any number of processes and threads may write the same file at once; the last one stays. What is written goes first
    into a new file beside it, whose name nobody else has and which is opened only if there is none of that name, so
    that neither another writer's file nor the target of a link is ever touched.

    Args:
        path: of the file; folders above it are made.
        write: function of an open binary file.
        previous: path that the file before, if there is one, gets in place of being lost.

    Raises:
        ValueError: if the path has a scheme, such as `gs://`.
        OSError: if the file cannot be written; the one before is then untouched.
    """
    path = local_path("path", path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    with open(temporary, "xb") as file:
        try:
            write(file)
            file.flush()
            os.fsync(file.fileno())
            if previous is not None:
                # There is none at first, nor where another writer has just given it its new name.
                with contextlib.suppress(FileNotFoundError):
                    os.replace(path, previous)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def write_text(path, text):
    """Writes a text file as UTF-8, in one step as `write_whole`."""
    write_whole(path, lambda file: file.write(text.encode()))


def delete_unfinished(folder, *names):
    """Deletes what killed processes have left of writing files of a folder; nobody else may be writing them.

    Args:
        folder: that of the files.
        *names: theirs, or patterns of them.
    """
    for name in names:
        for part in pathlib.Path(folder).glob(f".{name}.*.tmp"):
            part.unlink(missing_ok=True)
