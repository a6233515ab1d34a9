"""All private names of Keras and TensorFlow that this library uses, each with the reason.

Those of a running `fit` are in `fit_internals`. No other file uses a private name; `tests/test_architecture.py` checks
this. If a new version lacks one of the names, the import fails here and says which. A subclass may override a private
method of Keras in its own file, if the method is in the list below.
"""

import tensorflow as tf

from metalearn_tf.engine.private_names import owners_of

_SEED_GENERATOR = "keras.src.random.seed_generator"
_GLOBAL_SEED = "keras.src.utils.rng_utils"
_GLOBAL_STATE = "keras.src.backend.common.global_state"
_BASE_OPTIMIZER = "keras.src.optimizers.base_optimizer.BaseOptimizer"
_EAGER_CONTEXT = "tensorflow.python.eager.context"
_OPERATIONS = "tensorflow.python.framework.ops"

# With TensorFlow, Keras's optimizers replace these methods of their base class, to support `tf.distribute`.
_ASSIGNING_METHODS = (
    "_var_key",
    "_apply_weight_decay",
    "_backend_update_step",
    "_overwrite_model_variables_with_average_value",
)
# A callback has this attribute in addition to its public `model` and `params`. Each training sets all of them again.
CALLBACK_ATTRIBUTES = ("_model",)
# Keras's own `fit` gives it to `evaluate`.
_IN_FIT = "_use_cached_eval_dataset"
_OF_TENSORFLOW = ("_seed", "_rng")

# Those that our classes override, or have as attributes.
#   _make_function: makes the graph of a step. `SaveableModel` and `ReplicatedModel` change the step inside. The public
#       methods (`make_train_function` and two more) would have to repeat everything else that Keras does there.
#   _maybe_symbolic_build: builds metrics from the first batch, and fails if several workers hold parts of it.
#       `ReplicatedModel` replaces it; there is no option to leave it out.
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
    """A list of a layer and all layers inside it, at every depth. The public `layers` of a model has only its direct
    parts, and a layer that contains others has no `layers`."""
    return layer._flatten_layers()


def inner_layers(layer):
    """A list of the layers directly inside a layer. Publicly, only models have `layers`."""
    return layer._flatten_layers(include_self=False, recursive=False)


def own_weights(layer):
    """A list of the trainable variables that a layer itself has made, even if the layer is frozen.

    The public lists also contain the variables of inner layers. For a frozen layer, they mix weights and states.
    """
    return layer._trainable_variables


def own_states(layer):
    """A list of the other variables that a layer itself has made. See `own_weights`."""
    return layer._non_trainable_variables


def seed_generators(layer):
    """A list of a layer's own `keras.random.SeedGenerator`s. Publicly, they are attributes with any name."""
    return layer._seed_generators


def release(layer, part):
    """Makes a layer forget a layer in one of its attributes, before you set the attribute to another layer.

    Without this, Keras still counts the variables of the old layer, and there is no public way to stop it.
    """
    layer._tracker.untrack(part)


def lookup_of(layer):
    """The `keras.layers.StringLookup` in a `TextVectorization`, whose public method for its words fails without any."""
    return layer._lookup_layer


# === The graph of a network ===


def origin_of(tensor):
    """The operation that made a symbolic tensor, the number of its call, and that of the tensor in its outputs.

    A named tuple of `operation`, `node_index` and `tensor_index`. There is no public way to ask a tensor this.
    """
    return tensor._keras_history


def calls_of(operation):
    """A list of the calls of a layer or operation on symbolic tensors, as Keras's nodes.

    They have the arguments of each call. The public `input` and `output` work only for layers that were called once.
    """
    return operation._inbound_nodes


def calls_in(network):
    """The calls in a functional or sequential model, as Keras's nodes in the order of execution.

    Publicly, a model has a list of layers, but does not tell how they are connected.
    """
    network = getattr(network, "_functional", None) or network  # a sequential model has a functional one inside
    by_depth = network._nodes_by_depth
    return [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]


# === Losses and metrics ===


def arguments_of(function):
    """The arguments that a Keras loss or metric gives to its function, a dict; empty for any other object.

    Configurations lack them, such as Huber's `delta`, and there is no public attribute.
    """
    return getattr(function, "_fn_kwargs", {})


# === Models in training ===


def loss_tracker(model):
    """The metric in which a compiled model keeps the mean of its loss.

    Publicly, it is only an element of `metrics`, and a subclass may replace this list by its own.
    """
    return model._loss_tracker


