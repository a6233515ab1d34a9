"""The map over the tasks of a batch. Tasks may differ in size: their padding is removed first."""

import keras
import tensorflow as tf

from metalearn_tf.engine.replicas import draw_rows
from metalearn_tf.engine.task_mapping import map_tasks, task_context
from metalearn_tf.learners.network_pass import layer_losses, random_seeds, result_dtype, with_layer_losses
from metalearn_tf.learners.padding import most_ways, pad_ways, real_examples, restore_padding


def batch_logits(learner, inputs, training, query_y=None, by_step=False):
    """Adapts to each task and answers its queries.

    Args:
        learner: a `MetaLearner`.
        inputs: `(support_x, support_y, query_x)`, as `MetaLearner.call` takes them.
        training: whether the tasks are for meta-training.
        query_y: labels `(tasks, queries)`, which show the queries that are padding; `None` if there is no padding.
        by_step: whether to answer after each step of the adaptation, see `MetaLearner.classify_by_step`.

    Returns:
        Logits `(tasks, queries, ways)` float32, 0 for padding; or predictions `(tasks, queries, outputs)`. With
        `by_step`, those of each step, `(steps, tasks, queries, ways)`. float64 if the network is float64.
    """
    return batch_logits_and_losses(learner, inputs, training, query_y, by_step)[0]


def batch_logits_and_losses(learner, inputs, training, query_y=None, by_step=False):
    """Like `batch_logits`, and also the losses that the network's layers add for each task, `(tasks,)`."""
    support_x, support_y, query_x = map(tf.convert_to_tensor, inputs)
    support_y = support_y if support_y.dtype.is_floating else tf.cast(support_y, tf.int32)
    weighted = query_y is not None
    if not learner.vectorizes_tasks or support_y.dtype.is_floating or not _may_choose(learner):
        vectorized = tasks_are_vectorized(learner, weighted)
        return _map_logits(learner, support_x, support_y, query_x, query_y, training, by_step, vectorized)
    # Only the labels show whether all tasks have the same size.
    solve = lambda vectorized: _map_logits(  # noqa: E731
        learner, support_x, support_y, query_x, query_y, training, by_step, vectorized
    )
    return tf.cond(_are_alike(support_y), lambda: solve(True), lambda: solve(False))


def _map_logits(learner, support_x, support_y, query_x, query_y, training, by_step, vectorized):
    ways, differ = most_ways(support_y), not support_y.dtype.is_floating and not vectorized
    labels = [query_y] if differ and query_y is not None else []
    dtype = result_dtype(learner.network)

    def solve(task):
        support_x, support_y, query_x, *query_y = task
        if differ:
            support_x, support_y = real_examples(support_y, support_x, support_y)
        if labels:
            (query_x,) = real_examples(*query_y, query_x)
        with layer_losses():
            if by_step:
                logits = learner.classify_by_step(support_x, support_y, query_x)
                logits = tf.transpose(logits, [1, 0, *range(2, logits.shape.rank)])  # queries first
            else:
                logits = learner.classify(learner.adapt_task(support_x, support_y), query_x)
            added = with_layer_losses(tf.zeros([], dtype))
        logits = pad_ways(tf.cast(logits, dtype), ways)
        return [restore_padding(logits, *query_y) if labels else logits, added]

    tasks = [support_x, _alike(support_y) if vectorized else support_y, query_x, *labels]
    with task_context(bool(training), None if differ else ways):
        logits, added = map_tasks(solve, tasks, [dtype, dtype], vectorized)
    return tf.transpose(logits, [2, 0, 1, *range(3, logits.shape.rank)]) if by_step else logits, added


def batch_gradients(learner, tasks, ways):
    """`MetaLearner.task_gradients` of each task, and the new values of `MetaLearner.running_state`.

    The map over tasks also computes the gradients, so it only needs the memory of the tasks that run at the same time.

    Args:
        learner: a compiled `MetaLearner`.
        tasks: support and query tensors as `task_gradients` takes them, each with a leading task axis.
        ways: int32 scalar, the largest number of ways of the tasks; `None` for regression.

    Returns:
        Losses `(tasks,)`, logits `(tasks, queries, ways)`, and gradients and states with a leading task axis.
    """
    variables, weighted = learner.trainable_variables, len(tasks) == 5
    differ = tasks_differ(learner, tasks[1], weighted)
    padded = differ and weighted  # padding has weight 0, so it always comes with weights
    dtype = result_dtype(learner.network)

    def solve(task):
        support_x, support_y, *queries = task
        labels = queries[1]
        if padded:
            support_x, support_y = real_examples(support_y, support_x, support_y)
            queries = real_examples(labels, *queries)
        loss, logits, gradients = learner.task_gradients(support_x, support_y, *queries)
        logits = pad_ways(tf.cast(logits, dtype), ways)
        logits = restore_padding(logits, labels) if padded else logits
        return [tf.cast(loss, dtype), logits, *map(tf.convert_to_tensor, gradients)]

    types = [dtype, dtype, *(variable.dtype for variable in variables)]
    (losses, logits, *gradients), states = map_in_training(
        learner, solve, tasks, types, None if differ else ways, weighted
    )
    return losses, logits, gradients, states


