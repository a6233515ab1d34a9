"""The base class of all models that train a backbone."""

import types

import keras
import numpy as np
import tensorflow as tf

from metalearn_tf.checks.batches import check_has_end, first_batch
from metalearn_tf.checks.dtypes import check_dtype
from metalearn_tf.checks.image_range import check_limits
from metalearn_tf.checks.layers import check_is_layer
from metalearn_tf.data.class_index import ClassIndex
from metalearn_tf.data.image_range import to_image_range
from metalearn_tf.engine.array_batches import fit_arguments
from metalearn_tf.engine.callback_list import callback_list
from metalearn_tf.engine.gradient_checks import check_reached
from metalearn_tf.engine.keras_internals import is_within_fit
from metalearn_tf.engine.loss_scaling import with_loss_scaling
from metalearn_tf.engine.replicas import replica_count
from metalearn_tf.engine.saveable_model import SaveableModel
from metalearn_tf.networks.input_scale import check_range_is_taken
from metalearn_tf.transfer.backbone_checks import (
    check_backbone,
    check_backbone_examples,
    float_dtype,
    kind_of_examples,
    takes_images,
)
from metalearn_tf.transfer.data_kinds import check_batched, is_batches, read_examples
from metalearn_tf.transfer.transfer_checks import check_schedule_goes_on


