"""The properties of a learner's task states, for servers whose clients keep the states and send them back."""

import tensorflow as tf

from metalearn_tf.engine.task_mapping import task_context


class KeptState:
    """The part of a learner that describes valid task states."""

    def state_specs(self, support_x, support_y, ways=None):
        """The shapes and dtypes of the task state, as a list of `tf.TensorSpec`s. Nothing is computed.

        Args:
            support_x: the `tf.TensorSpec` of support examples `(support, ...)`.
            support_y: the `tf.TensorSpec` of their labels `(support,)` or targets.
            ways: the number of classes; `None` leaves it open.
        """
        with task_context(training=False, ways=ways):
            adapt_task = tf.function(self.adapt_task).get_concrete_function(support_x, support_y)
        return [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in adapt_task.structured_outputs]

    def state_checks(self, task_state):
        """The conditions on a task state, in addition to equal lengths and finite numbers.

        Args:
            task_state: a list of tensors, as `adapt_task` returns it.

        Returns:
            A list of pairs: a bool scalar, and the condition in words, as the end of an error's sentence.
        """
        return []
