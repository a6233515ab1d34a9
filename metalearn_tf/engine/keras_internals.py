"""All that is used of Keras and TensorFlow beyond their public names, each with the reason.

What is used of a `fit` that is running is in `fit_internals`; no other file uses a private name, which
`tests/test_architecture.py` holds. When a new version lacks one of them, the
import fails here and says which. A subclass that overrides one of Keras's private methods does so in its own file, and
the method is in the list below.
"""

import tensorflow as tf

from metalearn_tf.engine.private_names import owners_of

_SEED_GENERATOR = "keras.src.random.seed_generator"
_GLOBAL_SEED = "keras.src.utils.rng_utils"
_GLOBAL_STATE = "keras.src.backend.common.global_state"
_BASE_OPTIMIZER = "keras.src.optimizers.base_optimizer.BaseOptimizer"
_EAGER_CONTEXT = "tensorflow.python.eager.context"
_OPERATIONS = "tensorflow.python.framework.ops"

# With TensorFlow, Keras's optimizers replace these methods of their base class, for the sake of `tf.distribute`.
_ASSIGNING_METHODS = (
    "_var_key",
    "_apply_weight_decay",
    "_backend_update_step",
    "_overwrite_model_variables_with_average_value",
)
# A callback has it beside its public `model` and `params`. Each training sets them anew.
CALLBACK_ATTRIBUTES = ("_model",)
# Keras's own `fit` gives it to `evaluate`.
_IN_FIT = "_use_cached_eval_dataset"
_OF_TENSORFLOW = ("_seed", "_rng")

# Those that classes of ours override, or have as attributes.
#   _make_function: makes the graph of a step. Publicly there are only `make_train_function` and its two sisters, each
#       with the whole of Keras's choices in it. `WholeSteps` and `ReplicatedModel` change the step within.
#   _maybe_symbolic_build: builds metrics from the first batch, and fails on what several workers hold of it.
#       `ReplicatedModel` passes it; there is no option to leave it out.
OVERRIDDEN = ("_make_function", "_maybe_symbolic_build")

_OWNERS = owners_of(
    {
        "keras.Layer": (
            *("_flatten_layers", "_trainable_variables", "_non_trainable_variables", "_seed_generators"),
            *("_tracker", "_inbound_nodes"),
        ),
        "keras.layers.TextVectorization": ("_lookup_layer",),
        "keras.Sequential": ("_functional",),
        "keras.src.models.functional.Functional": ("_nodes_by_depth",),
        "keras.src.ops.node.Node": ("_keras_history",),
        "keras.src.losses.losses.LossFunctionWrapper": ("_fn_kwargs",),
        "keras.metrics.MeanMetricWrapper": ("_fn_kwargs",),
        "keras.Model": (
            *("_loss_tracker", "_compile_metrics", "_compile_config", "_compute_loss", "_distribute_strategy"),
            *("_symbolic_build", "_initial_epoch", _IN_FIT, *OVERRIDDEN),
        ),
        "keras.callbacks.Callback": CALLBACK_ATTRIBUTES,
        "keras.callbacks.TensorBoard": ("_writers", "_train_writer"),
        "keras.optimizers.Optimizer": ("_trainable_variables_indices", "_var_key", "_learning_rate"),
        _BASE_OPTIMIZER: _ASSIGNING_METHODS,
        _GLOBAL_STATE: ("get_global_attribute", "set_global_attribute"),
        _SEED_GENERATOR: ("GLOBAL_SEED_GENERATOR",),
        _GLOBAL_SEED: ("GLOBAL_RANDOM_SEED",),
        _EAGER_CONTEXT: ("context",),
        f"{_EAGER_CONTEXT}.Context": _OF_TENSORFLOW,
        _OPERATIONS: ("get_gradient_function",),
        "tensorflow.python.distribute.collective_all_reduce_strategy.CollectiveAllReduceExtended": (
            "_in_multi_worker_mode",
        ),
    }
)

# === Layers ===


def flat_layers(layer):
    """A layer and all layers in it, at every depth, a list. The public `layers` of a model are its direct parts alone,
    and a layer that holds others has none."""
    return layer._flatten_layers()


def inner_layers(layer):
    """The layers that a layer holds itself, a list. As `flat_layers`: only models have `layers`."""
    return layer._flatten_layers(include_self=False, recursive=False)


def own_weights(layer):
    """The variables that a layer itself has made to be trained, a list, whether it is frozen or not.

    The public lists name the layers within too, and of a frozen layer they mix these variables with its states.
    """
    return layer._trainable_variables


def own_states(layer):
    """The variables that a layer itself has made beside its weights, a list. See `own_weights`."""
    return layer._non_trainable_variables


def seed_generators(layer):
    """The `keras.random.SeedGenerator`s of a layer itself, a list. Publicly they are attributes of any name."""
    return layer._seed_generators


def release(layer, part):
    """Makes a layer forget a layer in one of its attributes, before another takes its place.

    Keras goes on counting the old one's variables when the attribute is set, and has no public way to end that.
    """
    layer._tracker.untrack(part)


def lookup_of(layer):
    """The `keras.layers.StringLookup` in a `TextVectorization`, which publicly gives its words, and fails without."""
    return layer._lookup_layer


# === The graph of a network ===


def origin_of(tensor):
    """The operation that made a symbolic tensor, the number of its call, and that of the tensor in its outputs.

    A named tuple of `operation`, `node_index` and `tensor_index`. Publicly a tensor does not say what made it.
    """
    return tensor._keras_history


