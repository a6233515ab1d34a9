"""Writes GANs as SavedModels that draw images, and adapt to a few images inside their graph."""

import numpy as np
import tensorflow as tf

from metalearn_tf.serving.export import check_destination, model_name, write_saved_model
from metalearn_tf.serving.generator_card import generator_card
from metalearn_tf.serving.request_checks import (
    check_answer,
    check_count,
    check_image_values,
    check_labels_among,
    check_labels_below,
)
from metalearn_tf.serving.warm_up import wants_warm_up


def export_gan(gan, path, description=None, warm_up=None):
    """Writes a SavedModel that draws images, for a server without Python.

    | signature | inputs | outputs |
    |---|---|---|
    | `serving_default`, `generate` | `count` () int32, `seed` () int32 | `images` (count, H, W, C) float32 |

    TensorFlow Serving takes the seed 0 where a request has none.
    A conditional GAN has `labels` (N,) int32, or its source images (N, H, W, C) float32 in the generator's range, in
    place of `count`.

    Args:
        gan: a `GAN`.
        path: the folder to write, which must not exist yet; see `export_learner`.
        description: text for the model card: what it was trained on, and how.
        warm_up: as in `export_learner`.

    Raises:
        FileExistsError: if there is something at `path`.
        ValueError: if an argument is not of its kind.
        ImportError: as in `export_learner`.
    """
    path, warm_up = check_destination(path, description), wants_warm_up(warm_up)
    network = gan.sampler
    # What a request may leave out under TensorFlow Serving is a default that is a tensor.
    seed, default_seed = tf.TensorSpec((), tf.int32, name="seed"), tf.constant(0)
    if gan.conditional:
        given = gan.generator.inputs[1]
        first = tf.TensorSpec((None, *given.shape[1:]), tf.as_dtype(given.dtype), name="labels")
    else:
        first = tf.TensorSpec((), tf.int32, name="count")

    def answer(inputs):
        return {"images": check_answer(tf.cast(network(inputs, training=False), tf.float32), "images")}

    @tf.function(input_signature=[first, seed])
    def generate(what, seed=default_seed):
        if not gan.conditional:
            noise = tf.random.stateless_normal([check_count(what), gan.latent_dim], [seed, 0])
            return answer(noise)
        if gan.source_shape is None:
            what = check_labels_below(what, gan.number_of_classes)
        else:
            what = check_image_values(what, gan.source_shape, gan.image_range, 1, "labels")
        noise = tf.random.stateless_normal([tf.shape(what)[0], gan.latent_dim], [seed, 0])
        return answer([noise, what])

    _write(gan, {"generate": generate}, "generate", path, network.variables, description, warm_up)


