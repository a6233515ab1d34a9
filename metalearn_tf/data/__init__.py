"""Examples become tasks."""

from metalearn_tf.data.class_dataset import ClassDataset, from_arrays
from metalearn_tf.data.named_datasets.load import load
from metalearn_tf.data.own_files.from_directory import from_directory
from metalearn_tf.data.own_files.read_image import read_image
from metalearn_tf.data.own_files.sharded_class_dataset import ShardedClassDataset, from_shards
from metalearn_tf.data.own_files.write_shards import write_shards
from metalearn_tf.data.tasks.episodes import episodes
from metalearn_tf.data.tasks.image_tasks import image_tasks
