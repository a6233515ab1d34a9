"""Second derivatives of every layer that networks of this field use, against finite differences in float64."""

from metalearn_tf.networks import ExampleNormalization, MaxPooling, TaskNormalization, second_derivatives
from metalearn_tf.networks.second_derivatives import (
    MENDED_LAYERS,
    PLAIN_ACTIVATIONS,
    PLAIN_LAYERS,
    check_second_derivatives,
    twice_differentiable_call,
    twice_differentiable_pass,
)

import keras
import numpy as np
import pytest
import tensorflow as tf

layers, ops = keras.layers, keras.ops
VECTORS, SEQUENCES, IMAGES, CLIPS = (6,), (5, 4), (6, 6, 4), (4, 4, 4, 2)
BY_AXES = {1: SEQUENCES, 2: IMAGES, 3: CLIPS}


class ToItself(layers.Layer):
    """A layer of several inputs on one tensor and a function of it."""

    def __init__(self, inner, as_list=True):
        super().__init__()
        self.inner, self.as_list = inner, as_list

    def build(self, shape):
        self.inner.build([shape, shape]) if self.as_list else self.inner.build(shape, shape)

    def call(self, x):
        return self.inner([x, ops.sin(x)]) if self.as_list else self.inner(x, ops.sin(x))


def by_axes(name, *arguments, axes=(1, 2, 3), **options):
    return {
        f"{name.format(n)} {arguments} {options}": (
            BY_AXES[n],
            lambda n=n: getattr(layers, name.format(n))(*arguments, **options),
        )
        for n in axes
    }


def on(shape, *makes):
    return {f"{make.__name__} {shape}": (shape, make) for make in makes}


def one_by_one(shape, **makes):
    return {f"{name} {shape}": (shape, make) for name, make in makes.items()}


