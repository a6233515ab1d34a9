"""Queries that are compared a block at a time have the answers of all at once."""

import metalearn_tf as mtf
from metalearn_tf.engine.in_blocks import in_blocks
from metalearn_tf.learners import query_blocks

import keras
import numpy as np
import pytest
import tensorflow as tf


def network():
    return keras.Sequential([keras.Input((6,)), keras.layers.Dense(5)])


@pytest.mark.parametrize("learner", ["MatchingNetwork", "NearestNeighbor", "RelationNetwork"])
def test_blocks_of_any_size_give_the_answers_of_all_at_once(learner, monkeypatch):
    learner, random = getattr(mtf.learners, learner)(network()), np.random.default_rng(0)
    support_x, query_x = (tf.constant(random.normal(size=(n, 6)), tf.float32) for n in (20, 33))
    state = learner.adapt_task(support_x, tf.constant(np.arange(20) % 7, tf.int32))
    expected = learner.classify(state, query_x)
    assert expected.shape == (33, 7)
    for most in (1, 200, 700):  # one query, ten, and more than half of them
        monkeypatch.setattr(query_blocks, "_MOST_NUMBERS", most)
        np.testing.assert_allclose(learner.classify(state, query_x), expected, rtol=1e-5, atol=1e-5)
        of_any_number = tf.function(learner.classify, input_signature=[list(map(open_spec, state)), open_spec(query_x)])
        np.testing.assert_allclose(of_any_number(state, query_x), expected, rtol=1e-5, atol=1e-5)


def open_spec(tensor):
    return tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype)


def test_no_cube_of_queries_support_and_ways(monkeypatch):
    """The largest tensor of a comparison is support times queries of a block."""
    learner = mtf.learners.MatchingNetwork(network())
    monkeypatch.setattr(query_blocks, "_MOST_NUMBERS", 64 * 50)
    specs = [tf.TensorSpec((64, 5)), tf.TensorSpec((64, 64))], tf.TensorSpec((500, 6))
    graph = tf.function(learner.classify).get_concrete_function(*specs).graph.as_graph_def(add_shapes=True)
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    sizes = [
        np.prod([dim.size for dim in shape.dim])
        for node in nodes
        for shape in node.attr["_output_shapes"].list.shape
        if not shape.unknown_rank
    ]
    assert 0 < max(sizes) <= 64 * 500


@pytest.mark.parametrize("count", [0, 1, 4, 5, 9])
def test_rows_come_back_in_their_order(count):
    rows = {"x": tf.range(count * 2.0), "names": tf.strings.as_string(tf.range(count * 2))}
    rows = {key: tf.reshape(part, [count, 2]) for key, part in rows.items()}
    doubled = tf.function(
        lambda rows: in_blocks(lambda rows: 2 * rows["x"] + tf.strings.to_number(rows["names"]), rows, 4),
        input_signature=[tf.nest.map_structure(open_spec, rows)],
    )
    np.testing.assert_array_equal(doubled(rows), 3 * rows["x"])


def test_the_nearest_neighbor_may_be_far_away():
    """Beyond 1e9 a class counted as one without examples."""
    inputs = keras.Input((2,))
    learner = mtf.learners.NearestNeighbor(keras.Model(inputs, keras.layers.Identity()(inputs)))
    support_x, query_x = np.array([[0, 0], [9e4, 0]], "float32"), np.array([[-8e4, 0]], "float32")
    logits = np.asarray(learner((support_x[None], np.array([[0, 1]]), query_x[None])))[0, 0]
    np.testing.assert_allclose(logits, [-6.4e9, -2.89e10], rtol=1e-5)
