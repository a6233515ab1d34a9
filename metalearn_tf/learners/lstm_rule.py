"""An update rule that is an LSTM, one cell for each weight of the learner."""

import math

import tensorflow as tf

from metalearn_tf.engine.update_rules import UpdateRule


def lstm_rule(kernel, bias, input_gate, forget_gate):
    """The update rule of a meta-learned LSTM, whose cell state is the weights.

    For each coordinate, the first LSTM reads the preprocessed gradient and loss, and gives `h`. With the weights `c`,
    the gradient `g`, and the gates `i` and `f` of the previous step,

        i_t = sigmoid(W_i [h, c, i] + b_i),  f_t = sigmoid(W_f [h, c, f] + b_f),  c_t = f_t c - i_t g.

    All coordinates share the parameters. No gradient flows through the inputs `g` and the loss.

    Args:
        kernel: `(4 + units, 4 units)` of the first LSTM, for its input and then its output, in Keras's order of gates.
        bias: `(4 units,)` of the first LSTM.
        input_gate: `(units + 3, 1)`: `W_i`, and `b_i` in the last row.
        forget_gate: `(units + 3, 1)`: `W_f`, and `b_f` in the last row.

    Returns:
        An `UpdateRule` whose state is the first LSTM's output and cell `(coordinates, units)`, and `i` and `f`
        `(coordinates, 1)`, all zero at first.

    Reference: [Ravi and Larochelle, 2017](https://openreview.net/forum?id=rJY0-Kcll), section 3.2 and appendix C.
    """
    units = bias.shape[0] // 4

    def init(weights):
        count = sum(weight.shape.num_elements() for weight in weights)
        return [tf.zeros([count, width], weights[0].dtype) for width in (units, units, 1, 1)]

    def update(gradients, state, weights, loss, step):
        gradient, cell = (tf.concat([tf.reshape(t, [-1, 1]) for t in parts], axis=0) for parts in (gradients, weights))
        gradient, loss = tf.stop_gradient(gradient), tf.stop_gradient(loss)
        output, memory, i, f = state
        read_loss = tf.broadcast_to(preprocess(tf.reshape(loss, [1, 1])), [tf.shape(cell)[0], 2])
        output, memory = _lstm(tf.concat([preprocess(gradient), read_loss], axis=1), output, memory, kernel, bias)
        i = tf.sigmoid(tf.concat([output, cell, i], axis=1) @ input_gate[:-1] + input_gate[-1])
        f = tf.sigmoid(tf.concat([output, cell, f], axis=1) @ forget_gate[:-1] + forget_gate[-1])
        parts = tf.split(f * cell - i * gradient, [weight.shape.num_elements() for weight in weights])
        return [tf.reshape(p, weight.shape) for p, weight in zip(parts, weights)], [output, memory, i, f]

    return UpdateRule(init, update)


def preprocess(x, p=10.0):
    """Turns `x` `(n, 1)` into magnitude and sign `(n, 2)`. Both are about 1, whatever the scale of `x`.

    They are `(log|x| / p, sign(x))` if `|x| >= exp(-p)`, and `(-1, exp(p) x)` otherwise.

    Reference: [Andrychowicz et al., 2016](https://arxiv.org/abs/1606.04474), appendix A.
    """
    is_large = tf.abs(x) >= math.exp(-p)
    magnitude = tf.math.log(tf.where(is_large, tf.abs(x), tf.ones_like(x))) / p
    return tf.concat(
        [tf.where(is_large, magnitude, -tf.ones_like(x)), tf.where(is_large, tf.sign(x), math.exp(p) * x)], axis=1
    )


def _lstm(x, output, memory, kernel, bias):
    i, f, candidate, o = tf.split(tf.concat([x, output], axis=1) @ kernel + bias, 4, axis=1)
    memory = tf.sigmoid(f) * memory + tf.sigmoid(i) * tf.tanh(candidate)
    return tf.sigmoid(o) * tf.tanh(memory), memory
