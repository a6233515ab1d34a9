"""USPS: read as published from NumPy's file, and refused where it is damaged."""

import metalearn_tf as mtf

import numpy as np
import pytest


@pytest.fixture
def usps_dir(tmp_path):
    """A folder with a file of the format, of 200 training and 20 test images."""
    random = np.random.default_rng(0)
    arrays = {}
    for part, count in (("train", 200), ("test", 20)):
        arrays[f"x_{part}"] = random.integers(0, 256, (count, 16, 16), dtype="uint8")
        arrays[f"y_{part}"] = np.arange(count) % 10
    (tmp_path / "usps").mkdir()
    np.savez(tmp_path / "usps/usps.npz", **arrays)
    return tmp_path, arrays


def test_the_test_part_is_the_published_one(usps_dir):
    directory, arrays = usps_dir
    dataset = mtf.data.load("usps", "test", data_dir=directory)
    assert dataset.example_shape == (16, 16, 1) and dataset.domain == "usps"
    order = np.argsort(arrays["y_test"], kind="stable")
    np.testing.assert_array_equal(dataset.examples[..., 0], arrays["x_test"][order])


def test_train_and_validation_share_nothing(usps_dir):
    directory, arrays = usps_dir
    parts = [mtf.data.load("usps", split, data_dir=directory) for split in ("train", "validation")]
    assert sum(map(len, parts)) == len(arrays["x_train"])
    rows = [{image.tobytes() for image in part.examples} for part in parts]
    assert not rows[0] & rows[1]


def test_it_is_resized_like_the_others(usps_dir):
    assert mtf.data.load("usps", "train", data_dir=usps_dir[0], image_size=28).example_shape == (28, 28, 1)


def test_a_missing_file_says_where_it_was_looked_for(tmp_path):
    with pytest.raises(FileNotFoundError, match="usps.npz"):
        mtf.data.load("usps", "train", data_dir=tmp_path)


@pytest.mark.parametrize("content", [b"", b"no archive", None])
def test_a_damaged_file_is_refused(tmp_path, content):
    (tmp_path / "usps").mkdir()
    path = tmp_path / "usps/usps.npz"
    if content is None:
        np.savez(path, x_train=np.zeros([3, 8, 8], "uint8"), y_train=np.zeros(3, int))
    else:
        path.write_bytes(content)
    with pytest.raises(ValueError, match="USPS"):
        mtf.data.load("usps", "train", data_dir=tmp_path)
