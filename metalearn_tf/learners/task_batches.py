"""What a learner does to each task of a batch, whatever their sizes: the map over tasks, with padding taken out."""

import keras
import tensorflow as tf

from metalearn_tf.learners.padding import most_ways, pad_ways, real_examples, restore_padding
from metalearn_tf.learners.task_mapping import map_tasks, task_context


def batch_logits(learner, inputs, training, query_y=None, by_step=False):
    """Adapts to each task and answers its queries.

    Args:
        learner: a `MetaLearner`.
        inputs: `(support_x, support_y, query_x)`, as `MetaLearner.call` takes them.
        training: whether the tasks are for meta-training.
        query_y: labels `(tasks, queries)`, which tell the queries that are padding; `None` where all are real.
        by_step: whether to answer along the adaptation, see `MetaLearner.classify_by_step`.

    Returns:
        Logits `(tasks, queries, ways)` float32, of 0 for padding; predictions `(tasks, queries, outputs)`. With
        `by_step` those of each step, `(steps, tasks, queries, ways)`.
    """
    support_x, support_y, query_x = map(tf.convert_to_tensor, inputs)
    support_y = support_y if support_y.dtype.is_floating else tf.cast(support_y, tf.int32)
    ways, differ = most_ways(support_y), tasks_differ(learner, support_y)
    labels = [query_y] if differ and query_y is not None else []

    def solve(task):
        support_x, support_y, query_x, *query_y = task
        if differ:
            support_x, support_y = real_examples(support_y, support_x, support_y)
        if labels:
            (query_x,) = real_examples(*query_y, query_x)
        if by_step:
            logits = learner.classify_by_step(support_x, support_y, query_x)
            logits = tf.transpose(logits, [1, 0, *range(2, logits.shape.rank)])  # queries first
        else:
            logits = learner.classify(learner.adapt_task(support_x, support_y), query_x)
        logits = pad_ways(tf.cast(logits, tf.float32), ways)
        return [restore_padding(logits, *query_y) if labels else logits]

    with task_context(bool(training), None if differ else ways):
        (logits,) = map_tasks(solve, [support_x, support_y, query_x, *labels], [tf.float32], learner.vectorizes_tasks)
    return tf.transpose(logits, [2, 0, 1, *range(3, logits.shape.rank)]) if by_step else logits


def batch_gradients(learner, tasks, ways):
    """`MetaLearner.task_gradients` of each task, and the new values of `MetaLearner.running_state`.

    A gradient is taken inside the map over tasks, so that the memory is that of the tasks in flight.

    Args:
        learner: a compiled `MetaLearner`.
        tasks: support and query tensors as `task_gradients` takes them, each with a leading task axis.
        ways: int32 scalar, the most ways of the tasks; `None` for regression.

    Returns:
        Losses `(tasks,)`, logits `(tasks, queries, ways)`, gradients and states with a leading task axis.
    """
    variables, state = learner.trainable_variables, learner.running_state()
    differ = tasks_differ(learner, tasks[1])
    padded = differ and len(tasks) == 5  # padding has no weight, so that it comes with weights

    def solve(task):
        support_x, support_y, *queries = task
        labels = queries[1]
        if padded:
            support_x, support_y = real_examples(support_y, support_x, support_y)
            queries = real_examples(labels, *queries)
        with keras.StatelessScope() as scope:
            loss, logits, gradients = learner.task_gradients(support_x, support_y, *queries)
            values = [scope.get_current_value(variable) for variable in state]
        logits = pad_ways(logits, ways)
        logits = restore_padding(logits, labels) if padded else logits
        return [loss, logits, *map(tf.convert_to_tensor, [*gradients, *values])]

    with task_context(True, None if differ else ways):
        types = [tf.float32, tf.float32, *(variable.dtype for variable in [*variables, *state])]
        losses, logits, *outputs = map_tasks(solve, tasks, types, learner.vectorizes_tasks)
    return losses, logits, outputs[: len(variables)], outputs[len(variables) :]


def real_queries(learner, x, *queries):
    """Labels, logits and weights of a batch's queries without those that are padding."""
    labels, _, sample_weight = queries
    if sample_weight is None or not tasks_differ(learner, tf.convert_to_tensor(x[1])):
        return queries
    return real_examples(labels, *queries)


def tasks_differ(learner, support_y):
    """Whether tasks may be of different sizes, so that each drops its padding and has its own number of ways."""
    return not support_y.dtype.is_floating and not learner.vectorizes_tasks
