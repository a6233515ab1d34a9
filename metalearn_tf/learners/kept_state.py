"""What is known of a learner's task states, for servers that get them back from their clients."""

import tensorflow as tf

from metalearn_tf.engine.task_mapping import task_context


class KeptState:
    """The part of a learner that says what its task states must be."""

    def state_specs(self, support_x, support_y, ways=None):
        """The shapes and dtypes of the task state, as a list of `tf.TensorSpec`s; nothing is computed.

        Args:
            support_x: the `tf.TensorSpec` of support examples `(support, ...)`.
            support_y: that of their labels `(support,)` or targets.
            ways: the number of classes; `None` leaves it open.
        """
        with task_context(training=False, ways=ways):
            adapt_task = tf.function(self.adapt_task).get_concrete_function(support_x, support_y)
        return [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in adapt_task.structured_outputs]

    def state_checks(self, task_state):
        """What must hold of a task state, beside lengths that agree and finite numbers.

        Args:
            task_state: a list of tensors, as `adapt_task` returns it.

        Returns:
            A list of pairs: a bool scalar, and what must be, as the end of an error's sentence.
        """
        return []
