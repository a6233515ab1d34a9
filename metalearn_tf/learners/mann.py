"""Memory-augmented neural networks."""

import keras
import tensorflow as tf

from metalearn_tf.checks.real_numbers import check_below_one
from metalearn_tf.checks.whole_numbers import check_python_whole
from metalearn_tf.engine.gradient_checks import check_reached
from metalearn_tf.engine.replicas import draw_rows, is_sum
from metalearn_tf.engine.task_mapping import map_tasks, task_context
from metalearn_tf.learners import memory as memory_access
from metalearn_tf.learners.meta_learner import MetaLearner
from metalearn_tf.learners.network_pass import result_dtype, with_layer_losses
from metalearn_tf.learners.padding import hide_ways, real_examples, restore_padding
from metalearn_tf.learners.task_batches import map_in_training, tasks_differ
from metalearn_tf.learners.task_checks import check_embedding

# Start values for training: reading is sharp enough to tell slots apart, and writing goes to unused slots. With 0 and 1
# instead, half of each key would be spread over the whole memory, and learning would start several times later.
_GATE_BIAS, _STRENGTH_BIAS = -2.0, 5.0


@keras.saving.register_keras_serializable("metalearn_tf")
class MANN(MetaLearner):
    """Writes a task's examples one by one into an external memory, and reads from it to classify the next example.

    An LSTM sees each example's embedding together with the label of the *previous* example. So it must keep the
    example until its label comes, and store both in memory. It writes to the slots that it read last or used least,
    then reads by content. A linear layer on the LSTM's output and the read vectors gives the logits. Each head has a
    learned strength of reading, as in neural Turing machines.

    Training follows the paper: all examples of a task, support and queries, form one sequence in random order, with a
    loss at every presentation. So the training accuracy, over the queries, includes the first example of a class, which
    can only be guessed. After adaptation, each query alone is the next presentation after the support set. The order of
    the support set depends only on its size. The learner has not learned support sets longer than training sequences.

    The task state is the memory `(1, memory_slots, memory_width)`, its usage and read weights, the read vectors, the
    LSTM's two states, the last label, the support set's normalisation statistics if the network keeps them, and the
    number of ways.

    Args:
        network: a built `keras.Model` from examples to embeddings `(batch, features)`.
        ways: the largest number of classes of a task.
        memory_slots: rows of the memory.
        memory_width: numbers in a row.
        controller_units: units of the LSTM.
        read_heads: keys that are written and read at each step.
        usage_decay: factor on a slot's usage from one step to the next, in `[0, 1)`.
        **kwargs: see `MetaLearner`.

    Raises:
        ValueError: if a number is out of range or the network's output is not a vector.

    Reference: [Santoro et al., 2016](https://arxiv.org/abs/1605.06065)
    """

    takes_targets = False

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
        check_embedding(network)
        self._sizes = {
            "ways": ways,
            "memory_slots": memory_slots,
            "memory_width": memory_width,
            "controller_units": controller_units,
            "read_heads": read_heads,
        }
        _check_arguments(self._sizes, usage_decay)
        # === Layers ===
        # The recurrence is float32 (or float64) under every policy: rounding errors would add up along the sequence.
        read_width, dtype = read_heads * memory_width, result_dtype(network).name
        self.controller = keras.layers.LSTMCell(controller_units, dtype=dtype)
        self.controller.build((None, network.output_shape[-1] + ways + read_width))
        self.interface = keras.layers.Dense(read_heads * (memory_width + 2), dtype=dtype)
        self.interface.build((None, controller_units))
        self.head = keras.layers.Dense(ways, dtype=dtype)
        self.head.build((None, controller_units + read_width))
        # Counts training steps: each has its own random orders. The optimizer's count will not do, because gradient
        # accumulation counts several steps as one.
        self.step = self.add_weight(name="step", shape=(), dtype="int64", initializer="zeros", trainable=False)
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
        state, _ = self._run(tf.gather(embeddings, order)[None], tf.gather(support_y, order)[None])
        return [*state, *statistics, tf.convert_to_tensor(self.ways(support_y))]

    def classify(self, task_state, query_x):
        memory_state, statistics, ways = task_state[:7], task_state[7:-1], task_state[-1]
        embeddings = self.encode_query(query_x, statistics=statistics)
        # Each query is the next presentation, with its own copy of the state.
        copies = [tf.repeat(tensor, tf.shape(query_x)[0], axis=0) for tensor in memory_state]
        return self._step(copies, embeddings)[1][:, :ways]

    # === Sequences ===

    def present(self, x, y):
        """The logits at each presentation of a sequence, before its label is shown.

        Args:
            x: examples `(tasks, presentations, ...)` float32.
            y: their labels `(tasks, presentations)` int32 in `[0, ways)`.

        Returns:
            Logits `(tasks, presentations, ways)`, where `ways` is the largest label plus 1.
        """
        y = tf.cast(y, tf.int32)
        ways = self.ways(y)

        with task_context(training=False, ways=ways):
            encode = lambda task: [self.encode_support(*task)[0]]  # noqa: E731
            (embeddings,) = map_tasks(encode, [x], [result_dtype(self.network)], self.vectorizes_tasks)
        return self._run(embeddings, y)[1][:, :, :ways]

    def batch_gradients(self, tasks, ways):
        """Like `MetaLearner.batch_gradients`, with the loss at every presentation of support and queries in sequence.

        Each step computes all tasks of the batch together: the operations for one task are too small for a core.
        """
        support_y, labels = tasks[1], tf.concat([tasks[1], tf.cast(tasks[3], tf.int32)], axis=1)
        dtype, weighted = result_dtype(self.network), len(tasks) == 5
        real = weight = tf.cast(labels >= 0, dtype)
        if weighted:
            weight *= tf.concat([tf.ones(tf.shape(support_y), dtype), tf.cast(tasks[4], dtype)], axis=1)
        if not is_sum(self.loss):  # the mean over a task's examples does not count its padding
            weight *= tf.cast(tf.shape(labels)[1], dtype) / tf.reduce_sum(real, axis=1, keepdims=True)
        # A random order for each task, with the padding at the end.
        key = tf.stack([tf.convert_to_tensor(self.step), tf.constant(0, tf.int64)])
        presentations = tf.shape(labels)[1]
        places = draw_rows(
            lambda count: tf.random.stateless_uniform([count, presentations], key, alg="philox"), tf.shape(labels)[0]
        )
        order = tf.argsort(tf.where(labels >= 0, places, 2.0))

        with tf.GradientTape() as tape:
            embeddings, added, states = self._encode_batch(tf.concat([tasks[0], tasks[2]], axis=1), labels, weighted)
            sequences = [tf.gather(tensor, order, batch_dims=1) for tensor in (embeddings, labels)]
            logits = tf.gather(self._run(*sequences)[1], tf.argsort(order), batch_dims=1)
            logits = hide_ways(logits[:, :, :ways], labels)
            loss = self.batch_loss(tf.maximum(labels, 0), logits, weight, tf.shape(labels)[0])
            loss = tf.cast(loss, dtype) + tf.reduce_mean(added)
            scaled_loss = self.optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled_loss, [variable.value for variable in self.trainable_variables])
        check_reached(self.trainable_variables, gradients)
        losses = tf.repeat(loss, tf.shape(labels)[0])
        gradients = [tf.convert_to_tensor(gradient)[None] for gradient in gradients]
        states = [*states[:-1], states[-1] + 1]  # the last one is `step`
        return losses, logits[:, tf.shape(support_y)[1] :], gradients, states

    def _encode_batch(self, x, labels, weighted):
        """Encodes each task separately, in training.

        Returns:
            Embeddings `(tasks, n, features)`, 0 for padding; the losses that layers add `(tasks,)`; the new values of
            `running_state`.
        """
        padded, dtype = tasks_differ(self, labels, weighted), result_dtype(self.network)

        def encode(task):
            x, labels = task
            (x,) = real_examples(labels, x) if padded else (x,)
            with tf.GradientTape() as tape:
                embeddings, _ = self.encode_support(x)
                added = with_layer_losses(tf.zeros([], dtype))
            # Check it here: a loop gives unused variables a gradient of zero instead of none.
            variables = self.network.trainable_variables
            check_reached(variables, tape.gradient([embeddings, added], [variable.value for variable in variables]))
            return [restore_padding(embeddings, labels) if padded else embeddings, added]

        outputs, states = map_in_training(self, encode, [x, labels], [dtype, dtype], None, weighted)
        return *outputs, states

    def running_state(self):
        return [*super().running_state(), self.step]

    def _run(self, embeddings, labels):
        """Runs sequences `(tasks, presentations, features)`. Returns the final states and the logits of each step.

        The logits are `(tasks, presentations, ways)`. A label of -1 is shown as zeros.
        """
        tasks, count, ways = tf.shape(labels)[0], tf.shape(labels)[1], self.max_ways
        embeddings = tf.transpose(embeddings, [1, 0, 2])
        labels = tf.one_hot(tf.transpose(labels), ways, dtype=embeddings.dtype)

        def body(time, logits, *state):
            state, answers = self._step(state, embeddings[time])
            return time + 1, logits.write(time, answers), *state[:-1], labels[time]

        logits = tf.TensorArray(embeddings.dtype, count, element_shape=[None, ways])
        state = [tf.repeat(tensor, tasks, axis=0) for tensor in self._initial_state()]
        _, logits, *state = tf.while_loop(
            lambda time, *_: time < count, body, (0, logits, *state), maximum_iterations=count
        )
        return state, tf.transpose(logits.stack(), [1, 0, 2])

    def _step(self, state, embeddings):
        """One presentation for each of `batch` states. Returns the new states and the logits `(batch, ways)`."""
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
        return [tf.zeros((1, *shape), result_dtype(self.network)) for shape in shapes]

    def get_config(self):
        return {**super().get_config(), **self._sizes, "usage_decay": self.usage_decay}


def _shuffled(count, seed):
    """The numbers below `count` in random order, which depends only on the two arguments."""
    key = tf.stack([tf.cast(seed, tf.int64), tf.constant(0, tf.int64)])
    return tf.argsort(tf.random.stateless_uniform([count], key, alg="philox"))


def _check_arguments(sizes, usage_decay):
    check_python_whole(**sizes)
    if sizes["read_heads"] > sizes["memory_slots"]:
        raise ValueError(
            f"`read_heads` must be at most `memory_slots`, {sizes['memory_slots']}. Received: {sizes['read_heads']}"
        )
    check_below_one("usage_decay", usage_decay)
