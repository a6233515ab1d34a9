"""A learner whose support set a GAN enlarges."""

import keras
import tensorflow as tf

from metalearn_tf.learners.meta_learner import MetaLearner


@keras.saving.register_keras_serializable("metalearn_tf")
class EnlargedSupport(MetaLearner):
    """Adapts to the support examples and to what a GAN draws from each of them, also of classes that it has not seen.

    For use after training: it holds a copy of a trained learner, and the generator of a GAN that takes an image and
    returns others of its class. Both are in the graph that is exported, so that a served classifier enlarges its
    support set by itself. The noise is the same for every task.

    ```python
    learner = mtf.workflows.EnlargedSupport(prototypical, gan.sampler, copies=4)
    learner.export("saved_models/enlarged/1")
    ```

    Args:
        learner: a `MetaLearner` of images in [0, 1].
        generator: a built `keras.Model` from `[noise, source images]` to images, in [-1, 1], such as that of
            `mtf.networks.augmentation_gan`. It is not trained, nor copied.
        copies: images drawn from each support example.
        seed: integer, of the noise.

    Raises:
        ValueError: if the generator does not go from images of the learner's shape to such images.

    Reference: [Antoniou et al., 2017](https://arxiv.org/abs/1711.04340)
    """

    def __init__(self, learner, generator, copies=4, seed=0, **kwargs):
        _check(learner, generator, copies)
        super().__init__(learner.network, **kwargs)
        self.learner = learner.copy()
        self.network = self.learner.network
        self.generator = generator
        self.copies = copies
        self.seed = seed

    @property
    def max_ways(self):
        return self.learner.max_ways

    @property
    def normalization(self):
        """That of the learner."""
        return self.learner.normalization

    def adapt_task(self, support_x, support_y):
        count = tf.shape(support_x)[0]
        source = tf.repeat(2.0 * support_x - 1.0, self.copies, axis=0)
        noise = tf.random.stateless_normal([count * self.copies, self.generator.inputs[0].shape[1]], [self.seed, 0])
        drawn = 0.5 * (tf.cast(self.generator([noise, source], training=False), tf.float32) + 1.0)
        examples = tf.concat([support_x, drawn], axis=0)
        return self.learner.adapt_task(examples, tf.concat([support_y, tf.repeat(support_y, self.copies)], axis=0))

    def classify(self, task_state, query_x):
        return self.learner.classify(task_state, query_x)

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        config = super().get_config()
        del config["network"]
        return {
            **config,
            "learner": serialize(self.learner),
            "generator": serialize(self.generator),
            "copies": self.copies,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config):
        parts = {name: keras.saving.deserialize_keras_object(config[name]) for name in ("learner", "generator")}
        return cls(**{**config, **parts})


def _check(learner, generator, copies):
    if not isinstance(learner, MetaLearner):
        raise ValueError(f"`learner` must be a MetaLearner. Received: {type(learner).__name__}")
    shape = tuple(learner.network.input_shape[1:])
    inputs = [tuple(x.shape[1:]) for x in generator.inputs]
    if len(inputs) != 2 or inputs[1] != shape or tuple(generator.output_shape[1:]) != shape:
        raise ValueError(
            f"`generator` must go from noise and images of the learner's shape {shape} to such images; "
            "`mtf.networks.augmentation_gan` has one. "
            f"Received: inputs of the shapes {inputs} and output {tuple(generator.output_shape[1:])}"
        )
    if not isinstance(copies, int) or copies < 1:
        raise ValueError(f"`copies` must be a positive integer. Received: {copies!r}")
