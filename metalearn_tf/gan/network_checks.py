"""Checks on the networks and options of a GAN. They run before any work."""

import keras
import numpy as np

from metalearn_tf.checks.image_range import check_limits
from metalearn_tf.checks.real_numbers import check_below_one, check_not_negative
from metalearn_tf.checks.whole_numbers import check_seed, check_whole
from metalearn_tf.engine.copy_network import check_can_be_copied
from metalearn_tf.engine.keras_internals import flat_layers
from metalearn_tf.gan.augmentation import check_policy
from metalearn_tf.gan.losses import get_losses
from metalearn_tf.gan.network_inputs import has_pairs
from metalearn_tf.gan.penalties import get_penalty
from metalearn_tf.networks.head_activation import head_activation
from metalearn_tf.networks.spectral_normalization_of import check_spectral_normalization
from metalearn_tf.networks.task_normalization import TaskNormalization
from metalearn_tf.networks.value_range import value_range

_BATCH_NORMALIZATIONS = (keras.layers.BatchNormalization, TaskNormalization)


def check_networks(generator, discriminator, encoder=None):
    """Refuses networks that are not built functional models, do not fit each other, or have the wrong activation."""
    networks = {"generator": generator, "discriminator": discriminator}
    networks.update({} if encoder is None else {"encoder": encoder})
    for name, network in networks.items():
        if not isinstance(network, keras.Model) or not network.built or not getattr(network, "inputs", None):
            raise ValueError(
                f"`{name}` must be a built keras.Model with known inputs, such as `keras.Model(inputs, outputs)`. "
                f"Received: {type(network).__name__}"
            )
        if len(network.outputs) != 1:
            raise ValueError(f"`{name}` must have one output. Received: a network of {len(network.outputs)} outputs")
    _check_shapes(networks)
    for name, network in list(networks.items())[1:]:
        low, high = value_range(network)
        if np.isfinite(low) or np.isfinite(high) or _is_seen_bounded(network):
            what = "logits" if name == "discriminator" else "noise"
            raise ValueError(
                f"`{name}` must put out {what}, any real numbers; end it without an activation, such as "
                "`keras.layers.Dense(units)`: a probability's sigmoid is part of the losses. "
                f"Received: a network {network.name!r} whose last activation bounds them"
            )
    variables = [{id(variable) for variable in network.trainable_variables} for network in networks.values()]
    if len(set.union(*variables)) < sum(map(len, variables)):
        raise ValueError(
            f"{' and '.join(f'`{name}`' for name in networks)} must not share trainable weights, which would be pulled "
            "both ways. Received: networks with a layer in common"
        )
    for name, network in networks.items():
        check_spectral_normalization(network, name)
        check_can_be_copied(network, name)


def _is_seen_bounded(network):
    """Whether a user's layer seems to make probabilities, judged by its outputs."""
    return len(network.inputs) == 1 and head_activation(network) is not None


def _check_shapes(networks):
    shapes = {name: [tuple(x.shape[1:]) for x in network.inputs] for name, network in networks.items()}
    outputs = {name: tuple(network.outputs[0].shape[1:]) for name, network in networks.items()}
    noise, images = shapes["generator"][0], outputs["generator"]
    if len(noise) != 1 or noise[0] is None or len(shapes["generator"]) > 2:
        raise ValueError(
            "`generator` must take noise (n, latent_dim), or [noise, labels]. "
            f"Received: inputs of the shapes {shapes['generator']}"
        )
    if len(images) != 3 or images[2] is None:
        raise ValueError(
            "`generator` must put out images (n, height, width, channels), which is what a GAN draws; "
            "`keras.layers.Reshape` gives rows of a table or series this shape, such as (1, columns, 1), and takes it "
            f"from them in the discriminator. Received: outputs of the shape {('n', *images)}"
        )
    if not shapes_meet(shapes["discriminator"][0], images):
        raise ValueError(
            f"`discriminator` must take what the generator puts out, images of the shape {images}. "
            f"Received: a discriminator of images of the shape {shapes['discriminator'][0]}"
        )
    labels = [shapes[name][1:] for name in ("generator", "discriminator")]
    if len(labels[0]) != len(labels[1]) or not all(map(shapes_meet, *labels)):
        raise ValueError(
            "`generator` and `discriminator` must both take labels of the same shape, or both none. Received: labels "
            f"of the shapes {labels[0]} and {labels[1]}"
        )
    if outputs["discriminator"] != (1,):
        raise ValueError(
            "`discriminator` must put out logits (n, 1), one for each image. "
            f"Received: outputs of the shape {('n', *outputs['discriminator'])}"
        )
    if "encoder" in networks and (
        len(shapes["encoder"]) != 1 or not shapes_meet(shapes["encoder"][0], images) or outputs["encoder"] != noise
    ):
        raise ValueError(
            f"`encoder` must go from images of the shape {images} to noise of the shape {noise}. "
            f"Received: {shapes['encoder'][0]} to {outputs['encoder']}"
        )


