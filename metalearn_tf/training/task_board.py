"""TensorBoard curves for learners."""

import importlib.util
import os

import keras
import numpy as np
import tensorflow as tf

from metalearn_tf.checks.whole_numbers import check_whole
from metalearn_tf.engine.keras_internals import curve_writers, train_writer
from metalearn_tf.evaluation.every_few_epochs import EveryFewEpochs
from metalearn_tf.training.first_worker import is_first_worker
from metalearn_tf.training.task_clock import TaskClock

_NOT_TASKS = (
    "`tasks` must be a tf.data.Dataset of tasks, `((support_x, support_y, query_x), query_y)`, as `mtf.data.episodes` "
    "makes it. Received: "
)


class TaskBoard(EveryFewEpochs, keras.callbacks.TensorBoard):
    """Keras's TensorBoard callback, with additional curves of how a learner adapts.

    ```python
    tasks = mtf.data.episodes(validation, ways=5, shots=1, queries=15, tasks_per_batch=8)
    learner.fit(train_tasks, steps_per_epoch=100, epochs=20, callbacks=[mtf.training.TaskBoard("runs/curves", tasks)])
    ```

    After an epoch, the learner adapts to a few tasks, always the same. The results are in the run `tasks`, beside
    Keras's runs `train` and `validation`:

    - `adaptation/loss_after` and `adaptation/accuracy_after`: on the queries after adaptation, as `learner.evaluate`
      gives them on these tasks;
    - `adaptation/loss_before` and `adaptation/accuracy_before`: before adaptation;
    - `loss_by_step/step_0`, … and `accuracy_by_step/step_0`, …: before the first inner step and after each one, with as
      many steps as outside training;
    - `accuracy_by_presentation/1`, …: for a learner of sequences, such as `MANN`: accuracy at the first, second, … time
      that a class is presented, with support and queries in one random order;
    - `learned/…`: histograms of what was learned about the adaptation itself, `learner.adaptation_values`: the rates of
      `MetaSGD` and MAML++ for each weight or step, the values that MAML++ adds to normalisation, and the gates of
      `MetaLSTM` in each step of the first task.

    Only learners that adapt by gradient steps have a classifier before they see a support set. Learners with
    prototypes, memories or comparisons have none, so they have no curves for "before" and for steps. Regression has a
    loss but no accuracy. The run `train` gets `epoch_tasks_per_second`: the number of training tasks divided by the
    time of the training steps. This time does not include validation, callbacks and the first step, in which TensorFlow
    compiles.

    The callback does not change the training. Under a `tf.distribute` strategy of several workers, the first worker
    writes.

    Args:
        log_dir: folder of the event files, for one training.
        tasks: a `tf.data.Dataset` as `mtf.data.episodes` makes it, preferably of classes that are not trained on. It is
            read once, here, and its tasks are kept in memory.
        batches: the number of its batches to use.
        every: epochs from one evaluation to the next; the first and the last of a `fit` are evaluated too.
        seed: integer, for the order of presentations.
        **kwargs: see `keras.callbacks.TensorBoard`.

    Raises:
        ValueError: if `tasks` is not such a dataset or has no batch, or a number is not positive; when training begins,
            if the model is not a learner or the tasks do not fit it.
        ImportError: if the tensorboard package is not installed.
    """

    def __init__(self, log_dir, tasks, batches=2, every=1, seed=0, **kwargs):
        if importlib.util.find_spec("tensorboard") is None:
            raise ImportError("`TaskBoard` needs the tensorboard package: `pip install tensorboard`.")
        check_whole(batches=batches, every=every)
        check_whole(least=None, seed=seed)
        super().__init__(log_dir, **kwargs)
        self.every = every
        self._batches = _read(tasks, batches)
        self._seed = seed

    # === Keras's events ===

    def set_model(self, model):
        if not callable(getattr(model, "logits_by_step", None)):
            raise ValueError(f"`TaskBoard` is for the learners of `mtf.learners`. Received: a {type(model).__name__}")
        self._writes = is_first_worker(model)
        if not self._writes:
            self.write_graph, self.embeddings_freq = False, 0
        super().set_model(model)
        if not self._writes:
            curve_writers(self).update(dict.fromkeys(("train", "val", "tasks"), tf.summary.create_noop_writer()))

    def on_train_begin(self, logs=None):
        for batch in self._batches:
            self.model.check_tasks(*batch)
        super().on_train_begin(logs)
        self._clock = TaskClock(self.model)
        self._logits_by_step = tf.function(self.model.logits_by_step, reduce_retracing=True)
        self._adaptation_values = tf.function(self.model.adaptation_values, reduce_retracing=True)
        if callable(getattr(self.model, "present", None)):
            self._present = tf.function(self.model.present, reduce_retracing=True)
            self._sequences = [sequence for batch in self._batches for sequence in _sequences(*batch, self._seed)]

    def on_epoch_begin(self, epoch, logs=None):
        super().on_epoch_begin(epoch, logs)
        self._clock.start_epoch()

    def on_train_batch_begin(self, batch, logs=None):
        super().on_train_batch_begin(batch, logs)
        self._clock.start_step()

    def on_train_batch_end(self, batch, logs=None):
        self._clock.end_step()
        super().on_train_batch_end(batch, logs)

    def on_epoch_end(self, epoch, logs=None):
        # Written whatever `update_freq` says about the last batch.
        with tf.summary.record_if(True):
            super().on_epoch_end(epoch, logs)
            speed = self._clock.tasks_per_second
            if speed is not None:
                with train_writer(self).as_default():
                    tf.summary.scalar("epoch_tasks_per_second", speed, step=epoch)
            if self.is_due(epoch):
                self._write_tasks(epoch)

    # === What is written ===

    @property
    def _tasks_writer(self):
        writers = curve_writers(self)
        if "tasks" not in writers:
            writers["tasks"] = tf.summary.create_file_writer(os.path.join(self.log_dir, "tasks"))
        return writers["tasks"]

    def _write_tasks(self, epoch):
        scalars = self._scores()
        if hasattr(self, "_sequences"):
            scalars |= self._accuracies_by_presentation()
        (support_x, support_y, _), *_ = self._batches[0]
        real = slice(None) if support_y.dtype.is_floating else support_y[0] >= 0
        values = self._adaptation_values(support_x[0][real], support_y[0][real])
        with self._tasks_writer.as_default():
            for name, value in scalars.items():
                tf.summary.scalar(name, value, step=epoch)
            for name, value in values.items():
                tf.summary.histogram(f"learned/{name}", value, step=epoch)
        self._tasks_writer.flush()

    def _scores(self):
        """Losses and accuracies of the queries, by the names under which they are written."""
        losses, hits, tasks, queries = 0.0, 0.0, 0, 0
        for x, y, sample_weight in self._batches:
            logits = self._logits_by_step(x, None if sample_weight is None else y)
            is_class = not y.dtype.is_floating
            if is_class:  # without padding
                real = y >= 0
                sample_weight = None if sample_weight is None else sample_weight[real]
                y, logits = y[real], tf.boolean_mask(logits, real, axis=1)
                hits += tf.reduce_sum(tf.cast(tf.argmax(logits, -1, y.dtype) == y, tf.float32), axis=1).numpy()
                queries += len(y)
            losses += len(x[0]) * np.asarray([self._loss(y, each, sample_weight, len(x[0])) for each in logits])
            tasks += len(x[0])
        scores = {"loss": losses / tasks, **({"accuracy": hits / queries} if queries else {})}
        scalars = {}
        for name, values in scores.items():
            scalars[f"adaptation/{name}_after"] = values[-1]
            if len(values) > 1:
                scalars[f"adaptation/{name}_before"] = values[0]
                scalars |= {f"{name}_by_step/step_{step}": value for step, value in enumerate(values)}
        return scalars

    def _loss(self, y, logits, sample_weight, tasks):
        return float(self.model.batch_loss(y, logits, sample_weight, tasks, training=False))

    def _accuracies_by_presentation(self):
        found = []
        for x, y, times in self._sequences:
            found.append((times, np.argmax(self._present(x, y), axis=-1) == y))
        times, hits = (np.concatenate([np.ravel(part) for part in parts]) for parts in zip(*found))
        return {f"accuracy_by_presentation/{time}": hits[times == time].mean() for time in np.unique(times)}


