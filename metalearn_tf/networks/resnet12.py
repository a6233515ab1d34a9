"""The residual network of the few-shot literature."""

import keras

from metalearn_tf.checks.real_numbers import check_below_one
from metalearn_tf.networks.checks import check_image_network
from metalearn_tf.networks.max_pooling import MaxPooling
from metalearn_tf.networks.task_normalization import TaskNormalization


def resnet12(
    input_shape=(84, 84, 3),
    filters=(64, 160, 320, 640),
    outputs=None,
    normalization="running",
    dropout=0.0,
    name="resnet12",
):
    """Four residual blocks of three 3×3 convolutions each, and the mean over the image.

    Args:
        input_shape: `(height, width, channels)`, at least 16 pixels a side.
        filters: channels of the four blocks; `(64, 128, 256, 512)` is the narrower network of the papers.
        outputs: width of a linear head; `None` for an embedding.
        normalization: `"transductive"`, `"support"` or `"running"`, see `TaskNormalization`.
        dropout: rate after each block, in `[0, 1)`.
        name: the model's name.

    Input shape: `(batch, height, width, channels)`, floating.
    Output shape: `(batch, outputs)` float32 logits, or the embedding `(batch, filters[-1])` float32.

    Returns:
        A built `keras.Model`.

    Raises:
        ValueError: if an argument is not among those accepted.

    Reference: [Oreshkin et al., 2018](https://arxiv.org/abs/1805.10123), as
        [Lee et al., 2019](https://arxiv.org/abs/1904.03758) have it.
    """
    filters = tuple(filters)
    if len(filters) != 4:
        raise ValueError(f"`filters` must hold the widths of four blocks. Received: {filters}")
    check_image_network(
        input_shape, outputs, smallest_side=16, **{f"filters[{index}]": width for index, width in enumerate(filters)}
    )
    check_below_one("dropout", dropout)

    def convolve(x, width, kernel, label):
        x = keras.layers.Conv2D(width, kernel, padding="same", use_bias=False, name=f"convolution_{label}")(x)
        return TaskNormalization(normalization, name=f"normalization_{label}")(x)

    x = inputs = keras.Input(input_shape, name="images")
    for block, width in enumerate(filters, 1):
        shortcut = convolve(x, width, 1, f"{block}_shortcut")
        for layer in (1, 2, 3):
            x = convolve(x, width, 3, f"{block}_{layer}")
            if layer < 3:
                x = keras.layers.LeakyReLU(negative_slope=0.1, name=f"relu_{block}_{layer}")(x)
        x = keras.layers.Add(name=f"sum_{block}")([x, shortcut])
        x = keras.layers.LeakyReLU(negative_slope=0.1, name=f"relu_{block}")(x)
        x = MaxPooling(name=f"pooling_{block}")(x)
        if dropout:
            x = keras.layers.Dropout(dropout, name=f"dropout_{block}")(x)
    x = keras.layers.GlobalAveragePooling2D(dtype="float32", name="embedding")(x)
    if outputs is not None:
        x = keras.layers.Dense(outputs, dtype="float32", name="head")(x)
    return keras.Model(inputs, x, name=name)
