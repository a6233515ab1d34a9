"""Checks on a MetaGAN. They run before any work."""

import keras
import tensorflow as tf

from metalearn_tf.checks.real_numbers import check_positive
from metalearn_tf.engine.keras_internals import flat_layers, own_states
from metalearn_tf.gan.gan import GAN
from metalearn_tf.gan.network_checks import check_trainable
from metalearn_tf.gan.network_inputs import has_pairs
from metalearn_tf.gan.players_optimizer import check_unused, get_optimizer
from metalearn_tf.networks.second_derivatives import check_second_derivatives

ALGORITHMS = ("reptile", "fomaml", "maml")


def check_meta_gan(gan, algorithm, inner_learning_rate, inner_optimizer, learned_rates):
    """Refuses GANs that cannot adapt in an inner loop, and options that do not go with the algorithm."""
    if not isinstance(gan, GAN):
        raise ValueError(f"`gan` must be a GAN. Received: {type(gan).__name__}")
    if has_pairs(gan) or gan.encoder is not None:
        kind = "a GAN with an encoder" if gan.encoder is not None else "a GAN of source images"
        raise ValueError(f"`gan` must have networks of noise, with or without labels, and no encoder. Received: {kind}")
    if gan.conditional and not _takes_class_numbers(gan):
        raise ValueError(
            "`gan` must have networks of noise alone, or of noise and class numbers `(n,)`, such as "
            f"`mtf.networks.dcgan(classes=...)`. Received: labels {gan.generator.inputs[1].shape} of "
            f"{gan.generator.inputs[1].dtype}"
        )
    for name, network in (("generator", gan.generator), ("discriminator", gan.discriminator)):
        layers = [layer.name for layer in flat_layers(network) if _has_state(layer)]
        if layers:
            raise ValueError(
                f"`gan` must have a {name} without a state other than its weights: no moving averages, spectral "
                'normalisation or dropout. `mtf.networks.dcgan(generator_normalization="layer", '
                'discriminator_normalization="layer")` makes such networks. '
                f"Received: state in the layers {layers} of {network.name!r}"
            )
    if algorithm not in ALGORITHMS:
        raise ValueError(f"`algorithm` must be one of {ALGORITHMS}. Received: {algorithm!r}")
    if inner_learning_rate is not None:
        check_positive("inner_learning_rate", inner_learning_rate)
    if inner_optimizer is not None and (algorithm == "maml" or inner_learning_rate is not None):
        raise ValueError(
            '`inner_optimizer` must be None for "maml", which uses gradient descent, and with `inner_learning_rate`, '
            f"because an optimizer has its own rate. Received: {inner_optimizer!r}"
        )
    check_trainable(gan)
    if learned_rates and algorithm != "maml":
        raise ValueError(f'`learned_rates` needs `algorithm="maml"`. Received: {algorithm!r}')
    if algorithm == "maml":
        instead = 'take the `algorithm` "fomaml" or "reptile"'
        check_second_derivatives(gan.generator, "generator", instead=instead)
        # The generator's gradient flows through the images that the discriminator gets.
        check_second_derivatives(gan.judge, "discriminator", of_inputs=True, instead=instead)


def _takes_class_numbers(gan):
    condition = gan.generator.inputs[1]
    is_floating = tf.as_dtype(condition.dtype).is_floating
    return condition.shape[1:] in ((), (1,)) and (gan.number_of_classes is not None or not is_floating)


def _has_state(layer):
    generators = (getattr(layer, name, None) for name in ("seed_generator", "generator"))
    return bool(own_states(layer)) or any(isinstance(generator, keras.random.SeedGenerator) for generator in generators)


def make_outer_optimizer(meta_gan, optimizer):
    """Returns the optimizer of the outer loop, built. Refuses one that scales losses or has trained other variables."""
    if optimizer is None:
        optimizer = keras.optimizers.SGD(0.5) if meta_gan.algorithm == "reptile" else keras.optimizers.Adam(1e-4)
    optimizer = get_optimizer("optimizer", optimizer)
    if getattr(optimizer, "loss_scale_factor", None) or hasattr(optimizer, "inner_optimizer"):
        raise ValueError(
            "`optimizer` must not scale losses: an outer gradient is a mean over tasks, of unscaled losses. "
            f"Received: a {type(optimizer).__name__} with loss scaling"
        )
    check_unused("optimizer", optimizer, meta_gan.trainable_variables)
    optimizer.build(meta_gan.trainable_variables)
    return optimizer
