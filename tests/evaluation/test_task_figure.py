from metalearn_tf.evaluation import task_figure

import numpy as np
import pytest


def make_task():
    random = np.random.default_rng(0)
    support_x, query_x = random.random((6, 8, 8, 1)), random.random((9, 8, 8, 1))
    probabilities = np.eye(3)[np.arange(9) % 3] * 0.7 + 0.1
    return support_x, np.repeat(np.arange(3), 2), query_x, probabilities


def images_and_titles(figure):
    drawn = [axis for axis in figure.axes if axis.images]
    return len(drawn), [axis.get_title() for axis in drawn]


def test_draws_every_support_image_and_query(tmp_path):
    figure = task_figure(*make_task(), class_names=["cat", "dog", "owl"])
    count, titles = images_and_titles(figure)
    assert count == 6 + 9
    assert titles.count("80 %") == 9
    figure.savefig(tmp_path / "task.png")
    assert (tmp_path / "task.png").stat().st_size > 1000


def test_wrong_answers_name_the_right_class():
    labels = np.arange(9) % 3
    labels[0] = 2
    _, titles = images_and_titles(task_figure(*make_task(), query_y=labels, class_names=["cat", "dog", "owl"]))
    assert titles.count("80 %\nowl") == 1


@pytest.mark.parametrize(
    "position, argument",
    [(0, "support_x"), (2, "probabilities")],
)
def test_lengths_that_do_not_fit_are_refused(position, argument):
    task = list(make_task())
    task[position] = task[position][:-1]
    with pytest.raises(ValueError, match=f"`{argument}`.*Received"):
        task_figure(*task)


def test_query_labels_and_names_must_fit():
    with pytest.raises(ValueError, match="`query_y`.*Received: 2"):
        task_figure(*make_task(), query_y=[0, 1])
    with pytest.raises(ValueError, match="`class_names` must hold one distinct name.*Received: 1 names"):
        task_figure(*make_task(), class_names=["cat"])


def test_of_many_queries_the_wrong_and_the_surest_are_drawn():
    support = np.zeros((2, 8, 8, 1))
    surest = [0.9, 0.6, 0.7, 0.8, 0.55]
    probabilities = np.array([[value, 1.0 - value] for value in surest])
    queries, labels = np.zeros((5, 8, 8, 1)), [0, 0, 0, 0, 1]
    _, titles = images_and_titles(task_figure(support, [0, 1], queries, probabilities, queries_per_row=2))
    assert [title for title in titles if title] == ["90 %", "80 %"]
    figure = task_figure(support, [0, 1], queries, probabilities, labels, ["cat", "dog"], queries_per_row=2)
    assert [title for title in images_and_titles(figure)[1] if title] == ["55 %\ndog", "90 %"]
