"""Exports the published models again from their own weights, as today's code does.

    python saved_models/export_again.py                  # all of them
    python saved_models/export_again.py omniglot_maml_5way_1shot
    python saved_models/export_again.py --check          # changes nothing, and says which are not what the code exports

A model keeps its weights, and its card what it says of training and evaluation; graphs, signatures, the rest of the card
and the warm-up requests are made anew. Nothing is replaced whose answers would be others than before. It needs
`pip install "metalearn_tf[serving]"` for the warm-up requests. `tests/serving/test_published_models.py` fails while a
model is not what the code exports: run this after a change to what is served.
"""

import argparse
import collections
import functools
import hashlib
import os
import pathlib
import re
import shutil
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

import metalearn_tf as mtf

FOLDER = pathlib.Path(__file__).parent
MOST_BYTES = 5_000_000


# === The models, as the examples build them before they export ===


def prototypical():
    return mtf.learners.PrototypicalNetwork(mtf.networks.conv4(normalization="support"))


def maml():
    network = mtf.networks.conv4(outputs=5, normalization="support")
    return mtf.learners.MAML(network, inner_steps=5, inner_learning_rate=0.2, test_inner_steps=10)


def meta_gan():
    networks = mtf.networks.dcgan(
        (28, 28, 1), filters=32, generator_normalization="layer", discriminator_normalization="layer"
    )
    gan = mtf.gan.GAN(*networks, penalty="r1", average_decay=None)
    return mtf.gan.MetaGAN(gan, "reptile", inner_steps=20, inner_learning_rate=1e-3, test_inner_steps=50)


def classifier(filters, classes, name):
    return lambda: mtf.transfer.TransferClassifier(mtf.networks.resnet9(filters=filters), classes, name=name)


BUILDERS = {
    "omniglot_prototypical": prototypical,
    "omniglot_maml_5way_1shot": maml,
    "omniglot_maml_5way_5shot": maml,
    "omniglot_meta_gan": meta_gan,
    "cifar10_classifier": classifier((32, 64, 128, 192), 10, "cifar10_classifier"),
    "cifar10_features": lambda: mtf.networks.resnet9(filters=(32, 64, 128, 192)),
    "caltech101_classifier": classifier((16, 32, 64, 128), 100, "caltech101_classifier"),
}


# === Exported from a published one ===


class KeptTables:
    """The tables of an evaluation that a card has, as an export takes reports."""

    def __init__(self, text):
        self._text = text

    def to_markdown(self):
        return self._text


def version_of(name):
    """The folder of the published model."""
    return FOLDER / name / "1"


def rebuilt(name):
    """The model of a published SavedModel, with its weights."""
    model = BUILDERS[name]()
    # In the order in which an export writes them; counters and random states, which are integers, are no weights.
    variables = [*model.weights, *model.network.variables] if is_learner(model) else model.variables
    variables = [one for one in {id(one): one for one in variables}.values() if "float" in str(one.dtype)]
    checkpoint = tf.train.load_checkpoint(str(version_of(name) / "variables" / "variables"))
    keys = {key: re.match(r"\w+_variables/(\d+)/", key) for key in checkpoint.get_variable_to_shape_map()}
    keys = sorted((int(found[1]), key) for key, found in keys.items() if found)
    values = [value for value in (checkpoint.get_tensor(key) for _, key in keys) if value.dtype.kind == "f"]
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    return model


def is_learner(model):
    return isinstance(model, mtf.learners.MetaLearner)


def section(card, title):
    """The text below a heading of a model card; `None` without it."""
    found = re.search(rf"^## {title}\n\n(.*?)(?=\n\n## |\Z)", card, re.DOTALL | re.MULTILINE)
    return None if found is None else found[1]


def export_again(name, path):
    """Exports a published model to another folder."""
    old, model = version_of(name), rebuilt(name)
    card = (old / "model_card.md").read_text(encoding="utf-8")
    options = {"description": section(card, "Training"), "warm_up": True}
    if is_learner(model):
        tables = section(card, "Evaluation")
        model.export(path, report=None if tables is None else KeptTables(tables), **options)
    elif name.endswith("_features"):
        mtf.serving.export_features(model, path, **options)
    elif name.endswith("_classifier"):
        names = (old / "assets" / "class_names.txt").read_text(encoding="utf-8").splitlines()
        model.export(path, class_names=names, **options)
    else:
        model.export(path, **options)


