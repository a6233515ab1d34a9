"""Ray, which is optional."""


def require_ray():
    """Refuses to go on without Ray, its Train and its Tune.

    Raises:
        ImportError: if it is not installed; says what to install.
    """
    try:
        import ray.tune  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f'Ray, with Train and Tune, is not installed: `pip install "metalearn_tf[ray]"`. Received: {error}'
        ) from error
