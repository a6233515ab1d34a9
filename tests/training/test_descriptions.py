"""What tells whether a folder belongs to a model."""

import json

import keras
import pytest

import metalearn_tf as mtf
from metalearn_tf.training.descriptions import check_same, describe_model


def prototypes(rate=1e-2):
    learner = mtf.learners.PrototypicalNetwork(mtf.networks.mlp((3,), (4,)))
    learner.compile(keras.optimizers.Adam(rate))
    return learner


def test_a_description_says_what_a_model_is_but_not_its_name():
    one, other = prototypes(), prototypes()
    assert one.name != other.name and describe_model(one) == describe_model(other)
    assert describe_model(one)["class"] == "PrototypicalNetwork"
    assert describe_model(one)["distance"] == "squared_euclidean"
    assert describe_model(one)["optimizer"]["learning_rate"] == pytest.approx(1e-2)
    assert describe_model(one) != describe_model(prototypes(1e-3))


def test_a_gan_has_two_optimizers():
    gan = mtf.gan.GAN(*mtf.networks.dcgan((16, 16, 1), 4, filters=2))
    gan.compile()
    assert {"generator_optimizer", "discriminator_optimizer", "loss"} <= set(describe_model(gan))
    json.dumps(describe_model(gan))


def test_what_differs_is_named(tmp_path):
    path = tmp_path / "new" / "description.json"
    check_same("folder", path, {"a": 1, "b": {"c": (1, 2)}}, "run")
    check_same("folder", path, {"a": 1, "b": {"c": (1, 2)}}, "run")
    with pytest.raises(ValueError, match=r"`folder` holds a run of another.*b.c=\[1, 3\] where the run has \[1, 2\]$"):
        check_same("folder", path, {"a": 1, "b": {"c": (1, 3)}}, "run")
    with pytest.raises(ValueError, match="a=None where the run has 1.* and 1 more$"):
        check_same("folder", path, {f"new_{number}": number for number in range(4)}, "run")


def test_a_damaged_description_is_an_error_that_names_the_file(tmp_path):
    path = tmp_path / "description.json"
    check_same("folder", path, {"a": 1}, "run")
    path.write_text(path.read_text()[:5])
    with pytest.raises(ValueError, match="`folder` must not hold a damaged file.*Received: .*description.json"):
        check_same("folder", path, {"a": 1}, "run")
