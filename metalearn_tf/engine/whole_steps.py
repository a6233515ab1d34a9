"""Steps of a Keras model that are made whole, or not at all."""

import keras
import tensorflow as tf

from metalearn_tf.engine.emulated_precision import warn_of_emulation


class WholeSteps(keras.Model):
    """A Keras model of whose step nothing happens before its batch is there.

    The end of data of an unknown length is an error inside the graph of the step that finds no batch. Until then, what
    needs no data would have run: counters of metrics, steps and optimizers, on which noise and schedules depend.
    """

    def _make_function(self, step_function):
        warn_of_emulation(self)

        def after_its_batch(data):
            parts = tf.nest.flatten(data, expand_composites=True)
            with tf.control_dependencies([part for part in parts if tf.is_tensor(part)]):
                return step_function(data)

        return super()._make_function(after_its_batch)