def loss_of_step(model, x, y, y_pred, sample_weight, training):
    """The loss of `compile`, or of a subclass's own `compute_loss`, scalar.

    A user's `compute_loss` need not take `training`. The public method would always get it.
    """
    return model._compute_loss(x, y, y_pred, sample_weight, training=training)


def compile_options(model):
    """The arguments of `compile`, a dict of the objects themselves.

    The public `get_compile_config` serialises them. This fails for functions that cannot be saved.
    """
    return model._compile_config.config


def waits_for_metrics(model):
    """Whether a model has metrics that are not built yet. Publicly, only each metric has `built`, after it is made."""
    return model._compile_metrics is not None and not model._compile_metrics.built


def build_metrics(model, batch):
    """Builds a model's metrics for the shapes of a batch. Publicly, only a step does this, and a step trains."""
    model._symbolic_build(data_batch=batch)


def own_strategy(model):
    """The `tf.distribute.Strategy` in whose scope a model was made, or `None`.

    The public `distribute_strategy` returns TensorFlow's default strategy instead of `None`.
    """
    return model._distribute_strategy


def begin_at_epoch(model, epoch):
    """Makes a `fit` that is starting begin at an epoch, as `keras.callbacks.BackupAndRestore` does.

    The public `initial_epoch` is an argument of `fit`, but `fit` has already been called.
    """
    model._initial_epoch = epoch


def is_within_fit(options):
    """Whether the keyword arguments of `evaluate` come from `fit`, which has already checked its validation data.

    There is no public way to tell these calls from the user's calls.
    """
    return bool(options.get(_IN_FIT))


def is_multi_worker(strategy):
    """Whether a `tf.distribute.Strategy` has several workers. Publicly, only the number of replicas is known."""
    multi_worker = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
    return multi_worker and strategy.extended._in_multi_worker_mode()


# === Callbacks ===


def curve_writers(board):
    """The writers of a `keras.callbacks.TensorBoard`, a dict by the names of the runs. The callback closes all of them.

    There is no public way to add a run.
    """
    return board._writers


def train_writer(board):
    """The writer of the run `train` of a `keras.callbacks.TensorBoard`. See `curve_writers`."""
    return board._train_writer


# === Optimizers ===


def assigning_methods():
    """The methods with which an optimizer assigns variables inside a pure function, a dict.

    `stateless_apply` is public, but with TensorFlow it raises an error, because these methods are replaced.
    """
    names = ("stateless_apply", "assign", "assign_add", "assign_sub", *_ASSIGNING_METHODS)
    return {name: getattr(_OWNERS[_BASE_OPTIMIZER], name) for name in names}


def is_built_for(optimizer, variable):
    """Whether a built optimizer has a state for a variable. Publicly, it only tells its own variables."""
    return optimizer._var_key(variable) in optimizer._trainable_variables_indices


def given_rate(optimizer):
    """The learning rate of an optimizer as a schedule or a variable; `None` if there is no optimizer.

    The public `learning_rate` is only the current number of a schedule.
    """
    return getattr(optimizer, "_learning_rate", None)


# === The random state of the process ===


def random_state():
    """The random state of Keras and TensorFlow for calls without a seed: two dicts of seeds and draws so far.

    Both have a public function that sets a seed, but none that reads it.
    """
    of_tensorflow = vars(_OWNERS[_EAGER_CONTEXT].context())
    of_keras = {name: _OWNERS[_GLOBAL_STATE].get_global_attribute(name) for name in _seeds_of_keras()}
    return of_keras, {name: of_tensorflow[name] for name in _OF_TENSORFLOW if name in of_tensorflow}


def set_random_state(of_keras, of_tensorflow):
    """Sets the random state of Keras and TensorFlow to the result of `random_state`."""
    for name, value in of_keras.items():
        _OWNERS[_GLOBAL_STATE].set_global_attribute(name, value)
    now = vars(_OWNERS[_EAGER_CONTEXT].context())
    for name in _OF_TENSORFLOW:  # both exist after TensorFlow has got a seed
        now.pop(name, None)
    now.update(of_tensorflow)


def _seeds_of_keras():
    return _OWNERS[_GLOBAL_SEED].GLOBAL_RANDOM_SEED, _OWNERS[_SEED_GENERATOR].GLOBAL_SEED_GENERATOR


# === Gradients ===


def gradient_function(operation):
    """TensorFlow's function for the gradient of an operation; `None` if the gradient counts as zero.

    The public API registers such functions, but cannot look one up.

    Raises:
        LookupError: if there is none.
    """
    return _OWNERS[_OPERATIONS].get_gradient_function(operation)
