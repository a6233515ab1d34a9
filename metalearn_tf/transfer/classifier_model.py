"""The base class of classifiers on a backbone: classes have numbers and, if known, names."""

import keras

from metalearn_tf.checks.class_names import check_class_names
from metalearn_tf.checks.labels import check_labels
from metalearn_tf.checks.sample_weights import check_sample_weight
from metalearn_tf.data.class_index import ClassIndex
from metalearn_tf.serving.export_classifier import export_classifier
from metalearn_tf.transfer.backbone_model import BackboneModel
from metalearn_tf.transfer.data_kinds import numbers_by_name, read_examples


class ClassifierModel(BackboneModel):
    """A `BackboneModel` with a `head` that learns classes.

    All methods that take examples also take a `ClassDataset`. Its classes are matched by their names.

    Args:
        backbone: as in `BackboneModel`.
        classes: the number of classes.
        class_names: the names of the classes in the order of their numbers; by default those of the first
            `ClassDataset` that it is trained on.
        **kwargs: see `BackboneModel`.

    Raises:
        ValueError: if the names are not one distinct name for each class.
    """

    def __init__(self, backbone, classes, class_names=None, **kwargs):
        super().__init__(backbone, **kwargs)
        self.classes = classes
        self.class_names = class_names if class_names is None else check_class_names(class_names, classes)

    def read_dataset(self, argument, x, y=None):
        if not isinstance(x, ClassIndex):
            return x, y
        if y is not None:
            raise ValueError(f"`y` must be None, as `{argument}` has the labels. Received: y={type(y).__name__}")
        data = read_examples(argument, x, len(self.backbone.input_shape))
        return data.x, numbers_by_name(argument, data, self.classes, self.class_names)

    def learn_names(self, data):
        """Keeps the class names of the training data, a `ClassDataset`, if there are no names yet."""
        if self.class_names is None and isinstance(data, ClassIndex) and len(data.class_names) == self.classes:
            self.class_names = list(data.class_names)

    def check_targets(self, x, y, sample_weight):
        y = check_labels("y", y, len(x), self.classes, every_class=False)[0]
        return y, check_sample_weight("sample_weight", sample_weight, (len(x),))

    # === Use ===

    def probabilities(self, features):
        """Probabilities `(batch, classes)` from the backbone's features, which may be symbolic."""
        return self.head(features)

    @property
    def classifier(self):
        """The backbone and the head as a functional model from examples to probabilities; it shares their weights."""
        inputs = keras.Input(self.backbone.input_shape[1:], dtype=self.backbone.inputs[0].dtype)
        features = keras.ops.cast(self.backbone(inputs), self.float_dtype)
        return keras.Model(inputs, self.probabilities(features), name=self.name)

    def export(self, path, **options):
        """Writes a SavedModel that classifies images; see `mtf.serving.export_classifier`."""
        export_classifier(self.classifier, path, **{"image_range": self.image_range, **options})

    # === Keras ===

    def get_config(self):
        return {**super().get_config(), "classes": self.classes, "class_names": self.class_names}
