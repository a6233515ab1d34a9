"""A GAN that learns to adapt to a class or a domain from a few images of it."""

import keras
import tensorflow as tf

from metalearn_tf.checks.whole_numbers import check_seed, check_whole
from metalearn_tf.engine.fresh_trace import FreshTrace
from metalearn_tf.engine.inner_batches import inner_batch_rows
from metalearn_tf.engine.replicas import apply_mean
from metalearn_tf.engine.task_mapping import sum_over_tasks
from metalearn_tf.engine.update_rules import scheduled_gradient_descent
from metalearn_tf.gan.adversarial_model import AdversarialModel
from metalearn_tf.gan.inner_game import gradients_of, inner_step, outer_losses, traced_parts
from metalearn_tf.gan.inner_rules import InnerRules, described_optimizer
from metalearn_tf.gan.meta_gan_checks import check_meta_gan, make_outer_optimizer
from metalearn_tf.gan.network_inputs import images_of
from metalearn_tf.gan.objectives import draw_noise, split_seed, task_seeds
from metalearn_tf.gan.players import stateless_players
from metalearn_tf.gan.task_checks import check_adaptation, check_task_inputs, check_tasks
from metalearn_tf.gan.task_data import prepare_tasks, task_inputs
from metalearn_tf.serving.export_generator import export_meta_gan


