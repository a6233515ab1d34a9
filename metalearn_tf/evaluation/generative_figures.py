"""Pictures of a GAN: its training, and what it draws from a few images."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from metalearn_tf.checks.whole_numbers import check_whole
from metalearn_tf.evaluation.nearest_images import nearest_images
from metalearn_tf.evaluation.sample_grid import to_pixels
from metalearn_tf.evaluation.scored_images import SCORED_RANGE, check_scored_images
from metalearn_tf.files.local_path import local_path
from metalearn_tf.files.whole_files import write_whole

_SPREAD = "_spread"


def training_curves(history, path=None):
    """Draws losses and scores over the epochs: all losses in one panel, and one panel for each score.

    Args:
        history: what `fit` returned, or a dict from names to one value for each epoch. Values that are NaN are left
            out; `kid_spread` is drawn as a band around `kid`, and so is any `NAME_spread`.
        path: the figure is written there too, if one is given; the ending says in which format.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        ValueError: if the history holds no epoch.
    """
    values = {name: np.asarray(series, "float64") for name, series in getattr(history, "history", history).items()}
    if not values or not all(series.ndim == 1 and len(series) for series in values.values()):
        raise ValueError(
            "`history` must hold one value of each name for every epoch. "
            f"Received: shapes { {name: series.shape for name, series in values.items()} }"
        )
    bands = {name for name in values if name.endswith(_SPREAD) and name.removesuffix(_SPREAD) in values}
    losses = [name for name in values if "loss" in name and name not in bands]
    panels = [losses] if losses else []
    panels += [[name] for name in values if name not in losses and name not in bands]

    figure = Figure(figsize=(4.2 * len(panels), 3.2), layout="constrained")
    for axis, names in zip(figure.subplots(1, len(panels), squeeze=False).flat, panels):
        for name in names:
            drawn = np.flatnonzero(~np.isnan(values[name]))
            series = values[name][drawn]
            axis.plot(drawn + 1, series, marker=".", label=name.replace("_", " "))
            if name + _SPREAD in bands:
                spread = values[name + _SPREAD][drawn]
                axis.fill_between(drawn + 1, series - spread, series + spread, alpha=0.2)
        axis.set_xlabel("epoch", fontsize=8)
        axis.tick_params(labelsize=7)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.legend(fontsize=7)
    return _written(figure, path)


def few_shot_figure(inputs, generated, training_images=None, path=None, columns=10, image_range=None):
    """Draws the few input images, generated ones, and below each its nearest input and its nearest training image.

    The numbers are the distances of `nearest_images`: 0 is a copy.

    Args:
        inputs: images `(k, height, width, channels)` that the GAN was adapted to, floating in `image_range`, or
            uint8.
        generated: images `(n, height, width, channels)`; the first `columns` are drawn.
        training_images: images `(m, height, width, channels)` that the GAN was trained on before, if they are to be
            looked at too.
        path: the figure is written there too, if one is given; the ending says in which format.
        columns: generated images that are drawn.
        image_range: lowest and highest value of a floating pixel; `None` for `[-1, 1]`.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        ValueError: if the images are not such, or differ in shape.
    """
    check_whole(columns=columns)
    inputs = check_scored_images("inputs", inputs, image_range=image_range)
    generated = check_scored_images("generated", generated, image_range=image_range)[:columns]
    if training_images is not None:
        training_images = check_scored_images("training_images", training_images, image_range=image_range)
    if inputs.shape[1:] != generated.shape[1:]:
        raise ValueError(
            "`inputs` and `generated` must hold images of the same shape. "
            f"Received: {inputs.shape[1:]} and {generated.shape[1:]}"
        )
    rows = [("inputs", inputs, None), ("generated", generated, None)]
    for name, images in (("nearest input", inputs), ("nearest training image", training_images)):
        if images is not None:
            indices, distances = nearest_images(generated, images, SCORED_RANGE)
            rows.append((name, images[indices], distances))

    width = max(len(inputs), len(generated))
    figure = Figure(figsize=(0.9 * width + 0.4, 1.2 * len(rows) + 0.2), layout="constrained")
    for axes, (name, images, distances) in zip(figure.subplots(len(rows), width, squeeze=False), rows):
        for axis in axes:
            axis.set_axis_off()
        axes[0].set_title(name, fontsize=8, loc="left")
        for place, (axis, pixels) in enumerate(zip(axes, to_pixels(images))):
            grey = pixels.shape[-1] == 1
            axis.imshow(np.squeeze(pixels, -1) if grey else pixels, cmap="gray" if grey else None, vmin=0, vmax=255)
            if distances is not None:
                axis.text(
                    0.5, -0.04, f"{distances[place]:.3g}", fontsize=7, ha="center", va="top", transform=axis.transAxes
                )
    return _written(figure, path)


def _written(figure, path):
    if path is not None:
        ending = local_path("path", path).suffix[1:] or "png"
        write_whole(path, lambda file: figure.savefig(file, format=ending, dpi=120))
    return figure