def map_in_training(learner, function, tasks, types, ways, weighted=False):
    """Maps a function over the tasks of a batch in meta-training. Variables that it assigns are caught and returned.

    Random layers draw different numbers for each task.

    Args:
        learner: a `MetaLearner`.
        function: from the tensors of one task, without the task axis, to a flat list of tensors.
        tasks: flat list of tensors with a leading task axis, labels `(tasks, support)` second.
        types: the dtypes that `function` returns.
        ways: see `task_context`.
        weighted: whether the tasks come with weights.

    Returns:
        The list of outputs, and the new values of `learner.running_state()`, all with a leading task axis.
    """
    state, count = learner.running_state(), tf.shape(tasks[0])[0]
    seeds = random_seeds(learner.network)
    starts = [_seeds_of_tasks(seed, count) for seed in seeds]

    def solve(task):
        task, starts = task[: len(tasks)], task[len(tasks) :]
        scope = keras.StatelessScope(state_mapping=zip(seeds, starts), collect_losses=True)
        with scope, layer_losses(scope.losses):
            outputs = function(task)
            values = {id(v): tf.convert_to_tensor(v) for v in state}  # as they are in the scope
        for seed, start in zip(seeds, starts):
            # A seed is a number and a count of draws. The count goes on as if the task had started with it.
            values[id(seed)] += tf.convert_to_tensor(seed) - start
        return [*outputs, *values.values()]

    vectorized = tasks_are_vectorized(learner, weighted)
    if vectorized and not tasks[1].dtype.is_floating:
        tasks = [tasks[0], _alike(tasks[1]), *tasks[2:]]
    with task_context(True, ways):
        types = [*types, *(variable.dtype for variable in state)]
        outputs = map_tasks(solve, [*tasks, *starts], types, vectorized)
    return outputs[: len(types) - len(state)], outputs[len(types) - len(state) :]


def _seeds_of_tasks(seed, count):
    """One seed for each task, `(tasks, 2)`, made of the seed of a random layer."""
    return draw_rows(lambda count: tf.random.split(tf.convert_to_tensor(seed), count), count)


def real_queries(learner, x, *queries):
    """Labels, logits and weights of a batch's queries, without padding."""
    labels, _, sample_weight = queries
    if sample_weight is None or not tasks_differ(learner, tf.convert_to_tensor(x[1]), weighted=True):
        return queries
    return real_examples(labels, *queries)


def mean_task_loss(learner, x, y, y_pred, sample_weight):
    """The loss of `compile` outside training: as in training, the mean over tasks, also if they differ in size."""
    if sample_weight is None or not tasks_differ(learner, tf.convert_to_tensor(x[1]), weighted=True):
        return learner.batch_loss(y, y_pred, sample_weight, tf.shape(y)[0], training=False)
    of_task = lambda task: learner.compiled_loss(*real_examples(task[0], *task))  # noqa: E731
    return tf.reduce_mean(tf.map_fn(of_task, (y, y_pred, sample_weight), fn_output_signature=y_pred.dtype))


def tasks_differ(learner, support_y, weighted):
    """Whether tasks may differ in size. Then each task drops its padding and has its own number of ways."""
    return not support_y.dtype.is_floating and not tasks_are_vectorized(learner, weighted)


def tasks_are_vectorized(learner, weighted):
    """Whether the tasks of a batch are vectorised. `"auto"` does not vectorise tasks with weights, as padding has."""
    return learner.vectorizes_tasks and not (weighted and _may_choose(learner))


def _may_choose(learner):
    return learner.task_mapping == "auto"


def _are_alike(support_y):
    """Whether tasks with labels `(tasks, support)` have no padding and equal ways, bool scalar."""
    ways = tf.reduce_max(support_y, axis=1)
    return (tf.reduce_min(support_y) >= 0) & (tf.reduce_min(ways) == tf.reduce_max(ways))


def _alike(support_y):
    """The labels, checked when the graph runs: vectorised tasks must have the same shape and number of ways."""
    if support_y.dtype.is_floating:
        return support_y
    message = 'Tasks of different sizes need `task_mapping="parallel"`. Received: task_mapping="vectorized"'
    with tf.control_dependencies([tf.debugging.Assert(_are_alike(support_y), [message])]):
        return tf.identity(support_y)
