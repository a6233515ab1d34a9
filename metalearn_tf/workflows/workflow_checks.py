"""Checks on the arguments of a workflow, made before any work is done."""

from metalearn_tf.data.class_dataset import ClassDataset
from metalearn_tf.data.image_range import check_image_range
from metalearn_tf.transfer.transfer_checks import check_whole


def check_images(**datasets):
    """Refuses what are not `ClassDataset`s of images of one shape, uint8 or in [0, 1].

    Args:
        **datasets: by their names as arguments.

    Raises:
        TypeError: if one is not a `ClassDataset`.
        ValueError: if one does not hold such images, or another shape than the first; says how to resize.
    """
    (first, one), *others = datasets.items()
    for name, dataset in datasets.items():
        if not isinstance(dataset, ClassDataset):
            raise TypeError(f"`{name}` must be a ClassDataset. Received: {type(dataset).__name__}")
        if len(dataset.example_shape) != 3 or dataset.dtype.kind == "O":
            raise ValueError(
                f"`{name}` must hold images (height, width, channels). "
                f"Received: examples of the shape {dataset.example_shape}, dtype={dataset.dtype}"
            )
        check_image_range(name, dataset.examples, (0.0, 1.0))
    for name, dataset in others:
        if dataset.example_shape != one.example_shape:
            raise ValueError(
                f"`{name}` must hold images of the shape of `{first}`, {one.example_shape}; "
                f"`mtf.data.load(..., image_size={one.example_shape[:2]})` resizes them. "
                f"Received: {dataset.example_shape}"
            )


def check_disjoint(train, test, names=("train", "test")):
    """Refuses datasets of one domain that share classes: the test would be of classes that were trained on.

    Raises:
        ValueError: if they do; names the classes.
    """
    shared = [name for name in test.class_names if name in set(train.class_names)]
    if shared and train.domain == test.domain:
        raise ValueError(
            f"`{names[0]}` and `{names[1]}` must have no class in common; `dataset.split(...)` divides by class. "
            f"Received: {len(shared)} classes in both, such as {shared[:3]}"
        )


def check_budget(**numbers):
    """Refuses what are not positive integers."""
    for name, value in numbers.items():
        check_whole(name, value, least=1)


def check_share(name, value):
    """Refuses what is not in (0, 1]."""
    if not 0 < value <= 1:
        raise ValueError(f"`{name}` must be in (0, 1]. Received: {name}={value!r}")
