"""Fine-tuning: a trained backbone learns the classes of another dataset."""

import keras

from metalearn_tf.data.random_state_kept import random_state_kept
from metalearn_tf.data.whole_numbers import check_whole
from metalearn_tf.networks.copy_network import copy_network
from metalearn_tf.networks.schedule import warm_up_and_cosine
from metalearn_tf.transfer.backbone_checks import check_backbone, check_examples
from metalearn_tf.transfer.transfer_checks import check_labels, check_validation
from metalearn_tf.transfer.transfer_classifier import TransferClassifier

_PATIENCE = 5


@random_state_kept()
def fine_tune(
    backbone,
    x,
    y,
    validation_data=None,
    epochs=20,
    batch_size=64,
    learning_rate=1e-3,
    weight_decay=0.0,
    head_epochs=2,
    stages=3,
    stage_epochs=1,
    layer_decay=0.5,
    l2_sp=0.0,
    train_normalization=False,
    patience=None,
    augmentation=None,
    image_range=(0.0, 1.0),
    seed=0,
    callbacks=None,
    verbose=0,
):
    """Trains a copy of a backbone, with a new head, on a target dataset.

    The head is new and of the size that `y` has: what a source's head knows of its classes says nothing about others.
    It is trained alone first, since the gradients of a head of random weights would spoil the backbone; then the
    backbone is unfrozen from the top. AdamW, whose rate warms up and falls by a cosine.

    ```python
    classifier = mtf.transfer.fine_tune(backbone, x, y, validation_data=(x_valid, y_valid))
    classifier.predict(images)         # probabilities
    ```

    With `mtf.training.Resume(folder)` in `callbacks`, the same call goes on exactly where it was killed. The classifier
    keeps the plan of unfreezing, so that one that was saved at epoch 7 goes on too, with the examples in another order:
    `keras.models.load_model(path).fit(x, y, initial_epoch=7, epochs=epochs, batch_size=batch_size)`.

    Args:
        backbone: a built `keras.Model` from a batch of examples to features `(batch, d)`. It is not changed.
        x: examples `(n, ...)`: images uint8, or floating in `image_range`; or what else the backbone takes.
        y: class numbers `(n,)`, integers `0 … classes - 1`, each there at least once.
        validation_data: `(x, y)`, on which training stops early; the weights are then those of the best epoch.
        epochs: passes over the data, those of the head included.
        batch_size: examples in a step.
        learning_rate: the highest, of the head.
        weight_decay: of AdamW, on all weights but biases and the scales and offsets of normalisation.
        head_epochs: see `TransferClassifier`, as `stages`, `stage_epochs`, `layer_decay`, `l2_sp`,
            `train_normalization` and `augmentation`.
        patience: epochs without a lower validation loss after which training stops, counted when all layers are
            unfrozen; 5 by default, where there is `validation_data`.
        image_range: lowest and highest value of a pixel that the backbone was trained on.
        seed: integer, of the head, the order of the examples and the augmentation. The random states of Python, NumPy,
            Keras and TensorFlow are afterwards what they were.
        callbacks: of `fit`.
        verbose: of `fit`.

    Returns:
        A compiled `TransferClassifier`; its `history` is that of `fit`.

    Raises:
        ValueError: if an argument is not of its kind: a backbone that still has its head, images of another size or
            range than the backbone takes, one class only or a class without an example, epochs that end before all
            stages are unfrozen.

    Reference: [Yosinski et al., 2014](https://arxiv.org/abs/1411.1792), and those of `TransferClassifier`.
    """
    # === Checks ===
    check_backbone(backbone)

    def check_x(argument, examples):
        return check_examples(argument, examples, backbone, image_range)

    x = check_x("x", x)
    y, classes = check_labels("y", y, len(x))
    validation_data = check_validation(validation_data, classes, check_x)
    check_whole(epochs=epochs)
    check_whole(batch_size=batch_size)
    if not learning_rate > 0:
        raise ValueError(f"`learning_rate` must be positive. Received: learning_rate={learning_rate}")
    if patience is not None and validation_data is None:
        raise ValueError(f"`patience` needs `validation_data` to stop by. Received: patience={patience}")

    # === Model ===
    keras.utils.set_random_seed(seed)
    classifier = TransferClassifier(
        copy_network(backbone),
        classes,
        head_epochs=head_epochs,
        stages=stages,
        stage_epochs=stage_epochs,
        layer_decay=layer_decay,
        l2_sp=l2_sp,
        train_normalization=train_normalization,
        augmentation=augmentation,
        image_range=image_range,
    )
    all_unfrozen = head_epochs + (len(classifier.groups) - 1) * stage_epochs
    if all_unfrozen >= epochs:
        raise ValueError(
            f"`epochs` must be at least {all_unfrozen + 1}, so that the last of the {len(classifier.groups)} stages "
            f"is trained; fewer `stages`, `head_epochs` or `stage_epochs` need less. Received: epochs={epochs}"
        )
    steps = epochs * -(-len(x) // batch_size)
    classifier.compile(keras.optimizers.AdamW(warm_up_and_cosine(learning_rate, steps), weight_decay=weight_decay))

    # === Training ===
    callbacks = list(callbacks or [])
    if validation_data is not None:
        patience = _PATIENCE if patience is None else patience
        stopping = keras.callbacks.EarlyStopping(
            patience=patience, restore_best_weights=True, start_from_epoch=all_unfrozen
        )
        for callback in callbacks:
            if hasattr(callback, "keep_state_of"):  # `mtf.training.Resume`
                callback.keep_state_of(stopping)
        callbacks.append(stopping)
    classifier.fit(
        x,
        y,
        batch_size=batch_size,
        epochs=epochs,
        validation_data=validation_data,
        callbacks=callbacks,
        verbose=verbose,
    )
    return classifier
