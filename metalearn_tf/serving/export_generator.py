"""Writes GANs as SavedModels that draw images. Those of MetaGANs also adapt to a few images inside their graph."""

import numpy as np
import tensorflow as tf

from metalearn_tf.engine.in_blocks import in_blocks
from metalearn_tf.serving.export import check_destination, model_name, write_saved_model
from metalearn_tf.serving.generator_card import generator_card
from metalearn_tf.serving.limits import export_limits, image_limits
from metalearn_tf.serving.model_card import card_facts
from metalearn_tf.serving.request_checks import (
    after,
    check_answer,
    check_count,
    check_image_values,
    check_labels_among,
    check_labels_below,
)
from metalearn_tf.serving.task_states import check_owner, check_tensors, fingerprint_spec, model_fingerprint
from metalearn_tf.serving.warm_up import wants_warm_up

# The number of images to draw at the same time, so memory grows only with the pixels of the result.
AT_ONCE = 64


def export_gan(gan, path, description=None, warm_up=None, **limits):
    """Writes a SavedModel that draws images, for a server without Python.

    | signature | inputs | outputs |
    |---|---|---|
    | `serving_default`, `generate` | `count` () int32, `seed` () int32 | `images` (count, H, W, C) float32 |

    If a request has no seed, TensorFlow Serving uses the seed 0.
    Instead of `count`, a conditional GAN has `labels` (N,) int32, or its source images (N, H, W, C) float32 in the
    generator's range.

    Args:
        gan: a `GAN`.
        path: the folder to write, which must not exist yet; see `export_learner`.
        description: text for the model card: what it was trained on, and how.
        warm_up: as in `export_learner`.
        **limits: the largest values that a request may have, integers: `max_count` (1,024) images. For source images
            of any size: `max_pixels` (16,777,216) in one and `max_total_pixels` (536,870,912) in all of them.

    Raises:
        FileExistsError: if `path` already exists.
        ValueError: if an argument is wrong.
        TypeError: if a limit is none of these, or does not apply to the inputs of these networks.
        ImportError: as in `export_learner`.
    """
    path, warm_up = check_destination(path, description), wants_warm_up(warm_up)
    sides = gan.source_shape
    limits = export_limits(limits, ["max_count", *([] if sides is None else image_limits(sides, False))])
    network = gan.sampler
    # TensorFlow Serving lets a request leave out an input if its default is a tensor.
    seed, default_seed = tf.TensorSpec((), tf.int32, name="seed"), tf.constant(0)
    if gan.conditional:
        given = gan.generator.inputs[1]
        first = tf.TensorSpec((None, *given.shape[1:]), tf.as_dtype(given.dtype), name="labels")
    else:
        first = tf.TensorSpec((), tf.int32, name="count")

    @tf.function
    def draw(inputs):
        return tf.cast(network(inputs, training=False), tf.float32)

    @tf.function(input_signature=[first, seed], autograph=False)
    def generate(what, seed=default_seed):
        if not gan.conditional:
            count, condition = check_count(what, limits), []
        elif sides is not None:
            bounds = gan.image_range
            condition = [check_image_values(what, sides, bounds, 1, "labels", limits, "max_count")]
            count = tf.shape(condition[0])[0]
        else:
            condition = [check_labels_below(what, gan.number_of_classes, "labels", limits, "max_count")]
            count = tf.shape(condition[0])[0]
        noise = tf.random.stateless_normal([count, gan.latent_dim], [seed, 0])
        images = in_blocks(draw, [noise, *condition] if condition else noise, AT_ONCE)
        return {"images": check_answer(images, "images")}

    _write(gan, {"generate": generate}, "generate", path, network.variables, limits, description, warm_up)