def calls_of(operation):
    """The calls of a layer or operation on symbolic tensors, a list of Keras's nodes.

    They have the arguments of each call; the public `input` and `output` are for layers that were called once.
    """
    return operation._inbound_nodes


def calls_in(network):
    """The calls in a functional or sequential model, Keras's nodes in the order of the way through it.

    Publicly a model has its layers, and does not say what goes from which to which.
    """
    network = getattr(network, "_functional", None) or network  # that of a sequential model
    by_depth = network._nodes_by_depth
    return [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]


# === Losses and metrics ===


def arguments_of(function):
    """What a loss or metric of Keras gives to the function that it is made of, a dict; empty of any other object.

    Their configurations lack it, such as Huber's `delta`, and there is no attribute of the public name.
    """
    return getattr(function, "_fn_kwargs", {})


# === Models in training ===


def loss_tracker(model):
    """The metric in which a compiled model keeps the mean of its loss.

    Publicly it is among `metrics` alone, which a subclass may have replaced by its own list.
    """
    return model._loss_tracker


def loss_of_step(model, x, y, y_pred, sample_weight, training):
    """The loss of `compile`, or of a subclass's own `compute_loss`, scalar.

    A `compute_loss` of the user's need not take `training`, which the public method alone would be given.
    """
    return model._compute_loss(x, y, y_pred, sample_weight, training=training)


def compile_options(model):
    """What `compile` was given, a dict of the objects themselves.

    The public `get_compile_config` serialises them, which fails for functions that cannot be saved.
    """
    return model._compile_config.config


def waits_for_metrics(model):
    """Whether a model has metrics that are not built yet. Publicly there is only `built` of each, once all are made."""
    return model._compile_metrics is not None and not model._compile_metrics.built


def build_metrics(model, batch):
    """Builds a model's metrics for the shapes of a batch; the public way is a step, which trains."""
    model._symbolic_build(data_batch=batch)


def own_strategy(model):
    """The `tf.distribute.Strategy` in whose scope a model was made, or `None`.

    The public `distribute_strategy` has TensorFlow's default in place of none.
    """
    return model._distribute_strategy


def begin_at_epoch(model, epoch):
    """Has the `fit` that is about to begin start at an epoch, as `keras.callbacks.BackupAndRestore` does.

    The public `initial_epoch` is an argument of `fit`, which has been called.
    """
    model._initial_epoch = epoch


def is_within_fit(options):
    """Whether keyword arguments of `evaluate` come from `fit`, which has checked its validation data before.

    Publicly nothing tells these calls from the user's.
    """
    return bool(options.get(_IN_FIT))


def is_multi_worker(strategy):
    """Whether a `tf.distribute.Strategy` has several workers; the public number of replicas counts those of one too."""
    multi_worker = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
    return multi_worker and strategy.extended._in_multi_worker_mode()


# === Callbacks ===


def curve_writers(board):
    """The writers of a `keras.callbacks.TensorBoard` by the names of their runs, a dict; it closes all of them.

    There is no public way to add a run to those that it has.
    """
    return board._writers


def train_writer(board):
    """The writer of the run `train` of a `keras.callbacks.TensorBoard`. See `curve_writers`."""
    return board._train_writer


# === Optimizers ===


def assigning_methods():
    """The methods by which an optimizer assigns variables as a pure function has them, a dict.

    With TensorFlow `stateless_apply` is public, and raises since these are replaced.
    """
    names = ("stateless_apply", "assign", "assign_add", "assign_sub", *_ASSIGNING_METHODS)
    return {name: getattr(_OWNERS[_BASE_OPTIMIZER], name) for name in names}


def is_built_for(optimizer, variable):
    """Whether a built optimizer has a state for a variable; publicly it says the number of its own variables alone."""
    return optimizer._var_key(variable) in optimizer._trainable_variables_indices


def given_rate(optimizer):
    """The rate of an optimizer as it was given, a schedule or a variable; `None` without an optimizer.

    The public `learning_rate` is the number that a schedule has come to.
    """
    return getattr(optimizer, "_learning_rate", None)


# === The random state of the process ===


def random_state():
    """What Keras and TensorFlow draw from where no seed is given: the seeds and what they have given out, two dicts.

    Both have a public function that sets a seed, and none that reads it.
    """
    of_tensorflow = vars(_OWNERS[_EAGER_CONTEXT].context())
    of_keras = {name: _OWNERS[_GLOBAL_STATE].get_global_attribute(name) for name in _seeds_of_keras()}
    return of_keras, {name: of_tensorflow[name] for name in _OF_TENSORFLOW if name in of_tensorflow}


def set_random_state(of_keras, of_tensorflow):
    """Gives Keras and TensorFlow what `random_state` returned."""
    for name, value in of_keras.items():
        _OWNERS[_GLOBAL_STATE].set_global_attribute(name, value)
    now = vars(_OWNERS[_EAGER_CONTEXT].context())
    for name in _OF_TENSORFLOW:  # both are there once TensorFlow has a seed
        now.pop(name, None)
    now.update(of_tensorflow)


def _seeds_of_keras():
    return _OWNERS[_GLOBAL_SEED].GLOBAL_RANDOM_SEED, _OWNERS[_SEED_GENERATOR].GLOBAL_SEED_GENERATOR


# === Gradients ===


def gradient_function(operation):
    """The function that TensorFlow has for the gradient of an operation; `None` where it counts as zero.

    The public API registers such functions, and does not look one up.

    Raises:
        LookupError: if there is none.
    """
    return _OWNERS[_OPERATIONS].get_gradient_function(operation)
