"""The speed of a training, in tasks."""

import time

import numpy as np


class TaskClock:
    """Counts the tasks of a learner's training steps, and measures the time of these steps only.

    The first step is left out, because TensorFlow compiles in it.

    Args:
        learner: a compiled `MetaLearner`.
    """

    def __init__(self, learner):
        self._learner = learner
        self._has_compiled = False
        self.start_epoch()

    def start_epoch(self):
        """Starts the count again."""
        self._tasks, self._seconds = 0.0, 0.0

    def start_step(self):
        """To be called before a step."""
        self._steps_before, self._tasks_before = self._iterations(), self._tasks_in_loss()
        self._start = time.perf_counter()

    def end_step(self):
        """To be called after a step."""
        steps = self._iterations() - self._steps_before  # reading it waits for an accelerator
        seconds = time.perf_counter() - self._start
        if steps > 0 and self._has_compiled:
            self._tasks += self._tasks_in_loss() - self._tasks_before
            self._seconds += seconds
        self._has_compiled = self._has_compiled or steps > 0

    @property
    def tasks_per_second(self):
        """The speed in the epoch so far; `None` if it had only the first step."""
        return self._tasks / self._seconds if self._tasks > 0 else None

    def _iterations(self):
        return int(np.asarray(self._learner.optimizer.iterations))

    def _tasks_in_loss(self):
        """The number of tasks, on all replicas, over which the loss shown by `fit` is the mean."""
        (loss,) = (metric for metric in self._learner.metrics if metric.name == "loss")
        strategy = self._learner.distribute_strategy
        count = strategy.experimental_local_results(loss.count.value)[0]
        return float(np.asarray(count)) * strategy.num_replicas_in_sync