@keras.saving.register_keras_serializable("metalearn_tf")
class MetaGAN(AdversarialModel):
    """Initial weights of a GAN from which a few steps on a few images of a new class lead to more images of it.

    A task is a few images of one class or domain. If the networks take labels, it may have several classes. In the
    inner loop, both players take `inner_steps` steps on these images. The outer algorithms are:

    - `"reptile"`: the initial weights move towards the adapted ones. The outer gradient is their difference.
    - `"maml"`: each player's loss after adaptation, on the task's query images, is differentiated through the whole
      inner loop of both players.
    - `"fomaml"`: the same without the derivative of the inner gradients.

    ```python
    networks = mtf.networks.dcgan(generator_normalization="layer", discriminator_normalization="layer")
    meta_gan = mtf.gan.MetaGAN(mtf.gan.GAN(*networks, penalty="r1"))
    meta_gan.compile()
    meta_gan.fit(mtf.data.image_tasks(train, shots=8, tasks_per_batch=4), steps_per_epoch=100, epochs=10)
    meta_gan.adapt(eight_images).sample(64)
    ```

    Args:
        gan: a `GAN` with noise, or noise and class numbers, as its input. It must not have an encoder, dropout, batch
            or spectral normalisation: a few images are too few for their averages. Frozen weights are not trained.
        algorithm: `"reptile"`, `"fomaml"` or `"maml"`.
        inner_steps: steps of both players in meta-training.
        inner_learning_rate: rate of the inner steps; `None` for 1e-3, or for 1e-2 with `"maml"`.
        inner_optimizer: a `keras.optimizers.Optimizer`, which starts fresh for each task; `None` for Adam with
            `beta_1=0`. Leave it out for `"maml"`, which uses gradient descent: its derivative has no poles.
        inner_batch_size: images of an inner step, taken in turn and alternating between labels; `None` for all images.
        learned_rates: whether `"maml"` learns a rate for each inner step and each weight tensor.
        test_inner_steps: inner steps outside training; `None` for as many as in training.
        seed: integer, for the noise in training.

    `fit` takes tasks as `mtf.data.image_tasks` yields them: a `tf.data.Dataset` of images
    `(tasks, images, height, width, channels)`, or of pairs of images and query images; or one array of tasks.
    Conditional networks take `(images, labels)`, with labels `(tasks, images)`, or a dataset of pairs of two of those.
    Without query images, the losses of the adapted players use the images themselves. `"reptile"` adapts to both sets
    together. The losses are those after adaptation. If one is no longer finite, training ends as for a `GAN`.

    Call arguments:
        inputs: images `(tasks, images, height, width, channels)`, uint8 or in the generator's range; for conditional
            networks, a pair of images and labels `(tasks, images)`.

    Output shape: generated images `(tasks, images, height, width, channels)`, as many as the input has.

    Raises:
        ValueError: if an argument is not accepted, or the networks keep a state of their own.

    Reference: [Clouâtre and Demers, 2019](https://arxiv.org/abs/1901.02199) for Reptile;
        [Liang et al., 2020](https://arxiv.org/abs/2001.00576) for MAML
    """

    def __init__(
        self,
        gan,
        algorithm="reptile",
        inner_steps=10,
        inner_learning_rate=None,
        inner_optimizer=None,
        inner_batch_size=None,
        learned_rates=False,
        test_inner_steps=None,
        seed=0,
        **kwargs,
    ):
        # === Networks ===
        check_meta_gan(gan, algorithm, inner_learning_rate, inner_optimizer, learned_rates)
        check_seed(seed, signed=True)
        optional = {"inner_batch_size": inner_batch_size, "test_inner_steps": test_inner_steps}
        check_whole(inner_steps=inner_steps, **{key: number for key, number in optional.items() if number is not None})
        super().__init__(["generator_loss", "discriminator_loss"], gan.dtype, **kwargs)
        self.gan = gan
        # === Inner rule ===
        self.inner_learning_rate = inner_learning_rate
        self.inner_optimizer = keras.optimizers.get(inner_optimizer)
        if algorithm == "maml":
            self.inner_rates = [
                self.add_weight(
                    name=f"{network.name}_inner_rates",
                    shape=(inner_steps, len(network.trainable_variables)),
                    initializer=keras.initializers.Constant(inner_learning_rate or 1e-2),
                    trainable=learned_rates,
                )
                for network in (gan.generator, gan.discriminator)
            ]
        else:
            self._keras_rules = InnerRules(self)
        # === Config ===
        self._settings = (
            "algorithm inner_steps inner_learning_rate inner_batch_size learned_rates test_inner_steps seed"
        )
        self.algorithm, self.inner_steps, self.learned_rates = algorithm, int(inner_steps), learned_rates
        whole = [*optional.values(), seed]
        self.inner_batch_size, self.test_inner_steps, self.seed = (number and int(number) for number in whole)
        self._compiled_adapt = FreshTrace(self.adapt_task, lambda: traced_parts(self))
        self.built = True

    # === Pure functions of one task ===

    def adapt_task(self, images, seed, steps=None, labels=None):
        """Adapts both players to one task.

        Args:
            images: `(n, height, width, channels)`, uint8 or in the generator's range.
            seed: int32 `(2,)`, for the noise.
            steps: integer or int32 scalar; `None` for the steps outside training.
            labels: `(n,)` int32, for conditional networks.

        Returns:
            The task state: the generator's adapted weights, then the discriminator's, a flat list of tensors.
        """
        images = images_of(self.gan, images)
        steps = tf.cast((self.test_inner_steps or self.inner_steps) if steps is None else steps, tf.int32)
        _, values = tf.while_loop(
            lambda step, values: step < steps,
            lambda step, values: (step + 1, self._inner_step(values, images, labels, seed, step)),
            (tf.constant(0), self._initial_values()),
        )
        return [*values[0], *values[1]]

    def generate(self, task_state, noise, labels=None):
        """Images `(n, height, width, channels)` float32, made of noise `(n, latent_dim)` and labels `(n,)`."""
        return tf.cast(stateless_players(self.gan, task_state).generate(noise, labels)[0], tf.float32)

    def judge(self, task_state, images, labels=None):
        """The adapted discriminator's logits `(n, 1)`: high if it takes an image for real."""
        return stateless_players(self.gan, task_state).judge(images_of(self.gan, images), labels)[0]

    def inner_rules(self):
        """The update rules of generator and discriminator."""
        if self.algorithm == "maml":
            return [scheduled_gradient_descent(tf.convert_to_tensor(rates)) for rates in self.inner_rates]
        return self._keras_rules()

    def _initial_values(self):
        weights = [[tf.convert_to_tensor(variable) for variable in variables] for variables in self._trained()]
        return (*weights, *(rule.init(each) for rule, each in zip(self.inner_rules(), weights)))

    def _trained(self):
        return self.gan.generator.trainable_variables, self.gan.discriminator.trainable_variables

    def _inner_step(self, values, images, labels, seed, step):
        if self.inner_batch_size is not None:
            rows = inner_batch_rows(step, self.inner_batch_size, tf.shape(images)[0], labels)
            images, labels = (None if part is None else tf.gather(part, rows) for part in (images, labels))
        return inner_step(self.gan, self.inner_rules(), values, images, seed, step, labels)

    def task_gradients(self, images, queries, seed, labels=None, query_labels=None):
        """The gradients of one task for the outer step.

        Args:
            images: `(n, height, width, channels)`, for the inner loop.
            queries: images for the losses of the adapted players.
            seed: int32 `(2,)`.
            labels: labels of the images, for conditional networks.
            query_labels: labels of the queries.

        Returns:
            The losses of generator and discriminator after adaptation, float32 scalars, and a gradient for each
            trainable variable: a flat list of tensors.
        """
        inner_seed, outer_seed = split_seed(seed, 2)
        if self.algorithm == "maml":
            return self._maml_gradients(images, queries, inner_seed, outer_seed, labels, query_labels)
        weights = self.adapt_task(images, inner_seed, self.inner_steps, labels)
        if self.algorithm == "reptile":
            losses = outer_losses(self.gan, weights, queries, outer_seed, query_labels)
            return [*losses, *(variable - weight for variable, weight in zip(self.trainable_variables, weights))]
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch(weights)
            losses = outer_losses(self.gan, weights, queries, outer_seed, query_labels)
        count = len(self.gan.generator.trainable_variables)
        players = weights[:count], weights[count:]
        gradients = [gradients_of(tape, *player) for player in zip(losses, players, self._trained())]
        return [*losses, *gradients[0], *gradients[1]]

    def _maml_gradients(self, images, queries, inner_seed, outer_seed, labels, query_labels):
        with tf.GradientTape(persistent=True) as tape:
            values = self._initial_values()
            for step in range(self.inner_steps):
                values = self._inner_step(values, images, labels, inner_seed, step)
            losses = outer_losses(self.gan, [*values[0], *values[1]], queries, outer_seed, query_labels)
        learned, gradients = [], []
        for loss, trained, rates in zip(losses, self._trained(), self.inner_rates):
            variables = [*trained, *([rates] if self.learned_rates else [])]
            of_both = gradients_of(tape, loss, [variable.value for variable in variables], variables)
            gradients += of_both[: len(trained)]
            learned += of_both[len(trained) :]
        return [*losses, *gradients, *learned]

    # === Keras ===

    @property
    def trainable_variables(self):
        """In the order of `task_gradients`: generator, discriminator, learned rates."""
        rates = self.inner_rates if self.learned_rates else []
        return [*self.gan.generator.trainable_variables, *self.gan.discriminator.trainable_variables, *rates]

    @property
    def trainable_weights(self):
        return self.trainable_variables  # Keras keeps an optimizer's averages in this order

    def compile(self, optimizer=None, monitor=None, mode="min", **kwargs):
        """Prepares for meta-training.

        Args:
            optimizer: the optimizer of the outer loop. `None` is `SGD(0.5)`, half of the way to the adapted weights,
                for `"reptile"`, and `Adam(1e-4)` for the others.
            monitor: as in `GAN.compile`.
            mode: as in `GAN.compile`.
            **kwargs: as in Keras; XLA is off by default.

        Raises:
            ValueError: if the optimizer scales losses or has trained other variables, or a GAN has no such option.
        """
        optimizer = make_outer_optimizer(self, optimizer)
        self.compile_players(optimizer, {"optimizer": optimizer}, monitor, mode, kwargs)

    check_data, check_inputs = check_tasks, check_task_inputs

    def kept_in_traces(self):
        return described_optimizer(self), self.inner_learning_rate

    def train_step(self, data):
        step = tf.cast(self.steps, tf.int32)
        means = self._mean_over_tasks(self.task_gradients, data, step, self.trainable_variables)
        with tf.control_dependencies(means):  # not counted if the batch is refused
            apply_mean(self.optimizer, means[2:], self.trainable_variables)
            self.steps.assign_add(1)
            return self.track(tf.nest.flatten(data)[0], *means[:2])

    def test_step(self, data):
        def losses(images, queries, seed, labels=None, query_labels=None):
            inner_seed, outer_seed = split_seed(seed, 2)
            weights = self.adapt_task(images, inner_seed, labels=labels)
            return [*outer_losses(self.gan, weights, queries, outer_seed, query_labels)]

        return self.track(tf.nest.flatten(data)[0], *self._mean_over_tasks(losses, data, -1, []))

    def _mean_over_tasks(self, function, data, step, variables):
        tasks = prepare_tasks(data, self.gan, queries_too=self.algorithm == "reptile")
        count = tf.shape(tasks["images"])[0]
        tasks["seed"] = task_seeds(tf.stack([self.seed, step]), count)
        like = [tf.zeros([]), tf.zeros([]), *map(tf.convert_to_tensor, variables)]
        sums = sum_over_tasks(lambda task: function(**dict(zip(tasks, task))), list(tasks.values()), like)
        return [total / tf.cast(count, total.dtype) for total in sums]

    # === Use ===

    def call(self, inputs, training=False):
        def draw(images, seed, labels=None):
            noise = draw_noise(tf.shape(images)[0], self.gan.latent_dim, seed)
            return self.generate(self.adapt_task(images, seed, labels=labels), noise, labels)

        tasks = task_inputs(self.gan, *inputs) if self.gan.conditional else task_inputs(self.gan, inputs)
        tasks["seed"] = tf.random.split(tf.constant([self.seed, -1]), tf.shape(tasks["images"])[0])
        return tf.map_fn(lambda task: draw(**task), tasks, fn_output_signature=tf.float32)

    def adapt(self, images, labels=None, steps=None, seed=0):
        """Adapts to a few images.

        Args:
            images: `(n, height, width, channels)`, at least 2, uint8 or in the generator's range.
            labels: classes `(n,)`, for conditional networks: all classes that you want to draw later.
            steps: inner steps; `None` for `test_inner_steps`, or as many as in training.
            seed: integer, for the noise.

        Returns:
            A `GAN` with its own weights, not compiled: `sample` it, export it, or compile it and train it further.

        Raises:
            ValueError: if images or labels do not fit the networks, or there are fewer than 2 or `inner_batch_size`.
        """
        steps = (self.test_inner_steps or self.inner_steps) if steps is None else steps
        images, labels = check_adaptation(self, images, labels, steps, seed)
        adapted = self.gan.copy()
        adapted.set_player_weights(self._compiled_adapt(images, tf.constant([seed, 0]), tf.constant(steps), labels))
        return adapted

    def export(self, path, **options):
        """Writes a SavedModel that adapts inside its graph, see `mtf.serving.export_meta_gan`."""
        return export_meta_gan(self, path, **options)

    def get_config(self):
        return {
            "name": self.name,
            "trainable": self.trainable,
            "gan": keras.saving.serialize_keras_object(self.gan),
            "inner_optimizer": described_optimizer(self),
            **{name: keras.saving.serialize_keras_object(getattr(self, name)) for name in self._settings.split()},
        }

    @classmethod
    def from_config(cls, config):
        parts = {name: keras.saving.deserialize_keras_object(config[name]) for name in ("gan", "inner_optimizer")}
        return cls(**{**config, **parts})
