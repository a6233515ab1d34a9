"""Pre-training: a backbone learns from a source dataset."""

import keras

from metalearn_tf.data.class_dataset import ClassDataset
from metalearn_tf.transfer.backbone_checks import check_backbone, check_examples
from metalearn_tf.transfer.contrastive_model import ContrastiveModel
from metalearn_tf.transfer.denoising_autoencoder import DenoisingAutoencoder
from metalearn_tf.transfer.schedule import warm_up_and_cosine
from metalearn_tf.transfer.transfer_checks import (
    check_augmentation,
    check_labels,
    check_validation,
    check_whole,
)
from metalearn_tf.transfer.transfer_classifier import TransferClassifier

METHODS = ("supervised", "autoencoder", "contrastive")


def pretrain(
    backbone,
    data,
    method="supervised",
    epochs=20,
    batch_size=128,
    learning_rate=3e-3,
    weight_decay=1e-2,
    augmentation=None,
    validation_data=None,
    image_range=(0.0, 1.0),
    seed=0,
    callbacks=None,
    verbose=0,
    **options,
):
    """Trains a backbone on a source dataset, in place.

    | method | learns | needs | options |
    |---|---|---|---|
    | `"supervised"` | the classes, by a head above the features | labels | - |
    | `"autoencoder"` | to restore images from noise | images | `noise`, `filters`; see `DenoisingAutoencoder` |
    | `"contrastive"` | that two views are of one image (SimCLR) | images | `temperature`, `projection`; see `ContrastiveModel` |

    AdamW, whose rate warms up and falls by a cosine. What is above the backbone, its head, decoder or projection, is
    thrown away; a callback finds it in `callback.model`.

    ```python
    backbone = mtf.transfer.pretrain(mtf.networks.resnet9(), mtf.data.load("cifar10", "train"), epochs=15)
    ```

    Args:
        backbone: a built `keras.Model` from a batch of examples to features `(batch, d)`. Its weights are changed.
        data: a `ClassDataset`; a pair `(x, y)` of examples and class numbers; or, where no labels are needed, `x`.
            Images are uint8, or floating in `image_range`.
        method: a name of the table.
        epochs: passes over the data.
        batch_size: examples in a step.
        learning_rate: the highest.
        weight_decay: of AdamW.
        augmentation: a Keras layer for the training images, which it sees in `image_range`; by default none, and for
            `"contrastive"` `mtf.transfer.view_augmentation`.
        validation_data: `(x, y)` for the progress bar, with `"supervised"`.
        image_range: lowest and highest value of a pixel that the backbone takes.
        seed: integer, of what is above the backbone, the order of the examples and all noise.
        callbacks: of `fit`.
        verbose: of `fit`.
        **options: of the method.

    Returns:
        `backbone`.

    Raises:
        ValueError: if an argument is not of its kind, or labels are missing.

    References: those of the three models.
    """
    if method not in METHODS:
        raise ValueError(f"`method` must be one of {METHODS}. Received: method={method!r}")
    check_backbone(backbone)
    check_augmentation(augmentation)
    check_whole("epochs", epochs, least=1)
    check_whole("batch_size", batch_size, least=2)
    if not learning_rate > 0:
        raise ValueError(f"`learning_rate` must be positive. Received: learning_rate={learning_rate}")

    def check_x(argument, examples):
        return check_examples(argument, examples, backbone, image_range)

    x, y = _examples_and_labels(data)
    x = check_x("data", x)
    keras.utils.set_random_seed(seed)
    common = {"augmentation": augmentation, "image_range": image_range, **options}
    # A frozen backbone would stay as it is.
    backbone.trainable = True
    if method == "supervised":
        if y is None:
            raise ValueError(
                '`data` must have labels, a `ClassDataset` or `(x, y)`, for "supervised". Received: x alone'
            )
        y, classes = check_labels("data[1]", y, len(x))
        validation_data = check_validation(validation_data, classes, check_x)
        model = TransferClassifier(backbone, classes, train_normalization=True, **common)
    else:
        if validation_data is not None:
            raise ValueError(f'`validation_data` is for "supervised". Received: method={method!r}')
        if len(backbone.input_shape) != 4 or None in backbone.input_shape[1:]:
            raise ValueError(
                f"`backbone` must take images of one size for {method!r}. Received: input shape {backbone.input_shape}"
            )
        y = None
        if method == "autoencoder":
            model = DenoisingAutoencoder(backbone, **common)
        else:
            if augmentation is None:
                common["augmentation"] = view_augmentation(backbone.input_shape[1:], image_range)
            model = ContrastiveModel(backbone, **common)
    batch_size = min(batch_size, len(x))
    steps = epochs * -(-len(x) // batch_size)
    optimizer = keras.optimizers.AdamW(warm_up_and_cosine(learning_rate, steps), weight_decay=weight_decay)
    model.compile(optimizer, jit_compile=False)
    model.fit(
        x,
        y,
        batch_size=batch_size,
        epochs=epochs,
        validation_data=validation_data,
        callbacks=callbacks,
        verbose=verbose,
    )
    return backbone


def view_augmentation(image_shape, image_range=(0.0, 1.0)):
    """The random views of SimCLR that small images bear: a part of the image, mirrored, in other colours.

    Args:
        image_shape: `(height, width, channels)`; images of another number of channels than 3 keep their colours.
        image_range: lowest and highest value of a pixel.

    Returns:
        A `keras.Sequential` of Keras's layers.
    """
    low, high = (float(limit) for limit in image_range)
    layers = [
        keras.layers.RandomFlip("horizontal"),
        # Parts of the image at up to twice their size.
        keras.layers.RandomZoom((-0.5, 0.0), fill_mode="reflect"),
        keras.layers.RandomTranslation(0.2, 0.2, fill_mode="reflect"),
    ]
    if image_shape[2] == 3:
        layers += [
            keras.layers.RandomColorJitter((low, high), 0.4, 0.4, 0.4, 0.1),
            keras.layers.RandomGrayscale(0.2),
        ]
    return keras.Sequential(layers, name="view_augmentation")


def _examples_and_labels(data):
    if isinstance(data, ClassDataset):
        return data.examples, data.labels
    if isinstance(data, (tuple, list)) and len(data) == 2:
        return data
    return data, None
