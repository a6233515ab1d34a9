"""Pre-train, fine-tune, extract features, adapt to a domain."""

from metalearn_tf.transfer.baseline import Baseline, BaselinePlusPlus
from metalearn_tf.transfer.contrastive_loss import nt_xent
from metalearn_tf.transfer.contrastive_model import ContrastiveModel
from metalearn_tf.transfer.denoising_autoencoder import DenoisingAutoencoder
from metalearn_tf.transfer.domain_adaptation import DomainAdaptation
from metalearn_tf.transfer.domain_losses import coral_loss, mmd_loss
from metalearn_tf.transfer.extract_features import extract_features
from metalearn_tf.transfer.feature_dataset import feature_dataset
from metalearn_tf.transfer.fine_tune import fine_tune
from metalearn_tf.transfer.gradient_reversal import GradientReversal
from metalearn_tf.transfer.pretrain import pretrain
from metalearn_tf.transfer.probes import NeighborVotes, linear_probe, nearest_neighbors
from metalearn_tf.transfer.transfer_classifier import TransferClassifier
from metalearn_tf.transfer.unfreezing_plan import UnfreezingPlan
from metalearn_tf.transfer.view_augmentation import view_augmentation
