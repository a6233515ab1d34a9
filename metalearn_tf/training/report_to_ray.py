"""What a trial tells Ray Tune after each epoch."""

import time

import keras

from metalearn_tf.training.require_ray import require_ray


class ReportToRay(keras.callbacks.Callback):
    """Reports all logs of each epoch to Ray Tune, the accuracy on validation tasks among them.

    For a training within a trial of Ray Tune. `mtf.training.tune` gives it to its trials; give it to those of your own:

    ```python
    def trial(parameters):
        mtf.training.use_task_parallelism(1)
        learner = build_learner(**parameters)
        learner.fit(tasks(), ..., callbacks=[mtf.training.Resume(folder), mtf.training.ReportToRay()])
    ```

    What it reports are the logs as Keras names them, such as `val_accuracy`; `epoch`, counted from 1, by which ASHA's
    `time_attr` can go; and `seconds`, the wall time of the epoch, which it adds to the logs, and so to the history.
    Where Ray stops the trial, training ends with the report.

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
