"""Pre-train, fine-tune, extract features, adapt to a domain."""

from metalearn_tf.transfer.domain_adaptation import DomainAdaptation
from metalearn_tf.transfer.domain_losses import coral_loss, mmd_loss
from metalearn_tf.transfer.gradient_reversal import GradientReversal
