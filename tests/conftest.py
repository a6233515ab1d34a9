"""What the tests share."""

import functools
import gc
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import metalearn_tf as mtf

import keras
import numpy as np
import pytest
import tensorflow as tf

# The collector walks all that TensorFlow's modules hold again and again while graphs are traced: a sixth of the suite.
gc.collect()
gc.freeze()
gc.set_threshold(20_000, 20, 20)


def pytest_collection_modifyitems(items):
    """Puts the rows of a table that has the marker `rows` where the marker says.

    `@pytest.mark.rows(default=["MAML"])`: this row runs by default, all others in the full gate. With `full=["MANN"]`
    these alone do, and the others are long gates. A row is named by its id, or by a part of it between hyphens.
    """
    for item in items:
        marker = item.get_closest_marker("rows")
        if marker is not None:
            names = {item.callspec.id, *item.callspec.id.split("-")}
            if not names & set(marker.kwargs["default"]):
                full = marker.kwargs.get("full")
                item.add_marker("full" if full is None or names & set(full) else "slow")


@pytest.fixture(scope="session")
def tfds_data_dir():
    """The folder of prepared TFDS datasets, from TFDS_DATA_DIR; the test is skipped without it."""
    folder = os.environ.get("TFDS_DATA_DIR")
    if not folder or not os.path.isdir(folder):
        pytest.skip("TFDS_DATA_DIR does not name a folder of prepared datasets")
    return folder


@pytest.fixture(scope="session")
def usps_data_dir(tfds_data_dir):
    """The folder with `usps/usps.npz` in it: the one above TFDS_DATA_DIR."""
    folder = os.path.dirname(tfds_data_dir.rstrip(os.sep))
    if not os.path.exists(os.path.join(folder, "usps", "usps.npz")):
        pytest.skip("the folder above TFDS_DATA_DIR has no usps/usps.npz")
    return folder


@pytest.fixture(scope="session")
def sklearn_data_home():
    """scikit-learn's folder with the real data, from SCIKIT_LEARN_DATA or beside the folder of TFDS."""
    tfds = os.environ.get("TFDS_DATA_DIR")
    for folder in (os.environ.get("SCIKIT_LEARN_DATA"), tfds and os.path.join(os.path.dirname(tfds), "sklearn")):
        if folder and os.path.exists(os.path.join(folder, "20news-bydate_py3.pkz")):
            return folder
    pytest.skip("neither SCIKIT_LEARN_DATA nor the folder `sklearn` beside TFDS_DATA_DIR holds 20 Newsgroups")


@pytest.fixture(autouse=True)
def _fresh_keras():
    """Each test starts from the same seed and the float32 policy."""
    keras.utils.set_random_seed(0)
    yield
    keras.mixed_precision.set_global_policy("float32")


@pytest.fixture(scope="session")
def toy_dataset():
    """Twelve classes of 16 noisy 16×16 patterns, easy to tell apart."""
    random = np.random.default_rng(0)
    patterns = random.integers(0, 200, (12, 16, 16, 1))
    images = patterns[:, None] + random.integers(0, 56, (12, 16, 16, 16, 1))
    return mtf.data.ClassDataset(images.reshape(-1, 16, 16, 1).astype("uint8"), np.repeat(np.arange(12), 16))


@pytest.fixture(scope="session")
def toy_tasks(toy_dataset):
    """Sixteen batches of tasks of a seed, again and again, without the cost of a pipeline for each reader."""

    @functools.cache
    def make(ways, shots, queries, tasks, seed=0):
        episodes = mtf.data.episodes(toy_dataset, ways, shots, queries, 16 * tasks, seed)
        return tf.data.Dataset.from_tensor_slices(next(iter(episodes))).batch(tasks, drop_remainder=True).repeat()

    return make
