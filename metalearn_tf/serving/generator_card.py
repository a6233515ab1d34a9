"""The model card of an exported GAN."""

from metalearn_tf.files.markdown_table import markdown_table
from metalearn_tf.serving.model_card import limits_section, made_with, purpose, reference

_NOT_CONFIGURATION = ("name", "generator", "discriminator", "encoder", "gan")


def generator_card(model, signatures, model_name, limits, description=None):
    """The model card of an exported GAN, as Markdown.

    Args:
        model: a `GAN` or a `MetaGAN`.
        signatures: concrete functions by name.
        model_name: the name under which it is served.
        limits: a dictionary, see `mtf.serving.limits`.
        description: text on the training, or `None`.

    Returns:
        The text.
    """
    gan = getattr(model, "gan", model)
    bounds = gan.image_range
    values = "the range of training" if bounds is None else f"[{bounds[0]:g}, {bounds[1]:g}]"
    sections = [
        f"# {model_name}",
        f"A `{type(model).__name__}` of metalearn_tf, as a TensorFlow SavedModel. {purpose(model)}",
        reference(model),
        "" if description is None else f"## Training\n\n{description.strip()}",
        f"## Configuration\n\n{markdown_table(('', ''), _configuration(model, gan))}",
        f"## Signatures\n\n{signature_table(signatures)}",
        f"Pixels are float32 in {values}. The same `seed` gives the same images. The server keeps no state. A bad "
        "request gets an error that names the input.",
        limits_section(limits),
        f"## Made with\n\n{made_with()}",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _configuration(model, gan):
    settings = {**gan.get_config(), **model.get_config()}
    rows = [(f"`{key}`", f"`{value}`") for key, value in settings.items() if key not in _NOT_CONFIGURATION]
    networks = {"generator": gan.generator, "discriminator": gan.discriminator}
    rows += [(name, f"`{network.name}`, {network.count_params():,} weights") for name, network in networks.items()]
    return rows


def signature_table(signatures):
    """A Markdown table of concrete functions by name, and the name of the `serving_default`."""
    rows = []
    for name, function in signatures.items():
        if name != "serving_default":
            inputs = [(spec.name, spec) for spec in function.structured_input_signature[0]]
            rows.append((f"`{name}`", _tensors(inputs), _tensors(function.structured_outputs.items())))
    default = next(name for name in signatures if name != "serving_default")
    return f"{markdown_table(('signature', 'inputs', 'outputs'), rows)}\n\n`serving_default` is `{default}`."


def _tensors(named):
    """Names, shapes and dtypes. Of the many tensors of a state, only the first and the last."""
    named = list(named)
    state = [name for name, _ in named if name.startswith("state_")]
    described = [f"`{state[0]}` … `{state[-1]}`"] if state else []
    return ", ".join(
        described + [f"`{name}` {_shape(spec.shape)} {spec.dtype.name}" for name, spec in named if name not in state]
    )


def _shape(shape):
    return f"({', '.join('n' if side is None else str(side) for side in shape)}{',' if len(shape) == 1 else ''})"
