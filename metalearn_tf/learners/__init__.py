"""Meta-learners. Each has two pure functions, `adapt_task` and `classify`."""

from metalearn_tf.learners.anil import ANIL
from metalearn_tf.learners.ensemble import Ensemble
from metalearn_tf.learners.gradient_based_learner import GradientBasedLearner
from metalearn_tf.learners.maml import MAML
from metalearn_tf.learners.mann import MANN
from metalearn_tf.learners.matching_network import MatchingNetwork
from metalearn_tf.learners.meta_learner import MetaLearner
from metalearn_tf.learners.meta_lstm import MetaLSTM
from metalearn_tf.learners.meta_sgd import MetaSGD
from metalearn_tf.learners.nearest_neighbor import NearestNeighbor
from metalearn_tf.learners.prototypical_network import PrototypicalNetwork
from metalearn_tf.learners.relation_network import RelationNetwork, relation_loss
from metalearn_tf.learners.reptile import Reptile