def export_meta_gan(meta_gan, path, description=None, warm_up=None):
    """Writes a SavedModel that adapts to a few images inside its graph and draws more, for a server without Python.

    | signature | inputs | outputs |
    |---|---|---|
    | `adapt_and_generate` | `images` (S, H, W, C) float32, `count` () int32, `seed` () int32 | `generated` |
    | `adapt` | `images`, `seed` | `state_0`, `state_1`, … |
    | `generate` | `state_0`, `state_1`, …, `count`, `seed` | `generated` |

    `serving_default` is `adapt_and_generate`; `generated` is (count, H, W, C) float32. The state, which a client keeps,
    is the generator's adapted weights. TensorFlow Serving takes the count 16 and the seed 0 where a request to
    `adapt_and_generate` has none.
    A conditional MetaGAN has `labels` (S,) int32 beside `images`, and in place of `count`, without a default,
    `wanted_labels` (N,) int32 of classes that were shown.

    Args:
        meta_gan: a `MetaGAN`.
        path: as in `export_gan`.
        description: as in `export_gan`.
        warm_up: as in `export_learner`.

    Raises:
        FileExistsError: if there is something at `path`.
        ValueError: if an argument is not of its kind.
        ImportError: as in `export_learner`.
    """
    path, warm_up = check_destination(path, description), wants_warm_up(warm_up)
    gan = meta_gan.gan
    weights = gan.generator.trainable_variables
    least = max(2, meta_gan.inner_batch_size or 0)
    shown = [tf.TensorSpec((None, *gan.image_shape), tf.float32, name="images")]
    seed, default_seed = tf.TensorSpec((), tf.int32, name="seed"), tf.constant(0)  # see `export_gan`
    if gan.conditional:
        shown.append(tf.TensorSpec((None,), tf.int32, name="labels"))
        wanted = tf.TensorSpec((None,), tf.int32, name="wanted_labels")
    else:
        wanted, default_count = tf.TensorSpec((), tf.int32, name="count"), tf.constant(16)
    state = [tf.TensorSpec(v.shape, v.dtype, name=f"state_{index}") for index, v in enumerate(weights)]

    # Functions of their own, which the signatures call: the graph of each is stored once.
    @tf.function(input_signature=[*shown, seed])
    def adapt_weights(images, *labels_and_seed):
        *labels, seed = labels_and_seed
        images = check_image_values(images, gan.image_shape, gan.image_range, least, "images")
        labels = [check_labels_below(given, gan.number_of_classes, "labels", images) for given in labels]
        return meta_gan.adapt_task(images, tf.stack([seed, 0]), None, *labels)[: len(weights)]

    @tf.function(input_signature=[state, wanted, seed])
    def draw(weights, wanted, seed):
        if gan.conditional:
            labels = check_labels_below(wanted, gan.number_of_classes, "wanted_labels")
            count = tf.shape(labels)[0]
        else:
            labels, count = None, check_count(wanted)
        noise = tf.random.stateless_normal([count, gan.latent_dim], [seed, 0])
        return {"generated": check_answer(meta_gan.generate(weights, noise, labels), "generated")}

    def named(weights):
        return {spec.name: tensor for spec, tensor in zip(state, weights)}

    @tf.function(input_signature=[*state, wanted, seed])
    def generate(*inputs):
        *weights, wanted, seed = inputs
        return draw([tf.ensure_shape(weight, spec.shape) for weight, spec in zip(weights, state)], wanted, seed)

    if gan.conditional:

        @tf.function(input_signature=[*shown, seed])
        def adapt(images, labels, seed=default_seed):
            return named(adapt_weights(images, labels, seed))

        @tf.function(input_signature=[*shown, wanted, seed])
        def adapt_and_generate(images, labels, wanted_labels, seed=default_seed):
            # One after the other: where labels are missing, the error must not be that others were wanted.
            labels = check_labels_below(labels, gan.number_of_classes, "labels", images)
            wanted_labels = check_labels_among(wanted_labels, labels, "wanted_labels")
            return draw(adapt_weights(images, labels, seed), wanted_labels, seed)

    else:

        @tf.function(input_signature=[*shown, seed])
        def adapt(images, seed=default_seed):
            return named(adapt_weights(images, seed))

        @tf.function(input_signature=[*shown, wanted, seed])
        def adapt_and_generate(images, count=default_count, seed=default_seed):
            return draw(adapt_weights(images, seed), count, seed)

    functions = {"adapt_and_generate": adapt_and_generate, "adapt": adapt, "generate": generate}
    _write(meta_gan, functions, "adapt_and_generate", path, meta_gan.variables, description, warm_up, least)


def _write(model, functions, default, path, variables, description, warm_up, images=2):
    functions = {"serving_default": functions[default], **functions}
    signatures = {name: function.get_concrete_function() for name, function in functions.items()}
    card = generator_card(model, signatures, model_name(path), description)
    requests = _example_requests(signatures, images) if warm_up else None
    write_saved_model(path, functions, variables, card, requests)


def _example_requests(signatures, images):
    """A request for each signature, of grey images and, for weights, zeros."""

    def array(spec):
        count = images if spec.name in ("images", "labels") else 1
        if spec.name == "count":
            return np.int32(1)
        return np.zeros([count if side is None else side for side in spec.shape], spec.dtype.as_numpy_dtype)

    return {
        name: {spec.name: array(spec) for spec in function.structured_input_signature[0]}
        for name, function in signatures.items()
    }
