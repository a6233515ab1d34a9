"""A log message if all cores work on one task at a time."""

import functools
import logging

import tensorflow as tf

from metalearn_tf.engine.usable_cores import usable_cores


def look_at_threads():
    """Logs, once per process, if each task is spread over several cores. One task per core is faster."""
    if usable_cores() > 1 and tf.config.threading.get_intra_op_parallelism_threads() != 1:
        say_that_tasks_are_slower()


@functools.cache
def say_that_tasks_are_slower():
    """Logs the message at the first call in a process."""
    logging.getLogger(__name__).warning(
        "TensorFlow spreads each task over several cores. One task on each is about a fifth faster: call "
        "`mtf.training.use_task_parallelism()` right after the imports, before TensorFlow's first operation."
    )
