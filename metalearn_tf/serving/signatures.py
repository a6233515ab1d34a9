"""The signatures of a served learner: the functions of its SavedModel."""

import tensorflow as tf

from metalearn_tf.engine.in_blocks import in_blocks
from metalearn_tf.engine.text_inputs import takes_integers, takes_texts
from metalearn_tf.networks.batch_dependence import depends_on_batch
from metalearn_tf.networks.input_scale import is_for_other_range
from metalearn_tf.serving.encoded_images import decode_images, read_files, takes_encoded_images
from metalearn_tf.serving.limits import export_limits, image_limits
from metalearn_tf.serving.request_checks import after, check_answer, check_answers, check_examples, check_pairs
from metalearn_tf.serving.task_states import (
    check_owner,
    check_state,
    fingerprint_spec,
    model_fingerprint,
    state_axes,
    state_rows,
)

# The number of queries to answer at the same time, so memory does not grow with the queries.
AT_ONCE = 128


def learner_signatures(learner, regression=False, limits=None):
    """The functions that serve a learner, for any number of examples, queries and ways.

    | signature | inputs | outputs |
    |---|---|---|
    | `adapt_and_predict` | `support_images`, `support_labels`, `query_images` | `probabilities`, `labels` |
    | `adapt` | `support_images`, `support_labels` | `state_0`, `state_1`, … |
    | `predict` | `state_0`, `state_1`, …, `query_images` | `probabilities`, `labels` |
    | `adapt_and_predict_bytes` | `support_bytes`, `support_labels`, `query_bytes` | `probabilities`, `labels` |

    `serving_default` is `adapt_and_predict`. Inputs for texts are `support_texts` and `query_texts`; for other examples
    that are not images, `support_inputs` and `query_inputs`. There is no signature for files if PNG or JPEG files do
    not fit the network, or if the network divides pixels by 255 itself. Regression has `support_targets` instead of
    labels, and `predictions` as its only output. No function changes a variable.

    The last tensor of the state, int32, has the model's fingerprint and the numbers of the task's examples and classes,
    if these are lengths of other tensors. `predict` accepts only a complete state of the same model.

    Args:
        learner: a `MetaLearner`.
        regression: whether the tasks are regressions.
        limits: a dictionary, see `learner_limits`; `None` for the defaults.

    Returns:
        A dictionary from signature names to concrete functions.
    """
    network, limits = learner.network, learner_limits(learner) if limits is None else limits
    shape = network.input_shape[1:]
    examples, dtype = ("images" if len(shape) == 3 else "inputs"), tf.float32
    if takes_texts(network):
        examples, dtype = "texts", tf.string
    elif takes_integers(network):
        dtype = tf.as_dtype(network.inputs[0].dtype)
    support_x = tf.TensorSpec((None, *shape), dtype, name=f"support_{examples}")
    query_x = tf.TensorSpec((None, *shape), dtype, name=f"query_{examples}")
    if regression:
        targets = (None, *network.output_shape[1:])
        support_y = tf.TensorSpec(targets, tf.float32, name="support_targets")
    else:
        support_y = tf.TensorSpec((None,), tf.int32, name="support_labels")

    # Separate functions, which the signatures call, so the graph of each is stored only once.
    adapt_task = tf.function(learner.adapt_task, input_signature=[support_x, support_y])
    state = [
        tf.TensorSpec(tensor.shape, tensor.dtype, name=f"state_{index}")
        for index, tensor in enumerate(adapt_task.get_concrete_function().structured_outputs)
    ]
    axes = state_axes(learner, state, support_x, support_y)
    owner = fingerprint_spec(len(state), axes)
    fingerprint = model_fingerprint(learner, [*learner.weights, *network.variables])
    classify = tf.function(learner.classify, input_signature=[state, query_x])

    def answer(task_state, queries, to_examples=lambda queries: queries):
        """The outputs for queries or for files. Files are decoded only when they are needed."""

        def logits(queries):
            return classify(task_state, to_examples(queries))

        # A user's learner may look at all queries at once.
        together = depends_on_batch(learner) or not type(learner).__module__.startswith("metalearn_tf.")
        dtype = classify.get_concrete_function().outputs[0].dtype
        outputs = logits(queries) if together else in_blocks(logits, queries, AT_ONCE, dtype)
        return named_answer(learner, outputs, regression)

    def checked_support(examples, answers):
        examples = check_examples(learner, examples, support_x.name, limits, "max_support")
        names = support_x.name, support_y.name
        return examples, check_answers(learner, answers, tf.shape(examples)[0], names, regression)

    def checked_queries(queries):
        return check_examples(learner, queries, query_x.name, limits, "max_queries")

    @tf.function(input_signature=[support_x, support_y], autograph=False)
    def adapt(*support):
        task_state = adapt_task(*checked_support(*support))
        lengths = [tf.shape(task_state[index])[axis] for ((index, axis), *_) in axes.values()]
        named = {spec.name: tensor for spec, tensor in zip(state, task_state)}
        return {**named, owner.name: tf.stack([*fingerprint, *lengths])}

    @tf.function(input_signature=[*state, owner, query_x], autograph=False)
    def predict(*inputs):
        *task_state, given, queries = inputs
        task_state, lengths = check_owner(task_state, given, fingerprint, owner)
        task_state = check_state(learner, task_state, state, dict(zip(axes, lengths)), axes, limits)
        queries = checked_queries(queries)
        pairs = check_pairs(state_rows(task_state, state), tf.shape(queries)[0], (state[0].name, query_x.name), limits)
        return answer(after(pairs, *task_state), queries)

    @tf.function(input_signature=[support_x, support_y, query_x], autograph=False)
    def adapt_and_predict(*inputs):
        *support, queries = inputs
        support, queries = checked_support(*support), checked_queries(queries)
        sizes = [tf.shape(part)[0] for part in (support[0], queries)]
        pairs = check_pairs(*sizes, (support_x.name, query_x.name), limits)
        return answer(adapt_task(*after([*pairs, queries], *support)), queries)

    functions = {
        "serving_default": adapt_and_predict,
        "adapt_and_predict": adapt_and_predict,
        "adapt": adapt,
        "predict": predict,
    }
    if takes_files(learner):
        names = "support_bytes", "query_bytes"
        support_bytes, query_bytes = (tf.TensorSpec((None,), tf.string, name=name) for name in names)

        @tf.function(input_signature=[support_bytes, support_y, query_bytes], autograph=False)
        def adapt_and_predict_bytes(*inputs):
            encoded_support, answers, encoded_queries = inputs
            # All checks that need no decoding come before it.
            support = read_files(encoded_support, names[0], limits, "max_support")
            queries = read_files(encoded_queries, names[1], limits, "max_queries")
            sizes = [tf.shape(files.encoded)[0] for files in (support, queries)]
            answers = check_answers(learner, answers, sizes[0], (names[0], support_y.name), regression)
            checks = [*check_pairs(*sizes, names, limits), queries.encoded, answers]
            support = support._replace(encoded=after(checks, support.encoded)[0])
            task_state = adapt_task(decode_images(support, shape, names[0]), answers)
            return answer(task_state, queries, lambda files: decode_images(files, shape, names[1]))

        functions["adapt_and_predict_bytes"] = adapt_and_predict_bytes
    return {name: function.get_concrete_function() for name, function in functions.items()}


def learner_limits(learner, **given):
    """The limits of an exported learner, see `mtf.serving.export_learner`."""
    network, shape = learner.network, learner.network.input_shape[1:]
    accepted = ["max_support", "max_queries", "max_pairs"]
    if takes_texts(network):
        accepted += ["max_text_length", "max_total_text_length"]
    elif len(shape) == 3:
        accepted += image_limits(shape, takes_files(learner))
    return export_limits(given, accepted)


def takes_files(learner):
    """Whether image files fit a learner's network: the pixels of files become `[0, 1]`."""
    return takes_encoded_images(learner.network) and not is_for_other_range(learner.network, 1.0)


def named_answer(learner, outputs, regression):
    """The outputs of a signature by name, from logits `(Q, ways)` or predictions `(Q, outputs)`."""
    if regression:
        outputs = tf.ensure_shape(outputs, (None, *learner.network.output_shape[1:]), name="predictions_shape")
        return {"predictions": check_answer(outputs, "predictions")}
    probabilities = check_answer(tf.nn.softmax(outputs), "probabilities")
    return {"probabilities": probabilities, "labels": tf.argmax(probabilities, axis=-1, output_type=tf.int32)}
