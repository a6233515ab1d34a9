"""A folder in which one process works at a time."""

import contextlib
import errno
import logging
import os
import pathlib

try:
    import fcntl
except ImportError:  # Windows has none
    fcntl = None

_FILE = "lock"
# The errors of a file system without locks.
_WITHOUT_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}
# One open file per folder: if the process closes a second one, the operating system drops the lock.
_held = {}

_log = logging.getLogger(__name__)


class FolderLock:
    """Keeps other processes out of a folder. It ends with `release`, with a `with` block, or with the process.

    The operating system holds the lock, on a file `lock` in the folder. It drops the lock when the process ends, also
    when the process is killed: the file that stays behind locks nothing. If the same process locks a folder again, the
    new lock replaces the old one, because the old work was interrupted.

    Read-only folders, and file systems without locks, are not locked.

    Args:
        argument: name of the argument that gave the folder, for the error.
        folder: its path; it is created if it does not exist.
        work: what is done there, such as `"training"`.

    Raises:
        RuntimeError: if another process has the lock; names the process.
        OSError: if the folder cannot be created, or the file cannot be written, as on a full disk.
    """

    def __init__(self, argument, folder, work):
        folder = pathlib.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder.resolve() / _FILE
        earlier = _held.pop(self._path, None)
        self._file = None if earlier is None else earlier._file
        if self._file is not None and not self._is_at_path():  # somebody has deleted the folder
            os.close(self._file)
            self._file = None
        while fcntl is not None and self._file is None:
            if not self._open(argument, folder, work):
                return
        _held[self._path] = self

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.release(delete=True)

    def release(self, delete=False):
        """Lets other processes in, unless this process has locked the folder again since.

        Args:
            delete: whether to delete the file too.
        """
        if _held.get(self._path) is not self:
            return
        del _held[self._path]
        if self._file is not None:
            if delete and self._is_at_path():
                self._path.unlink()
            os.close(self._file)

    def _open(self, argument, folder, work):
        """Tries to take the lock; returns whether the folder can be locked. If the file was deleted meanwhile, the
        caller tries again."""
        try:
            # Never follow a link: somebody else may have put it there.
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        except OSError as error:
            if isinstance(error, PermissionError) or error.errno == errno.EROFS:
                _log.debug("%s may only be read and is not locked", folder)
                return False
            raise
        with contextlib.ExitStack() as closing:
            closing.callback(os.close, file)
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError) as error:
                holder = os.read(file, 200).decode(errors="replace") or "unknown"
                raise RuntimeError(
                    f"`{argument}` is the folder of a {work} at which another process works now; wait for its end, or "
                    f"choose another folder. Received: {str(folder)!r}, process {holder}"
                ) from error
            except OSError as error:
                if error.errno in _WITHOUT_LOCKS:
                    _log.debug("the file system of %s has no locks", folder)
                    return False
                raise
            self._file = file
            if not self._is_at_path():
                self._file = None
                return True
            os.ftruncate(file, 0)
            os.write(file, f"{os.getpid()} of {os.uname().nodename}".encode())
            closing.pop_all()
        return True

    def _is_at_path(self):
        try:
            found = os.lstat(self._path)
        except FileNotFoundError:
            return False
        return os.path.samestat(found, os.fstat(self._file))
