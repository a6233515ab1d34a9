"""A dataset of features instead of examples."""

from metalearn_tf.data.class_dataset import ClassDataset
from metalearn_tf.transfer.extract_features import extract_features


def feature_dataset(backbone, dataset, batch_size=256, verbose="auto", cache_dir=None, image_range=(0.0, 1.0)):
    """A dataset with features instead of examples, so that any meta-learner can train on features.

    ```python
    features = mtf.transfer.feature_dataset(backbone, dataset, cache_dir="cache")
    learner = mtf.learners.PrototypicalNetwork(mtf.networks.mlp(features.example_shape, units=(64,)))
    learner.fit(mtf.data.episodes(features, ways=5, shots=1, queries=15), steps_per_epoch=100)
    ```

    Args:
        backbone: see `extract_features`, also for the other arguments.
        dataset: a `ClassDataset`.

    Returns:
        A `ClassDataset` of float32 examples `(n, d)` with the same classes, names, parents and domain.

    Raises:
        ValueError: as for `extract_features`, or if `dataset` is not a `ClassDataset`.
    """
    if not isinstance(dataset, ClassDataset):
        raise ValueError(f"`dataset` must be a `ClassDataset`. Received: {type(dataset).__name__}")
    features = extract_features(backbone, dataset, batch_size, verbose, cache_dir, image_range)
    return ClassDataset(features, dataset.labels, dataset.class_names, dataset.parents, dataset.domain)
