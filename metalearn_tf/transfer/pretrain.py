"""Pre-training: a backbone learns from a source dataset."""

import keras

from metalearn_tf.checks.labels import check_labels
from metalearn_tf.checks.whole_numbers import check_seed, check_whole
from metalearn_tf.data.tasks.augmentation import seed_augmentation
from metalearn_tf.engine.random_state_kept import random_state_kept
from metalearn_tf.engine.schedule import warm_up_and_cosine
from metalearn_tf.transfer.backbone_checks import check_backbone, check_backbone_examples
from metalearn_tf.transfer.budget import training_budget
from metalearn_tf.transfer.contrastive_model import ContrastiveModel
from metalearn_tf.transfer.data_kinds import read_labelled
from metalearn_tf.transfer.denoising_autoencoder import DenoisingAutoencoder
from metalearn_tf.transfer.transfer_checks import (
    check_rate_callbacks,
    check_rates,
    check_validation,
)
from metalearn_tf.transfer.transfer_classifier import TransferClassifier
from metalearn_tf.transfer.unfreezing import trained_layers

_LARGEST_BATCH = 128
WITHOUT_LABELS = {"autoencoder": DenoisingAutoencoder, "contrastive": ContrastiveModel}
METHODS = ("supervised", *WITHOUT_LABELS)


@random_state_kept()
def pretrain(
    backbone, x, y=None, batch_size=None, epochs=None, verbose="auto", callbacks=None, validation_data=None,
    method="supervised", learning_rate=3e-3, weight_decay=1e-2, augmentation=None, image_range=(0.0, 1.0), seed=0,
    **options,
):  # fmt: skip
    """Trains a backbone on a source dataset, in place.

    | method | learns | needs | options |
    |---|---|---|---|
    | `"supervised"` | the classes, by a head above the features | labels | - |
    | `"autoencoder"` | to restore images from noise | images | those of `DenoisingAutoencoder` |
    | `"contrastive"` | that two views are of one image (SimCLR) | images | those of `ContrastiveModel` |

    The optimizer is AdamW; its rate warms up and then falls along a cosine. The part above the backbone (head, decoder
    or projection) is not returned; a callback can reach it through `callback.model`.

    ```python
    backbone = mtf.transfer.pretrain(mtf.networks.resnet9(), mtf.data.load("cifar10", "train"), epochs=15)
    ```

    The defaults of `"supervised"` were tried on 5, 10 and 50 examples a class. Five classes of CIFAR-10 with a
    `resnet9` reached 37, 42 and 59 %; vectors of ten classes with an `mlp` reached 44, 56 and 84 %, and 98 % with 500
    examples. The same networks with a head, trained with Keras's Adam at rate 1e-3 for 20 epochs, reached 30, 37 and 54
    %, and 29, 41, 84 and 99 %.

    Args:
        backbone: a built `keras.Model` from a batch of examples to features `(batch, d)`. Its weights are changed,
            except in frozen layers (`layer.trainable = False`).
        x: examples `(n, ...)`: images uint8, or floating in `image_range`; or other examples that the backbone takes.
            Or a pair `(x, y)`, or a whole dataset, which is read into memory: a `ClassDataset`; a finite, batched
            `tf.data.Dataset` or a `keras.utils.PyDataset` of `x` or `(x, y)`.
        y: class numbers `(n,)`, integers `0 … classes - 1`, each at least once; `None` if `x` contains them, or if no
            labels are needed.
        batch_size: examples in a step; by default an eighth of the data, at least 8 and at most 128.
        epochs: passes over the data; by default 20, or as many as make 300 steps.
        verbose: as in `fit`.
        callbacks: as in `fit`, but none that sets the learning rate.
        validation_data: `(x, y)` or any other kind of data that `x` may be, for the progress bar; only with
            `"supervised"`. Classes of two `ClassDataset`s are matched by name.
        method: a name from the table.
        learning_rate: the highest rate.
        weight_decay: of AdamW.
        augmentation: a Keras layer applied to the training images, which it gets in `image_range`. The default is none,
            except `mtf.transfer.view_augmentation` for `"contrastive"`.
        image_range: lowest and highest value of a pixel that the backbone takes.
        seed: integer from 0 to 2**32 - 1, for the part above the backbone, the order of the examples and all noise,
            including augmentation and dropout in the backbone. The random states of Python, NumPy, Keras and TensorFlow
            are restored afterwards.
        **options: see the table.

    Returns:
        `backbone`.

    Raises:
        ValueError: if an argument is not accepted, labels are missing, or all layers of the backbone are frozen.

    References: those of the three models.
    """
    check_backbone(backbone)
    if not trained_layers(backbone):
        raise ValueError(
            "`backbone` must have layers to train; set `trainable = True` on it or on some of its layers. "
            f"Received: {backbone.name!r}, in which nothing can be trained"
        )
    check_rates(learning_rate, weight_decay)
    seed = check_seed(seed)
    check_rate_callbacks(callbacks, "`pretrain` has a schedule: give `learning_rate`")

    def check_x(argument, examples):
        return check_backbone_examples(argument, examples, backbone, image_range)

    rank = len(backbone.input_shape)
    data = read_labelled(x, y, rank)
    if data.sample_weight is not None:
        raise ValueError(
            "`x` must be without weights; `TransferClassifier` takes them in `fit`. Received: (x, y, sample_weight)"
        )
    x, y = check_x("x", data.x), data.y
    epochs, batch_size, steps = training_budget(len(x), epochs, batch_size, _LARGEST_BATCH)
    check_whole(least=2, batch_size=batch_size)
    options = {"augmentation": augmentation, "image_range": image_range, **options}
    keras.utils.set_random_seed(seed)
    if method == "supervised":
        y, classes = _check_labels(y, len(x))
        validation_data = check_validation(validation_data, classes, check_x, rank, data.class_names)
        options["class_names"] = data.class_names
        model = TransferClassifier(backbone, classes, train_normalization=True, **options)
    elif method in WITHOUT_LABELS:
        _check_images_alone(method, backbone, validation_data)
        y, model = None, WITHOUT_LABELS[method](backbone, **options)
    else:
        raise ValueError(f"`method` must be one of {METHODS}. Received: method={method!r}")
    seed_augmentation(model, seed)
    model.compile(keras.optimizers.AdamW(warm_up_and_cosine(learning_rate, epochs * steps), weight_decay=weight_decay))
    model.fit(
        x,
        y,
        batch_size=batch_size,
        epochs=epochs,
        verbose=verbose,
        callbacks=callbacks,
        validation_data=validation_data,
    )
    return backbone


def _check_labels(y, count):
    if y is None:
        raise ValueError(
            '`y` must be the labels of `x` for "supervised", beside it: `pretrain(backbone, x, y)`; only a '
            "`ClassDataset`, a `tf.data.Dataset` or a `keras.utils.PyDataset` holds both. Received: examples alone"
        )
    return check_labels("y", y, count)


def _check_images_alone(method, backbone, validation_data):
    if validation_data is not None:
        raise ValueError(f'`validation_data` is for "supervised". Received: method={method!r}')
    if len(backbone.input_shape) != 4 or None in backbone.input_shape[1:]:
        raise ValueError(
            f"`backbone` must take images of one size for {method!r}. Received: input shape {backbone.input_shape}"
        )
