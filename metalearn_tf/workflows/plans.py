"""The tasks and the budget of each workflow. Numbers that belong together are checked together."""

import dataclasses

from metalearn_tf.checks.real_numbers import check_positive
from metalearn_tf.checks.whole_numbers import check_whole


@dataclasses.dataclass(frozen=True)
class GANAugmentedTasks:
    """The few-shot tasks of `gan_augmented`.

    Args:
        ways: classes of a test episode.
        shots: support examples of a class, in training too.
        queries: query examples of a class in the test.
        train_ways: classes of a task in training; `None` for `ways`.
        train_queries: query examples of a class in training.
        tasks_per_batch: tasks of an outer step.

    Raises:
        ValueError: if a number is not a positive integer.
    """

    ways: int = 5
    shots: int = 1
    queries: int = 15
    train_ways: int | None = None
    train_queries: int = 5
    tasks_per_batch: int = 4

    def __post_init__(self):
        _check_numbers(self, optional=("train_ways",))


@dataclasses.dataclass(frozen=True)
class DAMLTasks:
    """The few-shot tasks of `daml`: of all classes of the target, in training and test.

    Args:
        shots: support examples of a class, in training too.
        target_images: labelled target images of a class, more than `shots`.
        queries: query examples of a class in the test.
        train_queries: query examples of a class in training.
        tasks_per_batch: tasks of an outer step.

    Raises:
        ValueError: if a number is not a positive integer, or there are no more target images than shots.
    """

    shots: int = 5
    target_images: int = 10
    queries: int = 15
    train_queries: int = 5
    tasks_per_batch: int = 4

    def __post_init__(self):
        _check_numbers(self)
        if self.target_images <= self.shots:
            raise ValueError(
                "`target_images` must be more than `shots`, for the queries of the fine-tuning. "
                f"Received: target_images={self.target_images}, shots={self.shots}"
            )


class _Budget:
    """A budget, and its reduction by `quick`."""

    _quick = ()

    def __post_init__(self):
        _check_numbers(self)

    def quick(self):
        """The budget with its numbers limited to those of a short run that checks that everything works."""
        return dataclasses.replace(self, **{name: min(getattr(self, name), most) for name, most in self._quick})


@dataclasses.dataclass(frozen=True)
class GANAugmentedBudget(_Budget):
    """How long `gan_augmented` trains and tests, and how much its GAN draws.

    Args:
        steps: outer steps.
        gan_steps: steps of the GAN.
        gan_batch_size: images, or pairs, in a step of the GAN.
        classes: the number of new classes, if the GAN draws new classes.
        copies: images for each support example, if support sets are enlarged.
        episodes: test episodes of each seed.
        seeds: how often all is done, each time with other first weights and other draws.

    Raises:
        ValueError: if a number is not a positive integer.
    """

    steps: int = 2000
    gan_steps: int = 5000
    gan_batch_size: int = 64
    classes: int = 1000
    copies: int = 4
    episodes: int = 600
    seeds: int = 3

    _quick = (("steps", 20), ("gan_steps", 10), ("episodes", 20), ("seeds", 2), ("classes", 20))


@dataclasses.dataclass(frozen=True)
class DAMLBudget(_Budget):
    """How long `daml` trains and tests, and how much its GAN draws.

    Args:
        steps: outer steps.
        gan_steps: steps of the GAN.
        virtual_images: the largest number of images of each source class that are redrawn.
        fine_tune_steps: outer steps on the few target images.
        fine_tune_learning_rate: rate of Adam in these steps.
        episodes: test episodes of each seed.
        seeds: how often all is done, each time with other first weights and target images.

    Raises:
        ValueError: if a number is not a positive integer, or the rate not positive.
    """

    steps: int = 2000
    gan_steps: int = 3000
    virtual_images: int = 500
    fine_tune_steps: int = 100
    fine_tune_learning_rate: float = 1e-4
    episodes: int = 600
    seeds: int = 3

    _quick = (("steps", 10), ("gan_steps", 5), ("fine_tune_steps", 3), ("episodes", 16), ("seeds", 2))

    def __post_init__(self):
        _check_numbers(self, others=("fine_tune_learning_rate",))
        check_positive("fine_tune_learning_rate", self.fine_tune_learning_rate)


@dataclasses.dataclass(frozen=True)
class MetaGANTransferBudget(_Budget):
    """How long `meta_gan_transfer` trains and tests, and how much its GANs draw.

    Args:
        gan_steps: outer steps of the MetaGAN.
        gan_tasks: tasks of an outer step.
        adapt_steps: inner steps to adapt to a class of the target, or to all at once.
        generated: images drawn of each class.
        steps: steps of the classifier.
        batch_size: images in a step of the classifier.
        draws: number of draws of labelled target images, for each seed.
        test_images: the largest number of test images of the target.
        seeds: how often all is done, each time with other first weights and other draws.

    Raises:
        ValueError: if a number is not a positive integer.
    """

    gan_steps: int = 3000
    gan_tasks: int = 4
    adapt_steps: int = 50
    generated: int = 64
    steps: int = 200
    batch_size: int = 64
    draws: int = 10
    test_images: int = 2000
    seeds: int = 3

    _quick = (
        *(("gan_steps", 5), ("adapt_steps", 3), ("draws", 2), ("seeds", 2)),
        *(("generated", 8), ("steps", 80), ("test_images", 100)),
    )


def _check_numbers(plan, optional=(), others=()):
    """Refuses fields that are not positive integers, except `others`; `optional` ones may be `None`."""
    fields = {name: value for name, value in dataclasses.asdict(plan).items() if name not in others}
    check_whole(**{name: value for name, value in fields.items() if value is not None or name not in optional})
