"""A generative adversarial network as an ordinary Keras model."""

import keras
import numpy as np
import tensorflow as tf
from keras.saving import deserialize_keras_object as deserialize
from keras.saving import serialize_keras_object as serialize

from metalearn_tf.engine.copy_network import copy_network
from metalearn_tf.engine.fresh_trace import FreshTrace
from metalearn_tf.engine.gradient_checks import check_reached
from metalearn_tf.engine.random_state_kept import random_state_kept
from metalearn_tf.engine.replicas import apply_mean
from metalearn_tf.gan.averaging import fingerprint, frozen_copy, is_fingerprint_of, move_average
from metalearn_tf.gan.gan_checks import check_inputs, check_sampling, check_training_data
from metalearn_tf.gan.gan_networks import GANNetworks
from metalearn_tf.gan.network_checks import check_networks, check_options, check_trainable, declared_range
from metalearn_tf.gan.network_inputs import condition_of, images_of
from metalearn_tf.gan.objectives import Objective, batch_noise, draw_noise, split_seed
from metalearn_tf.gan.penalties import Penalty
from metalearn_tf.gan.players import inputs_of, stateful_players
from metalearn_tf.gan.players_optimizer import PlayersOptimizer, make_optimizers
from metalearn_tf.networks.second_derivatives import check_second_derivatives
from metalearn_tf.serving.export_generator import export_gan


