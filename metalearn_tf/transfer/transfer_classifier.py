"""A backbone with a new head."""

import contextlib

import keras
import numpy as np
import tensorflow as tf

from metalearn_tf.checks.labels import check_labels
from metalearn_tf.checks.losses_and_metrics import check_metrics_of_classes, check_takes_probabilities, loss_takes
from metalearn_tf.checks.sample_weights import check_sample_weight, class_weights
from metalearn_tf.checks.whole_numbers import is_whole
from metalearn_tf.data.class_index import ClassIndex
from metalearn_tf.engine.keras_internals import loss_of_step, loss_tracker
from metalearn_tf.transfer.classifier_model import ClassifierModel
from metalearn_tf.transfer.transfer_checks import check_plan
from metalearn_tf.transfer.unfreezing import Unfreeze, Unfreezing, layer_weights

_LOSS = "sparse_categorical_crossentropy"


@keras.saving.register_keras_serializable("metalearn_tf")
class TransferClassifier(ClassifierModel):
    """A backbone with a new head. The backbone's layers are unfrozen from the top during the training.

    It is an ordinary Keras model that takes examples and class numbers; `mtf.transfer.fine_tune` builds, compiles and
    trains one. The plan follows the epochs of `fit`: the head alone for `head_epochs`, then one more group of the
    backbone's layers every `stage_epochs`. So a model that was saved in between continues with `fit(...,
    initial_epoch=...)`. The optimizer's step for the weights of group `g`, counted from the top, is multiplied by
    `layer_decay ** (g + 1)`. Layers of the backbone that are frozen when `compile` or `fit` is called are never trained
    and belong to no group. The `trainable` flags of all other layers are changed only during `fit`.

    Args:
        backbone: a built `keras.Model` from a batch of examples to features `(batch, d)`.
        classes: the number of classes, at least 2.
        head_epochs: epochs in which the head alone is trained.
        stages: in how many groups the backbone's layers are unfrozen; or the names of each group's lowest layer, from
            the top. The layers below the last named one stay frozen.
        stage_epochs: epochs from one group to the next.
        layer_decay: factor, in `(0, 1]`, on the learning rate of each group below the one above it.
        l2_sp: weight of half the squared distance of the backbone's weights from those that it started with.
        train_normalization: whether batch normalisation uses and follows the statistics of the new data, and dropout
            acts in the backbone. By default both stay as in inference. The statistics of a few small batches are worse
            than those of pre-training, and the features would change before the head has learned. Scales and offsets
            are trained in any case.
        augmentation: a Keras layer applied to the training images, which it gets in `image_range`.
        image_range: lowest and highest pixel that the backbone was trained on.
        class_names: names of the classes in the order of their numbers. The classes of a `ClassDataset` are matched by
            these names. By default they come from the first `ClassDataset` that `fit` gets.

    Input shape: `(batch, ...)`; uint8 images are scaled to `image_range`, all other examples stay as they are.
    Output shape: `(batch, classes)` float32, probabilities.

    Raises:
        ValueError: if an argument is not among those accepted.

    References: gradual unfreezing and rates by layer, [Howard and Ruder, 2018](https://arxiv.org/abs/1801.06146);
        L2-SP, [Li et al., 2018](https://arxiv.org/abs/1802.01483).
    """

    def __init__(
        self,
        backbone,
        classes,
        head_epochs=0,
        stages=1,
        stage_epochs=1,
        layer_decay=1.0,
        l2_sp=0.0,
        train_normalization=False,
        augmentation=None,
        image_range=(0.0, 1.0),
        class_names=None,
        **kwargs,
    ):
        # === Layers ===
        check_plan(classes, head_epochs, stage_epochs, layer_decay, l2_sp)
        options = {"augmentation": augmentation, "image_range": image_range, **kwargs}
        super().__init__(backbone, int(classes), class_names, **options)
        self.head = keras.layers.Dense(classes, activation="softmax", dtype=self.float_dtype, name="head")
        self.head.build(backbone.output_shape)
        self._unfreezing = Unfreezing(backbone, stages)  # refuses stages that the backbone does not have
        # === Config ===
        self.head_epochs = head_epochs
        self.stages = int(stages) if is_whole(stages) else list(stages)
        self.stage_epochs = stage_epochs
        self.layer_decay = layer_decay
        self.l2_sp = l2_sp
        self.train_normalization = train_normalization
        # For frozen layers too, so that a file has the same weights whatever is frozen later.
        self._start = [self._copy(variable) for variable in layer_weights(backbone)] if l2_sp else []

    def _copy(self, variable):
        copy = self.add_weight(
            name=f"start_{variable.name}", shape=variable.shape, dtype=variable.dtype, trainable=False, autocast=False
        )
        copy.assign(variable)
        return copy

    @property
    def groups(self):
        """The backbone's layers that will be unfrozen, in groups from the top to the bottom."""
        return self._unfreezing.groups

    @property
    def layers_below_stages(self):
        """The backbone's layers that are in no group although they are not frozen."""
        return self._unfreezing.layers_below

    def call(self, x, training=None):
        x = self.to_inputs(x, training)
        if training and self.l2_sp:
            self.add_loss(self.l2_sp * self.distance_from_start())
        return self.head(self.features(x, training and self.train_normalization))

    # === Training ===

    def compile(self, optimizer="adam", loss=_LOSS, loss_weights=None, metrics=("accuracy",), **kwargs):
        """Like `keras.Model.compile`, with defaults for class numbers.

        Weight decay never applies to biases or to the scales and offsets of normalisation.

        Raises:
            ValueError: if the optimizer averages weights (`use_ema`) and groups move at different times or rates, if
                the loss or a metric takes logits, or if a metric takes other labels than the loss.
        """
        loss = _LOSS if loss is None else loss  # otherwise Keras would keep the loss of the last `compile`
        check_takes_probabilities("loss", loss)
        of_class_numbers = loss_takes(loss) == "labels"
        for argument, value in {"metrics": metrics, "weighted_metrics": kwargs.get("weighted_metrics")}.items():
            check_takes_probabilities(argument, value)
            if of_class_numbers:
                check_metrics_of_classes(argument, value)
        super().compile(optimizer, loss=loss, loss_weights=loss_weights, metrics=metrics, **kwargs)
        self._unfreezing = Unfreezing(self.backbone, self.stages)
        inner = getattr(self.optimizer, "inner_optimizer", self.optimizer)  # within loss scaling
        self._check_averages(inner)
        # Built now, for all weights that will ever be trained, so that a file has the whole state of the optimizer.
        with self._all_unfrozen():
            variables = self.trainable_variables
        if not inner.built:
            inner.exclude_from_weight_decay([v for v in variables if len(v.shape) < 2])
        self.optimizer.build(variables)

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))

    def fit(self, x=None, y=None, *args, class_weight=None, sample_weight=None, **kwargs):
        """Like `keras.Model.fit`; also takes a `ClassDataset`. The epoch's number decides which layers are unfrozen."""
        if isinstance(x, ClassIndex) and kwargs.get("validation_split"):
            raise ValueError(
                "`validation_split` must be None: it takes the last examples, which are those of the last classes; "
                "`train, validation = dataset.split_examples([0.8, 0.2])`, and `validation_data=validation`. "
                f"Received: validation_split={kwargs['validation_split']} with a {type(x).__name__}"
            )
        self.learn_names(x)
        x, y = self.read_dataset("x", x, y)
        options = {"sample_weight": sample_weight, "class_weight": class_weight}
        if class_weight is not None:
            weight_of = class_weights(class_weight, np.arange(self.classes), self.classes)
            # Weights for all classes: for batches, Keras would not know classes above the highest one that is named.
            options["class_weight"] = dict(enumerate(weight_of.tolist()))
            if y is not None and sample_weight is None and self._has_class_numbers:
                y, _ = check_labels("y", y, len(x), self.classes, every_class=False)
                options = {"sample_weight": weight_of[y]}
        self._unfreezing = Unfreezing(self.backbone, self.stages)
        try:
            return super().fit(x, y, *args, **options, **kwargs)
        finally:
            if not self._unfreezing.trains_all:
                self.train_function = None  # it trains only a part of the layers
            self._unfreezing.restore()

    def fit_callbacks(self):
        return [Unfreeze()]

    def train_on_batch(self, x, y=None, sample_weight=None, class_weight=None, return_dict=False):
        """Like `keras.Model.train_on_batch`; all layers of the plan are trained."""
        if class_weight is not None:
            class_weights(class_weight, np.arange(self.classes), self.classes)  # refuses invalid weights
        with self._all_unfrozen():
            return super().train_on_batch(x, y, sample_weight, class_weight, return_dict)

    def unfreeze(self, epoch):
        """Sets which layers are trained in epoch `epoch`, counted from 0; returns whether this is a change."""
        return self._unfreezing.set(max((epoch - self.head_epochs) // self.stage_epochs + 1, 0))

    @contextlib.contextmanager
    def _all_unfrozen(self):
        """A context in which the flags are those of the last stage."""
        self._unfreezing.set(None)
        try:
            yield
        finally:
            self._unfreezing.restore()

    def train_step(self, data):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            probabilities = self(x, training=True)
            loss = loss_of_step(self, x, y, probabilities, sample_weight, training=True)
            scaled_loss = self.optimizer.scale_loss(loss)
        loss_tracker(self).update_state(loss, sample_weight=tf.shape(x)[0])
        self.apply_gradients(tape, scaled_loss)
        return self.compute_metrics(x, y, probabilities, sample_weight)

    def distance_from_start(self):
        """Half the squared distance of the backbone's weights from those that it started with, a scalar."""
        pairs = zip(layer_weights(self.backbone), self._start)
        return 0.5 * tf.add_n([tf.reduce_sum(tf.square(variable - start)) for variable, start in pairs])

    def move(self, gradients, variables):
        """Moves each variable by the optimizer's step times the factor of its group."""
        factors = {
            id(variable): self.layer_decay ** (number + 1)
            for number, group in enumerate(self._unfreezing.variables)
            for variable in group
        }
        slowed = [v for v in variables if factors.get(id(v), 1.0) != 1.0]
        before = [tf.identity(v) for v in slowed]
        super().move(gradients, variables)
        for variable, old in zip(slowed, before):
            variable.assign(old + factors[id(variable)] * (variable - old))

    # === Checks ===

    def check_targets(self, x, y, sample_weight):
        """Checked class numbers and weights; targets for a loss other than the default are not checked."""
        if self._has_class_numbers:
            return super().check_targets(x, y, sample_weight)
        return y, check_sample_weight("sample_weight", sample_weight, (len(x),))

    @property
    def _has_class_numbers(self):
        """Whether labels are those of the default loss; with another loss the user decides what they are."""
        return getattr(self, "loss", None) == _LOSS

    def _check_averages(self, optimizer):
        apart = self.head_epochs > 0 or len(self.groups) > 1 or self.layer_decay < 1.0
        if getattr(optimizer, "use_ema", False) and apart:
            raise ValueError(
                "`optimizer` must not average weights (`use_ema`) while groups of layers move at times and rates of "
                "their own; `head_epochs=0, stages=1, layer_decay=1.0` trains all alike. Received: "
                f"head_epochs={self.head_epochs}, {len(self.groups)} stages, layer_decay={self.layer_decay}"
            )

    # === Keras ===

    def get_config(self):
        with self._unfreezing.restored():  # a file has the flags that the user set, in whatever stage it is written
            config = super().get_config()
        return {
            **config,
            "head_epochs": self.head_epochs,
            "stages": self.stages,
            "stage_epochs": self.stage_epochs,
            "layer_decay": self.layer_decay,
            "l2_sp": self.l2_sp,
            "train_normalization": self.train_normalization,
        }
