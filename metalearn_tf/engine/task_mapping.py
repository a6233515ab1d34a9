"""How the tasks of a batch are run: one after the other on each core, or all as one."""

import contextlib
import contextvars

import keras
import tensorflow as tf

from metalearn_tf.engine.keras_internals import flat_layers
from metalearn_tf.engine.task_threads import look_at_threads
from metalearn_tf.engine.usable_cores import usable_cores

TASK_MAPPINGS = ("auto", "parallel", "vectorized")

# Not arguments: between the map over tasks and those who ask are `adapt_task` and `classify`, which users write. These
# take a support set, or a task state and queries, and need not know of the rest.
_context = contextvars.ContextVar("task_context", default=(False, None))


@contextlib.contextmanager
def task_context(training, ways):
    """What every task traced inside has in common: whether it trains, and the number of ways.

    `ways` is `None` where each task has its own; a vectorised map cannot have a shape that differs by task.
    """
    token = _context.set((training, ways))
    try:
        yield
    finally:
        _context.reset(token)


def in_training():
    """Whether the task being traced belongs to meta-training. Outside a learner's call: `False`."""
    return _context.get()[0]


def shared_ways():
    """The number of ways of all tasks being traced; `None` where each has its own."""
    return _context.get()[1]


def is_vectorized(mapping):
    """Whether a `task_mapping` means vectorised tasks: `"auto"` does where TensorFlow sees a GPU."""
    return mapping == "vectorized" or (mapping == "auto" and bool(tf.config.list_logical_devices("GPU")))


def has_loops(network):
    """Whether a `keras.Model` has layers that loop over time: those of Keras, not unrolled."""
    recurrent = [layer for layer in flat_layers(network) if isinstance(layer, keras.layers.RNN)]
    return any(not layer.unroll for layer in recurrent)


def map_tasks(function, tasks, output_types, vectorized=False):
    """Applies `function` to each task of a batch.

    Args:
        function: from the tensors of one task, without the task axis, to a flat list of tensors.
        tasks: flat list of tensors with a leading task axis.
        output_types: list of the dtypes that `function` returns.
        vectorized: computes all tasks in common operations, for accelerators, in place of as many tasks at once as
            there are cores: the fastest on a CPU (see `mtf.training.use_task_parallelism`), which holds the memory of
            those tasks alone.

    Returns:
        The list of outputs, each with a leading task axis.
    """
    if tasks[0].shape[0] == 1:
        return [output[None] for output in function([tensor[0] for tensor in tasks])]
    if vectorized:
        return tf.vectorized_map(function, list(tasks))
    look_at_threads()
    return tf.map_fn(function, list(tasks), fn_output_signature=list(output_types), parallel_iterations=usable_cores())


def sum_over_tasks(function, tasks, like):
    """The sum over the tasks of a batch of what `function` returns, with the memory of the tasks in flight alone.

    Args:
        function: from the tensors of one task, without the task axis, to a flat list of tensors.
        tasks: flat list of tensors with a leading task axis.
        like: a list of tensors with the shapes and dtypes of what `function` returns.

    Returns:
        A list of tensors, as `like`.
    """

    look_at_threads()

    def add_task(index, *sums):
        outputs = function([tensor[index] for tensor in tasks])
        # Only the sum waits for the task before, so that tasks run beside each other.
        return [index + 1, *(total + output for total, output in zip(sums, outputs, strict=True))]

    _, *sums = tf.while_loop(
        lambda index, *_: index < tf.shape(tasks[0])[0],
        add_task,
        [tf.constant(0), *map(tf.zeros_like, like)],
        parallel_iterations=usable_cores(),
    )
    return sums
