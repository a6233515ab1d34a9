"""Writes a learner as a SavedModel in TensorFlow Serving's layout."""

import contextlib
import json
import os
import pathlib
import shutil
import tempfile
import uuid

import tensorflow as tf

from metalearn_tf.engine.keras_internals import flat_layers
from metalearn_tf.files.local_path import local_path
from metalearn_tf.serving.model_card import card_facts, model_card
from metalearn_tf.serving.signatures import learner_limits, learner_signatures
from metalearn_tf.serving.warm_up import example_requests, wants_warm_up, write_warm_up


def export_learner(learner, path, description=None, report=None, warm_up=None, regression=False, **limits):
    """Writes a SavedModel that adapts to new classes inside its graph, for a server without Python.

    The signatures are those of `learner_signatures`. Beside the model are warm-up requests for each of them and a
    `model_card.md`, and what programs want to know of it in `model_card.json`. Nothing is at `path` before everything
    is.

    ```python
    learner.export("saved_models/my_learner/1", description="Trained on Omniglot for 2 minutes.", report=report)
    learner.export("saved_models/my_learner/2", max_support=50, max_queries=500)
    ```

    A request beyond a limit is refused before any work. Queries are answered a part at a time where an answer depends
    on no other query, so that memory grows with the support set, and not with the queries.

    Args:
        learner: a `MetaLearner`.
        path: the folder to write, which must not exist yet. TensorFlow Serving wants its last part to be a number,
            the version, in a folder that has the model's name.
        description: text for the model card: what the learner was trained on, and how.
        report: what `mtf.evaluation.evaluate_episodes` returned, for the model card; or a list of several.
        warm_up: whether to write warm-up requests. `None` writes them where `pip install "metalearn_tf[serving]"` has
            been run.
        regression: whether the learner's tasks are regressions: targets in, predictions out.
        **limits: what a request may have at most, whole numbers:

            | argument | default | what it bounds |
            |---|---|---|
            | `max_support` | 1,024 | support examples; rows of the state's tensors |
            | `max_queries` | 4,096 | queries |
            | `max_pairs` | 2,097,152 | support examples, or rows of the state, times queries |
            | `max_pixels` | 16,777,216 | of images: pixels of a file, as its header says them |
            | `max_total_pixels` | 536,870,912 | of images: pixels of all files of an input |
            | `max_text_length` | 65,536 | of texts: bytes of one |
            | `max_total_text_length` | 16,777,216 | of texts: bytes of an input's, each counted as the longest |

    Raises:
        FileExistsError: if there is something at `path`.
        ValueError: if an argument is not of its kind, or the learner does not do regression.
        TypeError: if a limit is none of these, or bounds nothing that the learner takes.
        ImportError: if `warm_up` is `True` and the package for it is missing.
    """
    path = check_destination(path, description)
    reports = list(report) if isinstance(report, (list, tuple)) else [] if report is None else [report]
    _check_arguments(learner, reports, regression)
    warm_up, limits = wants_warm_up(warm_up), learner_limits(learner, **limits)

    signatures = learner_signatures(learner, regression, limits)
    card = model_card(learner, signatures, model_name(path), description, reports, limits)
    ways = min(5, learner.max_ways or 5, limits["max_support"], limits["max_queries"])
    requests = example_requests(signatures, ways) if warm_up else None
    # A network's own list has the states of its random layers, which the learner's `weights` leave out.
    variables = [*learner.weights, *learner.network.variables]
    facts = card_facts(learner, signatures, model_name(path), limits)
    write_saved_model(path, signatures, variables, card, facts, requests, _tables(learner))