NORMALIZATIONS = (
    layers.BatchNormalization,
    layers.LayerNormalization,
    layers.UnitNormalization,
    layers.RMSNormalization,
    lambda: layers.GroupNormalization(2),
    TaskNormalization,
    lambda: TaskNormalization("support"),
    lambda: TaskNormalization("running"),
    ExampleNormalization,
)
ACTIVATIONS = """
    linear relu relu6 leaky_relu elu selu gelu silu softplus softsign tanh sigmoid hard_sigmoid hard_silu mish
    softmax log_softmax exponential celu glu squareplus tanh_shrink soft_shrink hard_tanh log_sigmoid sparsemax
""".split()  # noqa: SIM905
LAYERS = {
    **one_by_one(
        VECTORS,
        Dense=lambda: layers.Dense(3),
        Dropout=lambda: layers.Dropout(0.3, seed=1),
        GaussianDropout=lambda: layers.GaussianDropout(0.3, seed=1),
        GaussianNoise=lambda: layers.GaussianNoise(0.3, seed=1),
        Normalization=lambda: layers.Normalization(mean=1.0, variance=2.0),
        RepeatVector=lambda: layers.RepeatVector(2),
        Dot=lambda: ToItself(layers.Dot(1)),
        normalized_Dot=lambda: ToItself(layers.Dot(1, normalize=True)),
        l2_normalize=lambda: layers.Lambda(lambda x: ops.normalize(x, axis=-1)),
        moments=lambda: layers.Lambda(lambda x: x * ops.rsqrt(ops.moments(x, [-1], keepdims=True)[1])),
        standard_deviation=lambda: layers.Lambda(lambda x: x / tf.math.reduce_std(x, axis=-1, keepdims=True)),
        norm=lambda: layers.Lambda(lambda x: ops.norm(x, axis=-1)),
        logsumexp=lambda: layers.Lambda(lambda x: ops.logsumexp(x, axis=-1)),
        top_k=lambda: layers.Lambda(lambda x: ops.top_k(x, 3)[0]),
        **{f"{name}_": lambda name=name: layers.Activation(name) for name in ACTIVATIONS},
        **{
            name: lambda name=name: ToItself(getattr(layers, name)())
            for name in ("Add", "Average", "Subtract", "Multiply", "Maximum", "Minimum", "Concatenate")
        },
    ),
    **one_by_one(
        SEQUENCES,
        EinsumDense=lambda: layers.EinsumDense("abc,cd->abd", output_shape=(5, 3)),
        LSTM=lambda: layers.LSTM(3),
        GRU=lambda: layers.GRU(3, return_sequences=True),
        SimpleRNN=lambda: layers.SimpleRNN(3, unroll=True),
        Bidirectional=lambda: layers.Bidirectional(layers.LSTM(2)),
        Attention=lambda: ToItself(layers.Attention(use_scale=True)),
        AdditiveAttention=lambda: ToItself(layers.AdditiveAttention()),
        MultiHeadAttention=lambda: ToItself(layers.MultiHeadAttention(2, 3), as_list=False),
        GroupQueryAttention=lambda: ToItself(layers.GroupQueryAttention(3, 4, 2), as_list=False),
        TimeDistributed_LayerNormalization=lambda: layers.TimeDistributed(layers.LayerNormalization()),
        nested=lambda: keras.Sequential([keras.Input(SEQUENCES), layers.LayerNormalization(), layers.Dense(2)]),
        SpatialDropout1D=lambda: layers.SpatialDropout1D(0.3, seed=1),
    ),
    **one_by_one(
        IMAGES,
        grouped_Conv2D=lambda: layers.Conv2D(4, 2, groups=2),
        normalized_per_image=lambda: layers.LayerNormalization(axis=[1, 2, 3]),
        normalized_per_row=lambda: layers.BatchNormalization(axis=1),
        normalized_per_channel=lambda: layers.GroupNormalization(-1),
        unscaled=lambda: layers.BatchNormalization(scale=False, center=False),
        MaxPooling=MaxPooling,
        Flatten=layers.Flatten,
        Reshape=lambda: layers.Reshape((12, 12)),
        Permute=lambda: layers.Permute((3, 1, 2)),
        Rescaling=lambda: layers.Rescaling(0.3, 0.1),
        Identity=layers.Identity,
        PReLU=layers.PReLU,
        ReLU=lambda: layers.ReLU(max_value=1.0, negative_slope=0.1, threshold=0.2),
        LeakyReLU=layers.LeakyReLU,
        ELU=layers.ELU,
        Softmax=layers.Softmax,
        CenterCrop=lambda: layers.CenterCrop(4, 4),
        ConvLSTM1D=lambda: layers.ConvLSTM1D(2, 2),
        TimeDistributed=lambda: layers.TimeDistributed(layers.Conv1D(2, 2)),
        extract_patches=lambda: layers.Lambda(lambda x: ops.image.extract_patches(x, 3)),
        depth_to_space=lambda: layers.Lambda(lambda x: tf.nn.depth_to_space(x, 2)),
    ),
    **{
        f"{kind} {number}": (shape, make)
        for kind, shape in (("vectors", VECTORS), ("images", IMAGES))
        for number, make in enumerate(NORMALIZATIONS)
    },
    **by_axes("Conv{}D", 3, 2, strides=2, padding="same"),
    **by_axes("Conv{}D", 3, 2, dilation_rate=2),
    **by_axes("Conv{}DTranspose", 3, 2, strides=2),
    **by_axes("SeparableConv{}D", 3, 2, axes=(1, 2)),
    **by_axes("DepthwiseConv{}D", 2, axes=(1, 2)),
    **by_axes("UpSampling{}D", 2),
    **by_axes("ZeroPadding{}D", 1),
    **by_axes("Cropping{}D", 1),
    **by_axes("MaxPooling{}D", 3, 2, padding="same", axes=(1, 2)),
    **by_axes("AveragePooling{}D", 3, 2, padding="same", axes=(1, 2)),
    **by_axes("GlobalMaxPooling{}D"),
    **by_axes("GlobalAveragePooling{}D"),
    **by_axes("AdaptiveMaxPooling{}D", 3, axes=(1, 2)),
    **by_axes("AdaptiveAveragePooling{}D", 3, axes=(1, 2)),
}
# TensorFlow computes these in float32 whatever comes in.
IN_FLOAT32 = {
    **one_by_one(
        IMAGES,
        resized_by_operation=lambda: layers.Lambda(lambda x: ops.image.resize(x, (8, 7))),
        resized_by_tensorflow=lambda: layers.Lambda(lambda x: tf.image.resize(x, (8, 7), "bicubic")),
        resized_per_step=lambda: layers.TimeDistributed(layers.Reshape((6, 4, 1))),
        antialiased=lambda: layers.Resizing(4, 4, antialias=True),
        cropped=lambda: layers.Resizing(4, 3, crop_to_aspect_ratio=True),
        enlarged=lambda: layers.CenterCrop(8, 8),
    ),
    **{
        f"{name} {interpolation}": (IMAGES, lambda make=make, i=interpolation: make(interpolation=i))
        for interpolation in ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")
        for name, make in {
            "up": lambda interpolation: layers.UpSampling2D(2, interpolation=interpolation),
            "to larger": lambda interpolation: layers.Resizing(9, 8, interpolation=interpolation),
            "to smaller": lambda interpolation: layers.Resizing(4, 4, interpolation=interpolation),
        }.items()
    },
}


@pytest.fixture
def float64():
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_floatx("float32")


def network_of(shape, make):
    """A layer between two that are trained, so that its derivatives are by inputs and weights."""
    inputs = keras.Input(shape)
    x = keras.layers.Dense(shape[-1], activation="tanh")(inputs)
    return keras.Model(inputs, make()(x))


