"""The model card of an exported learner, and the parts that all model cards share."""

import inspect
import re

import keras
import tensorflow as tf

from metalearn_tf.engine.keras_internals import flat_layers
from metalearn_tf.files.markdown_table import markdown_table
from metalearn_tf.serving.limits import LIMITS
from metalearn_tf.version import __version__

_NORMALIZATIONS = {
    "transductive": (
        "The network normalises each set of examples by its own mean and variance, so **the queries of a request are "
        "predicted together**: a prediction depends on the other queries beside it. Send the queries of a task in one "
        "request, with all of its classes among them, as in training; for a query by itself the figures of an "
        "evaluation do not hold."
    ),
    "support": (
        "Queries are normalised by the mean and variance of the support set, so a prediction depends on no other "
        "query: one by one or together, the answers are the same."
    ),
    "running": (
        "Support set and queries are normalised by averages kept from training, so a prediction depends on no other "
        "query: one by one or together, the answers are the same."
    ),
    "none": "The network does not normalise, so a prediction depends on no other query.",
}

IMAGE_FILES = (
    "Image files are PNG or JPEG of any size. The model turns a photograph as its EXIF orientation says, puts "
    "transparent parts on white, takes the middle in its own aspect ratio and resizes it, as "
    "`mtf.data.from_directory` does."
)

_NOT_CONFIGURATION = ("name", "trainable", "network", "losses")


