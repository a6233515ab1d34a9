"""How long a training lasts by default: small data need more passes, and smaller batches."""

from metalearn_tf.checks.whole_numbers import check_whole

_EPOCHS = 20
_LEAST_STEPS = 300
_LEAST_BATCH = 8
# Of the examples, so that an epoch has about as many steps.
_BATCH_SHARE = 8


def training_budget(examples, epochs, batch_size, largest_batch):
    """Epochs and batch size, chosen where they are `None`.

    A batch is an eighth of the examples, but from 8 to `largest_batch`; 20 epochs, or as many as make 300 steps.

    Args:
        examples: number of examples.
        epochs: positive integer or `None`.
        batch_size: positive integer or `None`.
        largest_batch: the largest batch to choose.

    Returns:
        Epochs, batch size and the steps of an epoch, integers. No batch is larger than the examples.

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
    """The learning rate of fine-tuning, unless one is given.

    Each step of Adam moves every layer by about the rate, so that what a network computes changes with their number:
    deep ones forget at a rate at which shallow ones hardly learn. See `fine_tune` for what it was tried on.

    Args:
        layers: how many layers of the backbone can be trained.

    Returns:
        `0.024 / layers`, but from 1e-4 to 8e-3.
    """
    return min(8e-3, max(1e-4, 0.024 / max(1, layers)))
