"""Examples become tasks."""

from metalearn_tf.data.class_dataset import ClassDataset, from_arrays
from metalearn_tf.data.episodes import episodes
from metalearn_tf.data.from_directory import from_directory
from metalearn_tf.data.load import load
