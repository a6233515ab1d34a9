"""What layers and weights add to the loss, as in any Keras model: regularisers, `add_loss`, activity regularisers."""

import metalearn_tf as mtf

import keras
import numpy as np
import pytest
import tensorflow as tf
from test_contract import LEARNERS
from test_gradients import TRAINED, each, step, tasks


@keras.saving.register_keras_serializable("test_layer_losses")
class MeanLoss(keras.layers.Layer):
    """Adds a number times the mean of what it passes on."""

    def __init__(self, weight=1.0, **kwargs):
        super().__init__(**kwargs)
        self.weight = weight

    def call(self, x):
        self.add_loss(self.weight * keras.ops.mean(x))
        return x

    def get_config(self):
        return {**super().get_config(), "weight": self.weight}


def network_with(body=(), **options):
    """The function from a number of outputs to a network of five numbers, with layers of its own below the outputs."""

    def network(outputs):
        layers = [keras.Input((5,)), keras.layers.Dense(6, activation="tanh", **options), *(make() for make in body)]
        return keras.Sequential([*layers, *([] if outputs is None else [keras.layers.Dense(outputs)])])

    return network


def build(name, network):
    keras.utils.set_random_seed(1)
    return LEARNERS[name](network)


def kernel_of(changes, learner):
    """Of the changes of the learner's trainable variables, that of the first layer's kernel."""
    kernel = learner.network.layers[0].kernel
    return next(change for change, variable in zip(changes, learner.trainable_variables) if variable is kernel)


def regularized_kernels(learner):
    return [variable for variable in learner.trainable_variables if variable.regularizer is not None]


@pytest.mark.rows(default=["PrototypicalNetwork"])
@pytest.mark.parametrize("name", each(LEARNERS))
def test_weight_regularizers_are_part_of_the_evaluated_loss(name):
    losses, x, y = [], *tasks()
    for options in ({}, {"kernel_regularizer": keras.regularizers.L2(0.3)}):
        learner = build(name, network_with(**options))
        learner.compile()
        losses.append(learner.evaluate(x, y, verbose=0))
    kernels = regularized_kernels(learner)
    penalty = 0.0 if name == "Reptile" else 0.3 * sum(np.sum(np.square(kernel)) for kernel in kernels)
    assert kernels
    if name == "Reptile":  # adapts as Keras trains, with the penalty
        assert losses[1] != losses[0]
    else:
        np.testing.assert_allclose(losses[1], losses[0] + penalty, rtol=1e-4)


@pytest.mark.rows(default=["PrototypicalNetwork"])
@pytest.mark.parametrize("name", each(TRAINED))
def test_weight_regularizers_are_part_of_a_step(name):
    plain, regularized = (
        step(build(name, network_with(**options)), *tasks())
        for options in ({}, {"kernel_regularizer": keras.regularizers.L2(0.3)})
    )
    learner = build(name, network_with())
    kernel = np.asarray(learner.network.layers[0].kernel)
    difference = kernel_of(regularized[0], learner) - kernel_of(plain[0], learner)
    if name == "Reptile":  # towards zero in the inner steps
        assert np.sum(difference * kernel) < 0
    else:
        np.testing.assert_allclose(difference, -0.6 * kernel, rtol=1e-2, atol=1e-4)
        penalty = 0.3 * np.sum(np.square(kernel))
        np.testing.assert_allclose(regularized[1], plain[1] + penalty, rtol=1e-4)


@pytest.mark.rows(default=["PrototypicalNetwork-<lambda>0"])
@pytest.mark.parametrize("make", [lambda: MeanLoss(3.0), lambda: keras.layers.ActivityRegularization(l2=3.0)])
@pytest.mark.parametrize("name", each(TRAINED))
def test_what_layers_add_changes_the_step(name, make):
    plain, penalised = (step(build(name, network_with(body)), *tasks()) for body in ((), (make,)))
    learner = build(name, network_with((make,)))
    assert np.abs(kernel_of(penalised[0], learner) - kernel_of(plain[0], learner)).max() > 1e-3
    if name not in ("MANN", "Reptile", "MAML++"):  # losses of a sequence, after the step, and of each inner step
        learner.compile()
        np.testing.assert_allclose(learner.evaluate(*tasks(), verbose=0), penalised[1], rtol=1e-4)


def test_the_losses_of_a_metric_learner_are_those_of_both_passes():
    losses, (x, y) = [], tasks()
    for body in ((), (lambda: MeanLoss(3.0),)):
        learner = build("PrototypicalNetwork", network_with(body))
        learner.compile()
        losses.append(learner.evaluate(x, y, verbose=0))
    added = np.mean([3.0 * np.mean(learner.network(part)) for task in range(4) for part in (x[0][task], x[2][task])])
    np.testing.assert_allclose(losses[1], losses[0] + 2.0 * added, rtol=1e-4)


def test_the_losses_of_an_inner_step_are_those_of_its_pass():
    """One step of MAML by hand: gradient descent on the support loss with what layers add in that pass."""
    (support_x, support_y, query_x), query_y = tasks()
    learner = build("MAML", network_with((lambda: MeanLoss(3.0),)))
    learner.compile()
    network, losses = learner.network, []
    start = network.get_weights()
    for task in range(4):
        with tf.GradientTape() as tape:
            loss = _loss(network, support_x[task], support_y[task])
        gradients = tape.gradient(loss, [variable.value for variable in network.trainable_variables])
        for variable, gradient in zip(network.trainable_variables, gradients):
            variable.assign_sub(learner.inner_learning_rate * gradient)
        losses.append(_loss(network, query_x[task], query_y[task]))
        network.set_weights(start)
    np.testing.assert_allclose(
        learner.evaluate((support_x, support_y, query_x), query_y, verbose=0), np.mean(losses), rtol=1e-4
    )


def _loss(network, x, y):
    logits = network(x)
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits)) + sum(network.losses)


def test_a_learner_may_add_losses_itself():
    @keras.saving.register_keras_serializable("test_layer_losses")
    class Penalised(mtf.learners.PrototypicalNetwork):
        def classify(self, task_state, query_x):
            self.add_loss(100.0 * tf.reduce_sum(tf.square(task_state[0])))
            return super().classify(task_state, query_x)

    keras.utils.set_random_seed(1)
    penalised = step(Penalised(network_with()(None)), *tasks())
    plain = step(build("PrototypicalNetwork", network_with()), *tasks())
    assert penalised[1] > 2.0 * plain[1]
    assert np.abs(penalised[0][0] - plain[0][0]).max() > 1e-2
