"""Training on a real Ray cluster of this machine, with a worker that is killed."""

import json
import os
import signal

import metalearn_tf as mtf
from metalearn_tf.training.environment import RAY_PRIORITY

import numpy as np
import pytest

ray = pytest.importorskip("ray", reason="needs Ray, the extra `ray`")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"workers": 0}, "`workers` must be a positive integer. Received: workers=0"),
        ({"workers": True}, "`workers` must be a positive integer"),
        ({"max_failures": -2}, "`max_failures` must be an integer of at least -1. Received: max_failures=-2"),
        ({"cpus_per_worker": 0.5}, "`cpus_per_worker` must be a positive integer. Received: cpus_per_worker=0.5"),
        ({"train_function": 3}, "`train_function` must be a function of one argument. Received: 3"),
    ],
)
def test_arguments_are_checked_before_a_cluster_starts(arguments, message):
    with pytest.raises(ValueError, match=message):
        mtf.training.run_on_ray(**{"train_function": print, "workers": 2, **arguments})
    assert not ray.is_initialized()


def test_a_cluster_that_it_starts_gives_its_workers_the_usual_priority(monkeypatch):
    found = []

    def init(**options):
        found.append(({name: os.environ.get(name) for name in RAY_PRIORITY}, options))
        raise KeyboardInterrupt

    monkeypatch.setattr(ray, "init", init)
    for name in RAY_PRIORITY:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(KeyboardInterrupt):
        mtf.training.run_on_ray(print, workers=2)
    # Ray refuses a `_system_config` where the environment names a cluster to join.
    assert found == [({"RAY_worker_niceness": "0"}, {"include_dashboard": False})]
    assert not set(RAY_PRIORITY) & set(os.environ)


def make_training(folder, killed_epoch=None):
    """A training function whose second worker kills itself, once, when an epoch begins."""

    def train(resume):
        import keras

        mtf.training.use_task_parallelism(1)
        strategy = mtf.training.multi_worker_strategy()
        index = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
        keras.utils.set_random_seed(0)
        with strategy.scope():
            learner = mtf.learners.PrototypicalNetwork(mtf.networks.conv4((16, 16, 1), 8))
            learner.compile(keras.optimizers.SGD(0.01), metrics=["accuracy"])

        class Kill(keras.callbacks.Callback):
            def on_epoch_begin(self, epoch, logs=None):
                if epoch == killed_epoch and index == 1 and not (folder / "killed").exists():
                    (folder / "killed").touch()
                    os.kill(os.getpid(), signal.SIGKILL)

        random = np.random.default_rng(0)
        images = random.uniform(0, 1, (8, 24, 16, 16, 1)).astype("float32").reshape(-1, 16, 16, 1)
        dataset = mtf.data.ClassDataset(images, np.repeat(np.arange(8), 24))
        tasks = mtf.data.episodes(dataset, ways=3, shots=2, queries=4, tasks_per_batch=4)
        learner.fit(tasks, steps_per_epoch=5, epochs=4, callbacks=[resume, Kill()], verbose=0)
        np.savez(folder / f"end_{index}.npz", *learner.get_weights())

    return train


@pytest.mark.slow
# Ray leaves sockets and processes of its own to Python's clean-up.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray", "ignore::FutureWarning:ray")
def test_a_run_goes_on_when_a_worker_is_killed(tmp_path):
    folders = {name: tmp_path / name for name in ("whole", "killed")}
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, _system_config={"worker_niceness": 0})
    try:
        for name, folder in folders.items():
            folder.mkdir()
            train = make_training(folder, killed_epoch=2 if name == "killed" else None)
            result = mtf.training.run_on_ray(train, workers=2, storage_path=folder / "storage", name="run")
            assert result.metrics["epoch"] == 4 and result.metrics["steps"] == 20
            assert 0 <= result.metrics["accuracy"] <= 1
            assert result.checkpoint.path.startswith(str(folder / "storage"))
    finally:
        ray.shutdown()
    assert (folders["killed"] / "killed").exists()
    with np.load(folders["whole"] / "end_0.npz") as whole:
        for folder in folders.values():
            for index in range(2):
                with np.load(folder / f"end_{index}.npz") as end:
                    for name in whole.files:
                        np.testing.assert_array_equal(end[name], whole[name])
