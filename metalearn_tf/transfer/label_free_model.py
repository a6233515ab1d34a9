"""The base class of models that train without labels."""

import keras
import tensorflow as tf

from metalearn_tf.transfer.backbone_model import BackboneModel
from metalearn_tf.transfer.transfer_checks import check_own_objective


class LabelFreeModel(BackboneModel):
    """A backbone that learns from images alone, with an objective that a subclass defines.

    A subclass defines `compute_logs(images, training)`: it returns the `loss`, a scalar that includes all added losses,
    and a value for each of its other `metrics` by name: a scalar, or one number for each image.
    """

    def compute_logs(self, images, training):
        """The logs of a batch, `"loss"` first: a dict from the names of `metrics` to tensors."""
        raise NotImplementedError(f"{type(self).__name__} must define `compute_logs`.")

    def compile(self, optimizer="adam", loss=None, loss_weights=None, metrics=None, weighted_metrics=None, **kwargs):
        """Like `keras.Model.compile`, without a loss or metrics: the model has its own. XLA is off by default."""
        check_own_objective(
            self, loss=loss, loss_weights=loss_weights, metrics=metrics, weighted_metrics=weighted_metrics
        )
        super().compile(optimizer, **kwargs)
        # Built now, so that a file has all of the optimizer's variables even before the first step.
        self.optimizer.build(self.trainable_variables)

    def fit(self, x=None, y=None, *args, class_weight=None, **kwargs):
        """Like `keras.Model.fit`, for images without labels."""
        check_own_objective(self, class_weight=class_weight)
        return super().fit(x, y, *args, **kwargs)

    def train_on_batch(self, x, y=None, sample_weight=None, class_weight=None, return_dict=False):
        """Like `keras.Model.train_on_batch`, for images without labels."""
        check_own_objective(self, class_weight=class_weight)
        return super().train_on_batch(x, y, sample_weight, None, return_dict)

    def train_step(self, data):
        images = self._images(data)
        with tf.GradientTape() as tape:
            logs = self.compute_logs(images, training=True)
            loss = self.optimizer.scale_loss(logs["loss"])
        self.apply_gradients(tape, loss)
        return self._track(images, logs)

    def test_step(self, data):
        images = self._images(data)
        return self._track(images, self.compute_logs(images, training=False))

    def check_targets(self, x, y, sample_weight):
        check_own_objective(self, y=y, sample_weight=sample_weight)
        return y, sample_weight

    def _images(self, data):
        images, *targets = keras.utils.unpack_x_y_sample_weight(data)
        self.check_targets(images, *targets)
        return images

    def _track(self, images, logs):
        for metric in self.metrics:
            value = logs[metric.name]
            # The size is read from the data, so that nothing is counted at the end of a dataset of unknown length.
            metric.update_state(value, sample_weight=tf.shape(images)[0] if value.shape.rank == 0 else None)
        return self.get_metrics_result()