def twice_differentiated(network, call, x, weights, cotangent):
    """The squared gradient by inputs of a loss of the network, and the loss after a gradient step of its weights."""
    states = [tf.convert_to_tensor(variable) for variable in network.non_trainable_variables]

    def loss(x, weights):
        outputs = tf.cast(call(network, weights, states, x, True)[0], tf.float64)
        if cotangent[0] is None:
            cotangent[0] = np.random.default_rng(1).normal(size=outputs.shape)
        return tf.reduce_sum(tf.sin(outputs) * cotangent[0])

    with tf.GradientTape() as tape:
        tape.watch([x, weights])
        value = loss(x, weights)
    of_x, of_weights = tape.gradient(value, [x, weights], unconnected_gradients="zero")
    return tf.reduce_sum(of_x**2) + loss(x, [w - 0.1 * g for w, g in zip(weights, of_weights)])


def error_of_the_slope(network, call, shape, step):
    """The difference between the slope in a random direction and finite differences, as a part of the gradient."""
    random = np.random.default_rng(0)
    start = [random.normal(size=(3, *shape)), *(0.5 * random.normal(size=v.shape) for v in network.trainable_variables)]
    direction = [random.normal(size=values.shape) for values in start]
    cotangent = [None]

    def value(step):
        x, *weights = [tf.constant(values + step * way) for values, way in zip(start, direction)]
        return float(twice_differentiated(network, call, x, weights, cotangent))

    x, *weights = map(tf.constant, start)
    with tf.GradientTape() as tape:
        tape.watch([x, *weights])
        result = twice_differentiated(network, call, x, weights, cotangent)
    gradient = tape.gradient(result, [x, *weights], unconnected_gradients="zero")
    slope = sum(float(tf.reduce_sum(one * way)) for one, way in zip(gradient, direction))
    expected = (value(step) - value(-step)) / (2.0 * step)
    return abs(slope - expected) / np.sqrt(sum(float(tf.reduce_sum(one**2)) for one in gradient))


@pytest.mark.rows(default=["sigmoid_ (6,)", "softmax_ (6,)", "softplus_ (6,)", "tanh_ (6,)"])
@pytest.mark.parametrize("name", [*LAYERS, *IN_FLOAT32])
def test_second_derivatives_are_those_of_finite_differences(name, float64):
    shape, make = (LAYERS | IN_FLOAT32)[name]
    network = network_of(shape, make)
    check_second_derivatives(network, "network", of_inputs=True)
    step, tolerance = (1e-6, 1e-5) if name in LAYERS else (1e-3, 1e-3)
    assert error_of_the_slope(network, twice_differentiable_pass, shape, step) < tolerance


@pytest.mark.parametrize("make", [layers.BatchNormalization, lambda: layers.UpSampling2D(2, interpolation="bilinear")])
def test_tensorflow_by_itself_is_still_wrong(make, float64):
    """When this fails, `exact_derivatives` has become needless for these layers."""
    network = network_of(IMAGES, make)
    assert error_of_the_slope(network, keras.Model.stateless_call, IMAGES, 1e-4) > 1e-3


def test_all_layers_that_are_taken_for_exact_are_in_the_table():
    made = [make() for _, make in (LAYERS | IN_FLOAT32).values()]
    tried = {layers.InputLayer, *(type(part) for layer in made for part in layer._flatten_layers())}
    # TensorFlow has neither of float64.
    assert (PLAIN_LAYERS | MENDED_LAYERS) - tried == {layers.MaxPooling3D, layers.AveragePooling3D}
    assert PLAIN_ACTIVATIONS - {None} <= {getattr(keras.activations, name) for name in ACTIVATIONS}


@pytest.mark.parametrize("kind", ["Max", "Average"])
def test_poolings_of_clips(kind):
    """In float32 alone; the numbers are rough."""
    network = network_of(CLIPS, lambda: getattr(layers, f"{kind}Pooling3D")(2))

    def call(network, weights, states, x, training):
        return network.stateless_call([tf.cast(w, tf.float32) for w in weights], states, tf.cast(x, tf.float32))

    assert error_of_the_slope(network, call, CLIPS, 1e-3) < 1e-2


def test_copies_of_a_network_are_not_traced_again(monkeypatch):
    def make(rate=0.0, trainable=True):
        recurrent = layers.LSTM(3, dropout=rate, trainable=trainable, name="recurrent")
        return keras.Sequential(
            [keras.Input(SEQUENCES, name="x"), recurrent, layers.Dense(2, name="head")], name="mine"
        )

    traced = []
    of_trace = second_derivatives._operations_in_question
    monkeypatch.setattr(
        second_derivatives, "_operations_in_question", lambda *arguments: traced.append(1) or of_trace(*arguments)
    )
    for network, count in ((make(), 1), (make(), 1), (make(0.5), 2), (make(trainable=False), 3), (make(), 3)):
        check_second_derivatives(network, "network")
        assert len(traced) == count


