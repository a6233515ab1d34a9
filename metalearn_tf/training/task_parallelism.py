"""One task per core."""

import tensorflow as tf

from metalearn_tf.checks.whole_numbers import check_whole
from metalearn_tf.engine.task_threads import say_that_tasks_are_slower
from metalearn_tf.engine.usable_cores import usable_cores


def use_task_parallelism(cores=None):
    """Makes TensorFlow run each operation on one core, so that each core can work on its own task.

    A few-shot task is small: if all cores work on one task, they spend much time waiting for each other. One task per
    core is about a fifth faster. It is optional: everything also works without it. TensorFlow sets its threads when it
    runs its first operation. If you call this later, as in a notebook that has already computed something, it has no
    effect, and a message is logged once.

    Args:
        cores: the number of cores to use; by default all that the process may use.

    Returns:
        The number of cores.

    Raises:
        ValueError: if `cores` is not a positive integer.
    """
    cores = usable_cores() if cores is None else cores
    check_whole(cores=cores)
    try:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(cores)
    except RuntimeError:  # TensorFlow has started its threads already
        say_that_tasks_are_slower()
    return cores
