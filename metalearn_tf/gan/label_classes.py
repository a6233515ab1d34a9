"""How many classes the label input of a network knows, read from the layers that the labels go to."""

import keras

from metalearn_tf.engine.keras_internals import calls_in, flat_layers


def classes_of_labels(network, labels):
    """The number of class numbers that what takes an input knows: as many as all know; `None` where nothing says it.

    Followed are the labels themselves, through whatever has no weights. An embedding of something else, such as
    positions, says nothing of them. A layer named `"label_embedding"` does, wherever it is.

    Args:
        network: a functional or sequential `keras.Model`.
        labels: one of its `inputs`.
    """
    found = [_rows_of(layer) for layer in flat_layers(network) if layer.name == "label_embedding"]
    found += _classes_behind(network, labels)
    return min((classes for classes in found if classes is not None), default=None)


def _classes_behind(network, labels):
    carried, found = {id(labels)}, []
    for node in calls_in(network):
        operation = node.operation
        if node.is_input or not any(id(tensor) in carried for tensor in node.input_tensors):
            continue
        classes = _classes_of(operation)
        if classes is not None:
            found.append(classes)
        elif isinstance(operation, keras.Model) and getattr(operation, "inputs", None):
            for inner, outer in zip(operation.inputs, node.input_tensors):
                found += _classes_behind(operation, inner) if id(outer) in carried else []
        elif getattr(operation, "weights", None):  # a layer of the user's own may hold an embedding
            found += [classes for classes in map(_classes_of, flat_layers(operation)) if classes is not None]
        else:
            carried.update(map(id, node.output_tensors))
    return found


def _classes_of(operation):
    """The number of class numbers that a layer or an operation of Keras's takes; `None` where it takes others."""
    if isinstance(operation, keras.layers.Embedding):
        return operation.input_dim
    if isinstance(operation, keras.layers.CategoryEncoding):
        return operation.num_tokens
    return operation.num_classes if type(operation).__name__ == "OneHot" else None  # `keras.ops.one_hot`


def _rows_of(layer):
    return layer.weights[0].shape[0] if layer.weights else None
