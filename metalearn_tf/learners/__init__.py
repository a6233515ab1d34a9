"""Meta-learners: two pure functions each, `adapt_task` and `classify`."""

from metalearn_tf.learners.maml import MAML
from metalearn_tf.learners.meta_learner import MetaLearner
from metalearn_tf.learners.prototypical_network import PrototypicalNetwork
