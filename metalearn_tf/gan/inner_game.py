"""The game that MetaGAN plays on each task: pure functions, with the weights of both players as arguments."""

import tensorflow as tf

from metalearn_tf.engine.gradient_checks import check_reached
from metalearn_tf.gan.inner_rules import described_optimizer
from metalearn_tf.gan.objectives import draw_noise, split_seed
from metalearn_tf.gan.players import stateless_players


def inner_step(gan, rules, values, images, seed, step, labels=None):
    """One inner step: the discriminator takes `discriminator_steps` of the GAN, then the generator takes one.

    Args:
        gan: as in `stateless_players`.
        rules: the `UpdateRule`s of generator and discriminator.
        values: both players' weights and the states of both rules, four lists of tensors.
        images: `(n, height, width, channels)`.
        seed: int32 `(2,)`, of the task.
        step: counts from 0.
        labels: `(n,)`, for conditional networks.

    Returns:
        New `values`.
    """
    generator, discriminator, generator_state, discriminator_state = values
    seeds = split_seed(tf.stack([seed[0], seed[1] + step]), 1 + gan.discriminator_steps)
    count = tf.shape(images)[0]

    for one in seeds[1:]:
        noise_seed, loss_seed = split_seed(one, 2)
        noise = draw_noise(count, gan.latent_dim, noise_seed)
        fake = stateless_players(gan, [*generator, *discriminator]).generate(noise, labels)[0]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(discriminator)
            players = stateless_players(gan, [*generator, *discriminator])
            loss = gan.objective.discriminator_loss(players, images, fake, labels, loss_seed)[0]
        gradients = gradients_of(tape, loss, discriminator, gan.discriminator.trainable_variables)
        discriminator, discriminator_state = rules[1].update(gradients, discriminator_state, discriminator, loss, step)

    noise_seed, loss_seed = split_seed(seeds[0], 2)
    noise = draw_noise(count, gan.latent_dim, noise_seed)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(generator)
        players = stateless_players(gan, [*generator, *discriminator])
        loss = gan.objective.generator_loss(players, images, noise, labels, loss_seed)
    gradients = gradients_of(tape, loss, generator, gan.generator.trainable_variables)
    generator, generator_state = rules[0].update(gradients, generator_state, generator, loss, step)
    return generator, discriminator, generator_state, discriminator_state


def outer_losses(gan, weights, queries, seed, labels=None):
    """The losses of generator and discriminator with adapted weights, as two float32 scalars.

    Args:
        gan: as in `stateless_players`.
        weights: as in `stateless_players`.
        queries: images `(n, height, width, channels)`.
        seed: int32 `(2,)`.
        labels: of the queries, `(n,)`, for conditional networks.
    """
    players, count = stateless_players(gan, weights), tf.shape(queries)[0]
    noise_seed, fake_seed, generator_seed, discriminator_seed = split_seed(seed, 4)
    fake = players.generate(draw_noise(count, gan.latent_dim, fake_seed), labels)[0]
    discriminator_loss = gan.objective.discriminator_loss(players, queries, fake, labels, discriminator_seed)[0]
    noise = draw_noise(count, gan.latent_dim, noise_seed)
    return gan.objective.generator_loss(players, queries, noise, labels, generator_seed), discriminator_loss


def traced_parts(meta_gan):
    """The plain values that the inner loop of a `MetaGAN` reads: users may set them at any time."""
    gan, plain = meta_gan.gan, (bool, int, float, str)
    variables = [*gan.generator.variables, *gan.discriminator.variables]
    return [
        [gan.generator, gan.judge, list(gan.objective), gan.discriminator_steps],
        [variable.trainable for variable in variables],
        {name: value for name, value in vars(meta_gan).items() if isinstance(value, plain)},
        described_optimizer(meta_gan),
    ]


def gradients_of(tape, loss, weights, variables):
    """The gradients of a loss with respect to weights, as dense tensors, also for label embeddings.

    Args:
        tape: a `tf.GradientTape` that has watched the weights.
        loss: scalar.
        weights: list of tensors.
        variables: the Keras variables that the tensors replace.

    Raises:
        ValueError: names the variables that the loss does not depend on.
    """
    gradients = tape.gradient(loss, weights)
    check_reached(variables, gradients)
    return [tf.convert_to_tensor(gradient) for gradient in gradients]
