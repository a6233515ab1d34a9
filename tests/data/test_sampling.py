"""Draws without replacement: distinct, in range, and uniform over ordered draws."""

import collections
import itertools

from metalearn_tf.data.tasks.sampling import random_bits, sample_without_replacement

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies

few = hypothesis.settings(max_examples=50, deadline=None, derandomize=True)


def chi_square_bound(degrees):
    """The 99.9 % quantile of the chi-square distribution (Wilson and Hilferty, 1931)."""
    return degrees * (1 - 2 / (9 * degrees) + 3.09 * np.sqrt(2 / (9 * degrees))) ** 3


def draw(draws, population, count, seed=0):
    return sample_without_replacement(random_bits([draws, 2 * count], seed, 0), tf.fill([draws], population), count)


@few
@hypothesis.given(
    population=strategies.integers(1, 100), fraction=strategies.floats(0, 1), seed=strategies.integers(-(2**31), 2**31)
)
def test_draws_are_distinct_and_in_range(population, fraction, seed):
    count = max(1, round(fraction * population))
    numbers = draw(20, population, count, seed).numpy()
    assert numbers.shape == (20, count) and numbers.dtype == np.int64
    assert numbers.min() >= 0 and numbers.max() < population
    assert all(len(set(row)) == count for row in numbers.tolist())


@pytest.mark.parametrize("population", [1, 2, 7, 30])
def test_drawing_the_whole_population_permutes_it(population):
    numbers = draw(10, population, population).numpy()
    assert (np.sort(numbers, axis=1) == np.arange(population)).all()


@pytest.mark.parametrize("population, count", [(5, 1), (5, 3), (4, 4), (6, 2)])
def test_every_ordered_draw_is_as_likely(population, count):
    """Over all ordered draws at once, which includes uniform members, uniform order and every position."""
    outcomes = list(itertools.permutations(range(population), count))
    draws = 200 * len(outcomes)
    counts = collections.Counter(map(tuple, draw(draws, population, count, seed=1).numpy().tolist()))
    assert set(counts) == set(outcomes)
    statistic = sum((counts[outcome] - 200) ** 2 / 200 for outcome in outcomes)
    assert statistic < chi_square_bound(len(outcomes) - 1)


def test_each_position_is_uniform_in_large_populations():
    numbers = draw(20000, 1000, 5).numpy()
    for position in range(5):
        counts = np.bincount(numbers[:, position] // 50, minlength=20)
        assert ((counts - 1000) ** 2 / 1000).sum() < chi_square_bound(19)


def test_large_populations_are_covered_to_both_ends():
    population = 2**31 + 12345
    numbers = draw(2000, tf.constant(population, tf.int64), 2).numpy()
    assert numbers.min() < population / 500 and numbers.max() > population * (1 - 1 / 500)
    assert numbers.max() < population


def test_populations_may_differ_within_a_batch():
    populations = tf.constant([[3, 10], [100, 4]])
    numbers = sample_without_replacement(random_bits([2, 2, 6], 0, 0), populations, 3).numpy()
    assert numbers.shape == (2, 2, 3)
    assert (numbers < populations.numpy()[..., None]).all()
    assert sorted(numbers[0, 0]) == [0, 1, 2]


def test_bits_are_a_function_of_seed_and_counter():
    bits = random_bits([100], 5, 7).numpy()
    assert bits.dtype == np.uint32
    np.testing.assert_array_equal(bits, random_bits([100], 5, 7).numpy())
    for seed, counter in ((6, 7), (5, 8), (7, 5), (-5, 7), (5 + 2**32, 7)):
        assert (bits != random_bits([100], seed, counter).numpy()).mean() > 0.9


def test_bits_stay_the_same_on_every_machine_and_version():
    """What a seed means must not change from one release to the next: results in print depend on it."""
    assert random_bits([3], 0, 0).numpy().tolist() == [3885695630, 2698665609, 1306945658]
    assert draw(2, 10, 3, seed=42).numpy().tolist() == [[4, 8, 2], [3, 2, 8]]


def floyd(bits, population, count):
    """Floyd's algorithm and the shuffle, step by step in Python."""
    enlarged, chosen = max(population, count), []
    for step in range(count):
        last = enlarged - count + step
        candidate = (int(bits[step]) * (last + 1)) >> 32
        chosen.append(last if candidate in chosen else candidate)
    keys = bits[count : 2 * count].view("int32").astype("int64")
    keys = np.where(np.array(chosen) < population, keys, 2**31)
    return np.array(chosen)[np.argsort(keys, kind="stable")]


@pytest.mark.parametrize(
    "population, count", [(1, 1), (3, 6), (5, 5), (21, 20), (40, 33), (70, 64), (1000, 50), (900, 800)]
)
def test_all_steps_at_once_draw_what_one_after_the_other_does(population, count):
    """So that the tasks of a seed stay what they were."""
    bits = random_bits([6, 2 * count], 3, 4)
    drawn = sample_without_replacement(bits, tf.fill([6], population), count).numpy()
    np.testing.assert_array_equal(drawn, [floyd(row, population, count) for row in bits.numpy()])


def test_large_draws_take_few_operations():
    """One for each number would take a minute before the first task of 800 queries."""
    draw = tf.function(lambda bits: sample_without_replacement(bits, tf.constant([9000]), bits.shape[1] // 2))
    graphs = [draw.get_concrete_function(tf.TensorSpec((1, 2 * count), tf.uint32)).graph for count in (16, 4096)]
    few, many = (len(graph.get_operations()) for graph in graphs)
    assert many < 2.5 * few < 500
