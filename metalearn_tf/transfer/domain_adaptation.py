"""A classifier that learns from the labels of one domain, for another domain without labels."""

import keras
import tensorflow as tf

from metalearn_tf.checks.whole_numbers import check_seed, check_whole
from metalearn_tf.data.tasks.augmentation import seed_augmentation
from metalearn_tf.transfer.classifier_model import ClassifierModel
from metalearn_tf.transfer.domain_batches import domain_batches
from metalearn_tf.transfer.domain_checks import (
    check_discriminator,
    check_fit_options,
    check_options,
    check_source_and_target,
)
from metalearn_tf.transfer.domain_losses import adaptation_schedule, coral_loss, mmd_loss
from metalearn_tf.transfer.gradient_reversal import GradientReversal
from metalearn_tf.transfer.transfer_checks import check_own_objective, check_schedule_goes_on

# The papers' values, for features of about unit variance. Trials on MNIST and USPS gave no reason to change them.
_DEFAULT_WEIGHTS = {"dann": 1.0, "mmd": 1.0, "coral": 1.0, "source_only": None}


@keras.saving.register_keras_serializable("metalearn_tf")
class DomainAdaptation(ClassifierModel):
    """A backbone and a linear classifier, trained on a source domain with labels and a target domain without.

    Training minimises the cross-entropy on the source plus a term for the distance between the domains' features:

    - `"dann"`: a discriminator learns to tell the domains apart by their features. Through a `GradientReversal`, the
      backbone learns to prevent that (Ganin et al.).
    - `"mmd"`: the maximum mean discrepancy; see `mmd_loss` (Long et al.).
    - `"coral"`: the distance between covariances; see `coral_loss` (Sun and Saenko).
    - `"source_only"`: no such term; the target is not used. This is the baseline that the others must beat.

    The factor of that term rises from 0 to `weight` as `adaptation_schedule` says. A batch has as many examples of the
    target as of the source. Each domain goes through the backbone in a separate pass, so that batch normalisation uses
    the statistics of that domain (French et al., section 3). Normalisation then removes the differences in mean and
    variance, and the discriminator need not learn them. The moving averages, which are used in inference, are those of
    both domains.

    ```python
    model = mtf.transfer.DomainAdaptation(mtf.networks.conv4(normalization="running"), classes=10)
    model.compile("adam")
    model.fit((source_x, source_y), target_x, epochs=10)
    model.evaluate(target_test_x, target_test_y)
    model.predict(target_test_x)  # probabilities
    ```

    Args:
        backbone: a built `keras.Model` from one batch of examples to features `(batch, d)`. It is trained, not copied.
        classes: number of classes.
        method: `"dann"`, `"mmd"`, `"coral"` or `"source_only"`.
        weight: the final factor of the term between the domains (for `"dann"`, of the reversed gradient); `None` for
            the method's default.
        bandwidths: see `mmd_loss`.
        discriminator: for `"dann"`, a built `keras.Model` from features to logits `(n, 1)` that are high for the
            source; `None` for one hidden layer of 100 units.
        augmentation: a Keras layer applied to the training images of both domains, which it gets in `image_range`.
        image_range: lowest and highest value of a pixel that the backbone takes; uint8 images are scaled to it.
        seed: integer from 0 to 2**32 - 1, for the new layers' weights, the order of the examples and all noise,
            including augmentation and dropout in the backbone.
        class_names: names of the classes in the order of their numbers. The classes of a `ClassDataset` are matched by
            these names. By default they come from the first `ClassDataset` that `fit` gets as source.

    Call arguments:
        x: examples `(n, ...)`, floating in `image_range`, or uint8 images.
        training: as in Keras.

    Output shape: probabilities `(n, classes)` float32.

    Raises:
        ValueError: if an argument is not accepted.

    Reference: [Ganin et al., 2016](https://arxiv.org/abs/1505.07818);
        [Long et al., 2015](https://arxiv.org/abs/1502.02791);
        [Sun and Saenko, 2016](https://arxiv.org/abs/1607.01719);
        [French et al., 2018](https://arxiv.org/abs/1706.05208)
    """

    def __init__(
        self,
        backbone,
        classes,
        method="dann",
        weight=None,
        bandwidths=None,
        discriminator=None,
        augmentation=None,
        image_range=(0.0, 1.0),
        seed=0,
        class_names=None,
        **kwargs,
    ):
        check_options(classes, method, weight, bandwidths, discriminator)
        options = {"augmentation": augmentation, "image_range": image_range, **kwargs}
        super().__init__(backbone, int(classes), class_names, **options)
        # === Config ===
        seed = check_seed(seed)
        self.method, self.bandwidths, self.seed = method, bandwidths, seed
        self.weight = _DEFAULT_WEIGHTS[method] if weight is None else weight
        # === Layers ===
        width = backbone.output_shape[1]
        self.head = _dense(classes, seed, self.float_dtype, name="head")
        self.head.build((None, width))
        self.softmax = keras.layers.Softmax(dtype=self.float_dtype)  # a layer: exports recognise it
        self.reversal = self.discriminator = None
        if method == "dann":
            self.reversal = GradientReversal(0.0)
            if discriminator is None:
                discriminator = _default_discriminator(width, seed, self.float_dtype)
            self.discriminator = discriminator
            check_discriminator(self.discriminator, width)
        # === Progress and logs ===
        self.step, self.training_steps = (
            self.add_weight(name=name, shape=(), dtype="int64", initializer="zeros", trainable=False)
            for name in ("step", "training_steps")
        )
        names = {"source_only": (), "dann": ("cross_entropy", "domain_loss", "domain_accuracy")}
        names = ("loss", *names.get(method, ("cross_entropy", "domain_loss")))
        self._trackers = {name: keras.metrics.Mean(name) for name in names}
        self._trackers["accuracy"] = keras.metrics.SparseCategoricalAccuracy("accuracy")
        seed_augmentation(self, seed)  # of all layers that use random numbers

    # === Training ===

    def compile(self, optimizer="adam", loss=None, loss_weights=None, metrics=None, weighted_metrics=None, **kwargs):
        """Like `keras.Model.compile`, without a loss or metrics: the model has its own. XLA is off by default."""
        check_own_objective(
            self, loss=loss, loss_weights=loss_weights, metrics=metrics, weighted_metrics=weighted_metrics
        )
        super().compile(optimizer, **kwargs)
        # Built now, so that a file has all of the optimizer's variables even before the first step.
        self.optimizer.build(self.trainable_variables)

    def fit(self, source=None, target_x=None, batch_size=64, epochs=1, verbose="auto", steps_per_epoch=None, **kwargs):
        """Trains on labelled examples of the source and on examples of the target.

        The logs have the `loss`, its parts `cross_entropy` and `domain_loss`, the `accuracy` on the source and, for
        `"dann"`, the discriminator's `domain_accuracy`, which is 0.5 if it cannot tell the domains apart.

        To continue a model from a file, set `initial_epoch` to the number of epochs that it has done. It then trains as
        if it had never been stopped (except for dropout and augmentation, whose states Keras does not save). Without
        `initial_epoch`, the steps already done count for the schedule, so the factor has already reached `weight`.

        Args:
            source: `(source_x, source_y)`: examples `(n, ...)`, floating in `image_range` or uint8 images, and labels
                `(n,)`, integers in `[0, classes)`, each at least once. Or a `ClassDataset`, or a finite, batched
                `tf.data.Dataset` or `keras.utils.PyDataset` of such pairs; it is read into memory.
            target_x: examples `(m, ...)` of the same kind; their labels, if any, are ignored. For `"source_only"` it is
                not read and may be `None`.
            batch_size: examples of each domain in a step, at least 2.
            epochs: as in Keras; `verbose` too.
            steps_per_epoch: `None` for one pass over the larger domain; the smaller domain is repeated meanwhile.
            **kwargs: as in Keras, such as `validation_data=(x, y)`, `callbacks` and `initial_epoch`; not accepted are
                weights, `validation_split` and `shuffle` (each pass has a new order anyway).

        Returns:
            A `keras.callbacks.History`.

        Raises:
            ValueError: if the examples or labels do not fit the backbone, the classes or each other.
        """
        check_fit_options(kwargs)
        check_whole(least=2, batch_size=batch_size)  # one example has neither a variance nor pairs
        check_whole(epochs=epochs)
        self.learn_names(source)
        source_x, source_y, target_x = check_source_and_target(self, source, target_x)
        if steps_per_epoch is None:
            steps_per_epoch = -(-max(len(x) for x in (source_x, target_x) if x is not None) // batch_size)
        check_whole(steps_per_epoch=steps_per_epoch)
        before_last = max(0, epochs - 1 - kwargs.get("initial_epoch", 0)) * steps_per_epoch
        check_schedule_goes_on(getattr(self, "optimizer", None), kwargs.get("callbacks"), before_last)
        kwargs["validation_data"] = self.check_validation_data(kwargs)
        kwargs.setdefault("validation_batch_size", batch_size)
        batches = domain_batches(source_x, source_y, target_x, batch_size, self.seed, int(self.step))
        self.training_steps.assign(epochs * steps_per_epoch)
        # Skips the checks of `BackboneModel.fit`, which are for labelled examples of one domain.
        options = {"steps_per_epoch": steps_per_epoch, "shuffle": False, **kwargs}
        return keras.Model.fit(self, batches, epochs=epochs, verbose=verbose, **options)

    def train_step(self, data):
        images, labels = data
        weight = 0.0
        if self.method != "source_only":
            progress = tf.cast(self.step, tf.float32) / tf.cast(self.training_steps, tf.float32)
            weight = self.weight * adaptation_schedule(progress)
        if self.method == "dann":
            self.reversal.strength.assign(weight)
            weight = 1.0  # the discriminator itself learns with this factor
        with tf.GradientTape() as tape:
            by_domain = self(images, training=True)  # in one call, which keeps the losses of both passes
            logits = self.head(by_domain[0])
            cross_entropy = _cross_entropy(labels, logits)
            losses = {} if len(images) == 1 else self._domain_losses(*by_domain)
            loss = cross_entropy + self.added_losses()
            loss += tf.cast(weight * losses.get("domain_loss", 0.0), loss.dtype)
            scaled_loss = self.optimizer.scale_loss(loss)
        self.apply_gradients(tape, scaled_loss)
        self.step.assign_add(1)
        return self._track(labels, logits, {"loss": loss, "cross_entropy": cross_entropy, **losses})

    def _domain_losses(self, source, target):
        """The term between the domains, and its further entries in the logs."""
        if self.method == "mmd":
            return {"domain_loss": mmd_loss(source, target, self.bandwidths)}
        if self.method == "coral":
            return {"domain_loss": coral_loss(source, target)}
        logits = self.discriminator(self.reversal(tf.concat([source, target], axis=0)), training=True)
        logits = tf.cast(logits, tf.float32)
        is_source = tf.concat([tf.ones(tf.shape(source)[:1]), tf.zeros(tf.shape(target)[:1])], axis=0)[:, None]
        return {
            "domain_loss": tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(is_source, logits)),
            "domain_accuracy": tf.reduce_mean(tf.cast(tf.equal(logits > 0.0, is_source > 0.0), tf.float32)),
        }

    def test_step(self, data):
        x, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        logits = self.head(self((x,), training=False)[0])
        loss = _cross_entropy(labels, logits, sample_weight) + self.added_losses()
        return self._track(labels, logits, {"loss": loss}, sample_weight)

    def _track(self, labels, logits, losses, sample_weight=None):
        """Updates the running means, and returns the logs of a step."""
        size = tf.shape(labels)[0] if sample_weight is None else tf.reduce_sum(sample_weight)
        tracked = {name: value for name, value in losses.items() if name in self._trackers}
        for name, value in tracked.items():
            self._trackers[name].update_state(value, sample_weight=size)
        self._trackers["accuracy"].update_state(labels, logits, sample_weight=sample_weight)
        return {name: self._trackers[name].result() for name in (*tracked, "accuracy")}

    @property
    def metrics(self):
        return list(self._trackers.values())

    # === Use ===

    def call(self, x, training=False):
        """Probabilities of examples; for a tuple with the examples of each domain, a list of their features."""
        if isinstance(x, tuple):
            return [self.features(self.to_inputs(part, training), training) for part in x]
        return self.probabilities(self.features(self.to_inputs(x, training), training))

    def train_on_batch(self, *args, **kwargs):
        """Not available: a step needs examples of two domains, which `fit` combines."""
        raise NotImplementedError("A step takes examples of two domains: use `fit(source, target_x)`.")

    def probabilities(self, features):
        return self.softmax(self.head(features))

    # === Configuration ===

    def get_config(self):
        return {
            **super().get_config(),
            "method": self.method,
            "weight": self.weight,
            "bandwidths": self.bandwidths,
            "discriminator": self.discriminator and keras.saving.serialize_keras_object(self.discriminator),
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config):
        return super().from_config(
            {**config, "discriminator": keras.saving.deserialize_keras_object(config["discriminator"])}
        )


def _cross_entropy(labels, logits, weights=None):
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.cast(labels, tf.int32), logits)
    if weights is None:
        return tf.reduce_mean(losses)
    weights = tf.cast(weights, losses.dtype)
    return tf.math.divide_no_nan(tf.reduce_sum(weights * losses), tf.reduce_sum(weights))


def _dense(units, seed, dtype, **options):
    initializer = keras.initializers.GlorotUniform(seed)
    return keras.layers.Dense(units, kernel_initializer=initializer, dtype=dtype, **options)


def _default_discriminator(width, seed, dtype):
    """The discriminator of Ganin et al. for MNIST. Its size does not depend on the features' width."""
    layers = [keras.Input((width,)), _dense(100, seed + 1, dtype, activation="relu"), _dense(1, seed + 2, dtype)]
    return keras.Sequential(layers, name="discriminator")
