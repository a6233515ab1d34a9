"""The model card of an exported classifier or feature extractor of images."""

from metalearn_tf.files.markdown_table import markdown_table
from metalearn_tf.networks.task_normalization import normalization_of
from metalearn_tf.serving.generator_card import signature_table
from metalearn_tf.serving.model_card import (
    IMAGE_FILES,
    files_over_rest,
    layer_counts,
    limits_section,
    made_with,
    rest_client,
    serving_command,
)


def classifier_card(model, signatures, model_name, image_range, limits, description=None, class_names=None):
    """The model card of an exported classifier, as Markdown.

    Args:
        model: a `keras.Model` of images.
        signatures: concrete functions by name.
        model_name: the name under which it is served.
        image_range: lowest and highest value of a pixel.
        limits: a dictionary, see `mtf.serving.limits`.
        description: text on the training, or `None`.
        class_names: the names of the classes in the order of their labels, or `None`.

    Returns:
        The text.
    """
    what = f"A classifier of images into {model.output_shape[1]} classes, as a TensorFlow SavedModel of metalearn_tf."
    if class_names is None:
        classes = f"Labels are 0 to {model.output_shape[1] - 1}."
    else:
        names = ", ".join(f"{label} {name}" for label, name in enumerate(class_names))
        classes = f"In the order of their labels, as in `assets/class_names.txt`, one a line:\n\n{names}"
    return _card(model, signatures, model_name, image_range, limits, description, what, f"## Classes\n\n{classes}")


def features_card(backbone, signatures, model_name, image_range, limits, description=None):
    """The model card of an exported feature extractor, as Markdown. The arguments are as in `classifier_card`."""
    what = (
        f"A network from images to {backbone.output_shape[1]} features, as a TensorFlow SavedModel of metalearn_tf: "
        "for nearest neighbours, a linear classifier or any other method that works on vectors."
    )
    return _card(backbone, signatures, model_name, image_range, limits, description, what)


def _card(model, signatures, model_name, image_range, limits, description, what, classes=""):
    sections = [
        f"# {model_name}",
        what,
        "" if description is None else f"## Training\n\n{description.strip()}",
        classes,
        f"## Configuration\n\n{markdown_table(('', ''), _configuration(model))}",
        f"## Signatures\n\n{signature_table(signatures)}",
        f"## Inputs\n\n{_inputs(model, signatures, image_range)}",
        limits_section(limits),
        f"## Serving\n\n{_serving(signatures, model_name)}",
        f"## Made with\n\n{made_with()}",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _configuration(model):
    return [
        ("network", f"`{model.name}`, {model.count_params():,} weights"),
        ("layers", layer_counts(model)),
        ("dtype policy", f"`{model.dtype_policy.name}`"),
    ]


def _inputs(model, signatures, image_range):
    low, high = image_range
    lines = [
        f"Pixels are float32 in **[{low:g}, {high:g}]**, the range of training.",
        "**The images of a request are normalised together**, so that an answer depends on the others."
        if "transductive" in normalization_of(model)
        else "Each image is answered for itself, so the requests of several clients may be batched.",
    ]
    bad = "no images, a wrong shape, NaN or infinite values, pixels out of the range"
    if _bytes_signature(signatures) is not None:
        lines.append(IMAGE_FILES)
        bad += ", a damaged file"
    lines.append(f"A bad request gets an error that names the input: {bad}.")
    return "\n".join(f"- {line}" for line in lines)


def _serving(signatures, model_name):
    default = next(name for name in signatures if name != "serving_default")
    text = f"""{serving_command(model_name)}

Over REST, in the columnar format:

```python
{rest_client(model_name)}


# images: a NumPy array of the shape and range above.
answer = ask("{default}", {{"images": images.tolist()}})
```"""
    of_bytes = _bytes_signature(signatures)
    return text if of_bytes is None else f"{text}\n\n{files_over_rest(of_bytes)}"


def _bytes_signature(signatures):
    return next((name for name in signatures if name.endswith("_bytes")), None)