def check_options(gan):
    """Refuses options that are unknown, out of range or without effect."""
    objective = gan.objective
    get_losses(objective.loss)
    if objective.penalty is not None:
        get_penalty(objective.penalty)
        mixing = [layer.name for layer in flat_layers(gan.discriminator) if isinstance(layer, _BATCH_NORMALIZATIONS)]
        if mixing:
            raise ValueError(
                "`penalty` needs a discriminator without batch normalisation, which makes an image's logit depend on "
                f'other images; `dcgan(discriminator_normalization="layer")` has one. Received: the layers {mixing}'
            )
    elif objective.penalty_weight is not None:
        raise ValueError(f"`penalty_weight` needs a `penalty`. Received: {objective.penalty_weight!r}")
    if objective.augmentation is not None:
        check_policy(objective.augmentation, "augmentation")
    for name in ("penalty_weight", "feature_matching_weight", "reconstruction_weight"):
        weight = getattr(objective, name)
        if weight is not None:
            check_not_negative(name, weight)
    check_whole(discriminator_steps=gan.discriminator_steps)
    check_seed(gan.seed, signed=True)
    if gan.average_decay is not None:
        check_below_one("average_decay", gan.average_decay)
    if objective.feature_matching_weight and "features" not in [layer.name for layer in gan.discriminator.layers]:
        raise ValueError(
            '`feature_matching_weight` needs a layer named "features" in the discriminator. '
            f"Received: layers {[layer.name for layer in gan.discriminator.layers]}"
        )
    if (gan.encoder is not None) and not objective.reconstruction_weight:
        raise ValueError("`encoder` needs a positive `reconstruction_weight`. Received: 0")
    if objective.reconstruction_weight and gan.encoder is None and not has_pairs(gan):
        raise ValueError(
            "`reconstruction_weight` needs an `encoder`, or networks that take source images as labels. "
            f"Received: {objective.reconstruction_weight!r}"
        )
    if objective.reconstruction_weight and gan.encoder is None and not shapes_meet(gan.source_shape, gan.image_shape):
        raise ValueError(
            "`reconstruction_weight` needs source images of the shape of the generated ones. "
            f"Received: {gan.source_shape} and {gan.image_shape}"
        )


def declared_range(generator, declared):
    """The range of a generator's pixels as the user declared it, two floats; `None` if the user did not.

    Raises:
        ValueError: if it is not a range, or differs from the range of the generator's last activation.
    """
    if declared is None:
        return None
    check_limits(declared)
    declared, known = tuple(map(float, declared)), value_range(generator)
    if np.isfinite(known).all() and not np.allclose(declared, known, atol=1e-3):
        raise ValueError(
            f"`image_range` must be the range {known} of the generator's last activation, or None, which finds it. "
            f"Received: image_range={declared}"
        )
    return declared


def check_trainable(gan):
    """Refuses players that have nothing to train."""
    if not gan.trainable:
        raise ValueError("`trainable` must be True to train a GAN. Received: trainable=False")
    for name in ("generator", "discriminator"):
        if not getattr(gan, name).trainable_variables:
            raise ValueError(
                f"`{name}` must have trainable weights: both players learn. Set `{name}.trainable = True` before "
                "`compile`; the steps of one player leave the other alone. Received: a network without any"
            )


def shapes_meet(shape, other):
    """Whether two shapes are equal on all axes that both know."""
    return len(shape) == len(other) and all(None in sides or sides[0] == sides[1] for sides in zip(shape, other))
