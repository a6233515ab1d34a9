"""Single fields of grouped arguments are given by their names, in every function that groups some."""

import inspect

import metalearn_tf as mtf
from metalearn_tf.checks.fields import with_fields

import numpy as np
import pytest

FUNCTIONS = [
    mtf.transfer.fine_tune,
    mtf.training.tune,
    mtf.workflows.daml,
    mtf.workflows.gan_augmented,
    mtf.workflows.meta_gan_transfer,
]


def test_fields_replace_those_of_their_object_alone():
    tasks, budget = mtf.workflows.DAMLTasks(shots=2), mtf.workflows.DAMLBudget(seeds=4)
    changed = with_fields({"queries": 3, "steps": 7}, tasks=tasks, budget=budget)
    assert changed == [
        mtf.workflows.DAMLTasks(shots=2, queries=3),
        mtf.workflows.DAMLBudget(seeds=4, steps=7),
    ]
    assert with_fields({}, tasks=tasks, budget=budget) == [tasks, budget]
    with pytest.raises(ValueError, match="`queries` must be a positive integer"):
        with_fields({"queries": 0}, tasks=tasks, budget=budget)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_no_object_of_a_function_has_a_field_of_another_or_of_an_argument(function):
    parameters = inspect.signature(function).parameters
    groups = [parameters[name].default for name in ("tasks", "budget", "unfreezing") if name in parameters]
    names = [*parameters, *(name for group in groups for name in group.__dataclass_fields__)]
    assert groups and len(names) == len(set(names))


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_other_names_are_refused(function):
    required = [
        p for p in inspect.signature(function).parameters.values() if p.default is p.empty and p.kind != p.VAR_KEYWORD
    ]
    given = {p.name: mtf.networks.mlp((3,), (4,)) if p.name == "backbone" else np.zeros((2, 3)) for p in required}
    with pytest.raises(TypeError, match="unexpected keyword argument 'stepz'; .*the fields of"):
        function(**given, stepz=3)


def test_fine_tune_follows_a_field_as_the_plan_that_has_it():
    x, y = np.random.default_rng(0).normal(size=(12, 3)).astype("float32"), np.arange(12) % 2
    tuned = []
    for options in ({"stages": 1, "head_epochs": 1}, {"unfreezing": mtf.transfer.UnfreezingPlan(1, 1)}):
        backbone = mtf.networks.mlp((3,), (4,))
        backbone.set_weights([np.full(w.shape, 0.1) for w in backbone.get_weights()])
        tuned.append(mtf.transfer.fine_tune(backbone, x, y, epochs=3, verbose=0, **options))
    assert tuned[0].get_config()["stages"] == tuned[1].get_config()["stages"]
    for one, other in zip(tuned[0].get_weights(), tuned[1].get_weights()):
        np.testing.assert_array_equal(one, other)
