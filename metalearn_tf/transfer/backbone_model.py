"""What the trainings of a backbone share."""

import keras
import tensorflow as tf

from metalearn_tf.data.array_batches import fit_arguments
from metalearn_tf.data.image_range import check_limits, to_image_range
from metalearn_tf.networks.loss_scaling import with_loss_scaling
from metalearn_tf.networks.replicas import replica_count
from metalearn_tf.networks.saveable_model import SaveableModel
from metalearn_tf.transfer.backbone_checks import check_backbone
from metalearn_tf.transfer.transfer_checks import check_augmentation


class BackboneModel(SaveableModel):
    """A Keras model around a backbone: pixels in its range, a random augmentation, and their configuration.

    Args:
        backbone: a built `keras.Model` from a batch of examples to features `(batch, d)`. It alone may compute in a
            mixed precision.
        augmentation: a Keras layer for training images, which it sees in `image_range`; or `None`.
        image_range: lowest and highest pixel that the backbone takes.
        **kwargs: as in Keras.

    Raises:
        ValueError: if the backbone or the range is none.
        TypeError: if `augmentation` is not a Keras layer.
    """

    def __init__(self, backbone, augmentation=None, image_range=(0.0, 1.0), **kwargs):
        check_backbone(backbone)
        check_augmentation(augmentation)
        check_limits(image_range)
        super().__init__(autocast=False, dtype=backbone.variable_dtype, **kwargs)
        self.backbone = backbone
        self.augmentation = augmentation
        self.image_range = tuple(image_range)
        self.built = True

    def to_inputs(self, x, training=False):
        """Examples as the backbone takes them: uint8 images in the range, others as they are; augmented to train."""
        x = to_image_range(x, self.image_range) if x.dtype == tf.uint8 else x
        return self.augmentation(x, training=True) if training and self.augmentation is not None else x

    def features(self, inputs, training=None):
        """The backbone's features `(batch, d)` float32."""
        return tf.cast(self.backbone(inputs, training=training), tf.float32)

    def compile(self, optimizer="adam", **kwargs):
        """As `keras.Model.compile`. XLA is off by default: it halves the speed on CPUs.

        Raises:
            ValueError: under a `tf.distribute` strategy of several replicas.
        """
        if replica_count() > 1:
            raise ValueError(
                f"{type(self).__name__} trains on one replica, where learners and GANs train on several: leave the "
                f"scope of the strategy. Received: a strategy of {replica_count()} replicas"
            )
        super().compile(optimizer=with_loss_scaling(optimizer, self.backbone), **{"jit_compile": False, **kwargs})

    def fit(self, x=None, y=None, **kwargs):
        """As `keras.Model.fit`."""
        return super().fit(**fit_arguments(x, y, kwargs))

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))
        # At once, so that the optimizer's state can be read from the file.
        self.optimizer.build(self.trainable_variables)

    def get_config(self):
        return {
            "name": self.name,
            "trainable": self.trainable,
            "backbone": keras.saving.serialize_keras_object(self.backbone),
            "augmentation": self.augmentation and keras.saving.serialize_keras_object(self.augmentation),
            "image_range": list(self.image_range),
        }

    @classmethod
    def from_config(cls, config):
        layers = {name: keras.saving.deserialize_keras_object(config[name]) for name in ("backbone", "augmentation")}
        return cls(**{**config, **layers})
