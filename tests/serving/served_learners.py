"""The learners that the tests export."""

import keras

import metalearn_tf as mtf

IMAGE_SHAPE = (16, 16, 1)


def conv4(normalization, outputs=None):
    return mtf.networks.conv4(IMAGE_SHAPE, filters=8, outputs=outputs, normalization=normalization)


def one_block(normalization, outputs=None):
    """One convolution in place of four: a graph that is made and loaded in a third of the time."""
    x = inputs = keras.Input(IMAGE_SHAPE)
    x = keras.layers.Conv2D(8, 3, strides=2)(x)
    x = keras.layers.ReLU()(mtf.networks.TaskNormalization(normalization)(x))
    x = keras.layers.Flatten(dtype="float32")(keras.layers.MaxPooling2D(3)(x))
    return keras.Model(inputs, keras.layers.Dense(outputs or 8, dtype="float32")(x))


def prototypical(network=one_block, normalization="transductive", **options):
    return mtf.learners.PrototypicalNetwork(network(normalization), **options)


def maml(network=one_block, normalization="transductive", **options):
    return mtf.learners.MAML(network(normalization, outputs=5), inner_learning_rate=0.1, **options)


def relation_of_maps():
    return mtf.learners.RelationNetwork(mtf.networks.conv4(IMAGE_SHAPE, filters=8, feature_map=True))


def ensemble():
    """Two learners with states of different lengths."""
    return mtf.learners.Ensemble([maml(normalization="support"), prototypical(normalization="running")])


def mixed(learner, policy):
    keras.mixed_precision.set_global_policy(policy)
    return learner()


LEARNERS = {
    "prototypical_euclidean": lambda: prototypical(conv4),
    "prototypical_cosine_support": lambda: prototypical(normalization="support", distance="cosine"),
    "prototypical_running": lambda: prototypical(normalization="running", logit_scale=10.0),
    "prototypical_bfloat16": lambda: mixed(prototypical, "mixed_bfloat16"),
    "matching": lambda: mtf.learners.MatchingNetwork(one_block("support"), logit_scale=10.0),
    "nearest_neighbor": lambda: mtf.learners.NearestNeighbor(one_block("running")),
    "relation_maps": relation_of_maps,
    "relation_vectors_support": lambda: mtf.learners.RelationNetwork(one_block("support")),
    "mann": lambda: mtf.learners.MANN(one_block("support"), memory_slots=16, controller_units=20),
    "maml": lambda: maml(conv4),
    "maml_support_5_steps": lambda: maml(normalization="support", inner_steps=5),
    "maml_running_rematerialized": lambda: maml(normalization="running", rematerialize=True),
    "maml_bfloat16": lambda: mixed(maml, "mixed_bfloat16"),
    "maml_float16": lambda: mixed(maml, "mixed_float16"),
    "ensemble": ensemble,
    "maml_sinusoid": lambda: mtf.learners.MAML(mtf.networks.mlp(outputs=1), inner_learning_rate=0.01),
}
