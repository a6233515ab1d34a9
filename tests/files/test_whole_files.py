"""Files written in one step, by several threads and processes at once."""

import json
import multiprocessing
import os
import pathlib
import threading

from metalearn_tf.files.cache import cached_arrays
from metalearn_tf.files.whole_files import write_text, write_whole

import pytest

PROCESSES, WRITES = 8, 25
TEXT = "x" * 5_000


def write_often(folder, number, start):
    """Writes one file again and again, and reads it each time; ends with 1 at the first error or mixture."""
    start.wait()
    for turn in range(WRITES):
        write_text(f"{folder}/new/record.json", json.dumps([number, turn, TEXT]))
        found = json.loads(pathlib.Path(folder, "new", "record.json").read_text())
        if found[2] != TEXT:
            raise SystemExit(1)


def test_processes_that_start_at_once_all_write(tmp_path):
    # By fork: nothing of TensorFlow runs in them.
    processes = multiprocessing.get_context("fork")
    start = processes.Barrier(PROCESSES)
    workers = [processes.Process(target=write_often, args=(str(tmp_path), n, start)) for n in range(PROCESSES)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * PROCESSES
    assert os.listdir(tmp_path / "new") == ["record.json"]


def test_threads_write_at_once(tmp_path):
    errors, start = [], threading.Barrier(8)

    def write(number):
        start.wait()
        try:
            for _ in range(WRITES):
                write_text(tmp_path / "a" / "b" / "text", str(number) * 1000)
                if len(set((tmp_path / "a" / "b" / "text").read_text())) != 1:
                    errors.append("a mixture")
        except OSError as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors and os.listdir(tmp_path / "a" / "b") == ["text"]


def test_an_error_leaves_the_file_before_and_nothing_else(tmp_path):
    write_text(tmp_path / "file", "ä")

    def fail(file):
        file.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / "file", fail)
    assert (tmp_path / "file").read_bytes() == "ä".encode() and os.listdir(tmp_path) == ["file"]


def test_links_are_never_written_through(tmp_path):
    (tmp_path / "precious").write_text("precious")
    # Where files of fixed names are expected, someone may have put links.
    for name in ("file", ".file.part", "file.tmp", ".file.tmp"):
        (tmp_path / name).symlink_to(tmp_path / "precious")
    write_text(tmp_path / "file", "new")
    assert (tmp_path / "precious").read_text() == "precious" and (tmp_path / "file").read_text() == "new"


def test_a_file_of_another_name_is_not_taken_from_the_cache(tmp_path, caplog):
    cached_arrays("one", lambda: {"x": 1}, tmp_path)
    (tmp_path / "one.npz").rename(tmp_path / "two.npz")
    assert cached_arrays("two", lambda: {"x": 2}, tmp_path)["x"] == 2
    assert "two.npz" in caplog.text and "written under the name one" in caplog.text


def test_without_a_home_nothing_is_kept(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("METALEARN_TF_CACHE", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # as where there is neither HOME nor a password entry
    assert cached_arrays("one", lambda: {"x": 1})["x"] == 1
    assert os.listdir(tmp_path) == [] and "METALEARN_TF_CACHE" in caplog.text


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("mode", [0o700, 0o755])
def test_a_cache_of_another_user_does_not_hinder(mode, tmp_path, caplog):
    cached_arrays("one", lambda: {"x": 1}, tmp_path)
    for folder in (tmp_path, *tmp_path.parents[:2]):
        os.chmod(folder, 0o755)
    os.chmod(tmp_path, mode)
    os.seteuid(65534)
    try:
        assert cached_arrays("one", lambda: {"x": 1}, tmp_path)["x"] == 1
        assert cached_arrays("two", lambda: {"x": 2}, tmp_path)["x"] == 2
        assert "two.npz" in caplog.text
        with pytest.raises(PermissionError):
            cached_arrays("two", lambda: {"x": 2}, tmp_path, must_keep=True)
    finally:
        os.seteuid(0)