@keras.saving.register_keras_serializable("metalearn_tf")
class GAN(GANNetworks):
    """A generator that learns to draw images that a discriminator cannot tell from the training images.

    A step trains the discriminator `discriminator_steps` times, each time with new noise, then the generator once. The
    noise of a step depends only on `seed` and the number of the step, so a restarted training continues as if it had
    never stopped.

    ```python
    generator, discriminator = mtf.networks.dcgan((28, 28, 1), latent_dim=64)
    gan = mtf.gan.GAN(generator, discriminator)
    gan.compile()
    gan.fit(images, batch_size=64, epochs=10)  # uint8, or float in the generator's range
    gan.sample(16)
    ```

    Args:
        generator: a built `keras.Model` from noise `(n, latent_dim)`, or from `[noise, labels]`, to images
            `(n, height, width, channels)`. Labels are classes `(n,)` or `(n, 1)`, floating attributes `(n, …)`,
            floating source images of pairs (four axes), or integer maps of classes (four axes).
        discriminator: a built `keras.Model` from images, or `[images, labels]`, to logits `(n, 1)`.
        loss: `"non_saturating"`, `"minimax"`, `"least_squares"`, `"wasserstein"` or `"hinge"`; or a pair of functions,
            see `mtf.gan.get_losses`. To load a file with your own functions, register them with Keras.
        penalty: on the discriminator's gradients: `"gradient"`, `"gradient_one_sided"`, `"r1"` or `None`; or your own
            `mtf.gan.Penalty`.
        penalty_weight: factor of the penalty; `None` for the weight in its paper.
        discriminator_steps: steps of the discriminator for each step of the generator.
        augmentation: names among `"color"`, `"translation"` and `"cutout"`, joined by commas: random changes of all
            images that the discriminator sees, in the range of the generator. Use it for small data.
        average_decay: decay of the average of the generator's weights, which `sample` uses; `None` for no average. Step
            `t` uses at most `(1 + t) / (10 + t)`.
        feature_matching_weight: factor, in the generator's loss, of the distance between the mean features of real and
            generated images. The features are the output of the discriminator's layer named `"features"`.
        encoder: a built `keras.Model` from images to noise. It is trained with the generator to reconstruct the
            training images; needs `reconstruction_weight`.
        reconstruction_weight: factor of the mean absolute error in the generator's loss: of the image generated from
            the encoder's noise or, without an encoder, from the source image of a pair.
        seed: integer, for the noise in training.
        image_range: lowest and highest value of a pixel of the generator; `None` to read it from the generator's last
            layers: a bounded activation, and layers that shift or rescale its values.

    The networks may regularise weights and activities, or call `add_loss`: these losses are part of their player's
    loss. Frozen layers are not trained.

    `fit` takes images `(n, height, width, channels)`, uint8 or in the generator's range, and for conditional networks
    `y`: labels or source images. Or it takes batches of images or `(images, labels)`: a `tf.data.Dataset`, a
    `keras.utils.PyDataset` or a generator. It checks the first batch before any work, and the range and the classes of
    all batches inside the graph. If a loss is no longer finite, it raises a `FloatingPointError` and restores the
    weights of the best epoch by `monitor`, of the last epoch, or of the start.

    Call arguments:
        inputs: the inputs of the generator.
        training: as in Keras.

    Output shape: images `(n, height, width, channels)` float32, in the range of the generator.

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
        image_range=None,
        **kwargs,
    ):
        # === Networks ===
        check_networks(generator, discriminator, encoder)
        losses = ["discriminator_loss", "generator_loss", *(["penalty"] if penalty else [])]
        super().__init__(losses, generator.variable_dtype, **kwargs)
        self.generator, self.discriminator, self.encoder = generator, discriminator, encoder
        self.averaged_generator = None if average_decay is None else frozen_copy(generator)
        # === Config ===
        self._declared_range = declared_range(generator, image_range)
        weights = feature_matching_weight, reconstruction_weight
        self.objective = Objective(loss, penalty, penalty_weight, augmentation, *weights, self.image_range)
        self.discriminator_steps, self.average_decay, self.seed = discriminator_steps, average_decay, seed
        check_options(self)
        self.judge = discriminator
        if feature_matching_weight:
            outputs = [discriminator.outputs[0], discriminator.get_layer("features").output]
            self.judge = keras.Model(discriminator.inputs, outputs, name="judge")
        if penalty is not None:
            check_second_derivatives(self.judge, "discriminator", of_inputs=True, instead="leave out the `penalty`")
        # The fingerprint of the weights that the average has followed. If the weights change in another way, `sample`
        # uses the weights themselves.
        self._averaged_from = self.averaged_generator and self.add_state("averaged_from", fingerprint(generator))
        self._compiled_draw = FreshTrace(self._draw, lambda: [self.generator])
        self.built = True

    # === Training ===

    def compile(self, generator_optimizer=None, discriminator_optimizer=None, monitor=None, mode="min", **kwargs):
        """Prepares for training.

        Args:
            generator_optimizer: a Keras optimizer or its name; `None` for Adam with rate 2e-4 and `beta_1=0.5`.
            discriminator_optimizer: the same.
            monitor: a name in the logs of an epoch, such as the `"kid"` of `mtf.evaluation.GenerativeScores`. Training
                then ends with the weights and optimizers of the epoch with its best value.
            mode: `"min"` or `"max"`: which values of `monitor` are better.
            **kwargs: as in Keras; XLA is off by default.

        Callbacks that set learning rates, such as `keras.callbacks.LearningRateScheduler`, set both rates.

        Raises:
            ValueError: if `mode` is unknown, an optimizer is in use elsewhere, there is nothing to train, or a GAN does
                not have an option of Keras.
        """
        check_trainable(self)
        optimizers = make_optimizers(self, generator_optimizer, discriminator_optimizer, kwargs)
        both = PlayersOptimizer(*zip(optimizers.values(), self.trained_by_player.values()))
        self.compile_players(both, optimizers, monitor, mode, kwargs)

    check_data, check_inputs, check_sampling = check_training_data, check_inputs, check_sampling

    def make_train_function(self, force=False):
        self._restart_average()
        return super().make_train_function(force)

    def _restart_average(self):
        """Restarts the average at the generator's weights if these were changed outside training."""
        if not self._has_average():
            self._start_average()

    def _start_average(self):
        if self.averaged_generator is not None:
            self.averaged_generator.set_weights(self.generator.get_weights())
            self._averaged_from.assign(fingerprint(self.generator))

    def train_step(self, data):
        images, labels = self._images_and_labels(data)
        with tf.control_dependencies([images] if labels is None else [images, labels]):  # once they have been checked
            seed = tf.stack([self.seed, tf.cast(self.steps, tf.int32)])
            generator_seed, *seeds = split_seed(seed, 1 + self.discriminator_steps)
            for seed in seeds:
                loss, *penalty = self._train_discriminator(images, labels, seed)
            logs = self.track(images, loss, self._train_generator(images, labels, generator_seed), *penalty)
            self.steps.assign_add(1)
        return logs

    def _train_discriminator(self, images, labels, seed):
        seeds, players = split_seed(seed, 2), stateful_players(self, training=True)
        fake, _ = players.generate(batch_noise(images, self.latent_dim, seeds[0]), labels)
        with tf.GradientTape() as tape:
            losses = self.objective.discriminator_loss(players, images, fake, labels, seeds[1])
            scaled_loss = self.discriminator_optimizer.scale_loss(losses[0])
        self._apply("discriminator", tape, scaled_loss)
        return losses

    def _train_generator(self, images, labels, seed):
        seeds, players = split_seed(seed, 2), stateful_players(self, training=True)
        noise = batch_noise(images, self.latent_dim, seeds[0])
        with tf.GradientTape() as tape:
            loss = self.objective.generator_loss(players, images, noise, labels, seeds[1])
            scaled_loss = self.generator_optimizer.scale_loss(loss)
        before = tf.identity(self.generator_optimizer.iterations)
        self._apply("generator", tape, scaled_loss)
        if self.averaged_generator is not None:
            # With gradient accumulation, most steps change no weight.
            updates = tf.identity(self.generator_optimizer.iterations)
            move_average(self.averaged_generator, self.generator, self.average_decay, updates, updates > before)
            self._averaged_from.assign(fingerprint(self.generator))
        return loss

    def _apply(self, player, tape, loss):
        variables = self.trained_by_player[player]
        gradients = tape.gradient(loss, variables)
        check_reached(variables, gradients)
        apply_mean(getattr(self, f"{player}_optimizer"), gradients, variables)

    def test_step(self, data):
        images, labels = self._images_and_labels(data)
        seeds, players = split_seed(tf.constant([self.seed, -1]), 3), stateful_players(self, training=False)
        noise = batch_noise(images, self.latent_dim, seeds[0])
        fake, _ = players.generate(noise, labels)
        loss, *penalty = self.objective.discriminator_loss(players, images, fake, labels, seeds[1])
        of_generator = self.objective.generator_loss(players, images, noise, labels, seeds[2])
        return self.track(images, loss, of_generator, *penalty)

    def _images_and_labels(self, data):
        images, labels, _ = keras.utils.unpack_x_y_sample_weight(data)
        return images_of(self, images), None if labels is None else condition_of(self, labels)

    # === Use ===

    @property
    def sampler(self):
        """The network that `sample` uses: the averaged generator, if the average belongs to the current weights.

        If weights were set or loaded, it is the generator itself until the next training, which restarts the average.
        """
        return self.averaged_generator if self._has_average() else self.generator

    def _has_average(self):
        return self.averaged_generator is not None and is_fingerprint_of(self._averaged_from, self.generator)

    def call(self, inputs, training=False):
        if self.conditional:
            inputs = [inputs[0], condition_of(self, inputs[1])]
        return self.generator(inputs, training=training)

    def sample(self, n, labels=None, seed=0):
        """Draws images with `sampler`.

        Args:
            n: the number of images.
            labels: classes `(n,)` or source images, for conditional networks; `None` takes each class in turn.
            seed: integer; the same seed gives the same images.

        Returns:
            float32 array `(n, height, width, channels)` in the range of the generator.

        Raises:
            ValueError: if `n` is not a positive integer, or labels do not fit the networks.
        """
        labels = self.check_sampling(n, labels, seed)
        noise = draw_noise(n, self.latent_dim, [seed, 0])
        has_average = self._has_average()
        parts = [slice(start, start + 256) for start in range(0, n, 256)]
        labels = [None if labels is None else labels[part] for part in parts]
        images = [self._compiled_draw(noise[part], label, has_average) for part, label in zip(parts, labels)]
        return np.concatenate([np.asarray(part, "float32") for part in images])

    def _draw(self, noise, labels, averaged):
        network = self.averaged_generator if averaged else self.generator
        return network(inputs_of(noise, labels), training=False)

    @random_state_kept(wait=False)  # random initial weights are overwritten at once
    def copy(self):
        """A new GAN with the same configuration and copies of the weights. It is not compiled."""
        networks = {name: network and copy_network(network) for name, network in self._networks().items()}
        copy = type(self).from_config({**self.get_config(), **networks})
        copy.set_weights(self.get_weights())
        return copy

    def set_player_weights(self, weights):
        """Sets the trainable weights, the generator's first and then the discriminator's, and the average."""
        players = [*self.generator.trainable_variables, *self.discriminator.trainable_variables]
        for variable, weight in zip(players, weights, strict=True):
            variable.assign(weight)
        self._start_average()

    def export(self, path, **options):
        """Writes a SavedModel that draws images, see `mtf.serving.export_gan`."""
        return export_gan(self, path, **options)

    def _networks(self):
        return {"generator": self.generator, "discriminator": self.discriminator, "encoder": self.encoder}

    def get_config(self):
        objective = self.objective._asdict()
        # The user's functions stay as they are: only a file needs them by name.
        functions = {key: objective.pop(key) for key in ("loss", "penalty")}
        config = {
            "name": self.name,
            "trainable": self.trainable,
            **self._networks(),
            **objective,
            "discriminator_steps": self.discriminator_steps,
            "average_decay": self.average_decay,
            "seed": self.seed,
            "image_range": self._declared_range,
        }
        return {key: serialize(value) for key, value in config.items()} | functions

    @classmethod
    def from_config(cls, config):
        config = {name: _restored(value) for name, value in config.items()}
        if isinstance(config["penalty"], tuple):
            config["penalty"] = Penalty(*config["penalty"])
        return cls(**config)


def _restored(value):
    if isinstance(value, (tuple, list)):
        return tuple(map(_restored, value))
    return deserialize(value) if isinstance(value, dict) else value
