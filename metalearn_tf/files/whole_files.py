"""Files that are written in one step, even if others read or write them at the same time."""

import contextlib
import os
import pathlib
import uuid

from metalearn_tf.files.local_path import local_path


def write_whole(path, write, previous=None):
    """Writes a file in one step: a reader finds the complete new file or the old one.

    Any number of processes and threads may write the same file at once; the last one wins. The content first goes to a
    new file in the same folder. Its name is unique, and it must not exist yet. So this never touches another writer's
    file or the target of a link.

    Args:
        path: of the file; missing folders are created.
        write: function that writes to an open binary file.
        previous: new path for the old file, if there is one; `None` replaces the old file.

    Raises:
        ValueError: if the path has a scheme such as `gs://`.
        OSError: if the file cannot be written; the old file is then unchanged.
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
                # There is no old file at first, or another writer has just renamed it.
                with contextlib.suppress(FileNotFoundError):
                    os.replace(path, previous)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def write_text(path, text):
    """Writes a text file as UTF-8, in one step like `write_whole`."""
    write_whole(path, lambda file: file.write(text.encode()))


def delete_unfinished(folder, *names):
    """Deletes the unfinished files of killed processes in a folder. Call it only while nobody writes these files.

    Args:
        folder: the folder of the files.
        *names: the names of the files, or patterns.
    """
    for name in names:
        for part in pathlib.Path(folder).glob(f".{name}.*.tmp"):
            part.unlink(missing_ok=True)
