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

    The signatures are those of `learner_signatures`. The folder also has warm-up requests for each signature, a
    `model_card.md`, and a `model_card.json` for programs. `path` appears only when the export is complete.

    ```python
    learner.export("saved_models/my_learner/1", description="Trained on Omniglot for 2 minutes.", report=report)
    learner.export("saved_models/my_learner/2", max_support=50, max_queries=500)
    ```

    A request beyond a limit is refused before any work. If an answer does not depend on other queries, the queries are
    answered in blocks, so memory grows only with the support set.

    Args:
        learner: a `MetaLearner`.
        path: the folder to write, which must not exist yet. For TensorFlow Serving, its last part must be the version,
            a number, in a folder with the model's name.
        description: text for the model card: what the learner was trained on, and how.
        report: a result of `mtf.evaluation.evaluate_episodes` for the model card; or a list of several.
        warm_up: whether to write warm-up requests. `None` writes them if `metalearn_tf[serving]` is installed.
        regression: whether the learner's tasks are regressions, with targets as input and predictions as output.
        **limits: the largest values that a request may have, integers:

            | argument | default | what it limits |
            |---|---|---|
            | `max_support` | 1,024 | support examples; rows of the state's tensors |
            | `max_queries` | 4,096 | queries |
            | `max_pairs` | 2,097,152 | support examples, or rows of the state, times queries |
            | `max_pixels` | 16,777,216 | for images: pixels of a file, as in its header |
            | `max_total_pixels` | 536,870,912 | for images: pixels of all files of an input |
            | `max_text_length` | 65,536 | for texts: bytes of one text |
            | `max_total_text_length` | 16,777,216 | for texts: bytes of one input, if all were as long as the longest |

    Raises:
        FileExistsError: if `path` already exists.
        ValueError: if an argument is wrong, or the learner does not do regression.
        TypeError: if a limit is not in this table, or does not apply to the inputs of this learner.
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
    # The learner's `weights` lack the states of random layers, but the network's own list has them.
    variables = [*learner.weights, *learner.network.variables]
    facts = card_facts(learner, signatures, model_name(path), limits)
    write_saved_model(path, signatures, variables, card, facts, requests, _tables(learner))


def write_saved_model(path, signatures, variables, card, facts, requests=None, tables=(), assets=None):
    """Writes a SavedModel with its model card and warm-up requests. `path` appears only when everything is complete.

    Args:
        path: a `pathlib.Path` that does not exist yet.
        signatures: functions with an `input_signature`, or concrete functions, by name.
        variables: the Keras variables that the signatures read.
        card: the text of `model_card.md`.
        facts: the content of `model_card.json`, a dictionary.
        requests: see `mtf.serving.warm_up.write_warm_up`; `None` writes none.
        tables: the lookup tables that the signatures read.
        assets: a dictionary from the name of a file in the SavedModel's folder `assets` to its text.

    Raises:
        FileExistsError: if `path` already exists.
    """
    _check_nothing_at(path)
    module = tf.Module()
    # Only the TensorFlow variables: Keras objects would add their optimizer and their own signatures.
    module.model_variables = list({id(v): v.value for v in variables}.values())
    module.tables = list(tables)
    # A served model needs no gradients. Without them, writing is five times as fast and the file half as large.
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    with _new_directory(path) as directory, tempfile.TemporaryDirectory() as asset_folder:
        module.assets = [_asset(asset_folder, name, text) for name, text in (assets or {}).items()]
        tf.saved_model.save(module, str(directory), signatures=signatures, options=options)
        (directory / "model_card.md").write_text(card, encoding="utf-8")
        (directory / "model_card.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        if requests is not None:
            write_warm_up(requests, directory)


def check_destination(path, description):
    """Checks that `path` does not exist and the description is text or `None`; returns the path as `pathlib.Path`."""
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
    """The tables that look up words. They are not variables, but the graph cannot be saved without them."""
    layers = flat_layers(learner.network)
    values = [value for layer in layers for value in vars(layer).values()]
    return [value for value in values if isinstance(value, tf.saved_model.experimental.TrackableResource)]


def _asset(folder, name, text):
    """A file that the SavedModel contains."""
    file = pathlib.Path(folder) / name
    file.write_text(text, encoding="utf-8")
    return tf.saved_model.Asset(str(file))


def delete_unfinished_export(path, folder):
    """Deletes the unfinished exports of killed processes. Call it only while nobody exports to this path.

    Args:
        path: the path of the export.
        folder: a parent folder that existed before the export.
    """
    for above in (parent for parent in path.parents if parent.is_relative_to(folder)):
        for left in above.glob(f".{path.name}-{'[0-9a-f]' * 32}"):
            shutil.rmtree(left)


@contextlib.contextmanager
def _new_directory(path):
    """A new folder that is renamed to `path` at the end. After an error, it is deleted."""
    # It is in the nearest existing folder. So it is on the same disk, where renaming is one step, and after an error
    # there are no new parent folders to delete. `tempfile` will not do: only the owner can read its folders.
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
