"""One step of each update rule against numbers worked out by hand or in NumPy."""

from metalearn_tf.engine.update_rules import (
    at_step,
    gradient_descent,
    keras_optimizer,
    momentum_descent,
    scheduled_gradient_descent,
    stateless_optimizer,
)
from metalearn_tf.learners.lstm_rule import lstm_rule, preprocess

import keras
import numpy as np
import pytest
import tensorflow as tf

WEIGHTS = [np.array([[1.0, -2.0], [0.5, 4.0]], "float32"), np.array([3.0], "float32")]
GRADIENTS = [np.array([[0.5, 1.0], [-2.0, 0.0]], "float32"), np.array([-1.0], "float32")]


def tensors(arrays):
    return [tf.constant(array) for array in arrays]


def one_step(rule, step=0, loss=0.7):
    weights = tensors(WEIGHTS)
    return rule.update(tensors(GRADIENTS), rule.init(weights), weights, tf.constant(loss), step)


def test_gradient_descent_by_hand():
    weights, state = one_step(gradient_descent(0.1))
    np.testing.assert_allclose(weights[0], [[0.95, -2.1], [0.7, 4.0]], rtol=1e-6)
    np.testing.assert_allclose(weights[1], [3.1], rtol=1e-6)
    assert state == []


def test_each_weight_may_have_a_rate_of_its_own():
    weights, _ = one_step(gradient_descent([tf.constant([[1.0, 0.1], [-1.0, 9.0]]), tf.constant(0.5)]))
    np.testing.assert_allclose(weights[0], [[0.5, -2.1], [-1.5, 4.0]], rtol=1e-6)
    np.testing.assert_allclose(weights[1], [3.5], rtol=1e-6)


def test_momentum_starts_with_the_first_gradient_and_is_dampened_after_it():
    """By hand: gradients -1 + 0.5 · 3 = 0.5, then -1 + 0.5 · 2.95 = 0.475; the sum 0.9 · 0.5 + 0.2 · 0.475 = 0.545."""
    rule = momentum_descent(0.1, momentum=0.9, dampening=0.8, weight_decay=0.5)
    weights, state = one_step(rule)
    np.testing.assert_allclose(weights[1], [2.95], rtol=1e-6)
    weights, state = rule.update(tensors(GRADIENTS), state, weights, tf.constant(0.7), tf.constant(1))
    np.testing.assert_allclose(state[1], [0.545], rtol=1e-6)
    np.testing.assert_allclose(weights[1], [2.8955], rtol=1e-6)


@pytest.mark.parametrize("step, row", [(0, 0), (1, 1), (5, 1)])
def test_scheduled_rates_take_the_row_of_the_step_and_then_the_last(step, row):
    rates = np.array([[0.1, 0.2], [0.3, 0.4]], "float32")
    weights, _ = one_step(scheduled_gradient_descent(tf.constant(rates)), step)
    np.testing.assert_allclose(weights[0], WEIGHTS[0] - rates[row, 0] * GRADIENTS[0], rtol=1e-6)
    np.testing.assert_allclose(weights[1], WEIGHTS[1] - rates[row, 1] * GRADIENTS[1], rtol=1e-6)


def test_the_last_row_is_also_step_minus_one():
    np.testing.assert_array_equal(at_step(tf.constant([[1.0], [2.0]]), -1), [2.0])


PURE = ("SGD", "RMSprop", "Adam", "AdamW", "Adagrad", "Adadelta", "Adamax", "Ftrl", "Lion", "Lamb", "Adafactor")
REFUSED = ("Muon", "Nadam", "ScheduleFreeAdamW", "LossScaleOptimizer", "MultiOptimizer")


@pytest.mark.parametrize(
    "make",
    [
        *(pytest.param(lambda name=name: getattr(keras.optimizers, name)(0.01), id=name) for name in PURE),
        lambda: keras.optimizers.Adam(0.01, beta_1=0.0, amsgrad=True, global_clipnorm=0.1),
        lambda: keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True, clipnorm=0.5),
        lambda: keras.optimizers.AdamW(keras.optimizers.schedules.CosineDecay(0.1, 5), weight_decay=0.1),
        lambda: keras.optimizers.RMSprop(0.01, momentum=0.9, centered=True, clipvalue=0.3),
    ],
)
def test_keras_optimizers_are_pure_and_equal_to_their_own_steps(make):
    variables = [keras.Variable(weight) for weight in WEIGHTS]
    optimizer = stateless_optimizer(make(), variables)
    rule = keras_optimizer(optimizer)
    weights, state = tensors(WEIGHTS), rule.init(variables)
    for _ in range(3):
        weights, state = rule.update(tensors(GRADIENTS), state, weights, tf.constant(0.0), 0)
    for variable, weight in zip(variables, WEIGHTS):
        np.testing.assert_array_equal(variable, weight)  # nothing was assigned
    assert int(optimizer.iterations) == 0

    reference = make()
    for _ in range(3):
        reference.apply(tensors(GRADIENTS), variables)
    for weight, variable in zip(weights, variables):
        np.testing.assert_allclose(weight, variable, rtol=1e-6)