class BackboneModel(SaveableModel):
    """A Keras model around a backbone: it scales pixels to the backbone's range and augments training images.

    Layers of the backbone that are frozen when the model is compiled are never trained.

    Args:
        backbone: a built `keras.Model` from a batch of examples to features `(batch, d)`. Only the backbone may use
            mixed precision.
        augmentation: a Keras layer applied to training images, which it gets in `image_range`; or `None`.
        image_range: lowest and highest pixel that the backbone takes.
        dtype: `None`, or the dtype of the backbone's weights; another dtype is refused.
        **kwargs: as in Keras.

    Raises:
        ValueError: if the backbone, the range or the dtype is not valid.
        TypeError: if `augmentation` is not a Keras layer.
    """

    def __init__(self, backbone, augmentation=None, image_range=(0.0, 1.0), dtype=None, **kwargs):
        check_backbone(backbone)
        if augmentation is not None:
            check_is_layer("augmentation", augmentation)
        check_limits(image_range)
        if takes_images(backbone):
            check_range_is_taken(backbone, image_range)
        if dtype is not None and keras.dtype_policies.get(dtype).variable_dtype != backbone.variable_dtype:
            raise ValueError(
                f"`dtype` must be that of the backbone's weights, {backbone.variable_dtype!r}; build the backbone in "
                f"another. Received: dtype={dtype!r}"
            )
        super().__init__(autocast=False, dtype=backbone.variable_dtype, **kwargs)
        self.backbone = backbone
        self.augmentation = augmentation
        shape = backbone.input_shape[1:]
        if augmentation is not None and not augmentation.built and None not in shape:
            augmentation.build((None, *shape))  # otherwise Keras would fix the size of the first batch
        self.image_range = tuple(image_range)
        self.float_dtype = float_dtype(backbone)
        self.built = True

    def to_inputs(self, x, training=False):
        """Examples for the backbone: uint8 images are scaled to the range, others stay; in training they are augmented.

        Raises:
            ValueError: if the backbone does not take their dtype, or (checked only outside of a graph) their range.
        """
        x = tf.convert_to_tensor(x)
        check_dtype("x", x.dtype, kind_of_examples(self.backbone), self.image_range)
        if takes_images(self.backbone):
            if tf.executing_eagerly():
                check_backbone_examples("x", x, self.backbone, self.image_range)
            x = to_image_range(x, self.image_range) if x.dtype == tf.uint8 else x
        x = tf.cast(x, self.float_dtype) if x.dtype.is_floating else x
        return self.augmentation(x, training=True) if training and self.augmentation is not None else x

    def features(self, inputs, training=None):
        """The backbone's features `(batch, d)`: float64 if its weights are float64, else float32."""
        return tf.cast(self.backbone(inputs, training=training), self.float_dtype)

    # === Training ===

    def compile(self, optimizer="adam", auto_scale_loss=True, **kwargs):
        """Like `keras.Model.compile`. XLA is off by default: it halves the speed on CPUs.

        Raises:
            ValueError: under a `tf.distribute` strategy of several replicas.
        """
        if replica_count() > 1:
            raise ValueError(
                f"{type(self).__name__} trains on one replica, where learners and GANs train on several: leave the "
                f"scope of the strategy. Received: a strategy of {replica_count()} replicas"
            )
        optimizer = with_loss_scaling(optimizer, self.backbone) if auto_scale_loss else optimizer
        options = {"jit_compile": False, "auto_scale_loss": auto_scale_loss, **kwargs}
        super().compile(optimizer=optimizer, **options)

    def fit(self, x=None, y=None, batch_size=None, epochs=1, verbose="auto", callbacks=None, **kwargs):
        """Like `keras.Model.fit`; also takes a `ClassDataset`. The data are checked before the first step."""
        x, y = self.read_dataset("x", x, y)
        options = {"batch_size": batch_size, "epochs": epochs, "verbose": verbose, **kwargs}
        options["callbacks"] = [*self.fit_callbacks(), *callback_list(callbacks)]
        if isinstance(x, types.GeneratorType):
            options.setdefault("shuffle", False)  # Keras's own default gives a warning here
        check_has_end("x", x, "steps_per_epoch", options.get("steps_per_epoch"))
        x, y, options["sample_weight"] = self.check_data("x", x, y, options.get("sample_weight"))
        if options["sample_weight"] is not None or options.get("validation_split"):
            x = _as_keras_reads(x)  # Keras then makes the batches
        options["validation_data"] = self.check_validation_data(options)
        before_last = _steps_of_epoch(x, options) * (epochs - 1 - options.get("initial_epoch", 0))
        check_schedule_goes_on(getattr(self, "optimizer", None), callbacks, max(0, before_last))
        return super().fit(**fit_arguments(x, y, options, self.steps_per_execution))

    def fit_callbacks(self):
        """The callbacks that each `fit` starts with."""
        return []

    def apply_gradients(self, tape, loss):
        """A step against the loss. Its gradient must reach all weights that are trained."""
        variables = self.trainable_variables
        gradients = tape.gradient(loss, variables)
        check_reached(variables, gradients)
        self.move(gradients, variables)

    def move(self, gradients, variables):
        """The optimizer's step."""
        self.optimizer.apply(gradients, variables)

    def added_losses(self):
        """The sum of all regularisers and of the losses that layers added in the last call, a scalar."""
        return tf.add_n([tf.zeros((), self.float_dtype), *(tf.cast(loss, self.float_dtype) for loss in self.losses)])

    # === Checks at each door ===

    def check_data(self, argument, x, y=None, sample_weight=None, targets=True):
        """Checks the data given to a Keras method: whole arrays, or only the first batch of data in batches.

        Args:
            argument: the name of `x` in error messages.
            x: examples, or batches of them and their labels.
            y: labels or `None`.
            sample_weight: weights or `None`.
            targets: whether labels are used.

        Returns:
            The same three; whole arrays as NumPy arrays.

        Raises:
            ValueError: if the model does not take them.
        """
        x, y = self.read_dataset(argument, x, y)
        if isinstance(x, tf.data.Dataset):
            check_batched(argument, x, len(self.backbone.input_shape))
        first, x = first_batch(argument, x)
        if first is None:
            x = check_backbone_examples(argument, x, self.backbone, self.image_range)
            if targets:
                y, sample_weight = self.check_targets(x, y, sample_weight)
            return x, y, sample_weight
        batch, labels, weights = keras.utils.unpack_x_y_sample_weight(first)
        check_backbone_examples(argument, batch, self.backbone, self.image_range)
        if targets:
            self.check_targets(batch, labels, weights)
        return x, y, sample_weight

    def read_dataset(self, argument, x, y=None):
        """The examples and labels of a `ClassDataset`, for models that take them; all other data stay as they are."""
        x = read_examples(argument, x, len(self.backbone.input_shape)).x if isinstance(x, ClassIndex) else x
        return x, y

    def check_targets(self, x, y, sample_weight):
        """Checked labels and weights of examples, for models that take them."""
        return y, sample_weight

    def check_validation_data(self, options):
        """The checked validation data from the arguments of `fit`."""
        data = options.get("validation_data")
        if data is None:
            return None
        if isinstance(data, ClassIndex):
            data = tuple(part for part in self.read_dataset("validation_data", data) if part is not None)
        if not isinstance(data, (tuple, list)):
            check_has_end("validation_data", data, "validation_steps", options.get("validation_steps"))
            return self.check_data("validation_data", data)[0]
        x, *rest = self.check_data("validation_data", *keras.utils.unpack_x_y_sample_weight(tuple(data)))
        return (_as_keras_reads(x), *(part for part in rest if part is not None))

    def evaluate(
        self, x=None, y=None, batch_size=None, verbose="auto", sample_weight=None, steps=None, callbacks=None, **kwargs
    ):
        """Like `keras.Model.evaluate`; the data are checked first."""
        if not is_within_fit(kwargs):  # `fit` has checked them already
            check_has_end("x", x, "steps", steps)
            x, y, sample_weight = self.check_data("x", x, y, sample_weight)
            x = _as_keras_reads(x)
        return super().evaluate(x, y, batch_size, verbose, sample_weight, steps, callbacks, **kwargs)

    def predict(self, x, batch_size=None, verbose="auto", steps=None, callbacks=None):
        """Like `keras.Model.predict`; the data are checked first."""
        check_has_end("x", x, "steps", steps)
        x = _as_keras_reads(self.check_data("x", x, targets=False)[0])
        return super().predict(x, batch_size=batch_size, verbose=verbose, steps=steps, callbacks=callbacks)

    def train_on_batch(self, x, y=None, sample_weight=None, class_weight=None, return_dict=False):
        """Like `keras.Model.train_on_batch`; the data are checked first."""
        check_schedule_goes_on(getattr(self, "optimizer", None))
        x, y, sample_weight = self.check_data("x", x, y, sample_weight)
        return super().train_on_batch(_as_keras_reads(x), y, sample_weight, class_weight, return_dict)

    def test_on_batch(self, x, y=None, sample_weight=None, return_dict=False):
        """Like `keras.Model.test_on_batch`; the data are checked first."""
        x, y, sample_weight = self.check_data("x", x, y, sample_weight)
        return super().test_on_batch(_as_keras_reads(x), y, sample_weight, return_dict)

    def predict_on_batch(self, x):
        """Like `keras.Model.predict_on_batch`; the data are checked first."""
        return super().predict_on_batch(_as_keras_reads(self.check_data("x", x, targets=False)[0]))

    # === Keras ===

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))
        # Built now, so that the optimizer's state can be read from the file.
        self.optimizer.build(self.trainable_variables)

    def get_config(self):
        return {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": self.variable_dtype,
            "backbone": keras.saving.serialize_keras_object(self.backbone),
            "augmentation": self.augmentation and keras.saving.serialize_keras_object(self.augmentation),
            "image_range": list(self.image_range),
        }

    @classmethod
    def from_config(cls, config):
        layers = {name: keras.saving.deserialize_keras_object(config[name]) for name in ("backbone", "augmentation")}
        return cls(**{**config, **layers})


def _steps_of_epoch(x, options):
    """The number of steps in an epoch of `fit`; 0 if it is not known."""
    if options.get("steps_per_epoch"):
        return options["steps_per_epoch"]
    if isinstance(x, tf.data.Dataset):
        return max(0, int(x.cardinality()))
    if is_batches(x):
        return x.num_batches or 0
    examples = len(x) * (1.0 - (options.get("validation_split") or 0.0)) if hasattr(x, "__len__") else 0
    return -(-int(examples) // (options.get("batch_size") or 32))


def _as_keras_reads(x):
    """Texts as a tensor; all other data stay as they are."""
    return tf.constant(x) if getattr(x, "dtype", None) == np.dtype(object) else x
