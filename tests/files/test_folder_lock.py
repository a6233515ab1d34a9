"""Folders in which one process works at a time."""

import os
import subprocess
import sys

from metalearn_tf.files.folder_lock import FolderLock

import pytest

# Another process, which needs no TensorFlow to hold a lock.
HOLD = """
import fcntl, os, sys, time
file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o666)
fcntl.lockf(file, fcntl.LOCK_EX)
os.write(file, b"4321 of elsewhere")
print("locked", flush=True)
time.sleep(100)
"""


@pytest.fixture
def other(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path / "lock"], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "locked\n"
    yield process
    process.stdout.close()
    process.kill()
    process.wait()


def tries(path):
    """What another process finds: whether it may lock the file."""
    program = "import fcntl, os, sys; fcntl.lockf(os.open(sys.argv[1], os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB)"
    return subprocess.run([sys.executable, "-c", program, path], capture_output=True).returncode == 0


def test_another_process_is_named_and_a_killed_one_is_in_nobodys_way(tmp_path, other):
    message = r"`backup_dir` is the folder of a training at which another process works now.*process 4321 of elsewhere"
    with pytest.raises(RuntimeError, match=message):
        FolderLock("backup_dir", tmp_path, "training")
    other.kill()
    other.wait()
    with FolderLock("backup_dir", tmp_path, "training"):
        assert (tmp_path / "lock").read_text().startswith(f"{os.getpid()} of ")
    assert not (tmp_path / "lock").exists()


def test_a_process_takes_its_own_locks_over_and_keeps_others_out(tmp_path):
    first = FolderLock("backup_dir", tmp_path / "new" / "folder", "training")
    path = tmp_path / "new" / "folder" / "lock"
    second = FolderLock("backup_dir", path.parent, "training")
    first.release(delete=True)  # of one that was interrupted
    assert path.exists() and not tries(path)
    second.release()
    assert path.exists() and tries(path)
    third = FolderLock("backup_dir", path.parent, "training")
    path.unlink()
    path.parent.rmdir()
    with FolderLock("backup_dir", path.parent, "training"):  # the folder is another one
        assert not tries(path)
    third.release(delete=True)
    assert not path.exists()


def test_a_planted_link_is_not_written_through(tmp_path):
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "lock").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="symbolic links"):
        FolderLock("backup_dir", tmp_path / "folder", "training")
    assert (tmp_path / "victim").read_text() == "precious"
