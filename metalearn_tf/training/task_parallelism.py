"""One task per core."""

import tensorflow as tf

from metalearn_tf.checks.whole_numbers import check_whole
from metalearn_tf.engine.task_threads import say_that_tasks_are_slower
from metalearn_tf.engine.usable_cores import usable_cores


def use_task_parallelism(cores=None):
    """Makes TensorFlow run one operation on one core, so that as many tasks run at once as there are cores.

    A few-shot task is small: all cores on one task spend much of their time waiting for each other. One task per core
    is about a fifth faster. All works without it. TensorFlow sets its threads when it runs its first operation: called
    later, as in a notebook that has computed something, this changes nothing, which is logged once.

    Args:
        cores: how many to use; by default all that the process may use.

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
    except RuntimeError:  # TensorFlow's threads are there already
        say_that_tasks_are_slower()
    return cores
