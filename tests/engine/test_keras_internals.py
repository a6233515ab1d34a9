"""Names of Keras and TensorFlow that are private: what is said when one is gone."""

import importlib
import pkgutil

from metalearn_tf.engine import fit_internals, keras_internals
from metalearn_tf.engine.private_names import owners_of

import keras
import pytest

SAYS = r"private names of Keras 3\.\d+ and TensorFlow 2\.\d+, of which these are gone: .*{}.*Received: Keras 3"


@pytest.mark.parametrize(
    "module, owner, name",
    [
        (keras_internals, "keras.src.layers.layer.Layer", "_flatten_layers"),
        (keras_internals, "keras.src.backend.tensorflow.trainer.TensorFlowTrainer", "_make_function"),
        (keras_internals, "keras.src.random.seed_generator", "GLOBAL_SEED_GENERATOR"),
        (keras_internals, "tensorflow.python.framework.ops", "get_gradient_function"),
        (fit_internals, "keras.src.trainers.epoch_iterator", "EpochIterator"),
    ],
)
def test_the_import_fails_where_a_name_is_gone(monkeypatch, module, owner, name):
    monkeypatch.delattr(pkgutil.resolve_name(owner), name)
    with pytest.raises(ImportError, match=SAYS.format(name)):
        importlib.reload(module)


def test_attributes_of_instances_and_keywords_are_checked_too():
    class Layer:
        """A layer that names its attributes otherwise."""

        def __init__(self, **kwargs):
            self._trainable_variables = kwargs.pop("_old_keyword", None)

    owners = {f"{__name__}.Layer": ("_trainable_variables", "_old_keyword")}
    globals()["Layer"] = Layer
    assert owners_of(owners) == {f"{__name__}.Layer": Layer}
    for gone in ("_seed_generators", "_use_cached_eval_dataset"):
        with pytest.raises(ImportError, match=SAYS.format(gone)):
            owners_of({f"{__name__}.Layer": ("_trainable_variables", gone)})


def test_a_module_that_is_gone_is_named():
    with pytest.raises(ImportError, match=SAYS.format("keras.src.elsewhere")):
        owners_of({"keras.src.elsewhere": ("x",)})


def test_own_weights_are_those_of_the_layer_alone_also_when_it_is_frozen():
    network = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2), keras.layers.BatchNormalization()])
    network.trainable = False
    dense, normalization = network.layers
    assert keras_internals.own_weights(network) == [] == network.trainable_variables
    assert [v.path for v in keras_internals.own_weights(dense)] == [v.path for v in dense.weights]
    assert [v.name for v in keras_internals.own_weights(normalization)] == ["gamma", "beta"]
    assert [v.name for v in keras_internals.own_states(normalization)] == ["moving_mean", "moving_variance"]
    assert keras_internals.flat_layers(network)[0] is network
    assert keras_internals.inner_layers(dense) == []


def test_without_a_running_fit_there_is_no_iterator():
    assert fit_internals.epoch_iterator() is None