def write_saved_model(path, signatures, variables, card, facts, requests=None, tables=(), assets=None):
    """Writes a SavedModel with its model card and warm-up requests; nothing is at `path` before everything is.

    Args:
        path: a `pathlib.Path` at which there is nothing.
        signatures: functions with an `input_signature`, or concrete functions, by name.
        variables: the Keras variables that they read.
        card: the text of `model_card.md`.
        facts: what is in `model_card.json`, a dictionary.
        requests: see `mtf.serving.warm_up.write_warm_up`; `None` writes none.
        tables: the lookup tables that they read.
        assets: a dictionary from the name of a file in the SavedModel's folder `assets` to its text.

    Raises:
        FileExistsError: if there is something at `path`.
    """
    _check_nothing_at(path)
    module = tf.Module()
    # The TensorFlow variables alone: Keras objects would bring their optimizer and their own signatures along.
    module.model_variables = list({id(v): v.value for v in variables}.values())
    module.tables = list(tables)
    # A served model gives no gradients: without them it is written five times as fast, and half as large.
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    with _new_directory(path) as directory, tempfile.TemporaryDirectory() as asset_folder:
        module.assets = [_asset(asset_folder, name, text) for name, text in (assets or {}).items()]
        tf.saved_model.save(module, str(directory), signatures=signatures, options=options)
        (directory / "model_card.md").write_text(card, encoding="utf-8")
        (directory / "model_card.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        if requests is not None:
            write_warm_up(requests, directory)


def check_destination(path, description):
    """The path of an export as a `pathlib.Path`, once there is nothing at it and the description is text or `None`."""
    path = local_path("path", path)
    _check_nothing_at(path)
    if description is not None and not isinstance(description, str):
        raise ValueError(f"`description` must be text. Received: {type(description).__name__}")
    return path


def _check_nothing_at(path):
    if os.path.lexists(path):
        raise FileExistsError(f"`path` must not exist; export to a new version. Received: {str(path)!r}")


def _check_arguments(learner, reports, regression):
    if not all(hasattr(one, "to_markdown") for one in reports):
        raise ValueError(f"`report` must be what `mtf.evaluation.evaluate_episodes` returns. Received: {reports}")
    if not isinstance(regression, bool):
        raise ValueError(f"`regression` must be True or False. Received: {regression!r}")
    if regression and not learner.takes_targets:
        raise ValueError(
            "`regression` needs a learner whose network has outputs, as `MAML`. "
            f"Received: {type(learner).__name__}, which learns classes alone"
        )
    if not isinstance(learner.network.input_shape, tuple):
        raise ValueError(
            "`learner` must have a network of one input. "
            f"Received: a network with the inputs {learner.network.input_shape}"
        )


def model_name(path):
    """The name under which TensorFlow Serving finds a model at `path`."""
    path = path.absolute()
    return path.parent.name if path.name.isdigit() else path.name


def _tables(learner):
    """The tables that look words up: they are no variables, and the graph cannot be saved without them."""
    layers = flat_layers(learner.network)
    values = [value for layer in layers for value in vars(layer).values()]
    return [value for value in values if isinstance(value, tf.saved_model.experimental.TrackableResource)]


def _asset(folder, name, text):
    """A file that the SavedModel takes along."""
    file = pathlib.Path(folder) / name
    file.write_text(text, encoding="utf-8")
    return tf.saved_model.Asset(str(file))


def delete_unfinished_export(path, folder):
    """Deletes what killed processes have left of exports to a path; nobody else may be exporting to it.

    Args:
        path: that of the export.
        folder: a folder above it that existed before.
    """
    for above in (parent for parent in path.parents if parent.is_relative_to(folder)):
        for left in above.glob(f".{path.name}-{'[0-9a-f]' * 32}"):
            shutil.rmtree(left)


@contextlib.contextmanager
def _new_directory(path):
    """A folder to fill, which gets the name `path` at the end; after an error, nothing is left of it."""
    # In the nearest folder that exists: on the same disk, so that renaming is one step, and with no folders above it
    # to take away again. Not by `tempfile`, whose folders only their owner can read.
    above = next(folder for folder in path.absolute().parents if folder.exists())
    directory = above / f".{path.name}-{uuid.uuid4().hex}"
    directory.mkdir()
    try:
        yield directory
        path.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(path):
            raise FileExistsError(f"`path` came to exist during the export. Received: {str(path)!r}")
        directory.rename(path)
    finally:
        if directory.exists():
            shutil.rmtree(directory)
