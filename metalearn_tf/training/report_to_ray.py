"""A callback that reports to Ray Tune after each epoch."""

import time

import keras

from metalearn_tf.training.require_ray import require_ray


class ReportToRay(keras.callbacks.Callback):
    """Reports all logs of each epoch to Ray Tune, including the accuracy on validation tasks.

    Use it in a training that runs in a trial of Ray Tune. `mtf.training.tune` adds it to its own trials; add it to
    yours:

    ```python
    def trial(parameters):
        mtf.training.use_task_parallelism(1)
        learner = build_learner(**parameters)
        learner.fit(tasks(), ..., callbacks=[mtf.training.Resume(folder), mtf.training.ReportToRay()])
    ```

    It reports the logs under Keras's names, such as `val_accuracy`. It also reports `epoch`, counted from 1, which
    ASHA's `time_attr` can use, and `seconds`, the wall time of the epoch. `seconds` is added to the logs, so the
    history has it too. If Ray stops the trial, training ends with the report.

    Raises:
        ImportError: if Ray Tune is not installed.
    """

    def __init__(self):
        super().__init__()
        require_ray()
        self._start = None

    def on_epoch_begin(self, epoch, logs=None):
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        from ray import tune

        logs = {} if logs is None else logs
        logs["seconds"] = time.perf_counter() - self._start
        tune.report({"epoch": epoch + 1, **{name: float(value) for name, value in logs.items()}})
