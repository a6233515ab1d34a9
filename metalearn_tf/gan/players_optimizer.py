"""The optimizers of several players, and the one that Keras and its callbacks know of a model."""

import keras
import numpy as np

from metalearn_tf.engine.keras_internals import is_built_for
from metalearn_tf.engine.loss_scaling import with_loss_scaling


def make_optimizers(gan, generator_optimizer, discriminator_optimizer, options):
    """The optimizers of both players by their names as arguments of `GAN.compile`.

    Args:
        gan: a `GAN`.
        generator_optimizer: as in `GAN.compile`.
        discriminator_optimizer: as in `GAN.compile`.
        options: dict of the other arguments of `GAN.compile`.

    Raises:
        ValueError: if there is one optimizer for both, or as `make_optimizer`.
    """
    if "optimizer" in options:
        raise ValueError(
            "`optimizer` must be left out: the players have one each, `generator_optimizer` and "
            f"`discriminator_optimizer`. Received: optimizer={options['optimizer']!r}"
        )
    if generator_optimizer is discriminator_optimizer and isinstance(generator_optimizer, keras.Optimizer):
        raise ValueError(
            "`generator_optimizer` and `discriminator_optimizer` must be two objects, since each keeps a state of its "
            f"own. Received: the same {type(generator_optimizer).__name__} twice"
        )
    given = {"generator": generator_optimizer, "discriminator": discriminator_optimizer}
    scale_loss = options.get("auto_scale_loss", True)
    optimizers = {
        f"{player}_optimizer": make_optimizer(
            f"{player}_optimizer", given[player], getattr(gan, player), variables, scale_loss
        )
        for player, variables in gan.trained_by_player.items()
    }
    first, second = optimizers.values()
    if first.name == second.name:  # Keras's callbacks log the rates by these names
        second.name = f"discriminator_{second.name}"
    return optimizers


def make_optimizer(name, optimizer, network, variables, scale_loss=True):
    """A player's optimizer, built for what it trains, so that a file has its variables even before the first step.

    Args:
        name: of the argument, for the errors.
        optimizer: what `keras.optimizers.get` takes; `None` for that of DCGAN.
        network: the player's; where it computes in float16 its loss is scaled.
        variables: what is trained.
        scale_loss: `False` leaves the loss as it is in float16 too.

    Raises:
        ValueError: if it is a collection of optimizers, or has been used for other variables.
    """
    optimizer = get_optimizer(name, keras.optimizers.Adam(2e-4, beta_1=0.5) if optimizer is None else optimizer)
    if hasattr(optimizer, "optimizers"):
        raise ValueError(f"`{name}` must be one optimizer, for one player. Received: a {type(optimizer).__name__}")
    optimizer = with_loss_scaling(optimizer, network) if scale_loss else optimizer
    check_unused(name, optimizer, variables)
    optimizer.build(variables)
    return optimizer


def get_optimizer(name, optimizer):
    """A Keras optimizer, of itself, its name or its configuration."""
    try:
        return keras.optimizers.get(optimizer)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"`{name}` must be an optimizer of Keras's, or the name of one; losses and metrics are none: "
            f"`GAN(..., loss=...)`. Received: {optimizer!r}"
        ) from error


def check_unused(name, optimizer, variables):
    """Refuses an optimizer whose state is that of other variables."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    if inner.built and not all(is_built_for(inner, variable) for variable in variables):
        raise ValueError(
            f"`{name}` must be an optimizer of its own, which has trained no other variables; "
            "`type(optimizer).from_config(optimizer.get_config())` makes one of the same options. "
            f"Received: a {type(optimizer).__name__} that is in use"
        )


class _CommonRate(float):
    """The rate that several optimizers have in common, with what callbacks ask of the variable that it is in Keras."""

    def __new__(cls, rate, players):
        self = super().__new__(cls, rate)
        self._players = players
        return self

    def assign(self, rate):
        """Sets the rate of each."""
        self._players.learning_rate = rate

    def numpy(self):
        return np.float32(self)


class PlayersOptimizer(keras.optimizers.Optimizer):
    """What `model.optimizer` is where each player has an optimizer of its own.

    Keras's callbacks find the players' optimizers in `optimizers`, as those of a `keras.optimizers.MultiOptimizer`:
    `LearningRateScheduler` and `ReduceLROnPlateau` set each one's rate, `SwapEMAWeights` swaps each one's averages, and
    the end of `fit` gives each player its averages.

    Args:
        players: pairs of a `keras.optimizers.Optimizer` and the variables that it trains.
    """

    def __init__(self, *players):
        super().__init__(learning_rate=0.0, name="players")
        self.optimizers = [optimizer for optimizer, _ in players]
        self._trained = [list(variables) for _, variables in players]
        self.built = True

    @property
    def learning_rate(self):
        """The rate that all players have in common; to set it, sets that of each.

        Raises:
            ValueError: if the rates differ, so that one cannot stand for all.
        """
        rates = [float(optimizer.learning_rate) for optimizer in self.optimizers]
        if len(set(rates)) > 1:
            raise ValueError(
                "`model.optimizer.learning_rate` is one rate, and the players have several: set that of "
                "`model.generator_optimizer` and of `model.discriminator_optimizer`, or give each a schedule. "
                f"Received: rates {rates}"
            )
        return _CommonRate(rates[0], self)

    @learning_rate.setter
    def learning_rate(self, rate):
        self.learning_rate  # noqa: B018  refuses rates that differ
        for optimizer in self.optimizers:
            optimizer.learning_rate = rate

    @property
    def iterations(self):
        """Updates of the first player."""
        return self.optimizers[0].iterations

    @property
    def variables(self):
        """Those of all players' optimizers; there are no others."""
        return [variable for optimizer in self.optimizers for variable in optimizer.variables]

    def finalize_variable_values(self, var_list):
        """Gives each player the averages that its optimizer kept of its variables."""
        for optimizer, variables in zip(self.optimizers, self._trained):
            optimizer.finalize_variable_values(variables)

    # Each player's optimizer is in the model's file by itself.

    def save_own_variables(self, store):
        pass

    def load_own_variables(self, store):
        pass
