"""Examples become tasks."""

from metalearn_tf.data.class_dataset import ClassDataset, from_arrays
from metalearn_tf.data.episodes import episodes
from metalearn_tf.data.from_directory import from_directory
from metalearn_tf.data.image_tasks import image_tasks
from metalearn_tf.data.load import load
from metalearn_tf.data.read_image import read_image
from metalearn_tf.data.sharded_class_dataset import ShardedClassDataset, from_shards
from metalearn_tf.data.write_shards import write_shards
