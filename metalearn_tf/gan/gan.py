"""A generative adversarial network as an ordinary Keras model."""

import keras
import numpy as np
import tensorflow as tf

from metalearn_tf.data.image_range import to_image_range
from metalearn_tf.gan.adversarial_model import AdversarialModel, make_optimizer
from metalearn_tf.gan.averaging import frozen_copy, move_average
from metalearn_tf.gan.gan_checks import check_networks, check_options, check_sampling, check_training_data
from metalearn_tf.gan.image_range import image_range
from metalearn_tf.gan.objectives import Objective, Players, draw_noise, split_seed
from metalearn_tf.networks.replicas import apply_mean, one_batch_of_all_replicas
from metalearn_tf.serving.export_generator import export_gan


@keras.saving.register_keras_serializable("metalearn_tf")
class GAN(AdversarialModel):
    """A generator that learns to draw what a discriminator cannot tell from the training images.

    A step trains the discriminator `discriminator_steps` times, each with noise of its own, then the generator once.
    The noise of a step depends on `seed` and the step alone, so that training goes on after a restart as if it had
    never stopped.

    ```python
    generator, discriminator = mtf.networks.dcgan((28, 28, 1), latent_dim=64)
    gan = mtf.gan.GAN(generator, discriminator)
    gan.compile()
    gan.fit(images, batch_size=64, epochs=10)  # uint8, or float in the generator's range
    gan.sample(16)
    ```

    Args:
        generator: a built `keras.Model` from noise `(n, latent_dim)` to images `(n, height, width, channels)`; or from
            `[noise, labels]`, where labels are classes `(n,)` int32, or the source images of pairs.
        discriminator: a built `keras.Model` from images, or `[images, labels]`, to logits `(n, 1)`.
        loss: `"non_saturating"`, `"minimax"`, `"least_squares"`, `"wasserstein"` or `"hinge"`.
        penalty: on the discriminator's gradients: `"gradient"`, `"gradient_one_sided"`, `"r1"` or `None`.
        penalty_weight: factor of the penalty; `None` for what its paper takes.
        discriminator_steps: steps of the discriminator for one of the generator.
        augmentation: names among `"color"`, `"translation"` and `"cutout"`, joined by commas, by which whatever the
            discriminator sees is changed at random; for small data.
        average_decay: of the average of the generator's weights that `sample` uses; `None` for no average. The first
            `t` steps use at most `(1 + t) / (10 + t)`.
        feature_matching_weight: factor of the distance between the mean features of real and generated images in the
            generator's loss; the features are those of the discriminator's layer named `"features"`.
        encoder: a built `keras.Model` from images to noise, trained with the generator to give back the training
            images, for `reconstruction_weight`.
        reconstruction_weight: factor of the mean absolute error in the generator's loss: of what the encoder's noise
            becomes, or without an encoder of the image generated from the source image of a pair.
        seed: integer, of the noise in training.

    Call arguments:
        inputs: what the generator takes.
        training: as in Keras.

    Output shape: images `(n, height, width, channels)` float32, in the range of the generator's last activation.

    Raises:
        ValueError: if an argument is not accepted or the networks do not fit each other.

    Reference: [Goodfellow et al., 2014](https://arxiv.org/abs/1406.2661)
    """

    def __init__(
        self,
        generator,
        discriminator,
        loss="non_saturating",
        penalty=None,
        penalty_weight=None,
        discriminator_steps=1,
        augmentation=None,
        average_decay=0.999,
        feature_matching_weight=0.0,
        encoder=None,
        reconstruction_weight=0.0,
        seed=0,
        **kwargs,
    ):
        # === Networks ===
        check_networks(generator, discriminator, encoder)
        losses = ["discriminator_loss", "generator_loss", *(["penalty"] if penalty else [])]
        super().__init__(losses, generator.variable_dtype, **kwargs)
        self.generator, self.discriminator, self.encoder = generator, discriminator, encoder
        self.averaged_generator = None if average_decay is None else frozen_copy(generator)
        # === Config ===
        self.objective = Objective(
            loss, penalty, penalty_weight, augmentation, feature_matching_weight, reconstruction_weight
        )
        self.discriminator_steps, self.average_decay, self.seed = discriminator_steps, average_decay, seed
        check_options(self)
        self.judge = self.discriminator
        if feature_matching_weight:
            outputs = [discriminator.output, discriminator.get_layer("features").output]
            self.judge = keras.Model(discriminator.inputs, outputs, name="judge")
        self._compiled_generate = None
        self.built = True

    # === What the networks say ===

    @property
    def conditional(self):
        """Whether the networks take labels beside noise and images."""
        return len(self.generator.inputs) == 2

    @property
    def latent_dim(self):
        """Numbers in the noise of an image."""
        return self.generator.inputs[0].shape[-1]

    @property
    def image_shape(self):
        """`(height, width, channels)`."""
        return tuple(self.generator.output_shape[1:])

    @property
    def number_of_classes(self):
        """The labels that the generator's layer `"label_embedding"` knows; `None` where it has no such layer."""
        layers = {layer.name: layer for layer in self.generator.layers}
        embedding = layers.get("label_embedding")
        return None if embedding is None or not embedding.weights else embedding.weights[0].shape[0]

    @property
    def image_range(self):
        """Lowest and highest value of a generated pixel; `None` where the generator's last activation has no bounds."""
        return image_range(self.generator)

    @property
    def generator_variables(self):
        """What the generator's optimizer trains."""
        encoder = [] if self.encoder is None else self.encoder.trainable_variables
        return [*self.generator.trainable_variables, *encoder]

    def players(self, training=True):
        """The networks as functions, with their present weights."""

        def judge(images, labels):
            outputs = self.judge(_inputs(images, labels), training=training)
            return outputs if self.judge is not self.discriminator else (outputs, None)

        return Players(
            lambda noise, labels: self.generator(_inputs(noise, labels), training=training),
            judge,
            None if self.encoder is None else lambda images: self.encoder(images, training=training),
        )

    @property
    def sampler(self):
        """The network that `sample` draws with: the averaged generator where there is one."""
        return self.generator if self.averaged_generator is None else self.averaged_generator

    # === Training ===

    def compile(self, generator_optimizer=None, discriminator_optimizer=None, monitor=None, mode="min", **kwargs):
        """Prepares for training.

        Args:
            generator_optimizer: a Keras optimizer or its name; `None` for Adam of rate 2e-4 with `beta_1=0.5`.
            discriminator_optimizer: the same.
            monitor: a name in the logs of an epoch, such as the `"kid"` of `mtf.evaluation.GenerativeScores`. Training
                then ends with the weights and optimizers of the epoch in which it was best.
            mode: `"min"` or `"max"`: which values of `monitor` are better.
            **kwargs: as in Keras; XLA is off by default.

        Raises:
            ValueError: if `mode` is unknown.
        """
        optimizers = {
            "generator_optimizer": make_optimizer(generator_optimizer, self.generator),
            "discriminator_optimizer": make_optimizer(discriminator_optimizer, self.discriminator),
        }
        self.compile_players(optimizers, monitor, mode, **kwargs)
        # At once, so that a file has all of the optimizers' variables even before the first step.
        self.generator_optimizer.build(self.generator_variables)
        self.discriminator_optimizer.build(self.discriminator.trainable_variables)

    def fit(self, x=None, y=None, batch_size=None, **kwargs):
        """As `keras.Model.fit`, on images and, for conditional networks, labels.

        Args:
            x: images `(n, height, width, channels)`, uint8 or in the generator's range; or a `tf.data.Dataset` of
                batches of images, or of `(images, labels)`.
            y: labels `(n,)`, or source images, of conditional networks.
            batch_size: as in Keras.
            **kwargs: as in Keras.

        Returns:
            A `keras.callbacks.History`.

        Raises:
            ValueError: if images or labels do not fit the networks; of a dataset, its first batch is looked at.
            FloatingPointError: if a loss is no longer finite. The weights are then those of the best epoch by
                `monitor`, or of the last epoch, or those before training.
        """
        x, y = (x[0], x[1]) if isinstance(x, tuple) and len(x) == 2 and y is None else (x, y)
        check_training_data(self, x, y)
        return self.fit_and_keep_best(x, y, batch_size=batch_size, **kwargs)

    @one_batch_of_all_replicas()
    def train_step(self, data):
        images, labels = self._images_and_labels(data)
        step = tf.cast(self.generator_optimizer.iterations, tf.int32)
        generator_seed, *seeds = split_seed(tf.stack([self.seed, step]), 1 + self.discriminator_steps)
        for seed in seeds:
            loss, *penalty = self._train_discriminator(images, labels, seed)
        return self.track(loss, self._train_generator(images, labels, generator_seed), *penalty)

    def _train_discriminator(self, images, labels, seed):
        seeds = split_seed(seed, 2)
        players, variables = self.players(), self.discriminator.trainable_variables
        fake = players.generate(draw_noise(tf.shape(images)[0], self.latent_dim, seeds[0]), labels)
        with tf.GradientTape() as tape:
            losses = self.objective.discriminator_loss(players, images, fake, labels, seeds[1])
            scaled_loss = self.discriminator_optimizer.scale_loss(losses[0])
        apply_mean(self.discriminator_optimizer, tape.gradient(scaled_loss, variables), variables)
        return losses

    def _train_generator(self, images, labels, seed):
        seeds = split_seed(seed, 2)
        noise = draw_noise(tf.shape(images)[0], self.latent_dim, seeds[0])
        with tf.GradientTape() as tape:
            loss = self.objective.generator_loss(self.players(), images, noise, labels, seeds[1])
            scaled_loss = self.generator_optimizer.scale_loss(loss)
        variables = self.generator_variables
        apply_mean(self.generator_optimizer, tape.gradient(scaled_loss, variables), variables)
        if self.averaged_generator is not None:
            step = tf.cast(self.generator_optimizer.iterations, tf.float32)
            move_average(self.averaged_generator, self.generator, self.average_decay, step)
        return loss

    @one_batch_of_all_replicas()
    def test_step(self, data):
        images, labels = self._images_and_labels(data)
        seeds, players = split_seed(tf.constant([self.seed, -1]), 3), self.players(training=False)
        noise = draw_noise(tf.shape(images)[0], self.latent_dim, seeds[0])
        fake = players.generate(noise, labels)
        loss, *penalty = self.objective.discriminator_loss(players, images, fake, labels, seeds[1])
        return self.track(loss, self.objective.generator_loss(players, images, noise, labels, seeds[2]), *penalty)

    def _images_and_labels(self, data):
        images, labels, _ = keras.utils.unpack_x_y_sample_weight(data)
        images = to_image_range(images, self.image_range)
        if labels is not None and labels.shape.rank > 1:  # the source images of pairs
            labels = to_image_range(labels, self.image_range)
        return images, labels

    # === Use ===

    def call(self, inputs, training=False):
        return self.generator(inputs, training=training)

    def sample(self, n, labels=None, seed=0):
        """Draws images, with the averaged generator where there is one.

        Args:
            n: how many.
            labels: classes `(n,)`, or source images, of conditional networks; `None` gives each class in turn.
            seed: integer; the same seed gives the same images.

        Returns:
            float32 array `(n, height, width, channels)` in the range of the generator's last activation.

        Raises:
            ValueError: if `n` is not a positive integer, or labels do not fit the networks.
        """
        labels = check_sampling(self, n, labels)
        if self._compiled_generate is None:
            self._compiled_generate = tf.function(
                lambda noise, labels: self.sampler(_inputs(noise, labels), training=False), reduce_retracing=True
            )
        noise = draw_noise(n, self.latent_dim, [seed, 0])
        parts = range(0, n, 256)
        labels = [None if labels is None else labels[part : part + 256] for part in parts]
        images = [self._compiled_generate(noise[part : part + 256], label) for part, label in zip(parts, labels)]
        return np.concatenate([np.asarray(part) for part in images])

    def copy(self):
        """A GAN of the same configuration and weights, which shares none of them; it is not compiled."""
        copy = type(self).from_config(self.get_config())
        copy.set_weights(self.get_weights())
        return copy

    def set_player_weights(self, weights):
        """Sets the generator's trainable weights and, after them in the list, the discriminator's; and the average."""
        players = [*self.generator.trainable_variables, *self.discriminator.trainable_variables]
        for variable, weight in zip(players, weights, strict=True):
            variable.assign(weight)
        if self.averaged_generator is not None:
            self.averaged_generator.set_weights(self.generator.get_weights())

    def export(self, path, **options):
        """Writes a SavedModel that draws images, see `mtf.serving.export_gan`."""
        return export_gan(self, path, **options)

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            "name": self.name,
            "trainable": self.trainable,
            "generator": serialize(self.generator),
            "discriminator": serialize(self.discriminator),
            "encoder": None if self.encoder is None else serialize(self.encoder),
            **self.objective._asdict(),
            "discriminator_steps": self.discriminator_steps,
            "average_decay": self.average_decay,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        for name in ("generator", "discriminator", "encoder"):
            config[name] = None if config[name] is None else keras.saving.deserialize_keras_object(config[name])
        return cls(**config)


def _inputs(x, labels):
    return x if labels is None else [x, labels]
