"""Keras preprocessing layers in the pipeline: where they act, and that tasks stay repeatable."""

import metalearn_tf as mtf

import keras
import numpy as np
import pytest


def images(per_class=8):
    """Three classes of random 6×6 images."""
    values = np.random.default_rng(0).integers(1, 256, (3 * per_class, 6, 6, 1), dtype="uint8")
    return mtf.data.ClassDataset(values, np.repeat(np.arange(3), per_class))


def read(tasks_per_batch=4, count=12, shots=2, seed=3, **options):
    tasks = mtf.data.episodes(images(), 2, shots, 3, tasks_per_batch, seed, **options)
    batches = tasks.take(count // tasks_per_batch).as_numpy_iterator()
    return [np.concatenate(parts) for parts in zip(*((*x, *rest) for x, *rest in batches))]


def test_layers_act_on_their_part_alone_and_in_training():
    plain = read()
    support_x, _, query_x, _ = read(support_augmentation=keras.layers.Dropout(0.5))
    np.testing.assert_array_equal(query_x, plain[2])
    assert 0.3 < (support_x == 0).mean() < 0.7
    np.testing.assert_allclose(support_x[support_x > 0], 2 * plain[0][support_x > 0], rtol=1e-6)
    support_x, _, query_x, _ = read(query_augmentation=keras.layers.Rescaling(0.5))
    np.testing.assert_array_equal(support_x, plain[0])
    np.testing.assert_allclose(query_x, 0.5 * plain[2], rtol=1e-6)


def test_augmented_episodes_are_a_function_of_seed_and_number():
    def layer():
        return keras.Sequential([keras.layers.RandomFlip(), keras.layers.RandomBrightness(0.2, value_range=(0, 1))])

    one, other = layer(), layer()
    options = {"support_augmentation": one, "query_augmentation": other}
    expected = read(1, **options)
    for actual in (read(1, **options), read(6, support_augmentation=other, query_augmentation=layer())):
        for a, b in zip(actual, expected, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)
    plain = read(1)
    assert not any(np.array_equal(a, b) for a, b in zip(expected[0], plain[0]))


def test_tasks_and_parts_have_random_numbers_of_their_own():
    ones = mtf.data.ClassDataset(np.ones((30, 4, 4, 1), "float32"), np.repeat(np.arange(3), 10))
    drop = keras.layers.Dropout(0.5)
    tasks = mtf.data.episodes(ones, 2, 3, 3, 20, 0, support_augmentation=drop, query_augmentation=drop)
    (support_x, _, query_x), _ = next(iter(tasks.take(1).as_numpy_iterator()))
    assert len({task.tobytes() for task in [*support_x, *query_x]}) == 40


def test_padding_stays_padding():
    brighter = keras.layers.Rescaling(1.0, offset=1.0)
    options = {"support_augmentation": brighter, "query_augmentation": brighter}
    support_x, support_y, query_x, query_y, weight = read(shots=(1, 3), **options)
    assert (support_x[support_y < 0] == 0).all() and (support_x[support_y >= 0] > 1).all()
    assert (query_x[query_y >= 0] > 1).all() and weight.all()


def test_layers_may_change_the_size():
    support_x, _, query_x, _ = read(support_augmentation=keras.layers.RandomCrop(4, 4))
    assert support_x.shape == (12, 4, 4, 4, 1) and query_x.shape == (12, 6, 6, 6, 1)


@pytest.mark.parametrize("argument", ["support_augmentation", "query_augmentation"])
def test_what_cannot_augment_is_refused(argument):
    with pytest.raises(TypeError, match=f"`{argument}` must be a Keras layer.*Received: function"):
        read(**{argument: lambda x: x})
    layers = keras.Sequential([keras.layers.RandomBrightness(0.2)])
    with pytest.raises(ValueError, match=rf"`{argument}`.*RandomBrightness.*value_range=\(0, 1\).*Received: .*255"):
        read(**{argument: layers})
    texts = mtf.data.ClassDataset(["a", "b", "c", "d"], [0, 0, 1, 1])
    with pytest.raises(TypeError, match=f"`{argument}` needs images.*Received: a dataset of strings"):
        mtf.data.episodes(texts, 2, 1, 1, **{argument: keras.layers.RandomFlip()})
