"""The cache of arrays on disk."""

import logging
import os
import pickle
from concurrent.futures import ThreadPoolExecutor

from metalearn_tf.files.cache import cached_arrays, read_arrays, write_arrays

import numpy as np
import pytest

ARRAYS = {"images": np.arange(60, dtype="uint8").reshape(3, 20), "names": np.array(["ab", "ç"])}


def build():
    return dict(ARRAYS)


def must_not_build():
    raise AssertionError("built although the cache has the file")


def assert_equal_arrays(arrays):
    assert sorted(arrays) == sorted(ARRAYS)
    for key, array in ARRAYS.items():
        assert arrays[key].dtype == array.dtype
        np.testing.assert_array_equal(arrays[key], array)


def test_builds_once_and_then_reads(tmp_path):
    folder = tmp_path / "new" / "folder"
    assert_equal_arrays(cached_arrays("set_v1", build, folder))
    assert_equal_arrays(cached_arrays("set_v1", must_not_build, folder))
    assert os.listdir(folder) == ["set_v1.npz"]


def test_another_name_is_another_entry(tmp_path):
    cached_arrays("set_v1", build, tmp_path)
    other = cached_arrays("set_v2", lambda: {"images": np.zeros(2)}, tmp_path)
    np.testing.assert_array_equal(other["images"], np.zeros(2))
    assert_equal_arrays(cached_arrays("set_v1", must_not_build, tmp_path))


def test_folder_comes_from_the_environment_or_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("METALEARN_TF_CACHE", str(tmp_path / "variable"))
    cached_arrays("set", build)
    assert (tmp_path / "variable" / "set.npz").exists()
    monkeypatch.delenv("METALEARN_TF_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    cached_arrays("set", build)
    assert (tmp_path / "home" / ".cache" / "metalearn_tf" / "set.npz").exists()


def test_file_cut_short_is_reported_and_built_again(tmp_path, caplog):
    cached_arrays("set", build, tmp_path)
    path = tmp_path / "set.npz"
    whole = path.read_bytes()
    for length in (0, 1, len(whole) // 3, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        caplog.clear()
        assert_equal_arrays(cached_arrays("set", build, tmp_path))
        assert [record.levelno for record in caplog.records] == [logging.WARNING]
        assert str(path) in caplog.text
        assert_equal_arrays(cached_arrays("set", must_not_build, tmp_path))


@pytest.mark.full
def test_damage_at_any_byte_never_gives_other_arrays(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    cached_arrays("set", build, tmp_path)
    path = tmp_path / "set.npz"
    whole = path.read_bytes()
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= (0xFF, 0x01, 0x80)[position % 3]
        path.write_bytes(damaged)
        assert_equal_arrays(cached_arrays("set", build, tmp_path))


def test_pickled_objects_are_never_loaded(tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "unpickled"),)

    np.savez(tmp_path / "set.npz", images=np.array([Bomb()], dtype=object))
    assert_equal_arrays(cached_arrays("set", build, tmp_path))
    (tmp_path / "set.npz").write_bytes(pickle.dumps(Bomb()))
    assert_equal_arrays(cached_arrays("set", build, tmp_path))
    assert not (tmp_path / "unpickled").exists()


def test_folder_that_cannot_be_written_does_not_hinder(tmp_path, caplog):
    (tmp_path / "file").write_text("not a folder")
    assert_equal_arrays(cached_arrays("set", build, tmp_path / "file"))
    assert str(tmp_path / "file" / "set.npz") in caplog.text


def test_disk_that_is_full_leaves_nothing_behind(tmp_path, caplog, monkeypatch):
    def no_space(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    assert_equal_arrays(cached_arrays("set", build, tmp_path))
    assert "No space left" in caplog.text
    assert os.listdir(tmp_path) == []


def test_error_of_build_is_not_swallowed(tmp_path):
    with pytest.raises(AssertionError, match="built although"):
        cached_arrays("set", must_not_build, tmp_path)
    assert os.listdir(tmp_path) == []


def test_objects_and_folders_in_names_are_refused(tmp_path):
    with pytest.raises(TypeError, match=r"astype\(str\).*Received: 'names' of dtype object"):
        cached_arrays("set", lambda: {"names": np.array(["a", None], dtype=object)}, tmp_path)
    for name in ("", "../set", "folder/set"):
        with pytest.raises(ValueError, match="`name` must be a file name"):
            cached_arrays(name, build, tmp_path)
    assert os.listdir(tmp_path) == []


def test_writers_at_once_never_read_a_mixture(tmp_path):
    def write_often(value):
        distinct = set()
        for _ in range(20):
            (tmp_path / "set.npz").unlink(missing_ok=True)
            arrays = cached_arrays("set", lambda: {"images": np.full(50_000, value)}, tmp_path)
            distinct.add(len(np.unique(arrays["images"])))
        return distinct

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(write_often, range(3))) == [{1}] * 3
    assert os.listdir(tmp_path) == ["set.npz"]


@pytest.mark.parametrize(
    "change",
    [
        {"images": ARRAYS["images"] + 1},
        {"images": ARRAYS["images"].astype("float32")},
        {"images": ARRAYS["images"][:2]},
        {"images": ARRAYS["images"].reshape(20, 3)},
        {"checksum": np.array("0")},
        {"more": np.zeros(1)},
    ],
    ids=str,
)
def test_a_whole_file_of_other_arrays_is_reported_and_built_again(change, tmp_path, caplog):
    cached_arrays("set_v1", build, tmp_path)
    path = tmp_path / "set_v1.npz"
    write_arrays(path, {**read_arrays(path), **change})
    with caplog.at_level(logging.WARNING):
        assert_equal_arrays(cached_arrays("set_v1", build, tmp_path))
    assert "its arrays are not those that were written" in caplog.text
    assert_equal_arrays(cached_arrays("set_v1", must_not_build, tmp_path))
