"""Exported learners, and the C++ client that asks them."""

import cpp_client as cpp
import numpy as np
import pytest
from served_learners import LEARNERS, TEXT_LEARNERS


@pytest.fixture(scope="session")
def cpp_client(tmp_path_factory):
    """A `CppClient`; the tests that use it are skipped where it cannot be compiled."""
    missing = cpp.missing_for_client()
    if missing is not None:
        pytest.skip(missing)
    folder = tmp_path_factory.mktemp("cpp_client")
    return cpp.CppClient(cpp.compile_client(folder), folder)


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """A function from a name in `LEARNERS` or `TEXT_LEARNERS` to the learner and its SavedModel's folder, made once."""
    made = {}

    def export(name):
        if name not in made:
            learner = {**LEARNERS, **TEXT_LEARNERS}[name]()
            # No weight stays at zero or one, so that each makes a difference.
            random = np.random.default_rng(1)
            learner.set_weights([w + random.uniform(-0.05, 0.05, w.shape) for w in learner.get_weights()])
            path = tmp_path_factory.mktemp("exported") / name / "1"
            learner.export(path, regression=name == "maml_sinusoid", warm_up=False)
            made[name] = learner, path
        return made[name]

    return export


@pytest.fixture(scope="session")
def image_task(toy_dataset):
    """A function from the number of ways to a task with 3 shots: support set, labels and 10 queries."""

    def make(ways):
        random = np.random.default_rng(2)
        picked = [random.permutation(toy_dataset.class_examples(index)) for index in range(ways)]
        support_x = np.concatenate([examples[:3] for examples in picked])
        query_x = random.permutation(np.concatenate([examples[3:] for examples in picked]))[:10]
        order = random.permutation(len(support_x))
        labels = np.repeat(np.arange(ways, dtype="int32"), 3)
        return support_x[order].astype("float32") / 255, labels[order], query_x.astype("float32") / 255

    return make
