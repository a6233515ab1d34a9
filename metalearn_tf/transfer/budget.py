"""The default length of a training: small datasets need more passes and smaller batches."""

from metalearn_tf.checks.whole_numbers import check_whole

_EPOCHS = 20
_LEAST_STEPS = 300
_LEAST_BATCH = 8
# A batch is this part of the examples, so that an epoch has about the same number of steps for any dataset.
_BATCH_SHARE = 8


def training_budget(examples, epochs, batch_size, largest_batch):
    """Epochs and batch size, chosen where they are `None`.

    A batch is an eighth of the examples, at least 8 and at most `largest_batch`. There are 20 epochs, or as many as
    make 300 steps.

    Args:
        examples: number of examples.
        epochs: positive integer or `None`.
        batch_size: positive integer or `None`.
        largest_batch: the largest batch to choose.

    Returns:
        Epochs, batch size and steps in an epoch, integers. No batch is larger than the number of examples.

    Raises:
        ValueError: if a number is not positive.
    """
    if batch_size is None:
        batch_size = min(largest_batch, max(_LEAST_BATCH, examples // _BATCH_SHARE))
    check_whole(batch_size=batch_size)
    batch_size = min(batch_size, examples)
    steps = -(-examples // batch_size)
    if epochs is None:
        epochs = max(_EPOCHS, -(-_LEAST_STEPS // steps))
    check_whole(epochs=epochs)
    return epochs, batch_size, steps


def tuning_rate(layers):
    """The default learning rate of fine-tuning.

    Each step of Adam moves every layer by about the rate, so the output changes more in a network with more layers. At
    a rate at which shallow networks hardly learn, deep networks forget. `fine_tune` says on which data this was tried.

    Args:
        layers: the number of layers of the backbone that can be trained.

    Returns:
        `0.024 / layers`, at least 1e-4 and at most 8e-3.
    """
    return min(8e-3, max(1e-4, 0.024 / max(1, layers)))
