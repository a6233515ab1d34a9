"""Examples become tasks."""

from metalearn_tf.data.class_dataset import ClassDataset, from_arrays
from metalearn_tf.data.episodes import episodes
