"""Fine-tuning: a trained backbone learns the classes of another dataset."""

import dataclasses

import keras
import numpy as np

from metalearn_tf.checks.fields import with_fields
from metalearn_tf.checks.instances import check_instance
from metalearn_tf.checks.labels import check_labels
from metalearn_tf.checks.sample_weights import check_sample_weight, class_weights
from metalearn_tf.checks.whole_numbers import check_seed
from metalearn_tf.data.tasks.augmentation import seed_augmentation
from metalearn_tf.engine.callback_list import callback_list
from metalearn_tf.engine.copy_network import copy_network
from metalearn_tf.engine.random_state_kept import random_state_kept
from metalearn_tf.engine.schedule import warm_up_and_cosine
from metalearn_tf.transfer.backbone_checks import check_backbone, check_backbone_examples
from metalearn_tf.transfer.best_epoch import BestEpoch
from metalearn_tf.transfer.budget import training_budget, tuning_rate
from metalearn_tf.transfer.data_kinds import read_labelled
from metalearn_tf.transfer.extract_features import compute_features
from metalearn_tf.transfer.probes import probe_weights
from metalearn_tf.transfer.transfer_checks import (
    check_rate_callbacks,
    check_rates,
    check_validation,
)
from metalearn_tf.transfer.transfer_classifier import TransferClassifier
from metalearn_tf.transfer.unfreezing import trained_layers
from metalearn_tf.transfer.unfreezing_plan import UnfreezingPlan

_PATIENCE = 5
_LARGEST_BATCH = 32
# The initial head is a linear probe of at most this many examples and this many numbers: more take long and change
# little.
_PROBE_EXAMPLES, _PROBE_NUMBERS = 5000, 2**24


