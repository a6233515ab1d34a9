"""Keras's `predict` on an array, without a dataset."""

import keras
import numpy as np

from metalearn_tf.checks.whole_numbers import check_python_whole


def predict_array(model, x, batch_size=32, verbose="auto", callbacks=None):
    """What `keras.Model.predict` returns for examples in memory, of a model that runs fast when it is called.

    Args:
        model: a `keras.Model` of one output.
        x: array or tensor of examples `(n, ...)`, at least one.
        batch_size: examples in a batch.
        verbose: as in `keras.Model.predict`, like the next.
        callbacks: see there.

    Returns:
        The outputs `(n, ...)`.

    Raises:
        ValueError: if `batch_size` is not a positive integer.
    """
    check_python_whole(batch_size=batch_size)
    starts = range(0, len(x), batch_size)
    if not isinstance(callbacks, keras.callbacks.CallbackList):
        callbacks = keras.callbacks.CallbackList(
            callbacks, add_progbar=verbose != 0, verbose=verbose, epochs=1, steps=len(starts), model=model
        )
    model.stop_predicting = False
    callbacks.on_predict_begin()
    outputs = []
    for step, start in enumerate(starts):
        callbacks.on_predict_batch_begin(step)
        outputs.append(keras.ops.convert_to_numpy(model(x[start : start + batch_size])))
        callbacks.on_predict_batch_end(step, {"outputs": outputs[-1]})
        if model.stop_predicting:
            break
    callbacks.on_predict_end()
    return np.concatenate(outputs)
