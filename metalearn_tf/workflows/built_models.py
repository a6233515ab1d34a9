"""Checks of the functions that build models for a workflow, and of the models that they build."""

import keras

from metalearn_tf.training.descriptions import describe_model, differences


def built_model(argument, build):
    """The model that a function builds, and its description, including the initial weights.

    The model is built after `keras.utils.set_random_seed(0)`. So random initial weights are always the same, and other
    pre-trained weights are noticed.

    Args:
        argument: name of the function in error messages.
        build: function without arguments that returns a built `keras.Model`.

    Returns:
        The model and its description, as `describe_model` gives it.

    Raises:
        TypeError: if `build` is a model and not a function, or does not build a model.
        ValueError: if it does not build a new model each time, or if the models differ.
    """
    if isinstance(build, keras.Layer) or not callable(build):
        raise TypeError(
            f"`{argument}` must be a function that builds a new model each time that it is called, such as "
            f"`lambda: build(...)`. Received: {type(build).__name__}"
        )
    models = []
    for _ in range(2):
        keras.utils.set_random_seed(0)
        models.append(build())
    for model in models:
        if not isinstance(model, keras.Model) or not model.built:
            raise TypeError(f"`{argument}` must build a keras.Model with its weights. Received: {type(model).__name__}")
    first, second = ({id(variable) for variable in model.variables} for model in models)
    if models[0] is models[1] or first & second:
        raise ValueError(
            f"`{argument}` must build a model with weights of its own each time that it is called: make the networks "
            "inside the function. Received: the same weights twice"
        )
    description, again = (describe_model(model, weights=True) for model in models)
    different = differences(again, description, "one before")
    if different:
        raise ValueError(
            f"`{argument}` must build the same model each time that it is called after `keras.utils.set_random_seed`. "
            f"Received: {different}"
        )
    return models[1], description
