"""A learner whose support set is enlarged."""

import keras
import numpy as np
import tensorflow as tf

from metalearn_tf.checks.image_range import check_limits
from metalearn_tf.checks.whole_numbers import check_python_whole
from metalearn_tf.data.image_range import change_range
from metalearn_tf.data.tasks.augmentation import augment_images, augmentation_model
from metalearn_tf.engine.copy_network import as_model, copy_network
from metalearn_tf.learners.meta_learner import MetaLearner
from metalearn_tf.networks.value_range import value_range


@keras.saving.register_keras_serializable("metalearn_tf")
class EnlargedSupport(MetaLearner):
    """Adapts to the support examples and to further images made from them, also for classes never seen before.

    Use it after training. It holds a copy of a trained learner, and an enlarger that makes the images: a GAN's
    generator that takes an image and returns other images of its class, or an augmentation layer. Both are in the
    exported graph, so a served classifier enlarges its support set itself. The random numbers are the same for every
    task.

    ```python
    learner = mtf.workflows.EnlargedSupport(prototypical, gan.sampler, copies=4)
    learner.export("saved_models/enlarged/1")
    ```

    Args:
        learner: a `MetaLearner` of images in [0, 1].
        enlarger: a built `keras.Model` from `[noise, source images]` to images, such as the generator of
            `mtf.networks.augmentation_gan`; or a Keras layer for images in [0, 1], such as `classical_augmentation()`.
            It is neither trained nor copied.
        copies: images made from each support example.
        seed: integer, for the random numbers.
        image_range: lowest and highest value of a pixel of a generator; `None` to read it from its last layers, or [-1,
            1] if they do not show it.

    Raises:
        ValueError: if the enlarger does not map images of the learner's shape to images of the same shape.

    Reference: [Antoniou et al., 2017](https://arxiv.org/abs/1711.04340)
    """

    def __init__(self, learner, enlarger, copies=4, seed=0, image_range=None, **kwargs):
        _check(learner, enlarger, copies)
        learner = learner.copy()
        super().__init__(learner.network, **kwargs)  # the copy's network; the original would be saved but not used
        self.learner = learner
        self.enlarger = enlarger if _draws(enlarger) else augmentation_model(enlarger, _image_shape(learner))
        self.copies = copies
        self.seed = seed
        self.image_range = _range(self.enlarger, image_range) if _draws(self.enlarger) else None

    @property
    def max_ways(self):
        return self.learner.max_ways

    @property
    def takes_targets(self):
        """Whether the learner does regression."""
        return self.learner.takes_targets

    @property
    def normalization(self):
        """The value of the learner."""
        return self.learner.normalization

    def adapt_task(self, support_x, support_y):
        made = self._enlarge(tf.repeat(support_x, self.copies, axis=0))
        examples = tf.concat([support_x, made], axis=0)
        return self.learner.adapt_task(examples, tf.concat([support_y, tf.repeat(support_y, self.copies)], axis=0))

    def _enlarge(self, images):
        if not _draws(self.enlarger):
            return augment_images(self.enlarger, images, [self.seed, 0])
        shape = [tf.shape(images)[0], self.enlarger.inputs[0].shape[1]]
        noise = tf.random.stateless_normal(shape, [self.seed, 0])
        drawn = self.enlarger([noise, change_range(images, (0.0, 1.0), self.image_range)], training=False)
        return change_range(tf.cast(drawn, tf.float32), self.image_range, (0.0, 1.0))

    def classify(self, task_state, query_x):
        return self.learner.classify(task_state, query_x)

    def copied_parts(self):
        return {"learner": self.learner, "enlarger": copy_network(self.enlarger)}  # the constructor copies the learner

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        config = super().get_config()
        del config["network"]
        config.pop("loss", None)  # the learner has the loss of the adaptation
        return {
            **config,
            "learner": serialize(self.learner),
            "enlarger": serialize(self.enlarger),
            "copies": self.copies,
            "seed": self.seed,
            "image_range": self.image_range,
        }

    @classmethod
    def from_config(cls, config):
        parts = {name: as_model(config[name]) for name in ("learner", "enlarger")}
        return cls(**{**config, **parts})


def _draws(enlarger):
    """Whether it is a generator that takes noise and images, and not a layer that takes images."""
    return isinstance(enlarger, keras.Model) and enlarger.built and len(enlarger.inputs) == 2


def _range(generator, image_range):
    """The range of a generator's pixels: the given one, or the one that its last layers show."""
    limits = value_range(generator) if image_range is None else image_range
    limits = limits if image_range is not None or np.isfinite(limits).all() else (-1.0, 1.0)
    check_limits(limits)
    return tuple(map(float, limits))


def _image_shape(learner):
    return tuple(learner.network.input_shape[1:])


def _check(learner, enlarger, copies):
    if not isinstance(learner, MetaLearner):
        raise ValueError(f"`learner` must be a MetaLearner. Received: {type(learner).__name__}")
    if not isinstance(enlarger, keras.layers.Layer):
        raise ValueError(f"`enlarger` must be a generator or a Keras layer. Received: {type(enlarger).__name__}")
    shape = _image_shape(learner)
    if isinstance(enlarger, keras.Model) and enlarger.built:
        shapes = [tuple(x.shape[1:]) for x in (enlarger.inputs[-1], enlarger.outputs[0])]
    else:
        shapes = [tuple(enlarger.compute_output_shape((None, *shape))[1:])]
    if any(each != shape for each in shapes):
        raise ValueError(
            f"`enlarger` must go from images of the learner's shape {shape} to such images, with noise before them if "
            f"it is a generator, as that of `mtf.networks.augmentation_gan`. Received: images of the shapes {shapes}"
        )
    check_python_whole(copies=copies)
