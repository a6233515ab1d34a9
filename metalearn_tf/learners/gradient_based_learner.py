"""Learners that adapt by gradient steps on the support set."""

import functools

import tensorflow as tf

from metalearn_tf.checks.whole_numbers import check_python_whole
from metalearn_tf.engine.gradient_checks import check_reached
from metalearn_tf.engine.keras_internals import flat_layers, own_weights
from metalearn_tf.engine.rematerialized import rematerialized
from metalearn_tf.engine.task_mapping import in_training
from metalearn_tf.learners.label_checks import check_puts_out_logits
from metalearn_tf.learners.meta_learner import MetaLearner
from metalearn_tf.learners.network_pass import layer_losses, result_dtype, support_statistics, with_layer_losses
from metalearn_tf.learners.task_checks import check_logits
from metalearn_tf.learners.task_loss import described_loss, take_described_loss
from metalearn_tf.networks.batch_normalization_warning import warn_of_batch_normalization
from metalearn_tf.networks.second_derivatives import check_second_derivatives


class GradientBasedLearner(MetaLearner):
    """Adapts weights in a few steps of an update rule, along the gradients of the loss on the support set.

    A subclass defines the rule in `update_rule`. It may choose the weights that adapt in `adapted_variables`. The task
    state is the adapted weights, the support set's normalisation statistics if the network keeps them, and the number
    of ways.

    Args:
        network: a built `keras.Model` from examples to logits `(batch, ways)`, or to the outputs of a regression.
        inner_steps: steps on the support set.
        test_inner_steps: steps outside training; `None` for as many as in training.
        first_order: leaves out the derivative of the inner gradients.
        rematerialize: computes the activations of inner steps again in the backward pass instead of storing them. The
            memory then does not grow with the inner steps, but a step takes about a third more time.
        **kwargs: see `MetaLearner`.

    Raises:
        ValueError: if a number of steps is not a positive integer; if the network's output is not a vector, or is a
            softmax; or if a layer has no second derivative, unless `first_order` is True. A network that ends with a
            sigmoid works only for targets between 0 and 1, not for class labels.
    """

    # The advice in the error for a network without second derivatives.
    without_second_derivatives = "leave it out with `first_order=True`"

    def __init__(self, network, inner_steps=1, test_inner_steps=None, first_order=False, rematerialize=False, **kwargs):
        super().__init__(network, **kwargs)
        self.head_activation = check_logits(network)
        check_python_whole(inner_steps=inner_steps)
        if test_inner_steps is not None:
            check_python_whole(test_inner_steps=test_inner_steps)
        warn_of_batch_normalization(network)
        if first_order is not True:
            check_second_derivatives(self.inner_layer(), "network", instead=self.without_second_derivatives)
        self.inner_steps = inner_steps
        self.test_inner_steps = test_inner_steps
        self.first_order = first_order
        self.rematerialize = rematerialize

    @property
    def steps_outside_training(self):
        """The number of inner steps outside training."""
        return self.test_inner_steps or self.inner_steps

    # === What a learner writes ===

    def update_rule(self):
        """The `UpdateRule` of the inner loop."""
        raise NotImplementedError(f"{type(self).__name__} must define `update_rule`.")

    def adapted_variables(self):
        """The variables that the inner loop adapts: by default the network's trainable ones."""
        return self.network.trainable_variables

    def inner_layer(self):
        """The part that the inner loop differentiates, and the outer loop again: the network, or a layer of it."""
        return self.network

    def network_weights(self, weights, step):
        """The network's weights at an inner step, made of the adapted ones; `step` is -1 for queries."""
        return weights

    def inner_outputs(self, inputs, weights, step):
        """The outputs `(support, ...)` for the inner loop's inputs, with the adapted weights of a step."""
        return self.encode_support(inputs, self.network_weights(weights, step))[0]

    def inner_batch(self, inputs, support_y, step):
        """The inputs and labels of an inner step: by default all of them."""
        return inputs, support_y

    def inner_loss(self, support_y, outputs, weights):
        """The scalar loss of an inner step, from the outputs for its batch and the adapted weights."""
        return self.support_loss(support_y, outputs)

    def classify_by_step(self, support_x, support_y, query_x):
        ways = self.task_ways(support_y)

        def answer(weights, state, step):
            return self.classify(self.task_state(support_x, weights, ways, step), query_x, step)

        return self.inner_loop_outputs(support_x, support_y, ways, answer)

    # === The task state ===

    @property
    def max_ways(self):
        return self.network.output_shape[-1]

    def adapt_task(self, support_x, support_y):
        ways = self.task_ways(support_y)
        return self.task_state(support_x, self.inner_loop(support_x, support_y, ways)[-1][0], ways)

    def classify(self, task_state, query_x, step=-1):
        # Do not count the trainable weights here: an adapted model may be frozen.
        count = len(task_state) - 1 - len(support_statistics(self.network))
        weights, statistics, ways = task_state[:count], task_state[count:-1], task_state[-1]
        return self.encode_query(query_x, self.network_weights(weights, step), statistics)[:, :ways]

    def task_state(self, support_x, weights, ways, step=-1):
        """The task state of adapted weights."""
        statistics = []
        if support_statistics(self.network):  # queries need the statistics of the adapted weights
            with layer_losses():  # this pass only computes the statistics: it is part of no loss
                statistics = self.encode_support(support_x, self.network_weights(weights, step))[1]
        return [*weights, *statistics, tf.convert_to_tensor(ways)]

    def task_ways(self, support_y):
        """The number of outputs that the task uses; a regression uses all of them."""
        if support_y.dtype.is_floating:
            return self.max_ways
        check_puts_out_logits(self, "support_y")
        return self.ways(support_y)

    # === The inner loop ===

    def all_weights(self):
        """The network's weights, also of frozen layers, in the order of `network.trainable_variables`.

        A learner that keeps a value for each weight keeps it for all of these: layers may be frozen or thawed later.
        """
        own = {id(weight) for layer in flat_layers(self.network) for weight in own_weights(layer)}
        return [variable for variable in self.network.variables if id(variable) in own]

    def values_of_weights(self):
        """Pairs of a weight and the meta-trained variable that belongs to it. Both are frozen together."""
        return []

    @property
    def trainable_variables(self):
        idle = {id(value) for weight, value in self.values_of_weights() if not weight.trainable}
        return [variable for variable in super().trainable_variables if id(variable) not in idle]

    @property
    def trainable_weights(self):
        return self.trainable_variables

    def _check_adapted_variables(self):
        if not self.adapted_variables():
            raise ValueError(
                "`network` must have trainable weights, which the inner loop adapts: "
                f"`learner.network.trainable = True` thaws all of them. Received: {self.network.name!r} without any"
            )

    def inner_loop(self, inputs, support_y, ways):
        """Adapts the weights.

        Returns:
            A list with an item for each step: the adapted weights and the rule's state after it, two lists of tensors.
            Outside training, it has only the last step.
        """
        values, count, run_step = self._inner_steps(support_y, ways)
        if not in_training():
            # Nobody differentiates through these steps, and a loop keeps the served graph small.
            steps = self.steps_outside_training
            _, *values = tf.while_loop(
                lambda step, *_: step < steps,
                lambda step, *values: [step + 1, *run_step(step, inputs, *values)],
                [tf.constant(0), *values],
            )
            return [(values[:count], values[count:])]

        trajectory = []
        for step in range(self.inner_steps):
            run = functools.partial(run_step, step)
            run = rematerialized(run, self.running_state()) if self.rematerialize else run
            values = run(inputs, *values)
            trajectory.append((values[:count], values[count:]))
        return trajectory

    def inner_loop_outputs(self, inputs, support_y, ways, output):
        """Evaluates a function before the first inner step and after each step, outside training.

        Args:
            inputs: as in `inner_loop`.
            support_y: labels or targets, as in `inner_loop`.
            ways: the number of ways, as in `inner_loop`.
            output: function from the adapted weights, the rule's state and the step whose network they belong to (see
                `network_weights`) to a tensor of `result_dtype(network)`.

        Returns:
            The outputs of the function, `(steps_outside_training + 1, ...)`.
        """
        values, count, run_step = self._inner_steps(support_y, ways)
        steps = self.steps_outside_training

        def body(step, outputs, *values):
            # Before the first step, use the network of the first step.
            outputs = outputs.write(step, output(values[:count], values[count:], tf.maximum(step - 1, 0)))
            return [step + 1, outputs, *run_step(step, inputs, *values)]

        outputs = tf.TensorArray(result_dtype(self.network), steps + 1)
        _, outputs, *values = tf.while_loop(lambda step, *_: step < steps, body, [tf.constant(0), outputs, *values])
        return outputs.write(steps, output(values[:count], values[count:], -1)).stack()

    def _inner_steps(self, support_y, ways):
        """Returns the weights and the rule's state before the first step, the number of weights, and a function that
        takes one step."""
        self._check_adapted_variables()
        weights = [tf.convert_to_tensor(variable) for variable in self.adapted_variables()]
        count = len(weights)

        # Every tensor that needs a gradient is an argument, or is read from a variable inside: see `rematerialized`.
        def run_step(step, inputs, *values):
            weights, state = values[:count], values[count:]
            loss, gradients = self._inner_gradients(inputs, support_y, ways, weights, step)
            weights, state = self.update_rule().update(gradients, list(state), list(weights), loss, step)
            return [*weights, *state]

        return [*weights, *self.update_rule().init(weights)], count, run_step

    def _inner_gradients(self, inputs, support_y, ways, weights, step):
        # float16 gradients of a mean over few examples underflow. Dividing by a power of two again is exact.
        scale = 1024.0 if self.network.compute_dtype == "float16" else 1.0
        inputs, support_y = self.inner_batch(inputs, support_y, step)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(weights)
            with layer_losses():
                outputs = self.inner_outputs(inputs, weights, step)[:, :ways]
                loss = scale * with_layer_losses(self.inner_loss(support_y, outputs, weights))
        gradients = tape.gradient(loss, weights)
        if in_training():
            check_reached(self.adapted_variables(), gradients)
        gradients = [
            tf.zeros_like(weight) if gradient is None else tf.convert_to_tensor(gradient) / scale
            for weight, gradient in zip(weights, gradients)
        ]
        if self.stops_inner_gradients():
            gradients = [tf.stop_gradient(gradient) for gradient in gradients]
        return loss / scale, gradients

    def stops_inner_gradients(self):
        """Whether the steps that are traced now leave out the derivative of their gradients."""
        return bool(self.first_order)

    # === Keras ===

    def save_own_variables(self, store):
        # The inner loop uses the loss, so a file of weights must have it too.
        super().save_own_variables(store)
        store["loss"] = described_loss(self)

    def load_own_variables(self, store):
        store = {key: store[key] for key in list(store.keys())}
        loss = store.pop("loss", None)
        super().load_own_variables(store)
        if loss is not None:
            take_described_loss(self, loss)

    def get_config(self):
        return {
            **super().get_config(),
            "inner_steps": self.inner_steps,
            "test_inner_steps": self.test_inner_steps,
            "first_order": self.first_order,
            "rematerialize": self.rematerialize,
        }
