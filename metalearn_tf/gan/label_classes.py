"""The number of classes of a network's label input, read from the layers that get the labels."""

import keras

from metalearn_tf.engine.keras_internals import calls_in, flat_layers


def classes_of_labels(network, labels):
    """The number of classes that all layers behind a label input know; `None` if no layer tells it.

    It follows the labels through layers without weights. An embedding of something else, such as positions, does not
    count. A layer named `"label_embedding"` counts, wherever it is.

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
        elif getattr(operation, "weights", None):  # a user's layer may contain an embedding
            found += [classes for classes in map(_classes_of, flat_layers(operation)) if classes is not None]
        else:
            carried.update(map(id, node.output_tensors))
    return found


def _classes_of(operation):
    """The number of classes that a layer or an operation of Keras takes; `None` if it does not take class numbers."""
    if isinstance(operation, keras.layers.Embedding):
        return operation.input_dim
    if isinstance(operation, keras.layers.CategoryEncoding):
        return operation.num_tokens
    return operation.num_classes if type(operation).__name__ == "OneHot" else None  # `keras.ops.one_hot`


def _rows_of(layer):
    return layer.weights[0].shape[0] if layer.weights else None