# === What differs ===


def differences(old, new):
    """In what two SavedModels differ, as lines of text; weights and the names of operations do not count."""
    found = []
    for what, of in {"signatures": signatures, "operations": operations, "files": files}.items():
        ours, theirs = of(old), of(new)
        for thing in sorted({*ours, *theirs}):
            if ours.get(thing) != theirs.get(thing):
                found.append(f"{what}: {thing}: {ours.get(thing)} published, {theirs.get(thing)} exported today")
    return found


@functools.lru_cache(maxsize=2)
def loaded(path):
    """A SavedModel, which takes seconds to load."""
    return tf.saved_model.load(str(path))


def signatures(path):
    """Inputs and outputs of each signature."""
    found = {}
    for name, signature in loaded(path).signatures.items():
        tensors = {**signature.structured_input_signature[1], **signature.structured_outputs}
        found[name] = sorted((key, str(spec.shape), spec.dtype.name) for key, spec in tensors.items())
    return found


def operations(path):
    """How many operations of each kind the graphs have: kinds by their types, options, and the values of constants."""
    model = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    graph = model.meta_graphs[0].graph_def
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    return collections.Counter(kind_of(node) for node in nodes)


# Names, and what says where in the graph or in the source something stands.
_NOT_A_KIND = {"shared_name", "container", "_output_shapes", "_class", "_has_manual_control_dependencies"}


def kind_of(node):
    options = []
    for key, value in sorted(node.attr.items()):
        if key in _NOT_A_KIND or key.startswith("_") or value.WhichOneof("value") == "func":
            continue
        content = value.SerializeToString(deterministic=True)
        options.append(f"{key}={hashlib.sha256(content).hexdigest()[:8]}")
    return f"{node.op}({', '.join(options)})"


def files(path):
    """The files beside the graph and the weights, with the content of those that are text."""
    found = {}
    for file in path.rglob("*"):
        if file.is_file() and file.name not in ("saved_model.pb", "fingerprint.pb") and file.parent.name != "variables":
            text = file.suffix in (".md", ".json", ".txt")
            found[str(file.relative_to(path))] = file.read_text(encoding="utf-8") if text else "there"
    return found


def largest_difference(old, new):
    """How far the answers of two SavedModels to the same random request are apart."""
    random = np.random.default_rng(0)
    answers, request = [], None
    for path in (old, new):
        signature = loaded(path).signatures["serving_default"]
        request = request or {
            name: value_for(name, spec, random) for name, spec in signature.structured_input_signature[1].items()
        }
        answers.append(signature(**request))
    return max(float(np.abs(answers[0][key] - answers[1][key]).max()) for key in answers[0])


def value_for(name, spec, random):
    """A random value of an input: three classes of two images each, in [0, 1], which is in the range of all models."""
    if name == "support_labels":
        return tf.constant(np.arange(6) % 3, spec.dtype)
    if spec.shape.rank == 0:
        return tf.constant(4, spec.dtype)
    return tf.constant(random.random((6, *spec.shape[1:])), spec.dtype)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(BUILDERS), help="by default all")
    parser.add_argument("--check", action="store_true", help="only say what differs")
    parser.add_argument("--tolerance", type=float, default=1e-3, help="how far answers may be from those of before")
    arguments = parser.parse_args()
    stale = []
    for name in arguments.names:
        with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
            new = pathlib.Path(folder) / name / "1"
            export_again(name, new)
            found, apart = differences(version_of(name), new), largest_difference(version_of(name), new)
            print(f"{name}: {len(found)} differences, answers at most {apart:.1e} apart", flush=True)
            if not found:
                continue
            stale.append(name)
            for line in found[:10]:
                print(f"  {line[:300]}")
            size = sum(file.stat().st_size for file in new.rglob("*") if file.is_file())
            if apart > arguments.tolerance or size > MOST_BYTES:
                sys.exit(f"{name}: not replaced: answers {apart:.1e} apart, {size} bytes")
            if not arguments.check:
                shutil.rmtree(version_of(name))
                new.rename(version_of(name))
    if arguments.check and stale:
        sys.exit(f"not what the code exports: {', '.join(stale)}")


if __name__ == "__main__":
    main()