def model_card(learner, signatures, model_name, description=None, reports=(), limits=None):
    """The model card of an exported learner, as Markdown.

    Args:
        learner: a `MetaLearner`.
        signatures: the result of `learner_signatures`.
        model_name: the name under which it is served.
        description: text on the training, or `None`.
        reports: evaluations, objects with `to_markdown()`.
        limits: a dictionary of the limits of the signatures, see `mtf.serving.limits`.

    Returns:
        The text.
    """
    state = list(signatures["adapt"].structured_outputs)
    regression = "predictions" in signatures["predict"].structured_outputs
    sections = [
        f"# {model_name}",
        _what_it_is(learner, regression),
        "" if description is None else f"## Training\n\n{description.strip()}",
        f"## Evaluation\n\n{_joined([report.to_markdown().strip() for report in reports])}" if reports else "",
        f"## Configuration\n\n{_configuration(learner, regression)}",
        f"## Normalisation: {learner.normalization}\n\n{_normalization(learner)}",
        f"## Signatures\n\n{_signatures(signatures, state)}",
        f"## Inputs\n\n{_inputs(learner, signatures)}",
        limits_section(limits),
        f"## Serving\n\n{_serving(signatures, model_name, state)}",
        f"## Made with\n\n{made_with()}",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _joined(tables):
    """Puts Markdown tables below each other, and joins tables that have the same heading."""
    headings = {tuple(table.split("\n")[:2]) for table in tables}
    if len(headings) > 1:
        return "\n\n".join(tables)
    return "\n".join([tables[0], *(row for table in tables[1:] for row in table.split("\n")[2:])])


def _what_it_is(learner, regression):
    answers = "real numbers" if regression else "probabilities of the support set's classes"
    text = (
        f"A `{type(learner).__name__}` of metalearn_tf, as a TensorFlow SavedModel. {purpose(learner)}\n\n"
        "Its input is a task: a small support set of examples with their answers, and queries. The model adapts to "
        f"the support set inside its graph and gives {answers} for the queries. The server runs no Python and keeps "
        "no state."
    )
    return "\n\n".join(part for part in (text, reference(learner)) if part)


def purpose(model):
    """The first sentence of the docstring of a model's class."""
    return " ".join((inspect.getdoc(type(model)) or "").split("\n\n")[0].split())


def reference(model):
    """The paper in the docstring of a model's class; "" if there is none."""
    docstring = inspect.getdoc(type(model)) or ""
    found = re.search(r"^Reference: (.+?)(?:\n\n|\Z)", docstring, re.DOTALL | re.MULTILINE)
    return "" if found is None else f"Reference: {' '.join(found[1].split())}"


def _configuration(learner, regression):
    network, ways = learner.network, learner.max_ways
    weights = sum(variable.value.shape.num_elements() for variable in learner.trainable_variables)
    rows = [
        ("learner", f"`{type(learner).__name__}`"),
        *((f"`{key}`", f"`{value}`") for key, value in _settings(learner).items()),
        ("network", f"`{network.name}`, {_shape(network.input_shape, 'n')} → {_shape(network.output_shape, 'n')}"),
        ("layers", layer_counts(learner)),
        ("trained weights", f"{weights:,}"),
        ("dtype policy", f"`{network.dtype_policy.name}`"),
    ]
    if not regression:
        rows.append(("ways", "any number" if ways is None else f"up to {ways}"))
    return markdown_table(("", ""), rows)


def _settings(learner):
    """The arguments that made a learner, with the names of learners inside it."""
    settings = {key: value for key, value in learner.get_config().items() if key not in _NOT_CONFIGURATION}
    if hasattr(learner, "learners"):
        settings["learners"] = [type(one).__name__ for one in learner.learners]
    return settings


def layer_counts(model):
    """The number of layers of a model by class, as text."""
    layers = {id(layer): layer for layer in flat_layers(model) if layer is not model}.values()
    names = [type(layer).__name__ for layer in layers if not isinstance(layer, (keras.Model, keras.layers.InputLayer))]
    return ", ".join(f"{names.count(name)} {name}" for name in dict.fromkeys(names))


def _normalization(learner):
    return "\n\n".join(_NORMALIZATIONS.get(name, "") for name in learner.normalization.split("+"))


def _signatures(signatures, state):
    rows = []
    for name, function in signatures.items():
        if name != "serving_default":
            names = "`serving_default`, `adapt_and_predict`" if name == "adapt_and_predict" else f"`{name}`"
            inputs = {spec.name: spec for spec in function.structured_input_signature[0]}
            rows.append((names, _tensors(inputs, state), _tensors(function.structured_outputs, state)))
    outputs = signatures["adapt"].structured_outputs
    states = [(f"`{name}`", _shape(outputs[name].shape, "n"), outputs[name].dtype.name) for name in state]
    states[-1] = (*states[-1][:2], f"{states[-1][2]}, the model's fingerprint")
    return (
        f"{markdown_table(('signature', 'inputs', 'outputs'), rows)}\n\n"
        "S is the number of support examples, Q of queries. A client may send both in one request, or `adapt` once, "
        "keep the task state, and send it with each `predict` of this very model: weights of another version refuse "
        "it. The state's tensors, where n follows from the support set:\n\n"
        f"{markdown_table(('state', 'shape', 'dtype'), states)}"
    )


def _tensors(tensors, state):
    described = []
    for name, tensor in tensors.items():
        if name == state[0]:
            described.append(f"`{state[0]}` … `{state[-1]}`")
        if name not in state:
            symbol = "S" if name.startswith("support") else "Q"
            described.append(f"`{name}` {_shape(tensor.shape, symbol)} {tensor.dtype.name}")
    return ", ".join(described)


def _shape(shape, symbol):
    """A shape such as `(symbol, 28, 28, 1)`. A later axis without a fixed length is the ways."""
    sides = [symbol if index == 0 else "ways" for index in range(len(shape))]
    sides = [str(side) if side is not None else open_side for side, open_side in zip(shape, sides)]
    return f"({', '.join(sides)}{',' if len(sides) == 1 else ''})"


def _inputs(learner, signatures):
    arguments = [spec.name for spec in signatures["adapt"].structured_input_signature[0]]
    lines, bad = [], "no examples, lengths that differ, a wrong shape"
    bad += ", an empty text" if arguments[0] == "support_texts" else ", NaN or infinite values"
    if arguments[0] == "support_images":
        lines.append(
            "Pixels are float32 in **[0, 1]**, as `mtf.data.episodes` yields them: uint8 images divided by 255."
        )
    elif arguments[0] == "support_texts":
        lines.append("Texts are UTF-8 strings, as they come: the model cuts them into words itself.")
    else:
        lines.append("Examples are float32, in the range that the learner was trained on.")
    if arguments[1] == "support_labels":
        most = "" if learner.max_ways is None else f", at most {learner.max_ways} of them"
        lines.append(f"Labels are 0, 1, … ways - 1{most}, each at least once in the support set, in any order.")
        bad += ", labels with gaps or out of range"
    if "adapt_and_predict_bytes" in signatures:
        lines.append(IMAGE_FILES)
        bad += ", a damaged file"
    lines.append(f"A bad request gets an error that names the input: {bad}.")
    return "\n".join(f"- {line}" for line in lines)


def _serving(signatures, model_name, state):
    specs = {spec.name: spec for spec in signatures["adapt_and_predict"].structured_input_signature[0]}
    support_x, support_y, query_x = specs
    support_shape, query_shape = _shape(specs[support_x].shape, "S"), _shape(specs[query_x].shape, "Q")
    support = f'{{"{support_x}": support_x.tolist(), "{support_y}": support_y.tolist()}}'
    text = f"""{serving_command(model_name)}

Leave its request batching (`--enable_batching`) off: it joins the requests of different clients, and so their tasks.
Over REST, in the columnar format:

```python
{rest_client(model_name)}


# NumPy arrays: support_x {support_shape}, support_y {_shape(specs[support_y].shape, "S")}, query_x {query_shape}.
support, queries = {support}, {{"{query_x}": query_x.tolist()}}
answer = ask("adapt_and_predict", {{**support, **queries}})

# The same in two requests, the second as often as there are queries.
state = ask("adapt", support)
answer = ask("predict", {{**state, **queries}})
```"""
    if "adapt_and_predict_bytes" in signatures:
        text += f"\n\n{files_over_rest('adapt_and_predict_bytes')}"
    return text


def serving_command(model_name):
    """The command that starts TensorFlow Serving, as Markdown."""
    return f"""With TensorFlow Serving, beside the folder `{model_name}/` that holds this version's folder:

```bash
docker run --rm -p 8500:8500 -p 8501:8501 -e MODEL_NAME={model_name} \\
  --mount type=bind,source="$PWD/{model_name}",target=/models/{model_name} tensorflow/serving
```"""


def rest_client(model_name):
    """The Python function that sends a request over REST."""
    return f"""import json
import urllib.request


def ask(signature_name, inputs):
    body = json.dumps({{"signature_name": signature_name, "inputs": inputs}}).encode()
    with urllib.request.urlopen("http://localhost:8501/v1/models/{model_name}:predict", body) as answer:
        return json.load(answer)["outputs"]"""


def files_over_rest(signature):
    """How to send image files over REST."""
    return f'Image files go into `{signature}` in base 64, each as `{{"b64": base64.b64encode(file).decode()}}`.'


def limits_section(limits):
    """The limits of a request, as a section of Markdown; "" if there are none."""
    if not limits:
        return ""
    rows = [(f"`{name}`", f"{most:,}", LIMITS[name][1]) for name, most in limits.items()]
    return (
        "## Limits\n\nA request beyond one of them gets an error that names it, before any work. They are arguments of "
        f"the export.\n\n{markdown_table(('limit', 'at most', 'of what'), rows)}"
    )


def card_facts(model, signatures, model_name, limits):
    """The model card for programs, which is saved as JSON.

    Args:
        model: the exported model.
        signatures: concrete functions by name.
        model_name: the name under which it is served.
        limits: a dictionary, see `mtf.serving.limits`.

    Returns:
        A dictionary with the name, the class, the limits, the signatures (inputs and outputs with dtypes and shapes,
        `None` for an axis of any length), and the versions of the packages.
    """

    def described(specs):
        return {name: {"shape": list(spec.shape), "dtype": spec.dtype.name} for name, spec in specs.items()}

    tensors = {
        name: {
            "inputs": described({spec.name: spec for spec in function.structured_input_signature[0]}),
            "outputs": described(function.structured_outputs),
        }
        for name, function in signatures.items()
    }
    return {
        "name": model_name,
        "model": type(model).__name__,
        "limits": limits,
        "signatures": tensors,
        "made_with": _versions(),
    }


def made_with():
    """The versions of the packages in use."""
    return ", ".join(f"{name} {version}" for name, version in _versions().items())


def _versions():
    return {"metalearn_tf": __version__, "TensorFlow": tf.__version__, "Keras": keras.__version__}
