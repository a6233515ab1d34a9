"""Contrastive pre-training without labels."""

import keras
import tensorflow as tf

from metalearn_tf.checks.real_numbers import check_positive
from metalearn_tf.checks.whole_numbers import check_python_whole
from metalearn_tf.engine.keras_internals import loss_tracker
from metalearn_tf.learners.prototypical_network import cosine_similarity
from metalearn_tf.transfer.contrastive_loss import nt_xent
from metalearn_tf.transfer.label_free_model import LabelFreeModel
from metalearn_tf.transfer.view_augmentation import view_augmentation


@keras.saving.register_keras_serializable("metalearn_tf")
class ContrastiveModel(LabelFreeModel):
    """Trains a backbone to give similar features to two random views of one image: SimCLR.

    A projection head of two layers is between the features and the loss. It is not used after the training.

    Args:
        backbone: a built `keras.Model` from images to features `(batch, d)`.
        augmentation: the Keras layer that makes a view, `mtf.transfer.view_augmentation` by default; it gets images in
            `image_range`.
        temperature: see `nt_xent`.
        projection: width of the projections.
        image_range: lowest and highest value of a pixel.

    Input shape: images `(batch, height, width, channels)`, uint8 or floating in `image_range`; no labels.
    Output shape: projections `(batch, projection)` float32.

    Raises:
        ValueError: if a number is out of range.

    Reference: [Chen et al., 2020](https://arxiv.org/abs/2002.05709)
    """

    def __init__(self, backbone, augmentation=None, temperature=0.5, projection=64, image_range=(0.0, 1.0), **kwargs):
        check_python_whole(projection=projection)
        check_positive("temperature", temperature)
        # === Layers ===
        if augmentation is None:
            augmentation = view_augmentation(backbone.input_shape[1:], image_range)
        super().__init__(backbone, augmentation, image_range, **kwargs)
        width = backbone.output_shape[-1]
        self.projection_head = keras.Sequential(
            [
                keras.layers.Dense(width, activation="relu", dtype=self.float_dtype, name="hidden"),
                keras.layers.Dense(projection, use_bias=False, dtype=self.float_dtype, name="projection"),
            ],
            name="projection_head",
        )
        self.projection_head.build((None, width))
        # === Config ===
        self.temperature = temperature
        self.projection = projection
        self._same_image = keras.metrics.Mean("same_image")

    def call(self, images, training=None, views=None):
        """Projections of the images; with `views`, of this many random views of each, one view after the other."""
        images = self.to_inputs(images)
        if views is not None:
            images = tf.concat([self.augmentation(images, training=True) for _ in range(views)], axis=0)
        return self.projection_head(self.features(images, training), training=training)

    @property
    def metrics(self):
        return [loss_tracker(self), self._same_image]

    def compute_logs(self, images, training):
        # In one pass, so that both views share the batch statistics, which then reveal nothing about either view.
        first, second = tf.split(self(images, training=training, views=2), 2)
        loss = nt_xent(first, second, self.temperature) + self.added_losses()
        # How often the nearest of all second views belongs to the same image.
        nearest = tf.argmax(cosine_similarity(first, second), axis=1, output_type=tf.int32)
        return {"loss": loss, "same_image": tf.cast(nearest == tf.range(tf.shape(nearest)[0]), self.float_dtype)}

    def get_config(self):
        return {**super().get_config(), "temperature": self.temperature, "projection": self.projection}
