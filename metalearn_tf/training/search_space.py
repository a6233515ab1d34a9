"""The parameters from which a search chooses, and the choice for each of its trials."""

import inspect
import math

import numpy as np

# After this many draws without a new combination, the space is assumed to have no further ones.
_MOST_DRAWS = 1000


def check_names(argument, build_learner, names):
    """Refuses names that are not parameters of `build_learner`, and a choice that leaves a parameter without a value.

    Raises:
        TypeError: if `build_learner` cannot be called.
        ValueError: names the parameters that are not accepted and those that are.
    """
    if not callable(build_learner):
        raise TypeError(f"`build_learner` must be a function. Received: {type(build_learner).__name__}")
    parameters = inspect.signature(build_learner).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return
    by_name = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    accepted = [parameter.name for parameter in by_name]
    unknown = [name for name in names if name not in accepted]
    if unknown:
        listed = ", ".join(f"`{name}`" for name in accepted) or "none"
        raise ValueError(
            f"`{argument}` must name parameters of `build_learner`, which are: {listed}. "
            f"Received: {', '.join(map(repr, unknown))}"
        )
    missing = [p.name for p in by_name if p.default is p.empty and p.name not in names]
    if missing:
        raise ValueError(
            f"`{argument}` must have a value for each parameter of `build_learner` without a default; it lacks "
            f"{', '.join(f'`{name}`' for name in missing)}. Received: {', '.join(map(repr, names)) or 'none'}"
        )


def check_space(search_space):
    """The space, with every list replaced by a Ray Tune distribution over its elements.

    Args:
        search_space: dict from names to Ray Tune distributions, or lists of plain values.

    Raises:
        ValueError: if it is not a dict of this kind.
    """
    from ray import tune

    if not isinstance(search_space, dict) or not search_space:
        raise ValueError(
            "`search_space` must be a dict from names of parameters to distributions or lists, with at least one. "
            f"Received: {search_space!r}"
        )
    space = {}
    for name, values in search_space.items():
        domain = tune.choice(list(values)) if isinstance(values, (list, tuple)) and values else values
        if not isinstance(domain, tune.search.sample.Domain) or domain.is_function() or domain.is_grid():
            raise ValueError(
                f"`search_space` must have for {name!r} a distribution of Ray Tune's, such as "
                f"`ray.tune.loguniform(1e-4, 1e-1)`, or a list of choices. Received: {values!r}"
            )
        for choice in getattr(domain, "categories", []):
            check_plain("search_space", name, _plain(choice))
        space[name] = domain
    return space


def check_plain(argument, name, value):
    """Refuses a value that would change in a JSON file."""
    if value is not None and not isinstance(value, (bool, int, float, str)):
        raise ValueError(
            f"`{argument}` must have numbers, strings, flags or None for {name!r}; let `build_learner` make of them "
            f"what it needs. Received: {value!r}"
        )


def describe_space(space):
    """The kind and the range of each distribution, as plain values."""
    return {name: _describe(domain) for name, domain in space.items()}


def draw_parameters(space, first, trials, seed):
    """The parameters of each trial; no two trials have the same.

    Args:
        space: what `check_space` returned.
        first: list of dicts of parameters for the first trials.
        trials: the number of trials.
        seed: integer; the parameters depend only on it and the space.

    Returns:
        A list of `trials` dicts of plain values.

    Raises:
        ValueError: if the space has fewer combinations.
    """
    random = np.random.default_rng(seed)
    drawn = [dict(parameters) for parameters in first][:trials]
    for _ in range(_MOST_DRAWS * trials):
        if len(drawn) == trials:
            return drawn
        # Sorted by name, so that the order of the dict does not matter.
        parameters = {name: _plain(space[name].sample(random_state=random)) for name in sorted(space)}
        if parameters not in drawn:
            drawn.append({name: parameters[name] for name in space})
    if len(drawn) == trials:
        return drawn
    raise ValueError(
        f"`trials` must be at most the number of combinations of `search_space`, {len(drawn)}. Received: {trials}"
    )


def _plain(value):
    return value.item() if isinstance(value, np.generic) else value


def _describe(domain):
    if hasattr(domain, "categories"):
        return [_plain(category) for category in domain.categories]
    sampler, step = domain.get_sampler(), None
    if hasattr(sampler, "q"):
        sampler, step = sampler.get_sampler(), sampler.q
    details = {key: value for key, value in vars(sampler).items() if isinstance(value, (int, float))}
    lower, upper = (getattr(domain, name, math.nan) for name in ("lower", "upper"))
    kind = f"{type(domain).__name__} {type(sampler).__name__.strip('_')}"
    return {"kind": kind, "lower": str(lower), "upper": str(upper), "step": step, **details}
