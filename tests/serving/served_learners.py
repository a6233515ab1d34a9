"""The learners that the tests export."""

import metalearn_tf as mtf
from metalearn_tf.serving.task_states import model_fingerprint, state_axes

import keras
import numpy as np
import tensorflow as tf

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


def maml(network=one_block, normalization="transductive", inner_steps=1, **options):
    return mtf.learners.MAML(
        network(normalization, outputs=5), inner_steps=inner_steps, inner_learning_rate=0.1, **options
    )


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
    "baseline": lambda: mtf.transfer.Baseline(one_block("running"), epochs=5, learning_rate=0.3),
    "baseline_plus_plus_support": lambda: mtf.transfer.BaselinePlusPlus(one_block("support"), epochs=5),
    "maml_sinusoid": lambda: mtf.learners.MAML(mtf.networks.mlp(outputs=1), inner_steps=1, inner_learning_rate=0.01),
}


def served_state(learner, support_x, support_y):
    """The task state as a client gets it: by name, with the last tensor that says whose it is and how large."""
    inputs = learner.network.inputs[0]
    specs = (tf.TensorSpec((None, *inputs.shape[1:]), inputs.dtype), tf.TensorSpec((None,), tf.int32))
    state = learner.adapt_task(tf.constant(support_x), tf.constant(support_y))
    axes = state_axes(learner, learner.state_specs(*specs), *specs)
    lengths = [state[places[0][0]].shape[places[0][1]] for places in axes.values()]
    owner = model_fingerprint(learner, [*learner.weights, *learner.network.variables])
    state = [*(tensor.numpy() for tensor in state), np.array([*owner, *lengths], "int32")]
    return {f"state_{index}": tensor for index, tensor in enumerate(state)}


# Six words for each of five subjects, and words that say nothing.
SUBJECTS = [[f"{subject}{number}" for number in range(6)] for subject in ("space", "médecine", "хоккей", "car", "gun")]
FILLERS = ["the", "of", "and", "a", "is"]


def texts_about(subject, count, seed):
    random = np.random.default_rng(seed)
    return [" ".join([*random.choice(SUBJECTS[subject], 4), *random.choice(FILLERS, 6)]) for _ in range(count)]


def text_encoder(pooling, outputs=None):
    texts = [text for subject in range(5) for text in texts_about(subject, 8, seed=subject)]
    return mtf.networks.text_encoder(texts, units=6, pooling=pooling, max_words=12, outputs=outputs)


def bag_of_words(outputs=None):
    texts = [text for subject in range(5) for text in texts_about(subject, 8, seed=subject)]
    return mtf.networks.bag_of_words(texts, outputs=outputs)


TEXT_LEARNERS = {
    "text_prototypical": lambda: mtf.learners.PrototypicalNetwork(bag_of_words(), distance="cosine"),
    "text_attention_maml": lambda: mtf.learners.MAML(
        text_encoder("attention", 5), inner_steps=2, inner_learning_rate=5.0
    ),
    "text_convolution_maml": lambda: mtf.learners.MAML(
        text_encoder("convolution", 5), inner_steps=1, inner_learning_rate=5.0
    ),
}
