"""A backbone with a new head."""

import keras
import tensorflow as tf

from metalearn_tf.data.whole_numbers import is_whole
from metalearn_tf.serving.export_classifier import export_classifier
from metalearn_tf.transfer.backbone_model import BackboneModel
from metalearn_tf.transfer.transfer_checks import check_plan
from metalearn_tf.transfer.unfreezing import Unfreeze, layer_groups, layer_weights


@keras.saving.register_keras_serializable("metalearn_tf")
class TransferClassifier(BackboneModel):
    """A backbone with a new head, whose layers are unfrozen from the top while it is trained.

    An ordinary Keras model of examples and class numbers; `mtf.transfer.fine_tune` builds, compiles and trains one.
    The plan goes by the epochs of `fit`: the head alone for `head_epochs`, then one more group of the backbone's layers
    every `stage_epochs`, so that a model that was saved in between goes on with `fit(..., initial_epoch=...)`.
    The weights of group `g`, counted from the top, move by `layer_decay ** (g + 1)` of what the optimizer says.

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
            acts in the backbone. By default they stay as in inference: the statistics of a few small batches are worse
            than those of pre-training, and the features would change under the head before it has learned. The
            scales and offsets are trained all the same.
        augmentation: a Keras layer for the training images, which it sees in `image_range`.
        image_range: lowest and highest pixel that the backbone was trained on.

    Input shape: `(batch, ...)`; uint8 images are brought to `image_range`, all others are taken as they are.
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
        **kwargs,
    ):
        # === Layers ===
        super().__init__(backbone, augmentation, image_range, **kwargs)
        check_plan(classes, head_epochs, stage_epochs, layer_decay, l2_sp)
        self.head = keras.layers.Dense(classes, activation="softmax", dtype="float32", name="head")
        self.head.build(backbone.output_shape)
        layer_groups(backbone, stages)  # refuses stages that the backbone does not have
        # === Config ===
        self.classes = classes
        self.head_epochs = head_epochs
        self.stages = int(stages) if is_whole(stages) else list(stages)
        self.stage_epochs = stage_epochs
        self.layer_decay = layer_decay
        self.l2_sp = l2_sp
        self.train_normalization = train_normalization
        self._freeze_below(None)
        self._start = [self._copy(variable) for variable in self._trained_variables()] if l2_sp else []

    def _copy(self, variable):
        copy = self.add_weight(
            name=f"start_{variable.name}", shape=variable.shape, dtype=variable.dtype, trainable=False, autocast=False
        )
        copy.assign(variable)
        return copy

    @property
    def groups(self):
        """The backbone's layers that are unfrozen, in groups from the top to the bottom."""
        return layer_groups(self.backbone, self.stages)

    def call(self, x, training=None):
        x = self.to_inputs(x, training)
        if training and self.l2_sp:
            self.add_loss(self.l2_sp * self.distance_from_start())
        return self.head(self.features(x, training and self.train_normalization))

    # === Training ===

    def compile(self, optimizer="adam", loss="sparse_categorical_crossentropy", metrics=("accuracy",), **kwargs):
        """As `keras.Model.compile`, with defaults for class numbers.

        Biases and the scales and offsets of normalisation are never decayed.
        """
        super().compile(optimizer, loss=loss, metrics=metrics, **kwargs)
        # At once, and for all that will ever be trained, so that a file has the whole of the optimizer's state.
        self._freeze_below(None)
        decaying = getattr(self.optimizer, "inner_optimizer", self.optimizer)  # within loss scaling
        if not decaying.built:
            decaying.exclude_from_weight_decay([v for v in self.trainable_variables if len(v.shape) < 2])
        self.optimizer.build(self.trainable_variables)

    def fit(self, x=None, y=None, callbacks=None, **kwargs):
        """As `keras.Model.fit`; layers are unfrozen by the number of the epoch."""
        return super().fit(x, y, callbacks=[Unfreeze(), *(callbacks or [])], **kwargs)

    def unfreeze(self, epoch):
        """Sets which layers epoch `epoch`, counted from 0, trains; returns whether others than before."""
        before = {id(variable) for variable in self.trainable_variables}
        self._freeze_below(max((epoch - self.head_epochs) // self.stage_epochs + 1, 0))
        return before != {id(variable) for variable in self.trainable_variables}

    def _freeze_below(self, count):
        """Trains the head and the `count` highest groups, all of them for `None`."""
        trained = {id(layer) for group in self.groups[:count] for layer in group}
        # A frozen model would freeze all that is in it, and its own flag must not hide them.
        self.backbone.trainable = True
        for layer in layer_groups(self.backbone, 1)[0]:
            layer.trainable = id(layer) in trained

    def train_step(self, data):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            probabilities = self(x, training=True)
            loss = self._compute_loss(x, y, probabilities, sample_weight, training=True)
            scaled_loss = self.optimizer.scale_loss(loss)
        self._loss_tracker.update_state(loss, sample_weight=tf.shape(y)[0])
        variables = self.trainable_variables
        self._step(tape.gradient(scaled_loss, variables), variables)
        return self.compute_metrics(x, y, probabilities, sample_weight)

    def distance_from_start(self):
        """Half the squared distance of the backbone's weights from those that it started with, float32 scalar."""
        pairs = zip(self._trained_variables(), self._start)
        return 0.5 * tf.add_n([tf.reduce_sum(tf.square(variable - start)) for variable, start in pairs])

    def _trained_variables(self):
        return [variable for group in self.groups for layer in group for variable in layer_weights(layer)]

    def _step(self, gradients, variables):
        """Moves the variables by the optimizer's step, times the factor of the group that each is in."""
        factors = {
            id(variable): self.layer_decay ** (number + 1)
            for number, group in enumerate(self.groups)
            for layer in group
            for variable in layer_weights(layer)
        }
        slowed = [v for v in variables if factors.get(id(v), 1.0) != 1.0]
        before = [tf.identity(v) for v in slowed]
        self.optimizer.apply(gradients, variables)
        for variable, old in zip(slowed, before):
            variable.assign(old + factors[id(variable)] * (variable - old))

    # === Use ===

    @property
    def classifier(self):
        """The backbone and the head alone, as a functional model from examples to probabilities; not a copy."""
        inputs = keras.Input(self.backbone.input_shape[1:], dtype=self.backbone.inputs[0].dtype)
        return keras.Model(inputs, self.head(keras.ops.cast(self.backbone(inputs), "float32")), name=self.name)

    def export(self, path, **options):
        """Writes a SavedModel that classifies images, see `mtf.serving.export_classifier`."""
        export_classifier(self.classifier, path, **{"image_range": self.image_range, **options})

    # === Keras ===

    def get_config(self):
        return {
            **super().get_config(),
            "classes": self.classes,
            "head_epochs": self.head_epochs,
            "stages": self.stages,
            "stage_epochs": self.stage_epochs,
            "layer_decay": self.layer_decay,
            "l2_sp": self.l2_sp,
            "train_normalization": self.train_normalization,
        }
