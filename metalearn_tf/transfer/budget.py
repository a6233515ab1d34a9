"""How long a training lasts by default: small data need more passes, and smaller batches."""

from metalearn_tf.checks.whole_numbers import check_whole, is_whole
from metalearn_tf.transfer.unfreezing import check_stages

_EPOCHS = 20
_LEAST_STEPS = 300
_LEAST_BATCH = 8
# Of the examples, so that an epoch has about as many steps.
_BATCH_SHARE = 8
_STAGES = 3


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


def unfreezing_plan(epochs, layers, head_epochs, stages, stage_epochs):
    """The stages of fine-tuning, chosen where they are `None` so that all fit into the epochs.

    Args:
        epochs: how many there are.
        layers: how many layers of the backbone can be trained.
        head_epochs: as in `fine_tune`; `None` for a tenth of the epochs.
        stages: as in `fine_tune`; `None` for 3, or as many as layers and epochs allow.
        stage_epochs: as in `fine_tune`; `None` for a twentieth of the epochs.

    Returns:
        `head_epochs`, `stages` and `stage_epochs`.

    Raises:
        ValueError: if what was given does not fit.
    """
    given = {"head_epochs": head_epochs, "stages": stages, "stage_epochs": stage_epochs}
    if head_epochs is not None:
        check_whole(least=0, head_epochs=head_epochs)
    if stage_epochs is None:
        stage_epochs = max(1, epochs // 20)
    check_whole(stage_epochs=stage_epochs)
    if stages is not None:
        check_stages(stages)
    else:
        stages = min(_STAGES, layers, 1 + (epochs - 1 - (head_epochs or 0)) // stage_epochs)
        stages = max(1, stages)
    later = (stages if is_whole(stages) else len(stages)) - 1
    if head_epochs is None:
        head_epochs = max(0, min(epochs // 10, epochs - 1 - later * stage_epochs))
    all_unfrozen = head_epochs + later * stage_epochs
    if all_unfrozen >= epochs:
        given = ", ".join(f"{name}={value}" for name, value in given.items() if value is not None)
        raise ValueError(
            f"`epochs` must be at least {all_unfrozen + 1}, so that the last of the {later + 1} stages is trained; "
            "without `head_epochs`, `stages` and `stage_epochs` they follow the epochs. "
            f"Received: epochs={epochs}, {given}"
        )
    return head_epochs, stages, stage_epochs
