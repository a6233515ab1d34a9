"""A picture of a task with its predictions."""

import numpy as np
from matplotlib.figure import Figure

from metalearn_tf.checks.class_names import check_class_names


def task_figure(support_x, support_y, query_x, probabilities, query_y=None, class_names=None, queries_per_row=10):
    """Draws one row for each class: its support images, then the queries that were classified as it.

    A query's title is its probability in percent. With `query_y`, wrong answers have a red frame and a red title with
    the correct class.

    Args:
        support_x: images `(support, height, width, channels)`, float in `[0, 1]` or uint8.
        support_y: labels `(support,)`.
        query_x: images `(queries, height, width, channels)`.
        probabilities: `(queries, ways)`, as `AdaptedModel.predict` returns.
        query_y: true labels `(queries,)`, if known.
        class_names: names of the `ways` classes.
        queries_per_row: at most this many queries are drawn for a class; those with the highest probability and wrong
            ones come first.

    Returns:
        A `matplotlib.figure.Figure`; `figure.savefig(path)` writes it.

    Raises:
        ValueError: if the lengths do not fit each other.
    """
    support_y, probabilities = np.asarray(support_y), np.asarray(probabilities)
    ways = probabilities.shape[-1]
    _check(support_x, support_y, query_x, probabilities, query_y, class_names)
    names = list(class_names) if class_names is not None else [f"class {label}" for label in range(ways)]
    predictions = probabilities.argmax(axis=-1)
    shots = int(np.bincount(support_y, minlength=ways).max())

    figure = Figure(figsize=(0.9 * (shots + queries_per_row) + 2.6, 1.15 * ways + 0.6), layout="constrained")
    axes = figure.subplots(ways, shots + queries_per_row, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for label in range(ways):
        for axis, image in zip(axes[label], np.asarray(support_x)[support_y == label]):
            _draw(axis, image, "tab:blue")
        axes[label, 0].set_title(names[label], fontsize=8, loc="left")
        members = np.flatnonzero(predictions == label)
        wrong = np.zeros(len(members), bool) if query_y is None else np.asarray(query_y)[members] != label
        order = np.lexsort((-probabilities[members, label], ~wrong))[:queries_per_row]
        for axis, query, is_wrong in zip(axes[label, shots:], members[order], wrong[order]):
            _draw(axis, np.asarray(query_x)[query], "tab:red" if is_wrong else "0.8")
            title = f"{100 * probabilities[query, label]:.0f} %"
            if is_wrong:
                title += f"\n{names[int(np.asarray(query_y)[query])]}"
            axis.set_title(title, fontsize=7, color="tab:red" if is_wrong else "black")
    figure.suptitle("blue: support images; then the queries given to the class, with their probability", fontsize=9)
    return figure


def _check(support_x, support_y, query_x, probabilities, query_y, class_names):
    ways = probabilities.shape[-1]
    if len(support_x) != len(support_y):
        raise ValueError(
            f"`support_x` and `support_y` must have the same length. Received: {len(support_x)} and {len(support_y)}"
        )
    if len(query_x) != len(probabilities):
        raise ValueError(
            f"`probabilities` must have one row for each query. Received: {len(probabilities)} for {len(query_x)}"
        )
    if query_y is not None and len(query_y) != len(query_x):
        raise ValueError(f"`query_y` must have one label for each query. Received: {len(query_y)} for {len(query_x)}")
    if class_names is not None:
        check_class_names(class_names, ways)


def _draw(axis, image, color):
    axis.set_axis_on()
    axis.set_xticks([])
    axis.set_yticks([])
    for spine in axis.spines.values():
        spine.set_color(color)
        spine.set_linewidth(2)
    axis.imshow(np.squeeze(image), cmap="gray" if np.shape(image)[-1] == 1 else None)
