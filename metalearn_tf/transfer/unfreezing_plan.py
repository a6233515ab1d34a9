"""The plan of when the layers of a backbone are trained, and how far they move."""

import dataclasses

from metalearn_tf.checks.whole_numbers import is_whole
from metalearn_tf.transfer.transfer_checks import check_plan
from metalearn_tf.transfer.unfreezing import check_stages

_STAGES = 3


@dataclasses.dataclass(frozen=True)
class UnfreezingPlan:
    """How `fine_tune` unfreezes a backbone; see `TransferClassifier`, which follows it.

    Arguments that are `None` are chosen from the number of epochs: a tenth of them for the head, and a twentieth for
    each of 3 stages, or of as many as layers and epochs allow.

    ```python
    plan = mtf.transfer.UnfreezingPlan(head_epochs=2, stages=["dense", "conv_4"], layer_decay=0.7)
    mtf.transfer.fine_tune(backbone, x, y, epochs=20, unfreezing=plan)
    ```

    Args:
        head_epochs: epochs in which the head alone is trained; 0 for none.
        stages: in how many groups the backbone's layers are unfrozen; or the names of each group's lowest layer, from
            the top. The layers below the last named one stay frozen.
        stage_epochs: epochs from one group to the next.
        layer_decay: factor, in `(0, 1]`, on the learning rate of each group below the one above it.
        l2_sp: weight of half the squared distance of the backbone's weights from those that it started with.
        train_normalization: whether batch normalisation follows the statistics of the new data, and dropout acts in the
            backbone.

    Raises:
        ValueError: if a number is out of range, or `stages` neither a number nor names.
    """

    head_epochs: int | None = None
    stages: int | list | None = None
    stage_epochs: int | None = None
    layer_decay: float = 0.5
    l2_sp: float = 0.0
    train_normalization: bool = False

    def __post_init__(self):
        head_epochs = 0 if self.head_epochs is None else self.head_epochs
        stage_epochs = 1 if self.stage_epochs is None else self.stage_epochs
        check_plan(2, head_epochs, stage_epochs, self.layer_decay, self.l2_sp)
        if self.stages is not None:
            check_stages(self.stages)

    def for_epochs(self, epochs, layers):
        """The plan, with the arguments that were `None` chosen so that all stages fit into the epochs.

        Args:
            epochs: the number of epochs.
            layers: the number of layers of the backbone that can be trained.

        Returns:
            An `UnfreezingPlan`.

        Raises:
            ValueError: if the given arguments do not fit into the epochs.
        """
        head_epochs, stages, stage_epochs = self.head_epochs, self.stages, self.stage_epochs
        if stage_epochs is None:
            stage_epochs = max(1, epochs // 20)
        if stages is None:
            stages = max(1, min(_STAGES, layers, 1 + (epochs - 1 - (head_epochs or 0)) // stage_epochs))
        later = (stages if is_whole(stages) else len(stages)) - 1
        if head_epochs is None:
            head_epochs = max(0, min(epochs // 10, epochs - 1 - later * stage_epochs))
        all_unfrozen = head_epochs + later * stage_epochs
        if all_unfrozen >= epochs:
            names = ("head_epochs", "stages", "stage_epochs")
            given = ", ".join(f"{name}={value}" for name in names if (value := getattr(self, name)) is not None)
            raise ValueError(
                f"`epochs` must be at least {all_unfrozen + 1}, so that the last of the {later + 1} stages is trained; "
                "without `head_epochs`, `stages` and `stage_epochs` the plan follows the epochs. "
                f"Received: epochs={epochs}, {given}"
            )
        return dataclasses.replace(self, head_epochs=head_epochs, stages=stages, stage_epochs=stage_epochs)
