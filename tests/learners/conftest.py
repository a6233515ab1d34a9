"""Which runs of the contract are long gates."""

import pytest

# These two run all of the contract by default. The others share the code of the base, and run by default what their own
# `adapt_task`, `classify`, configuration and weights have a part in, with one normalisation.
_IN_FULL = ("MAML", "PrototypicalNetwork")
_FOR_EVERY_LEARNER = (
    "test_fit_learns",
    "test_a_learner_needs_nothing_but_its_network",
    "test_saving_keeps_predictions_optimizer_and_configuration",
    "test_a_loaded_learner_trains_on_as_if_never_stopped",
    "test_configuration_makes_an_equal_learner",
    "test_adapted_models_give_the_probabilities_of_the_learner",
    "test_adapted_models_are_saved_and_loaded",
    "test_adapting_changes_neither_the_learner_nor_earlier_adapted_models",
    "test_queries_of_no_weight_teach_nothing",
)
# These are of the way in which the tasks of a batch are computed: by default for learners that have a way of their own.
_FOR_OTHER_STEPS = (
    "test_parallel_and_vectorized_tasks_give_the_same_step",
    "test_mixed_precision_trains_and_predicts_closely",
)
_OTHER_STEPS = ("MANN", "MetaLSTM", "Reptile")
# A minute with all improvements, which `test_maml.py` tests one by one.
_LONG = ("test_fit_learns",)


def pytest_collection_modifyitems(items):
    for item in items:
        parameters = getattr(getattr(item, "callspec", None), "params", {})
        if item.module.__name__ != "test_contract" or parameters.get("build", _IN_FULL[0]) in _IN_FULL:
            continue
        one_of_many = {"support", "running", "True"} & set(item.callspec.id.split("-"))
        is_long = parameters["build"] == "MAML++" and item.originalname in _LONG
        wanted = _FOR_EVERY_LEARNER + (_FOR_OTHER_STEPS if parameters["build"] in _OTHER_STEPS else ())
        if item.originalname not in wanted or one_of_many or is_long:
            item.add_marker(pytest.mark.slow)
