"""Functions whose derivatives of every order are exact, also where TensorFlow's own are not.

TensorFlow has no derivative of the gradients of resized images, so that a second derivative through them is silently
zero or an error, and `tf.nn.moments`, by which Keras's normalisation layers compute variances, stops a gradient that is
zero at first order alone. A function that is traced here computes with the same operations, which are told other
gradients; nothing outside of it is changed.
"""

import re

import tensorflow as tf


def exact_derivatives(function, *tensors):
    """`function(*tensors)`, to be differentiated as often as one likes.

    Args:
        function: from tensors to tensors in any structure; it may close over variables. It is traced into a graph, so
            that Python that runs in it leaves no tensors behind.
        *tensors: its arguments.
    """

    def traced(*tensors):
        graph = tf.compat.v1.get_default_graph()
        with graph.gradient_override_map({name: _registered_name(name) for name in EXACT_OPERATIONS}):
            return function(*tensors)

    # A tape asks operations for the gradients of their kind; a traced function asks for those that each was given.
    # Concrete, since `tf.config.run_functions_eagerly` would leave no graph.
    return tf.function(traced, autograph=False).get_concrete_function(*tensors)(*tensors)


def is_variance_of_moments(name):
    """Whether an operation of this name is the stopped gradient in `tf.nn.moments`."""
    return re.search(r"(^|/)moments(_\d+)?/StopGradient", name) is not None


def _registered_name(operation):
    return f"metalearn_tf_exact_{operation}"


def _linear(forward, transpose, x, *constants):
    """`forward(x, *constants)`, linear in `x`; its gradient is `transpose`, the gradient of that `forward`, and so on.

    What maps depend on, such as sizes, is among the `constants`: no gradient may close over tensors of other graphs.
    """

    @tf.custom_gradient
    def apply(x, *constants):
        def gradient(upstream):
            return _linear(transpose, forward, upstream, *constants), *[None] * len(constants)

        return forward(x, *constants), gradient

    # Tensors of this graph, whichever the constants came from.
    return apply(x, *(tf.identity(constant) for constant in constants))


def _resize_gradient(resize, transposed_resize):
    """The gradient of an operation from images, a size and constants to resized images.

    Args:
        resize: from images, the size and the constants.
        transposed_resize: from upstream gradients, the images' size and dtype, and the constants.
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
    # Of float32 and float64 alone; half precision is as exact in float32.
    original = _image_of(size, upstream, tf.float64 if dtype == tf.float64 else tf.float32)
    return tf.raw_ops.ResizeBicubicGrad(grads=upstream, original_image=original, **attributes)


def _nearest(images, size, **attributes):
    return tf.raw_ops.ResizeNearestNeighbor(images=images, size=size, **attributes)


def _transposed_nearest(upstream, size, dtype, **attributes):
    return tf.raw_ops.ResizeNearestNeighborGrad(grads=upstream, size=size, **attributes)


def _scale_and_translate(images, size, scale, translation, **attributes):
    return tf.raw_ops.ScaleAndTranslate(images=images, size=size, scale=scale, translation=translation, **attributes)


def _transposed_scale_and_translate(upstream, size, dtype, scale, translation, **attributes):
    original = _image_of(size, upstream, tf.float32)  # of float32 alone
    return tf.raw_ops.ScaleAndTranslateGrad(
        grads=upstream, original_image=original, scale=scale, translation=translation, **attributes
    )


def _image_of(size, like, dtype):
    """What kernels are given to know the original images' shape and dtype."""
    batch, _, _, channels = tf.unstack(tf.shape(like))
    return tf.zeros([batch, size[0], size[1], channels], dtype)


def _stop_gradient_gradient(operation, upstream):
    """The mean's part in the gradient of a variance is zero, and the derivative of that part is not."""
    return upstream if is_variance_of_moments(operation.name) else None


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
