"""The four-block convolutional network of the few-shot literature."""

import keras

from metalearn_tf.networks.checks import check_image_network
from metalearn_tf.networks.max_pooling import MaxPooling
from metalearn_tf.networks.task_normalization import TaskNormalization


def conv4(
    input_shape=(28, 28, 1),
    filters=64,
    outputs=None,
    normalization="transductive",
    downsampling="max_pool",
    feature_map=False,
    name="conv4",
):
    """Four blocks of 3×3 convolution, normalisation, ReLU and a halving of the image.

    Args:
        input_shape: `(height, width, channels)`, at least 16 pixels a side.
        filters: channels of every block.
        outputs: width of a linear head, for learners that need logits; `None` for an embedding.
        normalization: `"transductive"`, `"support"` or `"running"`, see `TaskNormalization`.
        downsampling: `"max_pool"` (2×2, as in most papers), or `"stride"` (stride 2 in the convolutions, then the mean
            over the remaining pixels, as in MAML's Omniglot network), which takes about a quarter of the computation.
        feature_map: whether to return the last block's feature map, for `RelationNetwork`; then only the first two
            blocks halve the image.
        name: the model's name.

    Input shape: `(batch, height, width, channels)`, floating.
    Output shape: `(batch, outputs)` float32 logits, or the embedding `(batch, features)` float32: 64 features for
        28×28 images and 64 filters. With `feature_map`, `(batch, height, width, filters)` float32: 7×7 for 28×28.

    Returns:
        A built `keras.Model`.

    Raises:
        ValueError: if an argument is not among those accepted.

    Reference: [Vinyals et al., 2016](https://arxiv.org/abs/1606.04080);
        strides: [Finn et al., 2017](https://arxiv.org/abs/1703.03400), section 5.2;
        feature maps: [Sung et al., 2018](https://arxiv.org/abs/1711.06025), section 3.4.
    """
    check_image_network(input_shape, outputs, smallest_side=16, filters=filters)
    if downsampling not in ("max_pool", "stride"):
        raise ValueError(f'`downsampling` must be "max_pool" or "stride". Received: {downsampling!r}')
    if feature_map and outputs is not None:
        raise ValueError(f"`feature_map` must be False for a network with `outputs`. Received: outputs={outputs}")
    pooled = downsampling == "max_pool"

    x = inputs = keras.Input(input_shape, name="images")
    for block in range(1, 5):
        halved = block <= 2 or not feature_map
        # No bias: the normalisation that follows would remove it.
        x = keras.layers.Conv2D(
            filters,
            3,
            strides=2 if halved and not pooled else 1,
            padding="same",
            use_bias=False,
            name=f"convolution_{block}",
        )(x)
        x = TaskNormalization(normalization, name=f"normalization_{block}")(x)
        if halved and pooled:
            # ReLU and the maximum commute; after the pooling, ReLU has a quarter of the work.
            x = MaxPooling(name=f"pooling_{block}")(x)
        x = keras.layers.ReLU(name=f"relu_{block}")(x)
    if feature_map:
        x = keras.layers.Identity(dtype="float32", name="feature_map")(x)
    elif pooled:
        x = keras.layers.Flatten(dtype="float32", name="embedding")(x)
    else:
        x = keras.layers.GlobalAveragePooling2D(dtype="float32", name="embedding")(x)
    if outputs is not None:
        x = keras.layers.Dense(outputs, dtype="float32", name="head")(x)
    return keras.Model(inputs, x, name=name)
