"""Which layers of a backbone are trained when."""

import keras

from metalearn_tf.data.whole_numbers import is_whole


def layer_groups(backbone, stages):
    """The layers with trainable weights, in groups from the top to the bottom.

    Args:
        backbone: a built `keras.Model`; models within it are looked into.
        stages: the number of groups, each of about as many layers; or the names of the lowest layer of each group, from
            the top. The layers below the last named one are in no group.

    Returns:
        A list of lists of Keras layers.

    Raises:
        ValueError: if there are fewer layers than groups, or names are unknown or not from the top to the bottom.
    """
    layers = list(_layers_with_weights(backbone))[::-1]
    if is_whole(stages):
        if not 1 <= stages <= len(layers):
            raise ValueError(
                f"`stages` must be from 1 to {len(layers)}, the number of layers with trainable weights. "
                f"Received: stages={stages}"
            )
        ends = [round((stage + 1) * len(layers) / stages) for stage in range(stages)]
    else:
        places = {layer.name: place for place, layer in enumerate(layers, 1)}
        unknown = [name for name in stages if name not in places]
        if unknown:
            raise ValueError(f"`stages` must be names of layers of the backbone, {list(places)}. Received: {unknown}")
        ends = [places[name] for name in stages]
        if not ends or ends != sorted(set(ends)):
            raise ValueError(f"`stages` must name layers from the top to the bottom. Received: {list(stages)}")
    return [layers[start:end] for start, end in zip([0, *ends], ends)]


def _layers_with_weights(layer):
    """The layers with weights that can be trained, frozen or not, in the order of the way through the network."""
    if isinstance(layer, keras.Model):
        for part in layer.layers:
            yield from _layers_with_weights(part)
    elif layer_weights(layer):
        yield layer


def layer_weights(layer):
    """The weights of a layer that can be trained, frozen or not."""
    return [variable for part in layer._flatten_layers() for variable in part._trainable_variables]


class Unfreeze(keras.callbacks.Callback):
    """Before each epoch, says which layers of a `TransferClassifier` are trained in it."""

    def on_epoch_begin(self, epoch, logs=None):
        if self.model.unfreeze(epoch):
            # What is trained is fixed when the graph of a step is made.
            self.model.make_train_function(force=True)