def export_meta_gan(meta_gan, path, description=None, warm_up=None, **limits):
    """Writes a SavedModel that adapts to a few images inside its graph and draws more, for a server without Python.

    | signature | inputs | outputs |
    |---|---|---|
    | `adapt_and_generate` | `images` (S, H, W, C) float32, `count` () int32, `seed` () int32 | `generated` |
    | `adapt` | `images`, `seed` | `state_0`, `state_1`, … |
    | `generate` | `state_0`, `state_1`, …, `count`, `seed` | `generated` |

    `serving_default` is `adapt_and_generate`; `generated` is (count, H, W, C) float32. The client keeps the state: the
    generator's adapted weights and, last, the model's fingerprint, int32 `(4,)`. `generate` accepts only states of the
    same model. If a request to `adapt_and_generate` has no count or seed, TensorFlow Serving uses 16 and 0.
    A conditional MetaGAN also has `labels` (S,) int32 for `images`. Instead of `count`, it has `wanted_labels` (N,)
    int32, without a default: classes that are among `labels`.

    Args:
        meta_gan: a `MetaGAN`.
        path: as in `export_gan`.
        description: as in `export_gan`.
        warm_up: as in `export_learner`.
        **limits: the largest values that a request may have, integers: `max_images` (1,024) images to adapt to, and
            `max_count` (1,024) images to draw.

    Raises:
        FileExistsError: if `path` already exists.
        ValueError: if an argument is wrong, or `max_images` is smaller than the adaptation needs.
        TypeError: if a limit is none of these.
        ImportError: as in `export_learner`.
    """
    path, warm_up = check_destination(path, description), wants_warm_up(warm_up)
    gan, limits = meta_gan.gan, export_limits(limits, ["max_images", "max_count"])
    weights = gan.generator.trainable_variables
    least = max(2, meta_gan.inner_batch_size or 0)
    if limits["max_images"] < least:
        raise ValueError(
            f"`max_images` must be at least the {least} images that the adaptation needs. "
            f"Received: max_images={limits['max_images']}"
        )
    shown = [tf.TensorSpec((None, *gan.image_shape), tf.float32, name="images")]
    seed, default_seed = tf.TensorSpec((), tf.int32, name="seed"), tf.constant(0)  # see `export_gan`
    if gan.conditional:
        shown.append(tf.TensorSpec((None,), tf.int32, name="labels"))
        wanted = tf.TensorSpec((None,), tf.int32, name="wanted_labels")
    else:
        wanted, default_count = tf.TensorSpec((), tf.int32, name="count"), tf.constant(16)
    state = [tf.TensorSpec(v.shape, v.dtype, name=f"state_{index}") for index, v in enumerate(weights)]
    owner, fingerprint = fingerprint_spec(len(state)), model_fingerprint(meta_gan, meta_gan.variables)

    def checked_labels(labels, images):
        return check_labels_below(labels, gan.number_of_classes, "labels", limits, "max_images", images)

    # Separate functions, which the signatures call, so the graph of each is stored only once.
    @tf.function(input_signature=[*shown, seed])
    def adapt_weights(images, *labels_and_seed):
        *labels, seed = labels_and_seed
        images = check_image_values(images, gan.image_shape, gan.image_range, least, "images", limits, "max_images")
        labels = [checked_labels(given, images) for given in labels]
        return meta_gan.adapt_task(images, tf.stack([seed, 0]), None, *labels)[: len(weights)]

    @tf.function(input_signature=[state, wanted, seed])
    def draw(weights, wanted, seed):
        count = tf.shape(wanted)[0] if gan.conditional else wanted
        noise = tf.random.stateless_normal([count, gan.latent_dim], [seed, 0])

        def images(inputs):
            noise, *labels = inputs
            return meta_gan.generate(weights, noise, *labels)

        drawn = in_blocks(images, [noise, wanted] if gan.conditional else [noise], AT_ONCE)
        return {"generated": check_answer(drawn, "generated")}

    def checked_wanted(wanted):
        if gan.conditional:
            return check_labels_below(wanted, gan.number_of_classes, "wanted_labels", limits, "max_count")
        return check_count(wanted, limits)

    def named(weights):
        return {**{spec.name: tensor for spec, tensor in zip(state, weights)}, owner.name: tf.constant(fingerprint)}

    @tf.function(input_signature=[*state, owner, wanted, seed], autograph=False)
    def generate(*inputs):
        *weights, given, wanted, seed = inputs
        weights, _ = check_owner(weights, given, fingerprint, owner)
        weights = check_tensors(weights, state)
        return draw(weights, checked_wanted(wanted), seed)

    if gan.conditional:

        @tf.function(input_signature=[*shown, seed], autograph=False)
        def adapt(images, labels, seed=default_seed):
            return named(adapt_weights(images, labels, seed))

        @tf.function(input_signature=[*shown, wanted, seed], autograph=False)
        def adapt_and_generate(images, labels, wanted_labels, seed=default_seed):
            # In this order: if labels are missing, the error must not be about the wanted ones.
            labels = checked_labels(labels, images)
            wanted_labels = check_labels_among(checked_wanted(wanted_labels), labels, "wanted_labels")
            images = after([wanted_labels], images)[0]
            return draw(adapt_weights(images, labels, seed), wanted_labels, seed)

    else:

        @tf.function(input_signature=[*shown, seed], autograph=False)
        def adapt(images, seed=default_seed):
            return named(adapt_weights(images, seed))

        @tf.function(input_signature=[*shown, wanted, seed], autograph=False)
        def adapt_and_generate(images, count=default_count, seed=default_seed):
            count = checked_wanted(count)
            return draw(adapt_weights(after([count], images)[0], seed), count, seed)

    functions = {"adapt_and_generate": adapt_and_generate, "adapt": adapt, "generate": generate}
    variables, known = meta_gan.variables, {owner.name: fingerprint}
    _write(meta_gan, functions, "adapt_and_generate", path, variables, limits, description, warm_up, least, known)


def _write(model, functions, default, path, variables, limits, description, warm_up, images=2, known=()):
    functions = {"serving_default": functions[default], **functions}
    signatures = {name: function.get_concrete_function() for name, function in functions.items()}
    card = generator_card(model, signatures, model_name(path), limits, description)
    facts = card_facts(model, signatures, model_name(path), limits)
    requests = _example_requests(signatures, images, dict(known)) if warm_up else None
    write_saved_model(path, functions, variables, card, facts, requests)


def _example_requests(signatures, images, known):
    """A request for each signature: grey images, zeros for weights, and the values of `known` inputs."""

    def array(spec):
        count = images if spec.name in ("images", "labels") else 1
        if spec.name in known:
            return known[spec.name]
        if spec.name == "count":
            return np.int32(1)
        return np.zeros([count if side is None else side for side in spec.shape], spec.dtype.as_numpy_dtype)

    return {
        name: {spec.name: array(spec) for spec in function.structured_input_signature[0]}
        for name, function in signatures.items()
    }
