"""The images that a callback draws with its model."""

import numpy as np

from metalearn_tf.checks.whole_numbers import check_whole
from metalearn_tf.evaluation.scored_images import SCORED_RANGE, to_scored_range


class ModelImages:
    """The images that a callback draws with its model after an epoch; checked before the first epoch.

    Args:
        count: the number of images.
        labels: `(count,)` classes or source images `(count, ...)`, for a conditional GAN; or `None`.
        seed: integer, for the noise.

    Raises:
        ValueError: if `labels` do not fit `count`.
    """

    def __init__(self, count, labels, seed):
        check_whole(count=count)
        check_whole(least=None, seed=seed)
        if labels is not None and (np.ndim(labels) == 0 or len(labels) != count):
            raise ValueError(
                f"`labels` must have shape {(count, *np.shape(labels)[1:])}. Received: shape {np.shape(labels)}"
            )
        self.count, self.labels, self.seed = int(count), labels, int(seed)

    def check(self, model):
        """Refuses a model that cannot draw images for these labels, or whose images have an unknown range."""
        if not hasattr(model, "sample"):
            fix = "; `meta_gan.adapt(images)` returns a GAN, which does" if hasattr(model, "adapt") else ""
            raise ValueError(
                "The model must have `sample(count, labels=..., seed=...)`, as `mtf.gan.GAN`, to draw images after an "
                f"epoch{fix}. Received: a {type(model).__name__}"
            )
        if hasattr(model, "check_sampling"):
            model.check_sampling(self.count, self.labels, self.seed)
        if getattr(model, "image_range", SCORED_RANGE) is None:
            raise ValueError(
                "The range of the model's images must be known to score and draw them; declare it by "
                "`GAN(..., image_range=(-1, 1))`. Received: a generator whose last layers do not say it"
            )

    def draw(self, model):
        """Images `(count, height, width, channels)` floating in `[-1, 1]`."""
        images = model.sample(self.count, labels=self.labels, seed=self.seed)
        return to_scored_range(np.asarray(images), getattr(model, "image_range", SCORED_RANGE))