class OwnStep(keras.optimizers.SGD):
    """An optimizer that replaces what a pure step would replace too."""

    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        super()._backend_update_step(grads, trainable_variables, 2.0 * learning_rate)


@pytest.mark.parametrize(
    "make, reason",
    [
        (lambda: keras.optimizers.Nadam(), "Nadam, which keeps a product"),
        (lambda: keras.optimizers.ScheduleFreeAdamW(), "starts from the weights"),
        (lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1)), "which scales losses"),
        (lambda: keras.optimizers.SGD(0.1, gradient_accumulation_steps=2), "has `gradient_accumulation_steps`"),
        (lambda: keras.optimizers.SGD(0.1, use_ema=True), "has `use_ema`"),
        (lambda: keras.optimizers.SGD(0.1, loss_scale_factor=4.0), "has `loss_scale_factor`"),
        (lambda: keras.optimizers.Muon(), "has a `_apply_weight_decay` of its own"),
        (OwnStep, "has a `_backend_update_step` of its own"),
    ],
)
def test_optimizers_whose_steps_are_no_pure_functions_are_refused(make, reason):
    with pytest.raises(ValueError, match=f"`inner_optimizer` must take each step .* Received: .*{reason}"):
        stateless_optimizer(make(), [keras.Variable(WEIGHTS[0])])


def test_every_optimizer_of_keras_is_accepted_or_refused_on_purpose():
    classes = {
        name
        for name, value in vars(keras.optimizers).items()
        if isinstance(value, type) and issubclass(value, keras.optimizers.Optimizer)
    }
    assert classes - {"Optimizer"} == {*PURE, *REFUSED} & classes


# === The LSTM, in NumPy after the paper's equations ===


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def numpy_preprocess(x, p=10.0):
    if abs(x) >= np.exp(-p):
        return [np.log(abs(x)) / p, np.sign(x)]
    return [-1.0, np.exp(p) * x]


def numpy_lstm_steps(gradients, losses, cell, parameters, units):
    """Coordinate by coordinate, as the paper writes it."""
    kernel, bias, input_gate, forget_gate = parameters
    cell, results = cell.copy(), []
    output, memory, i, f = (np.zeros((len(cell), width)) for width in (units, units, 1, 1))
    for gradient, loss in zip(gradients, losses):
        for n, g in enumerate(gradient):
            x = np.array([*numpy_preprocess(g), *numpy_preprocess(loss)])
            gates = np.concatenate([x, output[n]]) @ kernel + bias
            first_i, first_f, candidate, first_o = np.split(gates, 4)
            memory[n] = sigmoid(first_f) * memory[n] + sigmoid(first_i) * np.tanh(candidate)
            output[n] = sigmoid(first_o) * np.tanh(memory[n])
            i[n] = sigmoid(np.concatenate([output[n], [cell[n]], i[n]]) @ input_gate[:-1] + input_gate[-1])
            f[n] = sigmoid(np.concatenate([output[n], [cell[n]], f[n]]) @ forget_gate[:-1] + forget_gate[-1])
            cell[n] = f[n, 0] * cell[n] - i[n, 0] * g
        results.append(cell.copy())
    return results


def test_the_lstm_rule_equals_the_papers_equations():
    units, random = 3, np.random.default_rng(0)
    shapes = [(4 + units, 4 * units), (4 * units,), (units + 3, 1), (units + 3, 1)]
    parameters = [random.normal(size=shape) for shape in shapes]
    gradients = [np.concatenate([g.ravel() for g in GRADIENTS]) * scale for scale in (1.0, 1e-6, -3.0)]
    losses = [0.7, 1e-7, 2.0]
    start = np.concatenate([weight.ravel() for weight in WEIGHTS]).astype("float64")
    expected = numpy_lstm_steps(gradients, losses, start, parameters, units)

    rule = lstm_rule(*(tf.constant(parameter.astype("float32")) for parameter in parameters))
    weights = tensors(WEIGHTS)
    state = rule.init(weights)
    for step, (gradient, loss) in enumerate(zip(gradients, losses)):
        parts = tensors([gradient[:4].reshape(2, 2).astype("float32"), gradient[4:].astype("float32")])
        weights, state = rule.update(parts, state, weights, tf.constant(loss, tf.float32), step)
        found = np.concatenate([np.ravel(weight) for weight in weights])
        np.testing.assert_allclose(found, expected[step], rtol=1e-4)


def test_preprocessing_by_hand():
    x = tf.constant([[np.e], [-1.0], [0.0], [np.exp(-11.0)]], tf.float32)
    expected = [[0.1, 1.0], [0.0, -1.0], [-1.0, 0.0], [-1.0, np.exp(-1.0)]]
    np.testing.assert_allclose(preprocess(x), expected, rtol=1e-5, atol=1e-7)
