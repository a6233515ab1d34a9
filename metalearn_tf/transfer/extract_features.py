"""The features of a frozen backbone, computed once."""

import json

import keras
import numpy as np
import tensorflow as tf

from metalearn_tf.checks.whole_numbers import check_whole
from metalearn_tf.data.image_range import to_image_range
from metalearn_tf.engine.describe import describe
from metalearn_tf.engine.text_inputs import vocabulary_files
from metalearn_tf.files.cache import cached_arrays
from metalearn_tf.files.fingerprint import fingerprint
from metalearn_tf.transfer.backbone_checks import check_backbone, check_backbone_examples, takes_images
from metalearn_tf.transfer.data_kinds import read_examples

# The version of the files' content. Features of another version are computed again.
_VERSION = 2


def extract_features(backbone, x, batch_size=256, verbose="auto", cache_dir=None, image_range=(0.0, 1.0)):
    """The features that a frozen backbone computes from examples, in inference mode.

    With `cache_dir` the features are kept in a file. Its name is a SHA-256 of everything that they depend on: the
    backbone's architecture, dtype policies, weights and vocabularies, the bytes of the examples, and `image_range`. So
    a file is never used for other weights or data. A file that is cut short or damaged at any byte is reported through
    `logging` and made again; files are written in one step.

    Args:
        backbone: a built `keras.Model` from examples to features `(batch, d)`: a network of `mtf.networks` without
            `outputs`, one of `keras.applications` with `include_top=False, pooling="avg"`, `mtf.networks.hub_encoder`.
        x: array `(n, ...)` of examples: images `(n, height, width, channels)`, uint8 or floating in `image_range`;
            other floating numbers; strings `(n,)` for a backbone of texts. Or a `ClassDataset`, for its `examples`; or
            a finite, batched `tf.data.Dataset` or a `keras.utils.PyDataset`. Labels are ignored.
        batch_size: examples in a call of the backbone.
        verbose: as in `keras.Model.predict`: 0 for silence, `"auto"` or 1 for a progress bar, 2 for one line.
        cache_dir: folder of the cache; `None` for no cache.
        image_range: lowest and highest value of a pixel that the backbone was trained on; uint8 images are scaled to
            it. Networks of `mtf.learners` and `mtf.networks` are trained on `(0, 1)`.

    Returns:
        float32 array `(n, d)`, in the order of the examples.

    Raises:
        ValueError: if `backbone` does not give such features, if the examples do not have the shape, dtype or range
            that it takes, or if a feature is NaN or infinite.
    """
    check_backbone(backbone)
    x = check_backbone_examples("x", read_examples("x", x, len(backbone.input_shape)).x, backbone, image_range)
    check_whole(batch_size=batch_size)

    def build():
        return {"features": compute_features(backbone, x, batch_size, image_range, verbose)}

    if cache_dir is None:
        return build()["features"]
    return cached_arrays(f"features_{_fingerprint(backbone, x, image_range)}", build, cache_dir)["features"]


def compute_features(backbone, x, batch_size, image_range, verbose=0):
    """The features of checked examples; see `extract_features`."""
    dtype = tf.string if x.dtype == object else tf.as_dtype(x.dtype)

    # Traced for any number of examples, so that the last batch needs no new trace.
    @tf.function(input_signature=[tf.TensorSpec((None, *x.shape[1:]), dtype)])
    def features_of(batch):
        batch = to_image_range(batch, image_range) if takes_images(backbone) else batch
        return tf.cast(backbone(batch, training=False), tf.float32)

    features = np.empty((len(x), backbone.output_shape[1]), "float32")
    progress = keras.utils.Progbar(-(-len(x) // batch_size), verbose=1 if verbose == "auto" else verbose)
    for start in range(0, len(x), batch_size):
        rows = slice(start, start + batch_size)
        features[rows] = features_of(tf.convert_to_tensor(x[rows]))
        progress.add(1)
    finite = np.isfinite(features).all(axis=1)
    if not finite.all():
        raise ValueError(
            "`backbone` must give finite features; its weights or `image_range` may be wrong. "
            f"Received: NaN or infinity for examples {np.flatnonzero(~finite)[:10].tolist()}"
        )
    return features


def _fingerprint(backbone, x, image_range):
    """SHA-256, in hexadecimal digits, of everything that the features depend on."""
    header = [_VERSION, keras.__version__, describe(backbone), [float(limit) for limit in image_range]]
    weights = map(np.asarray, backbone.variables)
    return fingerprint(json.dumps(header, sort_keys=True).encode(), *weights, *vocabulary_files(backbone), x)
