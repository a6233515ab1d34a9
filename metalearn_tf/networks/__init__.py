"""What is trained: backbones and their task normalisation, generators and discriminators."""

from metalearn_tf.networks.augmentation_gan import augmentation_gan
from metalearn_tf.networks.bag_of_words import bag_of_words
from metalearn_tf.networks.conv4 import conv4
from metalearn_tf.networks.dcgan import dcgan
from metalearn_tf.networks.example_normalization import ExampleNormalization
from metalearn_tf.networks.hub_encoder import hub_encoder
from metalearn_tf.networks.max_pooling import MaxPooling
from metalearn_tf.networks.mlp import mlp
from metalearn_tf.networks.multi_task_head import MultiTaskHead, task_of_class
from metalearn_tf.networks.pair_gan import pair_gan
from metalearn_tf.networks.residual_gan import residual_gan
from metalearn_tf.networks.resnet9 import resnet9
from metalearn_tf.networks.resnet12 import resnet12
from metalearn_tf.networks.task_normalization import TaskNormalization
from metalearn_tf.networks.text_encoder import text_encoder
from metalearn_tf.networks.translation_gan import translation_gan
from metalearn_tf.networks.with_task_normalization import with_task_normalization
