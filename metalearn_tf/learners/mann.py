"""Memory-augmented neural networks."""

import keras
import tensorflow as tf

from metalearn_tf.learners import memory as memory_access
from metalearn_tf.learners.meta_learner import MetaLearner
from metalearn_tf.learners.task_mapping import map_tasks, task_context

# Where training starts: reading is sharp enough to tell slots apart and writing goes to unused ones. From 0 and 1, half
# of each key would be spread over the whole memory, and it takes several times as many episodes to begin to learn.
_GATE_BIAS, _STRENGTH_BIAS = -2.0, 5.0


@keras.saving.register_keras_serializable("metalearn_tf")
class MANN(MetaLearner):
    """Writes a task's examples one after the other into an external memory, and reads there to classify the next.

    An LSTM sees each example's embedding together with the label of the example *before* it, so that it must keep
    the example until its label comes, and bind both in memory. It writes to the slots it read last or used least, then
    reads by content; a linear layer on its output and what it read gives the logits. Each head has a learned strength
    of reading, as neural Turing machines have.

    It is trained by the paper's protocol: all examples of a task, support and queries, form one sequence in random
    order, with the loss at every presentation. The training accuracy, that of the queries, thus includes examples that
    come first of their class and can only be guessed. Once adapted, each query by itself is the next presentation after
    the support set, which is presented in an order that depends on its size alone. Longer support sets than the
    sequences of training lie outside of what was learned.

    The task state is the memory `(1, memory_slots, memory_width)`, its usage and read weights, what was read, the
    LSTM's two states, the last label, the support set's normalisation statistics where the network keeps them, and the
    number of ways.

    Args:
        network: a built `keras.Model` from examples to embeddings `(batch, features)`.
        ways: the most classes that a task may have.
        memory_slots: rows of the memory.
        memory_width: numbers in a row.
        controller_units: of the LSTM.
        read_heads: keys that are written and read at each step.
        usage_decay: factor on a slot's usage from one step to the next, in `[0, 1)`.
        **kwargs: see `MetaLearner`.

    Raises:
        ValueError: if a number is out of range or the network puts out no vectors.

    Reference: [Santoro et al., 2016](https://arxiv.org/abs/1605.06065)
    """

    def __init__(
        self,
        network,
        ways=5,
        memory_slots=128,
        memory_width=40,
        controller_units=200,
        read_heads=4,
        usage_decay=0.99,
        **kwargs,
    ):
        super().__init__(network, **kwargs)
        self._sizes = {
            "ways": ways,
            "memory_slots": memory_slots,
            "memory_width": memory_width,
            "controller_units": controller_units,
            "read_heads": read_heads,
        }
        _check_arguments(network, self._sizes, usage_decay)
        # === Layers ===
        # The recurrence is float32 under every policy: roundings would add up along the sequence.
        read_width = read_heads * memory_width
        self.controller = keras.layers.LSTMCell(controller_units, dtype="float32")
        self.controller.build((None, network.output_shape[-1] + ways + read_width))
        self.interface = keras.layers.Dense(read_heads * (memory_width + 2), dtype="float32")
        self.interface.build((None, controller_units))
        self.head = keras.layers.Dense(ways, dtype="float32")
        self.head.build((None, controller_units + read_width))
        # === Config ===
        self.usage_decay = usage_decay

    @property
    def max_ways(self):
        return self._sizes["ways"]

    def how_to_get_ways(self, ways):
        return f"build the learner with `ways={ways}`"

    # === The two functions of a learner ===

    def adapt_task(self, support_x, support_y):
        embeddings, statistics = self.encode_support(support_x)
        order = _shuffled(tf.shape(support_y)[0], 0)
        state, _ = self._run(tf.gather(embeddings, order), tf.gather(support_y, order))
        return [*state, *statistics, tf.convert_to_tensor(self.ways(support_y))]

    def classify(self, task_state, query_x):
        memory_state, statistics, ways = task_state[:7], task_state[7:-1], task_state[-1]
        embeddings = self.encode_query(query_x, statistics=statistics)
        # Each query is the next presentation for a copy of the state.
        copies = [tf.repeat(tensor, tf.shape(query_x)[0], axis=0) for tensor in memory_state]
        return self._step(copies, embeddings)[1][:, :ways]

    # === Sequences ===

    def present(self, x, y):
        """The logits at each presentation of a sequence, before its label is shown.

        Args:
            x: examples `(tasks, presentations, ...)` float32.
            y: their labels `(tasks, presentations)` int32 in `[0, ways)`.

        Returns:
            Logits `(tasks, presentations, ways)`, where `ways` is the largest label and one.
        """
        y = tf.cast(y, tf.int32)
        ways = self.ways(y)

        def run(task):
            embeddings, _ = self.encode_support(task[0])
            return [self._run(embeddings, task[1])[1][:, :ways]]

        with task_context(training=False, ways=ways):
            return map_tasks(run, [x, y], [tf.float32], self.vectorizes_tasks)[0]

    def query_loss(self, support_x, support_y, query_x, query_y, sample_weight=None):
        x = tf.concat([support_x, query_x], axis=0)
        y = tf.concat([support_y, tf.cast(query_y, support_y.dtype)], axis=0)
        weight = None
        if sample_weight is not None:
            weight = tf.concat([tf.ones(tf.shape(support_y)), tf.cast(sample_weight, tf.float32)], axis=0)
        order = _shuffled(tf.size(y), self.optimizer.iterations)
        embeddings, _ = self.encode_support(x)
        _, logits = self._run(tf.gather(embeddings, order), tf.gather(y, order))
        logits = tf.gather(logits, tf.argsort(order))[:, : self.ways(support_y)]  # in the order of `x` again
        return self.compiled_loss(y, logits, weight), logits[tf.size(support_y) :]

    def _run(self, embeddings, labels):
        """The state after a sequence `(presentations, features)`, and the logits `(presentations, ways)` along it."""
        count, ways = tf.shape(labels)[0], self.max_ways
        labels = tf.one_hot(labels, ways)

        def body(time, logits, *state):
            state, answer = self._step(state, embeddings[time][None])
            return time + 1, logits.write(time, answer[0]), *state[:-1], labels[time][None]

        logits = tf.TensorArray(tf.float32, count, element_shape=[ways])
        _, logits, *state = tf.while_loop(
            lambda time, *_: time < count, body, (0, logits, *self._initial_state()), maximum_iterations=count
        )
        return state, logits.stack()

    def _step(self, state, embeddings):
        """One presentation to each of `batch` states: the states after it, and the logits `(batch, ways)`."""
        memory, usage, read_weights, read, hidden, cell, label = state
        heads, width = self._sizes["read_heads"], self._sizes["memory_width"]
        _, (hidden, cell) = self.controller(tf.concat([embeddings, label, read], axis=1), [hidden, cell])
        interface = tf.reshape(self.interface(hidden), [-1, heads, width + 2])
        keys, gates, strengths = tf.tanh(interface[..., :width]), interface[..., width], interface[..., width + 1]
        unused = memory_access.least_used(usage, heads)
        gates, strengths = tf.sigmoid(gates + _GATE_BIAS), tf.nn.softplus(strengths + _STRENGTH_BIAS)
        memory, written = memory_access.write(memory, keys, gates, read_weights, unused)
        read_weights = memory_access.read_weights(keys, strengths, memory)
        usage = self.usage_decay * usage + tf.reduce_sum(read_weights + written, axis=1)
        read = tf.reshape(read_weights @ memory, [-1, heads * width])
        logits = self.head(tf.concat([hidden, read], axis=1))
        return [memory, usage, read_weights, read, hidden, cell, label], logits

    def _initial_state(self):
        sizes = self._sizes
        slots, width, heads = sizes["memory_slots"], sizes["memory_width"], sizes["read_heads"]
        units = sizes["controller_units"]
        shapes = [(slots, width), (slots,), (heads, slots), (heads * width,), (units,), (units,), (sizes["ways"],)]
        return [tf.zeros((1, *shape)) for shape in shapes]

    def get_config(self):
        return {**super().get_config(), **self._sizes, "usage_decay": self.usage_decay}


def _shuffled(count, seed):
    """The numbers below `count` in random order, a function of both arguments alone."""
    key = tf.stack([tf.cast(seed, tf.int64), tf.constant(0, tf.int64)])
    return tf.argsort(tf.random.stateless_uniform([count], key, alg="philox"))


def _check_arguments(network, sizes, usage_decay):
    if not isinstance(network.output_shape, tuple) or len(network.output_shape) != 2:
        raise ValueError(f"`network` must put out vectors (n, features). Received: output_shape={network.output_shape}")
    for name, size in sizes.items():
        if not isinstance(size, int) or size < 1:
            raise ValueError(f"`{name}` must be a positive integer. Received: {size!r}")
    if sizes["read_heads"] > sizes["memory_slots"]:
        raise ValueError(
            f"`read_heads` must be at most `memory_slots`, {sizes['memory_slots']}. Received: {sizes['read_heads']}"
        )
    if not 0.0 <= usage_decay < 1.0:
        raise ValueError(f"`usage_decay` must be in [0, 1). Received: {usage_decay!r}")