def test_gradients_that_the_user_stops_stay_stopped():
    function = layers.Lambda(lambda x: x * tf.stop_gradient(x * x) * ops.moments(x, [-1], keepdims=True)[1])
    network = keras.Sequential([keras.Input(VECTORS), function])
    function.name = "moments"  # as TensorFlow calls the operations of `tf.nn.moments`
    check_second_derivatives(network, "network", of_inputs=True)
    x = tf.random.stateless_normal((3, *VECTORS), (0, 1))

    def gradient_of_the_gradient(call):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                value = tf.reduce_sum(call(x))
            value = tf.reduce_sum(inner.gradient(value, x) ** 2)
        return outer.gradient(value, x)

    def formula(x):
        return x * tf.stop_gradient(x * x) * tf.math.reduce_variance(x, axis=-1, keepdims=True)

    actual = gradient_of_the_gradient(lambda x: twice_differentiable_call(network, x)[0])
    np.testing.assert_allclose(actual, gradient_of_the_gradient(formula), rtol=1e-4)


def test_third_derivatives_are_exact_too():
    layer = layers.Resizing(8, 7, interpolation="bicubic")
    x, direction = tf.random.stateless_normal((2, 2, 5, 5, 2), (0, 1))
    network = keras.Sequential([keras.Input((None, None, 2)), layer])
    check_second_derivatives(network, "network", of_inputs=True)

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 2))])
    def thrice(x):
        with tf.GradientTape() as third:
            third.watch(x)
            with tf.GradientTape() as second:
                second.watch(x)
                with tf.GradientTape() as first:
                    first.watch(x)
                    value = tf.reduce_sum(tf.sin(twice_differentiable_call(network, tf.tanh(x))[0]))
                value = tf.reduce_sum(first.gradient(value, x) ** 3)
            value = tf.reduce_sum(second.gradient(value, x) ** 2)
        return value, third.gradient(value, x)

    slope = float(tf.reduce_sum(thrice(x)[1] * direction))
    expected = float(thrice(x + 1e-3 * direction)[0] - thrice(x - 1e-3 * direction)[0]) / 2e-3
    assert slope == pytest.approx(expected, rel=1e-2)


class NormalizedCell(layers.Layer):
    """A recurrent cell with a normalisation in it, which Keras runs in a loop."""

    state_size = 4

    def __init__(self):
        super().__init__()
        self.normalize = layers.LayerNormalization()

    def build(self, shape):
        self.normalize.build(shape)

    def call(self, x, states):
        return (x + self.normalize(states[0]),) * 2


REFUSED = {
    "resized by areas": (IMAGES, lambda: layers.Resizing(4, 4, interpolation="area", name="guilty"), "ResizeArea"),
    "normalised locally": (IMAGES, lambda: layers.Lambda(tf.nn.local_response_normalization, name="guilty"), "LRN"),
    "turned": (IMAGES, lambda: layers.RandomRotation(0.2, name="guilty"), "ImageProjectiveTransform"),
    "contrast": (IMAGES, lambda: layers.Lambda(lambda x: tf.image.adjust_contrast(x, 2.0), name="guilty"), "Adjust"),
    "pooled with places": (
        IMAGES,
        lambda: layers.Lambda(lambda x: tf.nn.max_pool_with_argmax(x, 2, 2, "VALID")[0], name="guilty"),
        "MaxPoolGradWithArgmax",
    ),
    "normalised in a loop": (SEQUENCES, lambda: layers.RNN(NormalizedCell(), name="guilty"), "StopGradient"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_layers_without_second_derivative_are_refused_by_name(name):
    shape, make, kind = REFUSED[name]
    inner = network_of(shape, make)
    network = keras.Sequential([keras.Input(shape), inner, layers.Flatten(), layers.Dense(2)])
    message = f"`network` must have a second derivative.*{kind}.*or do that. Received: the layers"
    message += "" if name == "normalised in a loop" else r" \['guilty'\]"
    with pytest.raises(ValueError, match=message):
        check_second_derivatives(network, "network", instead="do that")


@pytest.mark.parametrize("name", ["resized by areas", "turned"])
def test_what_no_weight_comes_before_needs_no_derivative(name):
    shape, make, _ = REFUSED[name]
    network = keras.Sequential([keras.Input(shape), make(), layers.Flatten(), layers.Dense(2)])
    check_second_derivatives(network, "network")
    with pytest.raises(ValueError, match="guilty"):
        check_second_derivatives(network, "network", of_inputs=True)
