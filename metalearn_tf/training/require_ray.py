"""The check for Ray, which is an optional dependency."""


def require_ray():
    """Raises an error unless Ray, Ray Train and Ray Tune are installed.

    Raises:
        ImportError: if it is not installed; says what to install.
    """
    try:
        import ray.tune  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f'Ray, with Train and Tune, is not installed: `pip install "metalearn_tf[ray]"`. Received: {error}'
        ) from error
