"""Every function that takes a path: written where it says, or refused; no folder of the name `ram:` is made."""

import inspect
import os
import pathlib

import metalearn_tf as mtf
from metalearn_tf.files.local_path import local_path
from metalearn_tf.workflows.run_directory import RunDirectory

import keras
import numpy as np
import pytest
import tensorflow as tf

LEARNER = mtf.learners.PrototypicalNetwork
VECTORS = np.random.default_rng(0).normal(size=(12, 5)).astype("float32")


def dataset():
    return mtf.data.ClassDataset(VECTORS, np.arange(12) % 3)


def learner(filters=4):
    model = LEARNER(mtf.networks.mlp((5,), (filters,)))
    model.compile("adam")
    return model


def run_directory(path):
    return RunDirectory(path, {}, 1, 0)


REFUSED = {
    "Resume": mtf.training.Resume,
    "export_learner": lambda path: mtf.serving.export_learner(None, path),
    "export_gan": lambda path: mtf.serving.export_gan(None, path),
    "export_meta_gan": lambda path: mtf.serving.export_meta_gan(None, path),
    "export_classifier": lambda path: mtf.serving.export_classifier(None, path),
    "export_features": lambda path: mtf.serving.export_features(None, path),
    "write_shards": lambda path: mtf.data.write_shards(dataset(), path),
    "from_shards": mtf.data.from_shards,
    "from_directory": lambda path: mtf.data.from_directory(path, image_size=8),
    "read_image": lambda path: mtf.data.read_image(path, 8),
    "extract_features": lambda path: mtf.transfer.extract_features(
        mtf.networks.mlp((5,), (4,)), VECTORS, cache_dir=path
    ),
    "load, cache_dir": lambda path: mtf.data.load("glyphs", "train", cache_dir=path),
    "load, data_dir": lambda path: mtf.data.load("usps", "train", data_dir=path),
    "load, data_home": lambda path: mtf.data.load("20newsgroups", "train", data_home=path),
    "SampleGrid": mtf.evaluation.SampleGrid,
    "training_curves": lambda path: mtf.evaluation.training_curves({"loss": [1.0, 2.0]}, path),
    "workflows": run_directory,
    "tune": lambda path: mtf.training.tune(learner, {"filters": [4]}, dataset(), dataset(), path, trials=1),
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_writes_here_alone_refuses_a_scheme(here):
    for name, function in REFUSED.items():
        for path in ("ram://bucket/folder/1", "gs://bucket/1"):
            with pytest.raises(
                ValueError, match=r"` must be a path of this machine's file system.*Received: .*://bucket"
            ):
                function(path)
            assert not list(here.iterdir()), name


def test_the_cache_of_the_environment_refuses_a_scheme(here, monkeypatch):
    monkeypatch.setenv("METALEARN_TF_CACHE", "gs://bucket")
    with pytest.raises(ValueError, match="`METALEARN_TF_CACHE` must be a path of this machine"):
        mtf.data.load("glyphs", "train")
    assert not list(here.iterdir())


@pytest.mark.full
def test_what_keras_writes_is_written_there(here):
    model = learner()
    model.save("ram://bucket/learner.keras")
    assert isinstance(keras.models.load_model("ram://bucket/learner.keras"), LEARNER)
    board = mtf.training.TaskBoard("ram://bucket/board", mtf.data.episodes(dataset(), 2, 1, 1), batches=1)
    tasks = mtf.data.episodes(dataset(), 2, 1, 1)
    model.fit(tasks, steps_per_epoch=1, verbose=0, callbacks=[board])
    assert tf.io.gfile.exists("ram://bucket/board/tasks")
    assert not list(here.iterdir())


@pytest.mark.parametrize("path", ["s3://b", "hdfs://h/x", "file:///x", pathlib.PurePosixPath("gs://b/x"), "a+b.c://x"])
def test_every_scheme_is_told(path):
    with pytest.raises(ValueError, match=r"`folder` must be a path of this machine's.*Received: folder='"):
        local_path("folder", path)


@pytest.mark.parametrize("path", ["runs/a:b", "C:/runs", "./gs:/x", pathlib.Path("x"), "~/x", os.path.join("a", "b")])
def test_paths_of_this_machine_are_taken(path):
    assert local_path("folder", path) == pathlib.Path(path)


def test_no_path_is_forgotten():
    """Every public function with an argument of such a name is among those above, or is known to write by itself."""
    named = {
        "path",
        "directory",
        "data_dir",
        "backup_dir",
        "cache_dir",
        "run_directory",
        "folder",
        "log_dir",
        "filepath",
    }
    found = set()
    for room in ("data", "networks", "serving", "learners", "gan", "transfer", "evaluation", "training", "workflows"):
        for name, value in vars(getattr(mtf, room)).items():
            ours = not name.startswith("_") and getattr(value, "__module__", "").startswith("metalearn_tf")
            if ours and callable(value) and named & set(inspect.signature(value).parameters):
                found.add(name)
    workflows = {"daml", "gan_augmented", "meta_gan_transfer"}
    # TensorFlow writes the curves; figures are written like reports.
    known = {"TaskBoard", "feature_dataset", "few_shot_figure"}
    assert found - workflows - known <= {name.partition(",")[0] for name in REFUSED}
