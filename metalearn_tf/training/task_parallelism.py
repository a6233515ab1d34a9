"""One task per core."""

import tensorflow as tf

from metalearn_tf.checks.whole_numbers import check_whole
from metalearn_tf.engine.usable_cores import usable_cores


def use_task_parallelism(cores=None):
    """Makes TensorFlow run one operation on one core, so that as many tasks run at once as there are cores.

    A few-shot task is small: all cores on one task spend much of their time waiting for each other. One task per core
    is about a fifth faster. Call it before TensorFlow runs its first operation.

    Args:
        cores: how many to use; by default all that the process may use.

    Returns:
        The number of cores.

    Raises:
        RuntimeError: if TensorFlow has already started; its threads can be set only before.
        ValueError: if `cores` is not a positive integer.
    """
    cores = usable_cores() if cores is None else cores
    check_whole(cores=cores)
    try:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(cores)
    except RuntimeError as error:
        raise RuntimeError(
            "`use_task_parallelism` must be called before TensorFlow runs its first operation: "
            "make it the first line after the imports."
        ) from error
    return cores
