"""The optimizers of several players, and the one optimizer that Keras and its callbacks see."""

import keras
import numpy as np

from metalearn_tf.engine.keras_internals import is_built_for
from metalearn_tf.engine.loss_scaling import with_loss_scaling


def make_optimizers(gan, generator_optimizer, discriminator_optimizer, options):
    """Makes the optimizers of both players, by their argument names in `GAN.compile`.

    Args:
        gan: a `GAN`.
        generator_optimizer: as in `GAN.compile`.
        discriminator_optimizer: as in `GAN.compile`.
        options: dict of the other arguments of `GAN.compile`.

    Raises:
        ValueError: if there is one optimizer for both, or if `make_optimizer` refuses one.
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
    """Makes and builds a player's optimizer. So a file has its variables even before the first step.

    Args:
        name: name of the argument, for the errors.
        optimizer: as `keras.optimizers.get` takes it; `None` for the optimizer of DCGAN.
        network: the player's network; if it computes in float16, the loss is scaled.
        variables: the variables to train.
        scale_loss: `False` never scales the loss, even in float16.

    Raises:
        ValueError: if it is a collection of optimizers, or has trained other variables.
    """
    optimizer = get_optimizer(name, keras.optimizers.Adam(2e-4, beta_1=0.5) if optimizer is None else optimizer)
    if hasattr(optimizer, "optimizers"):
        raise ValueError(f"`{name}` must be one optimizer, for one player. Received: a {type(optimizer).__name__}")
    optimizer = with_loss_scaling(optimizer, network) if scale_loss else optimizer
    check_unused(name, optimizer, variables)
    optimizer.build(variables)
    return optimizer


def get_optimizer(name, optimizer):
    """A Keras optimizer, from an optimizer, its name or its configuration."""
    try:
        return keras.optimizers.get(optimizer)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"`{name}` must be a Keras optimizer, or the name of one. A loss goes to the constructor: "
            f"`GAN(..., loss=...)`. Received: {optimizer!r}"
        ) from error


def check_unused(name, optimizer, variables):
    """Refuses an optimizer that was built for other variables."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    if inner.built and not all(is_built_for(inner, variable) for variable in variables):
        raise ValueError(
            f"`{name}` must be an optimizer of its own, which has trained no other variables; "
            "`type(optimizer).from_config(optimizer.get_config())` makes a new one with the same options. "
            f"Received: a {type(optimizer).__name__} that is in use"
        )


class _CommonRate(float):
    """The common learning rate of several optimizers. Callbacks can use it like the Keras variable of one rate."""

    def __new__(cls, rate, players):
        self = super().__new__(cls, rate)
        self._players = players
        return self

    def assign(self, rate):
        """Sets the rate of each optimizer."""
        self._players.learning_rate = rate

    def numpy(self):
        return np.float32(self)


class PlayersOptimizer(keras.optimizers.Optimizer):
    """The `model.optimizer` of a model in which each player has its own optimizer.

    Keras's callbacks find the players' optimizers in `optimizers`, as in a `keras.optimizers.MultiOptimizer`.
    `LearningRateScheduler` and `ReduceLROnPlateau` set the rate of each, and `SwapEMAWeights` swaps the averages of
    each. The end of `fit` gives each player its averages.

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
        """The common rate of all players. Setting it sets the rate of each.

        Raises:
            ValueError: if the players have different rates.
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
        """The variables of all players' optimizers."""
        return [variable for optimizer in self.optimizers for variable in optimizer.variables]

    def finalize_variable_values(self, var_list):
        """Sets each player's variables to the averages that its optimizer kept."""
        for optimizer, variables in zip(self.optimizers, self._trained):
            optimizer.finalize_variable_values(variables)

    # The model's file contains each player's optimizer separately.

    def save_own_variables(self, store):
        pass

    def load_own_variables(self, store):
        pass
