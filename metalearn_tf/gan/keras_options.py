"""The options of Keras's `compile`, `fit` and `evaluate` that a GAN does not have."""

import inspect

import keras

_OF_COMPILE = {
    "loss": "the losses are those of the game: `GAN(..., loss=...)`",
    "loss_weights": "the terms of the losses have weights of their own: `GAN(..., penalty_weight=...)`",
    "metrics": "a GAN has no predictions to compare with labels; `mtf.evaluation.GenerativeScores` in `callbacks` "
    "scores the images",
    "weighted_metrics": "a GAN has no predictions to compare with labels, and no weights",
}
_OF_FIT = {
    "class_weight": "repeat examples in the data to use them more often",
    "sample_weight": "repeat examples in the data to use them more often",
}


def check_compile_options(options, optimizers):
    """Refuses options of `keras.Model.compile` that a GAN would not use, and options that neither of them takes.

    Args:
        options: dict of the arguments.
        optimizers: the names of the optimizers that `compile` takes.
    """
    _refuse(options, _OF_COMPILE, "compile")
    of_keras = list(inspect.signature(keras.Model.compile).parameters)
    known = [*optimizers, "monitor", "mode", *(name for name in of_keras if name not in ("self", "optimizer"))]
    for name in options:
        if name not in known:
            accepted = ", ".join(f"`{each}`" for each in known if each not in _OF_COMPILE)
            fix = f"; {_OF_COMPILE['loss']}" if "loss" in name else _fix_of_optimizer(name, optimizers)
            raise ValueError(
                f"`{name}` must be left out of a GAN's `compile`, which takes {accepted}{fix}. "
                f"Received: {name}={_short(options[name])}"
            )


def _fix_of_optimizer(name, optimizers):
    """The advice for `d_optimizer` and similar names, which Keras's examples use."""
    meant = [own for own in optimizers if own[0] == name[0]] or optimizers
    return f"; write `{meant[0]}=`" if "opt" in name else ""


def check_data_options(options, method):
    """Refuses data options of `keras.Model.fit` and similar methods that a GAN would not use."""
    _refuse(options, _OF_FIT, method)


def _refuse(options, reasons, method):
    for name, reason in reasons.items():
        value = options.get(name)
        if value is not None:
            raise ValueError(f"`{name}` must be left out of a GAN's `{method}`: {reason}. Received: {_short(value)}")


def _short(value):
    return repr(value) if isinstance(value, (str, int, float, list, dict)) else f"a {type(value).__name__}"
