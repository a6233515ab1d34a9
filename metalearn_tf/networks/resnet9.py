"""The small residual network that learns CIFAR-10 in few epochs."""

import keras

from metalearn_tf.networks.checks import check_image_network
from metalearn_tf.networks.max_pooling import MaxPooling
from metalearn_tf.networks.task_normalization import TaskNormalization


def resnet9(input_shape=(32, 32, 3), filters=(32, 64, 128, 256), outputs=None, normalization="running", name="resnet9"):
    """Eight 3×3 convolutions, four of them in two residual blocks, and the maximum over the image.

    Args:
        input_shape: `(height, width, channels)`, at least 16 pixels a side.
        filters: channels of the four widths; `(64, 128, 256, 512)` in the reference, with four times the work.
        outputs: width of a linear head; `None` for an embedding.
        normalization: `"transductive"`, `"support"` or `"running"`, see `TaskNormalization`.
        name: the model's name.

    Input shape: `(batch, height, width, channels)`, floating.
    Output shape: `(batch, outputs)` float32 logits, or the embedding `(batch, filters[-1])` float32.

    Returns:
        A built `keras.Model`.

    Raises:
        ValueError: if an argument is not among those accepted.

    Reference: [Page, 2018](https://myrtle.ai/learn/how-to-train-your-resnet/), after
        [He et al., 2016](https://arxiv.org/abs/1512.03385).
    """
    filters = tuple(filters)
    if len(filters) != 4:
        raise ValueError(f"`filters` must hold four widths. Received: {filters}")
    check_image_network(
        input_shape, outputs, smallest_side=16, **{f"filters[{index}]": width for index, width in enumerate(filters)}
    )

    def convolve(x, width, label, pooled=False):
        x = keras.layers.Conv2D(width, 3, padding="same", use_bias=False, name=f"convolution_{label}")(x)
        if pooled:
            # Pooling before the normalisation, which then has a quarter of the work.
            x = MaxPooling(name=f"pooling_{label}")(x)
        x = TaskNormalization(normalization, name=f"normalization_{label}")(x)
        return keras.layers.ReLU(name=f"relu_{label}")(x)

    x = inputs = keras.Input(input_shape, name="images")
    x = convolve(x, filters[0], "1")
    for block, width in enumerate(filters[1:], 2):
        x = convolve(x, width, f"{block}", pooled=True)
        if block != 3:
            residual = convolve(convolve(x, width, f"{block}_1"), width, f"{block}_2")
            x = keras.layers.Add(name=f"sum_{block}")([x, residual])
    x = keras.layers.GlobalMaxPooling2D(dtype="float32", name="embedding")(x)
    if outputs is not None:
        x = keras.layers.Dense(outputs, dtype="float32", name="head")(x)
    return keras.Model(inputs, x, name=name)
