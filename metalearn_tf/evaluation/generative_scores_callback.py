"""A callback that computes FID and KID during a GAN's training."""

from metalearn_tf.checks.whole_numbers import check_whole
from metalearn_tf.evaluation.every_few_epochs import EveryFewEpochs
from metalearn_tf.evaluation.feature_scores import fid_of_features, kid_of_features
from metalearn_tf.evaluation.image_features import image_features
from metalearn_tf.evaluation.model_images import ModelImages
from metalearn_tf.evaluation.scored_images import SCORED_RANGE, check_scored_images


class GenerativeScores(EveryFewEpochs):
    """Adds `fid`, `kid` and `kid_spread` to the logs of an epoch.

    `History` keeps them, and callbacks after this one can watch them:

    ```python
    scores = mtf.evaluation.GenerativeScores(test.examples[:2000], mtf.evaluation.feature_network("mnist"))
    best = keras.callbacks.ModelCheckpoint("best.keras", monitor="kid", mode="min", save_best_only=True)
    gan.fit(images, epochs=20, callbacks=[scores, best])
    ```

    Args:
        real_images: `(n, height, width, channels)`, floating in `image_range`, or uint8; preferably images that the GAN
            is not trained on. Their features are computed once, here.
        feature_network: a Keras model from images in `[-1, 1]` to features `(batch, d)`.
        count: images generated for each score, at least 2.
        every: epochs from one score to the next; the first and the last epoch of a `fit` are scored too. In the other
            epochs the three values are NaN. Keras's callbacks treat NaN as no improvement, so `EarlyStopping` counts
            these epochs as well.
        labels: integers `(count,)`, or source images, for a conditional GAN.
        seed: integer, for the noise, which is the same at each epoch, and for the subsets of KID.
        batch_size: images in a call of the feature network.
        image_range: lowest and highest value of a floating pixel of `real_images`; `None` for `[-1, 1]`. Generated
            images have the model's own range.

    Raises:
        ValueError: if the images are not such arrays, or another argument does not fit.
    """

    log_names = ("fid", "kid", "kid_spread")

    def __init__(
        self,
        real_images,
        feature_network,
        count=1000,
        every=1,
        labels=None,
        seed=0,
        batch_size=256,
        image_range=None,
    ):
        super().__init__()
        real_images = check_scored_images("real_images", real_images, 2, image_range)
        check_whole(least=2, count=count)
        check_whole(every=every)
        self.feature_network = feature_network
        self.images, self.every = ModelImages(count, labels, seed), every
        self.seed, self.batch_size = seed, batch_size
        self._image_shape = real_images.shape[1:]
        self._real_features = image_features(real_images, feature_network, batch_size, SCORED_RANGE)

    def on_train_begin(self, logs=None):
        self.images.check(self.model)
        shape = getattr(self.model, "image_shape", self._image_shape)
        if tuple(shape) != self._image_shape and None not in shape:
            raise ValueError(
                f"`real_images` must have the shape of the model's images, {tuple(shape)}. "
                f"Received: images of the shape {self._image_shape}"
            )
        super().on_train_begin(logs)

    def on_epoch_end(self, epoch, logs=None):
        # The first epoch must be scored: Keras's callbacks take the first value as the best so far, even NaN.
        logs.update(self._scores() if self.is_due(epoch) else dict.fromkeys(self.log_names, float("nan")))

    def _scores(self):
        generated = image_features(self.images.draw(self.model), self.feature_network, self.batch_size, SCORED_RANGE)
        kid = kid_of_features(self._real_features, generated, seed=self.seed)
        return {
            "fid": fid_of_features(self._real_features, generated),
            "kid": kid.value,
            "kid_spread": kid.standard_deviation,
        }
