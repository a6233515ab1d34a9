"""The documents' combined methods: meta-learning together with GANs, each compared with its ablations."""

from metalearn_tf.workflows.classical_augmentation import classical_augmentation
from metalearn_tf.workflows.daml import daml
from metalearn_tf.workflows.enlarged_support import EnlargedSupport
from metalearn_tf.workflows.gan_augmented import gan_augmented
from metalearn_tf.workflows.meta_gan_transfer import meta_gan_transfer
from metalearn_tf.workflows.plans import (
    DAMLBudget,
    DAMLTasks,
    GANAugmentedBudget,
    GANAugmentedTasks,
    MetaGANTransferBudget,
)
from metalearn_tf.workflows.workflow_report import Arm, Gain, WorkflowReport
