"""The folder of `Resume`: what is deleted at the end of a training, and what never is."""

import metalearn_tf as mtf

import keras
import numpy as np
import pytest
import tensorflow as tf


def train(folder, epochs=2, **options):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    resume = mtf.training.Resume(folder, **options)
    x, y = np.ones((4, 3), "float32"), np.ones((4, 1), "float32")
    return model.fit(x, y, epochs=epochs, verbose=0, callbacks=[resume])


def test_the_folder_is_gone_when_nothing_else_is_in_it(tmp_path):
    train(tmp_path / "runs" / "mine")
    assert not (tmp_path / "runs" / "mine").exists() and (tmp_path / "runs").exists()


def test_another_training_may_follow_in_the_same_folder(tmp_path):
    for batch in (4, 2):
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        data = tf.data.Dataset.from_tensor_slices((np.ones((8, 3)), np.ones((8, 1)))).batch(batch).repeat()
        model.fit(data, steps_per_epoch=2, shuffle=False, verbose=0, callbacks=[mtf.training.Resume(tmp_path / "run")])
        assert not (tmp_path / "run").exists()


def test_files_of_others_stay(tmp_path):
    others = {"report.json": "{}", "weights.npz": "x", ".model.json": "y", "sub/latest.npz": "z", ".hidden.tmp": "t"}
    for name, text in others.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    train(tmp_path)
    found = {path.relative_to(tmp_path).as_posix(): path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    assert found == others


def test_parts_that_a_kill_left_are_deleted_too(tmp_path):
    (tmp_path / ".latest.npz.0123456789abcdef.tmp").write_bytes(b"half")
    train(tmp_path)
    assert not tmp_path.exists()


@pytest.mark.parametrize("times", [1, 2])
def test_a_link_to_a_folder_stays(times, tmp_path):
    (tmp_path / "large_disk").mkdir()
    (tmp_path / "checkpoints").symlink_to(tmp_path / "large_disk")
    for _ in range(times):
        assert len(train(tmp_path / "checkpoints").epoch) == 2
    assert (tmp_path / "checkpoints").is_symlink() and not list((tmp_path / "large_disk").iterdir())


def test_the_state_before_stays_beside_the_latest(tmp_path):
    train(tmp_path, epochs=3, delete_checkpoint=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "batch.json",
        "latest.npz",
        "model.json",
        "previous.npz",
    ]