def _read(tasks, batches):
    """The first batches of tasks: inputs, labels, and weights or `None`."""
    if not isinstance(tasks, tf.data.Dataset):
        raise ValueError(f"{_NOT_TASKS}{type(tasks).__name__}")
    spec = tasks.element_spec
    if not isinstance(spec, tuple) or len(spec) not in (2, 3) or not isinstance(spec[0], tuple) or len(spec[0]) != 3:
        raise ValueError(f"{_NOT_TASKS}elements {spec}")
    found = [keras.utils.unpack_x_y_sample_weight(batch) for batch in tasks.take(batches)]
    if not found:
        raise ValueError("`tasks` must have a batch. Received: an empty dataset")
    return found


def _sequences(x, y, sample_weight, seed):
    """Support and queries of each task in one random order.

    Returns:
        A list of examples `(tasks, n, ...)`, labels `(tasks, n)`, and the number of times that the label has occurred
        so far, from 1 on. The list is for all tasks together; with padding, which is left out, it is for each task
        separately.
    """
    examples, labels = (np.concatenate(parts, axis=1) for parts in ((x[0], x[2]), (x[1], y)))
    random, tasks = np.random.default_rng(seed), []
    for task_examples, task_labels in zip(examples, labels):
        order = random.permutation(np.flatnonzero(task_labels >= 0))
        tasks.append((task_examples[order], task_labels[order], _times(task_labels[order])))
    if labels.min() < 0:
        return [tuple(part[None] for part in task) for task in tasks]
    return [tuple(map(np.stack, zip(*tasks)))]


def _times(labels):
    same = labels[:, None] == labels[None, :]
    return np.sum(np.tril(same), axis=1)
