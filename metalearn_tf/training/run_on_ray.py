"""Trainings on the workers of a Ray cluster; they restart automatically when a worker is lost."""

import os
import tempfile

from metalearn_tf.checks.whole_numbers import check_whole
from metalearn_tf.training.environment import RAY_PRIORITY, environment
from metalearn_tf.training.require_ray import require_ray
from metalearn_tf.training.resume import Resume


def run_on_ray(train_function, workers, storage_path=None, name=None, max_failures=3, cpus_per_worker=1, gpus=0):
    """Runs a training function on each of several workers of a Ray cluster.

    ```python
    def train(resume):
        mtf.training.use_task_parallelism(1)
        with mtf.training.multi_worker_strategy().scope():
            learner = mtf.learners.PrototypicalNetwork(mtf.networks.conv4())
            learner.compile("adam", metrics=["accuracy"])
        tasks = mtf.data.episodes(mtf.data.load("glyphs", "train"), ways=5, shots=1, queries=15, tasks_per_batch=8)
        learner.fit(tasks, steps_per_epoch=100, epochs=10, callbacks=[resume])
        learner.save(pathlib.Path(storage, "learner.keras"))  # equal on all workers

    result = mtf.training.run_on_ray(train, workers=2, storage_path=storage)
    ```

    It uses Ray Train's `TensorflowTrainer`, which sets `TF_CONFIG`. If a worker's process or machine dies, the others
    stop. Then all start again, and `resume` restores the last state from Ray's storage in each.

    Args:
        train_function: function of one argument, a `RayResume`; pass it to `fit` as the first callback. The function
            runs in its own process on each worker, and builds the model under the scope of `multi_worker_strategy()`.
        workers: the number of workers.
        storage_path: folder that all machines see, or a URI that Ray accepts, such as `"s3://bucket/folder"`; by
            default Ray's own folder, which is enough on one machine.
        name: name of the run in the storage. A run with the same name and storage continues from the last state there.
        max_failures: how often workers may be lost; -1 for no limit.
        cpus_per_worker: cores that Ray reserves for each worker.
        gpus: GPUs that Ray reserves for each worker.

    Returns:
        Ray's `ray.train.Result`: its `metrics` are the logs of the last epoch, its `checkpoint` the last state.

    Raises:
        ValueError: if an argument is not accepted.
        ImportError: if Ray is not installed.
        ray.train.TrainingFailedError: if the training function fails, or workers are lost too often.
    """
    _check(train_function, workers, max_failures, cpus_per_worker)
    require_ray()
    import ray
    from ray import train
    from ray.train.tensorflow import TensorflowTrainer

    if not ray.is_initialized():
        with environment(RAY_PRIORITY):
            ray.init(include_dashboard=False)
    options = {} if storage_path is None else {"storage_path": str(storage_path)}
    trainer = TensorflowTrainer(
        lambda: _train(train_function),
        scaling_config=train.ScalingConfig(
            num_workers=workers,
            use_gpu=bool(gpus),
            resources_per_worker={"CPU": cpus_per_worker, **({"GPU": gpus} if gpus else {})},
        ),
        run_config=train.RunConfig(
            name=name,
            failure_config=train.FailureConfig(max_failures=max_failures),
            checkpoint_config=train.CheckpointConfig(num_to_keep=2),
            **options,
        ),
    )
    return trainer.fit()


class RayResume(Resume):
    """`Resume` with its states in the storage of a Ray run. `run_on_ray` passes this callback to its function.

    A state is written to a folder of the worker and reported to Ray, with the logs of the last epoch as metrics.

    Args:
        save_freq: as in `Resume`.
        **options: as in `Resume`, except `backup_dir` and `delete_checkpoint`.
    """

    def __init__(self, save_freq="epoch", **options):
        # A temporary folder for each process: workers on one machine must not overwrite each other's states.
        self._folder = tempfile.TemporaryDirectory(prefix="resume_")
        super().__init__(self._folder.name, save_freq, delete_checkpoint=False, **options)

    def on_train_begin(self, logs=None):
        from ray import train

        checkpoint = train.get_checkpoint()
        if checkpoint is not None:
            checkpoint.to_directory(str(self.backup_dir))
        super().on_train_begin(logs)

    def _save(self, epoch, steps_of_epoch, ended=None):
        from ray import train

        super()._save(epoch, steps_of_epoch, ended)
        metrics = {name: float(values[-1]) for name, values in self.model.history.history.items()}
        # Ray waits until all workers have reported, and uses the state of the first one.
        is_first = train.get_context().get_world_rank() == 0
        checkpoint = train.Checkpoint.from_directory(str(self.backup_dir)) if is_first else None
        train.report({"epoch": epoch, "steps": self._steps, **metrics}, checkpoint=checkpoint)


def _train(train_function):
    # Ray sets this variable for Keras 2, which is another package.
    os.environ.pop("TF_USE_LEGACY_KERAS", None)
    train_function(RayResume())


def _check(train_function, workers, max_failures, cpus_per_worker):
    if not callable(train_function):
        raise ValueError(f"`train_function` must be a function of one argument. Received: {train_function!r}")
    check_whole(workers=workers, cpus_per_worker=cpus_per_worker)
    check_whole(least=-1, max_failures=max_failures)