@random_state_kept()
def fine_tune(
    backbone, x, y=None, batch_size=None, epochs=None, verbose="auto", callbacks=None, validation_data=None,
    class_weight=None, sample_weight=None, unfreezing=UnfreezingPlan(), learning_rate=None, weight_decay=0.0,
    patience=None, augmentation=None, image_range=(0.0, 1.0), seed=0, **fields,
):  # fmt: skip
    """Trains a copy of a backbone, with a new head, on a target dataset.

    The head is new and has one output for each class in `y`, because the head of the source knows only its own classes.
    The head starts as a `linear_probe` of the backbone's features and is first trained alone: the gradients of a random
    head would damage the backbone. Then the backbone is unfrozen from the top. The optimizer is AdamW; its rate warms
    up and then falls along a cosine.

    ```python
    classifier = mtf.transfer.fine_tune(backbone, x, y, validation_data=(x_valid, y_valid))
    classifier.predict(images)         # probabilities
    ```

    With `mtf.training.Resume(folder)` in `callbacks`, the same call continues exactly where it was killed. The
    classifier stores the plan of unfreezing. So a classifier that was saved at epoch 7 can continue too, but with the
    examples in another order:
    `keras.models.load_model(path).fit(x, y, initial_epoch=7, epochs=epochs, batch_size=batch_size)`.

    The defaults were compared with a linear probe of the frozen features, and with the same network trained from
    scratch (Adam at rate 1e-3, 20 epochs), on few examples a class. Accuracies in %, one seed:

    | examples a class | 5 | 10 | 50 | 500 |
    |---|---|---|---|---|
    | CIFAR-10, five classes; `resnet9` that the five others trained | 45 | 47 | 60 | |
    | linear probe, from scratch | 44, 30 | 45, 37 | 52, 54 | |
    | vectors, ten classes; `mlp` that ten others trained | 53 | 62 | 86 | 98 |
    | linear probe, from scratch | 43, 29 | 52, 41 | 68, 84 | 80, 99 |
    | MNIST's ten digits; `conv4` that Omniglot trained | | | 88 | |
    | linear probe, from scratch | | | 73, 88 | |

    For data larger than memory, another loss, or a learning rate set by callbacks, build the classifier yourself:
    `TransferClassifier(backbone, classes)`; its `compile` and `fit` take everything that Keras takes.

    Args:
        backbone: a built `keras.Model` from a batch of examples to features `(batch, d)`. It is not changed. Its frozen
            layers (`layer.trainable = False`) stay frozen in the copy.
        x: examples `(n, ...)`: images uint8, or floating in `image_range`; or other examples that the backbone takes.
            Or a whole dataset, which is read into memory: a `ClassDataset`; a finite, batched `tf.data.Dataset` or a
            `keras.utils.PyDataset` of `(x, y)` or `(x, y, sample_weight)`.
        y: class numbers `(n,)`, integers `0 … classes - 1`, each at least once; `None` if `x` contains them.
        batch_size: examples in a step; by default an eighth of the data, at least 8 and at most 32.
        epochs: passes over the data, including those of the head; by default 20, or as many as make 300 steps.
        verbose: as in `fit`.
        callbacks: as in `fit`, but none that sets the learning rate.
        validation_data: `(x, y)`, `(x, y, sample_weight)` or any other kind of data that `x` may be. With it training
            stops early, and the weights are those of the epoch with the lowest validation loss, which may be the first.
            Classes of two `ClassDataset`s are matched by name.
        class_weight: dict from class numbers to the weights of their examples; others have 1.
        sample_weight: weights `(n,)` of the examples; give either this or `class_weight`.
        unfreezing: an `UnfreezingPlan`: when each layer is trained, and how far it moves. By default the plan is made
            from the number of epochs.
        learning_rate: the highest rate, that of the head; by default 0.024 divided by the number of the backbone's
            trained layers, at least 1e-4 and at most 8e-3: 1.5e-3 for `resnet9`, 3e-3 for `conv4`.
        weight_decay: of AdamW, on all weights except biases and the scales and offsets of normalisation.
        patience: training stops after this many epochs without a lower validation loss. They are counted and compared
            from the epoch in which all layers are unfrozen. 5 by default, if there is `validation_data`.
        augmentation: a Keras layer applied to the training images, which it gets in `image_range`.
        image_range: lowest and highest value of a pixel that the backbone was trained on.
        seed: integer from 0 to 2**32 - 1, for the head, the order of the examples, dropout and the augmentation. The
            random states of Python, NumPy, Keras and TensorFlow are restored afterwards.
        **fields: single fields of `unfreezing`, by their names: `stages=1` is `unfreezing=UnfreezingPlan(stages=1)`.

    Returns:
        A compiled `TransferClassifier`. Its `history` is that of `fit`; its `class_names` are those of `x`. At the end
        of the cosine the rate stays 0, so `compile` it with another optimizer before you call `fit` again. `fit`
        refuses epochs in which no weight would move.

    Raises:
        ValueError: if an argument is not accepted: a backbone that still has its head, images of another size or range
            than the backbone takes, only one class, a class without an example, epochs that end before all stages are
            unfrozen.

    References: [Yosinski et al., 2014](https://arxiv.org/abs/1411.1792); a head that starts as a linear probe, [Kumar
        et al., 2022](https://arxiv.org/abs/2202.10054); and those of `TransferClassifier`.
    """
    # === Checks ===
    check_backbone(backbone)
    check_instance("unfreezing", unfreezing, UnfreezingPlan)
    (unfreezing,) = with_fields(fields, unfreezing=unfreezing)
    seed = check_seed(seed)
    rank = len(backbone.input_shape)

    def check_x(argument, examples):
        return check_backbone_examples(argument, examples, backbone, image_range)

    data = read_labelled(x, y, rank)
    if data.y is None:
        raise ValueError(
            "`y` must be the labels of `x`, beside it: `fine_tune(backbone, x, y)`; only a `ClassDataset`, a "
            f"`tf.data.Dataset` or a `keras.utils.PyDataset` holds both. Received: x={type(x).__name__}, y=None"
        )
    x = check_x("x", data.x)
    y, classes = check_labels("y", data.y, len(x))
    validation_data = check_validation(validation_data, classes, check_x, rank, data.class_names)
    sample_weight = _weights(class_weight, sample_weight, data.sample_weight, y, classes)
    epochs, batch_size, steps = training_budget(len(x), epochs, batch_size, _LARGEST_BATCH)
    layers = len(trained_layers(backbone))
    learning_rate = tuning_rate(layers) if learning_rate is None else learning_rate
    check_rates(learning_rate, weight_decay)
    if patience is not None and validation_data is None:
        raise ValueError(f"`patience` needs `validation_data` to stop by. Received: patience={patience}")
    callbacks = callback_list(callbacks)
    check_rate_callbacks(callbacks, "`fine_tune` has a schedule: give `learning_rate`, or build a `TransferClassifier`")
    plan = unfreezing.for_epochs(epochs, layers)

    # === Model ===
    keras.utils.set_random_seed(seed)
    classifier = TransferClassifier(
        copy_network(backbone),
        classes,
        **dataclasses.asdict(plan),
        augmentation=augmentation,
        image_range=image_range,
        class_names=data.class_names,
    )
    seed_augmentation(classifier, seed)
    for layer in classifier.layers_below_stages:  # of the copy, so that later trainings do not train them either
        layer.trainable = False
    rate = warm_up_and_cosine(learning_rate, epochs * steps)
    classifier.compile(keras.optimizers.AdamW(rate, weight_decay=weight_decay))
    _set_head(classifier, x, y, seed)

    # === Training ===
    if validation_data is not None:
        patience = _PATIENCE if patience is None else patience
        first_counted = plan.head_epochs + max(0, len(classifier.groups) - 1) * plan.stage_epochs
        callbacks.append(BestEpoch(patience, first_counted))
    classifier.fit(
        x,
        y,
        batch_size=batch_size,
        epochs=epochs,
        verbose=verbose,
        callbacks=callbacks,
        validation_data=validation_data,
        sample_weight=sample_weight,
    )
    return classifier


def _weights(class_weight, sample_weight, of_data, y, classes):
    """The weights of the examples, from the only place where they are given; or `None`."""
    given = {"class_weight": class_weight, "sample_weight": sample_weight, "weights in the data": of_data}
    given = {name: value for name, value in given.items() if value is not None}
    if len(given) > 1:
        raise ValueError(f"`sample_weight` must come from one place. Received: {' and '.join(given)}")
    if class_weight is not None:
        return class_weights(class_weight, y, classes)
    return next((check_sample_weight("sample_weight", value, y.shape) for value in given.values()), None)


def _set_head(classifier, x, y, seed):
    """Sets the head to a linear probe of the features that the backbone has before training."""
    most = min(_PROBE_EXAMPLES, _PROBE_NUMBERS // classifier.backbone.output_shape[1])
    if len(x) > most:
        random = np.random.default_rng(seed)
        # At least one example of each class.
        firsts = np.unique(y, return_index=True)[1]
        others = random.permutation(np.setdiff1d(np.arange(len(x)), firsts))
        rows = np.concatenate([firsts, others[: max(0, most - len(firsts))]])
        x, y = x[rows], y[rows]
    features = compute_features(classifier.backbone, x, 64, classifier.image_range)
    classifier.head.set_weights(probe_weights(features, y, classifier.classes))
