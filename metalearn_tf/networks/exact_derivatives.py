"""Functions whose derivatives of every order are exact, also where TensorFlow's own are not.

TensorFlow cannot differentiate the gradient of `tf.image.resize`: a second derivative through it is an error, or
silently zero. And `tf.nn.moments`, with which Keras's normalisation layers compute variances, stops a gradient that is
zero at first order only. A function that is traced here uses the same operations, but they are given other gradients.
Nothing outside of the function is changed.
"""

import re

import tensorflow as tf


def exact_derivatives(function, *tensors):
    """Calls `function(*tensors)` so that the result can be differentiated any number of times.

    It makes exact the derivatives of `tf.nn.moments` (so of Keras's batch, layer and group normalisation), of
    `tf.image.resize` except `"area"` (so of `keras.layers.Resizing` and `UpSampling2D`), and of softsign. TensorFlow
    computes the derivatives of most other operations exactly anyway. Learners, GANs and penalties call this function
    themselves.

    ```python
    with tf.GradientTape() as tape:
        tape.watch(images)
        logits = mtf.networks.exact_derivatives(critic, images)
    slopes = tape.gradient(logits, images)  # its gradient is exact
    ```

    Args:
        function: takes tensors and returns tensors in any structure; it may use variables from outside. It is traced
            into a graph, so tensors that it stores in Python objects cannot be used later. Operations in loops,
            branches or functions inside of it keep TensorFlow's own derivatives.
        *tensors: its arguments.

    Returns:
        What `function` returns.
    """

    def traced(*tensors):
        with exact_gradients():
            return function(*tensors)

    # A tape uses the gradient registered for the type of an operation; a traced function uses the one given to each
    # operation.
    # Concrete, because under `tf.config.run_functions_eagerly` there would be no graph.
    return tf.function(traced, autograph=False).get_concrete_function(*tensors)(*tensors)


def exact_gradients():
    """A context that gives exact gradients to the operations of the graph that is being traced."""
    names = {name: _registered_name(name) for name in EXACT_OPERATIONS}
    return tf.compat.v1.get_default_graph().gradient_override_map(names)


def is_variance_of_moments(name):
    """Whether an operation of this name is the stopped gradient in `tf.nn.moments`."""
    return re.search(r"(^|/)moments(_\d+)?/StopGradient", name) is not None


def _registered_name(operation):
    return f"metalearn_tf_exact_{operation}"


def _linear(forward, transpose, x, *constants):
    """`forward(x, *constants)`, linear in `x`. Its gradient is `transpose`, whose gradient is `forward`, and so on.

    Tensors that the maps depend on, such as sizes, must be among the `constants`: a gradient must not use tensors of
    other graphs.
    """

    @tf.custom_gradient
    def apply(x, *constants):
        def gradient(upstream):
            return _linear(transpose, forward, upstream, *constants), *[None] * len(constants)

        return forward(x, *constants), gradient

    # Tensors of this graph, also if the constants came from another one.
    return apply(x, *(tf.identity(constant) for constant in constants))


def _resize_gradient(resize, transposed_resize):
    """The gradient of an operation from images, a size and constants to resized images.

    Args:
        resize: takes images, the size and the constants.
        transposed_resize: takes upstream gradients, the images' size and dtype, and the constants.
    """

    def gradient(operation, upstream):
        images, _, *constants = operation.inputs
        attributes = {name: operation.get_attr(name) for name in _ATTRIBUTES[operation.type]}
        dtype, resized_dtype = images.dtype, upstream.dtype

        def forward(images, size, resized_size, *constants):
            return tf.cast(resize(images, resized_size, *constants, **attributes), resized_dtype)

        def transpose(upstream, size, resized_size, *constants):
            return tf.cast(transposed_resize(upstream, size, dtype, *constants, **attributes), dtype)

        sizes = tf.shape(images)[1:3], tf.shape(upstream)[1:3]
        gradient = _linear(transpose, forward, upstream, *sizes, *constants)
        gradient.set_shape(images.shape)
        return [gradient, None, *[None] * len(constants)]

    return gradient


_ATTRIBUTES = {
    **dict.fromkeys(
        ("ResizeBilinear", "ResizeBicubic", "ResizeNearestNeighbor"), ("align_corners", "half_pixel_centers")
    ),
    "ScaleAndTranslate": ("kernel_type", "antialias"),
}


def _bilinear(images, size, **attributes):
    return tf.raw_ops.ResizeBilinear(images=images, size=size, **attributes)


def _transposed_bilinear(upstream, size, dtype, **attributes):
    original = _image_of(size, upstream, dtype)
    return tf.raw_ops.ResizeBilinearGrad(grads=upstream, original_image=original, **attributes)


def _bicubic(images, size, **attributes):
    return tf.raw_ops.ResizeBicubic(images=images, size=size, **attributes)


def _transposed_bicubic(upstream, size, dtype, **attributes):
    # The kernel takes only float32 and float64. Half precision loses nothing in float32.
    original = _image_of(size, upstream, tf.float64 if dtype == tf.float64 else tf.float32)
    return tf.raw_ops.ResizeBicubicGrad(grads=upstream, original_image=original, **attributes)


def _nearest(images, size, **attributes):
    return tf.raw_ops.ResizeNearestNeighbor(images=images, size=size, **attributes)


def _transposed_nearest(upstream, size, dtype, **attributes):
    return tf.raw_ops.ResizeNearestNeighborGrad(grads=upstream, size=size, **attributes)


def _scale_and_translate(images, size, scale, translation, **attributes):
    return tf.raw_ops.ScaleAndTranslate(images=images, size=size, scale=scale, translation=translation, **attributes)


def _transposed_scale_and_translate(upstream, size, dtype, scale, translation, **attributes):
    original = _image_of(size, upstream, tf.float32)  # the kernel takes only float32
    return tf.raw_ops.ScaleAndTranslateGrad(
        grads=upstream, original_image=original, scale=scale, translation=translation, **attributes
    )


def _image_of(size, like, dtype):
    """A tensor that tells kernels the original images' shape and dtype."""
    batch, _, _, channels = tf.unstack(tf.shape(like))
    return tf.zeros([batch, size[0], size[1], channels], dtype)


def _stop_gradient_gradient(operation, upstream):
    """The mean's part in the gradient of a variance is zero, but the derivative of that part is not."""
    is_mean = operation.inputs[0].op.type == "Mean"  # a user's layer may have the same name
    return upstream if is_mean and is_variance_of_moments(operation.name) else None


def _softsign_gradient(operation, upstream):
    return upstream / tf.square(1.0 + tf.abs(operation.inputs[0]))


EXACT_OPERATIONS = {
    "ResizeBilinear": _resize_gradient(_bilinear, _transposed_bilinear),
    "ResizeBicubic": _resize_gradient(_bicubic, _transposed_bicubic),
    "ResizeNearestNeighbor": _resize_gradient(_nearest, _transposed_nearest),
    "ScaleAndTranslate": _resize_gradient(_scale_and_translate, _transposed_scale_and_translate),
    "StopGradient": _stop_gradient_gradient,
    "Softsign": _softsign_gradient,
}
for _name, _gradient in EXACT_OPERATIONS.items():
    tf.RegisterGradient(_registered_name(_name))(_gradient)
