"""When each layer of a backbone is trained."""

import contextlib

import keras

from metalearn_tf.checks.whole_numbers import is_whole
from metalearn_tf.engine.keras_internals import flat_layers, own_weights


def check_stages(stages):
    """Refuses anything but a number or a list of names."""
    if not is_whole(stages) and not (
        isinstance(stages, (list, tuple)) and all(isinstance(name, str) for name in stages)
    ):
        raise ValueError(
            "`stages` must be a number of groups of layers, or a list of names: that of the lowest layer of each "
            f"group, from the top. Received: stages={stages!r}"
        )


def layer_groups(backbone, stages):
    """The layers with trainable weights, in groups from the top to the bottom.

    Args:
        backbone: a built `keras.Model`; nested models are searched too. Frozen layers are in no group.
        stages: the number of groups, which have about equal numbers of layers; there are at most as many groups as
            unfrozen layers. Or the names of the lowest layer of each group, from the top. The layers below the last
            named one are in no group.

    Returns:
        A list of lists of Keras layers; empty if all layers are frozen.

    Raises:
        ValueError: if there are fewer layers than groups, or names are unknown, frozen or not from the top to the
            bottom.
    """
    check_stages(stages)
    layers = trained_layers(backbone)[::-1]
    if is_whole(stages):
        most = len(list(_layers_with_weights(backbone)))
        if not 1 <= stages <= max(1, most):
            raise ValueError(
                f"`stages` must be from 1 to {most}, the number of layers with trainable weights. "
                f"Received: stages={stages}"
            )
        stages = min(stages, len(layers))  # frozen layers have no stage
        ends = [round((stage + 1) * len(layers) / stages) for stage in range(stages)]
    else:
        places = {layer.name: place for place, layer in enumerate(layers, 1)}
        frozen = {layer.name for layer in _layers_with_weights(backbone)} - set(places)
        if not frozen.isdisjoint(stages):
            raise ValueError(
                "`stages` must not name frozen layers, which are never trained; set `trainable = True` on them, or "
                f"leave them out. Received: {[name for name in stages if name in frozen]}"
            )
        unknown = [name for name in stages if name not in places]
        if unknown:
            raise ValueError(f"`stages` must be names of layers of the backbone, {list(places)}. Received: {unknown}")
        ends = [places[name] for name in stages]
        if not ends or ends != sorted(set(ends)):
            raise ValueError(f"`stages` must name layers from the top to the bottom. Received: {list(stages)}")
    return [layers[start:end] for start, end in zip([0, *ends], ends)]


def trained_layers(backbone):
    """The layers with weights that are not frozen, from the input to the output."""
    return [layer for layer in _layers_with_weights(backbone) if _trained_weights(layer)]


def _layers_with_weights(layer):
    """The layers with weights that can be trained, frozen or not, from the input to the output."""
    if isinstance(layer, keras.Model) and not own_weights(layer):  # a subclass may have its own weights
        for part in layer.layers:
            yield from _layers_with_weights(part)
    elif layer_weights(layer):
        yield layer


def layer_weights(layer):
    """The weights of a layer that can be trained, frozen or not."""
    variables = (variable for part in flat_layers(layer) for variable in own_weights(part))
    return [*{id(variable): variable for variable in variables}.values()]  # shared layers count once


def _trained_weights(layer):
    return [variable for variable in layer_weights(layer) if variable.trainable]


class Unfreezing:
    """The groups of a backbone, and its `trainable` flags while one group after the other is unfrozen.

    Layers that are frozen when this object is made stay frozen. Only `set` changes the flags; `restore` resets them.

    Args:
        backbone: a built `keras.Model`.
        stages: see `layer_groups`.

    Attributes:
        groups: see `layer_groups`.
        variables: a list of Keras variables for each group.
        layers_below: the layers that are in no group although they are not frozen.
    """

    def __init__(self, backbone, stages):
        self.groups = layer_groups(backbone, stages)
        self.variables = [[v for layer in group for v in _trained_weights(layer)] for group in self.groups]
        self._layers = trained_layers(backbone)
        self.layers_below = self._layers[: len(self._layers) - sum(len(group) for group in self.groups)]
        # Setting a layer's flag sets those of its parts and variables, so the layer comes before them.
        parts = [part for layer in self._layers for part in flat_layers(layer)]
        variables = [variable for layer in self._layers for variable in layer_weights(layer)]
        self._given = [(owner, owner.trainable) for owner in (*parts, *variables)]
        self._count = None
        self._is_set = False

    def set(self, count):
        """Trains the `count` highest groups (`None`: all of them); returns whether this is a change."""
        before = self._count if self._is_set else None
        self.restore()
        trained = {id(layer) for group in self.groups[:count] for layer in group}
        for layer in self._layers:
            if id(layer) not in trained:
                layer.trainable = False
        self._count, self._is_set = count, True
        size = len(self.groups)
        return min(size if before is None else before, size) != min(size if count is None else count, size)

    @property
    def trains_all(self):
        """Whether all groups are being trained."""
        return not self._is_set or self._count is None or self._count >= len(self.groups)

    def restore(self):
        """Gives each layer and variable its original flag."""
        for owner, trainable in self._given:
            owner.trainable = trainable
        self._is_set = False

    @contextlib.contextmanager
    def restored(self):
        """A context in which the flags are the original ones."""
        was_set, count = self._is_set, self._count
        self.restore()
        try:
            yield
        finally:
            if was_set:
                self.set(count)


class Unfreeze(keras.callbacks.Callback):
    """Sets before each epoch which layers of a `TransferClassifier` are trained in it."""

    def on_epoch_begin(self, epoch, logs=None):
        if self.model.unfreeze(epoch):
            # The graph of a step fixes which layers it trains.
            self.model.make_train_function(force=True)
