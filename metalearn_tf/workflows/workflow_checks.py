"""Checks of the arguments of a workflow, made before any work is done."""

import functools

from metalearn_tf.checks.domain_names import domain_names
from metalearn_tf.checks.image_range import check_image_range
from metalearn_tf.checks.layers import check_is_layer
from metalearn_tf.data.class_dataset import ClassDataset
from metalearn_tf.data.tasks.augmentation import check_value_range
from metalearn_tf.learners.meta_learner import MetaLearner
from metalearn_tf.workflows.classical_augmentation import classical_augmentation


def check_images(**datasets):
    """Refuses datasets that are not `ClassDataset`s of images of one shape, uint8 or in [0, 1].

    Args:
        **datasets: the datasets by the names of their arguments.

    Raises:
        TypeError: if one is not a `ClassDataset`.
        ValueError: if one does not hold such images, or has another shape than the first; says how to resize.
    """
    if not datasets:
        raise ValueError("`sources` must hold at least one dataset. Received: none")
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


def check_disjoint(sources, target):
    """Refuses a target that has classes of the sources, because the test would use classes from the training.

    Raises:
        ValueError: if it does; names the classes.
    """
    known = set(sources.class_names)
    shared = [name for name in target.class_names if name in known]
    if shared:
        raise ValueError(
            "`sources` and `target` must have no class in common; `dataset.split(...)` divides by class. "
            f"Received: {len(shared)} classes in both, such as {shared[:3]}"
        )


def checked_sources(sources, target, shown, tested, least=1):
    """The sources of a workflow as a list, after a check that sources and target fit and have different domains.

    Args:
        sources: list of `ClassDataset`s, or one.
        target: a `ClassDataset`.
        shown: images of each class of the target that are shown, see `check_target`.
        tested: images of each class of the target that a test needs.
        least: the smallest number of sources.

    Raises:
        TypeError: if one is not a `ClassDataset`.
        ValueError: if shapes differ, domains are missing or equal, or the target has too few images.
    """
    sources = [sources] if isinstance(sources, ClassDataset) else list(sources)
    check_images(**_by_argument(sources), target=target)
    domain_names("sources", sources, least)
    check_target(sources, target, shown, tested)
    return sources


def merged_sources(sources):
    """A single dataset unchanged; for a list, one dataset with all classes, whose names start with their domains.

    Raises:
        TypeError: if one is not a `ClassDataset`.
        ValueError: if they have not one shape, or no domains of their own.
    """
    if isinstance(sources, ClassDataset):
        return sources
    check_images(**_by_argument(sources))
    domain_names("sources", sources)
    parts = [ClassDataset(d.examples, d.labels, [f"{d.domain}: {name}" for name in d.class_names]) for d in sources]
    return functools.reduce(ClassDataset.merge, parts)


def _by_argument(sources):
    return {f"sources[{number}]": dataset for number, dataset in enumerate(sources)}


def check_target(sources, target, shown, tested):
    """Refuses a target that has a source's domain or too few images.

    Args:
        sources: list of `ClassDataset`s.
        target: a `ClassDataset`.
        shown: the number of images of each class that are shown, from one half of the class.
        tested: the number of images of each class that a test needs, from the other half.
    """
    if target.domain in [dataset.domain for dataset in sources]:
        raise ValueError(
            f"`target` must be of another domain than the sources. Received: domain={target.domain!r} in both"
        )
    smallest, needed = int(target.class_sizes.min()), max(2 * shown, 2 * tested - 1)
    if target.num_classes < 2 or smallest < needed:
        raise ValueError(
            f"`target` must have at least 2 classes of at least {needed} images: one half of them is for the test, and "
            f"{shown} of the other half are shown. Received: {target.num_classes} classes, the smallest of {smallest}"
        )


def check_learner(argument, learner, image_shape, ways):
    """Refuses anything but a compiled learner for such images and this many classes.

    Args:
        argument: the name of the function that built it.
        learner: the object that it built.
        image_shape: `(height, width, channels)`.
        ways: the most classes of a task.
    """
    if not isinstance(learner, MetaLearner):
        raise ValueError(f"`{argument}` must build a MetaLearner. Received: {type(learner).__name__}")
    check_compiled(argument, learner)
    shape = tuple(learner.network.input_shape[1:])
    if len(shape) != 3 or any(side not in (None, wanted) for side, wanted in zip(shape, image_shape)):
        raise ValueError(
            f"`{argument}` must build a learner of images {tuple(image_shape)}, as the datasets hold them. "
            f"Received: a network of inputs {shape}"
        )
    if learner.max_ways is not None and learner.max_ways < ways:
        raise ValueError(
            f"`{argument}` must build a learner of {ways} classes, those of a task. "
            f"Received: a network of {learner.max_ways} outputs"
        )


def check_classifier(classifier, image_shape, classes):
    """Refuses anything but a compiled network from such images to the probabilities of this many classes."""
    shapes = [getattr(classifier, name, None) for name in ("input_shape", "output_shape")]
    fits = all(isinstance(shape, tuple) for shape in shapes) and shapes[1] == (None, classes)
    fits = fits and len(shapes[0]) == 4 and all(a in (None, b) for a, b in zip(shapes[0][1:], image_shape))
    if not fits:
        raise ValueError(
            f"`build_classifier` must build a network from images {tuple(image_shape)} to the probabilities of "
            f"{classes} classes. Received: a {type(classifier).__name__} from {shapes[0]} to {shapes[1]}"
        )
    check_compiled("build_classifier", classifier)


def check_compiled(argument, model):
    """Refuses a model without an optimizer."""
    if not model.compiled:
        raise ValueError(
            f"`{argument}` must build a compiled model: call `compile` in the function. "
            f"Received: a {type(model).__name__} that is not compiled"
        )


def checked_augmentation(augmentation):
    """The layer given as `augmentation`, for images in [0, 1]; or the classical augmentation."""
    augmentation = classical_augmentation() if augmentation is None else augmentation
    check_is_layer("augmentation", augmentation)
    check_value_range("augmentation", augmentation)
    return augmentation
