"""How the tasks of a batch run: one after the other on each core, or all together."""

import contextlib
import contextvars

import keras
import tensorflow as tf

from metalearn_tf.engine.keras_internals import flat_layers
from metalearn_tf.engine.task_threads import look_at_threads
from metalearn_tf.engine.usable_cores import usable_cores

TASK_MAPPINGS = ("auto", "parallel", "vectorized")

# Not arguments: between the map over tasks and the code that reads these are `adapt_task` and `classify`. Users write
# them for a support set, or a task state and queries, and need not know the rest.
_context = contextvars.ContextVar("task_context", default=(False, None))


@contextlib.contextmanager
def task_context(training, ways):
    """Sets values for all tasks that are traced inside: whether they train, and their number of ways.

    `ways` is `None` if each task has its own number. In a vectorised map, all tasks must have the same shape.
    """
    token = _context.set((training, ways))
    try:
        yield
    finally:
        _context.reset(token)


def in_training():
    """Whether the task that is traced now belongs to meta-training. Outside a learner's call, it is `False`."""
    return _context.get()[0]


def shared_ways():
    """The number of ways of all tasks that are traced now; `None` if each has its own."""
    return _context.get()[1]


def is_vectorized(mapping):
    """Whether a `task_mapping` means vectorised tasks. `"auto"` does if TensorFlow sees a GPU."""
    return mapping == "vectorized" or (mapping == "auto" and bool(tf.config.list_logical_devices("GPU")))


def has_loops(network):
    """Whether a `keras.Model` has recurrent layers of Keras that are not unrolled."""
    recurrent = [layer for layer in flat_layers(network) if isinstance(layer, keras.layers.RNN)]
    return any(not layer.unroll for layer in recurrent)


def map_tasks(function, tasks, output_types, vectorized=False):
    """Applies `function` to each task of a batch.

    Args:
        function: from the tensors of one task, without the task axis, to a flat list of tensors.
        tasks: flat list of tensors with a leading task axis.
        output_types: list of the dtypes that `function` returns.
        vectorized: whether to compute all tasks in common operations, for accelerators. Otherwise, as many tasks run at
            once as there are cores. This is the fastest way on a CPU (see `mtf.training.use_task_parallelism`), and
            needs only the memory of these tasks.

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
    """Sums the results of `function` over the tasks of a batch. It needs only the memory of the tasks that run at once.

    Args:
        function: from the tensors of one task, without the task axis, to a flat list of tensors.
        tasks: flat list of tensors with a leading task axis.
        like: a list of tensors with the shapes and dtypes of the results of `function`.

    Returns:
        A list of tensors, as `like`.
    """

    look_at_threads()

    def add_task(index, *sums):
        outputs = function([tensor[index] for tensor in tasks])
        # Only the sum waits for the previous task, so the tasks themselves run at the same time.
        return [index + 1, *(total + output for total, output in zip(sums, outputs, strict=True))]

    _, *sums = tf.while_loop(
        lambda index, *_: index < tf.shape(tasks[0])[0],
        add_task,
        [tf.constant(0), *map(tf.zeros_like, like)],
        parallel_iterations=usable_cores(),
    )
    return sums
