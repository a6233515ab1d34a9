"""The signatures of a served learner: what its SavedModel computes."""

import tensorflow as tf

from metalearn_tf.networks.text_inputs import takes_texts
from metalearn_tf.serving.encoded_images import decode_images, takes_encoded_images
from metalearn_tf.serving.request_checks import check_answer, check_examples, check_state, check_support


def learner_signatures(learner, regression=False):
    """The functions that serve a learner, with the numbers of examples, queries and ways left open.

    | signature | inputs | outputs |
    |---|---|---|
    | `adapt_and_predict` | `support_images`, `support_labels`, `query_images` | `probabilities`, `labels` |
    | `adapt` | `support_images`, `support_labels` | `state_0`, `state_1`, … |
    | `predict` | `state_0`, `state_1`, …, `query_images` | `probabilities`, `labels` |
    | `adapt_and_predict_bytes` | `support_bytes`, `support_labels`, `query_bytes` | `probabilities`, `labels` |

    `serving_default` is `adapt_and_predict`. Texts are `support_texts` and `query_texts`, other examples that are not
    images `support_inputs` and `query_inputs`; what no PNG or JPEG file holds has no signature for files. Regression
    has `support_targets` in place of the labels, and `predictions` as its only output. No function changes a variable.

    Args:
        learner: a `MetaLearner`.
        regression: whether the tasks are regressions.

    Returns:
        A dictionary of concrete functions by signature.
    """
    shape = learner.network.input_shape[1:]
    is_text = takes_texts(learner.network)
    examples, dtype = ("texts", tf.string) if is_text else ("images" if len(shape) == 3 else "inputs", tf.float32)
    support_x = tf.TensorSpec((None, *shape), dtype, name=f"support_{examples}")
    query_x = tf.TensorSpec((None, *shape), dtype, name=f"query_{examples}")
    if regression:
        targets = (None, *learner.network.output_shape[1:])
        support_y = tf.TensorSpec(targets, tf.float32, name="support_targets")
    else:
        support_y = tf.TensorSpec((None,), tf.int32, name="support_labels")

    # Functions of their own, which the signatures call: the graph of each is stored once.
    adapt_task = tf.function(learner.adapt_task, input_signature=[support_x, support_y])
    state = [
        tf.TensorSpec(tensor.shape, tensor.dtype, name=f"state_{index}")
        for index, tensor in enumerate(adapt_task.get_concrete_function().structured_outputs)
    ]
    classify = tf.function(learner.classify, input_signature=[state, query_x])

    def solve(support, queries, support_name):
        support = check_support(learner, *support, (support_name, support_y.name), regression)
        return named_answer(learner, classify(adapt_task(*support), queries), regression)

    @tf.function(input_signature=[support_x, support_y])
    def adapt(*support):
        support = check_support(learner, *support, (support_x.name, support_y.name), regression)
        return {spec.name: tensor for spec, tensor in zip(state, adapt_task(*support))}

    @tf.function(input_signature=[*state, query_x])
    def predict(*inputs):
        *task_state, queries = inputs
        task_state = check_state(learner, task_state, state)
        queries = check_examples(learner, queries, query_x.name)
        return named_answer(learner, classify(task_state, queries), regression)

    @tf.function(input_signature=[support_x, support_y, query_x])
    def adapt_and_predict(*inputs):
        *support, queries = inputs
        return solve(support, check_examples(learner, queries, query_x.name), support_x.name)

    functions = {
        "serving_default": adapt_and_predict,
        "adapt_and_predict": adapt_and_predict,
        "adapt": adapt,
        "predict": predict,
    }
    if takes_encoded_images(learner.network):
        support_bytes = tf.TensorSpec((None,), tf.string, name="support_bytes")
        query_bytes = tf.TensorSpec((None,), tf.string, name="query_bytes")

        @tf.function(input_signature=[support_bytes, support_y, query_bytes])
        def adapt_and_predict_bytes(*inputs):
            encoded_support, answers, encoded_queries = inputs
            support = (decode_images(encoded_support, shape, support_bytes.name), answers)
            return solve(support, decode_images(encoded_queries, shape, query_bytes.name), support_bytes.name)

        functions["adapt_and_predict_bytes"] = adapt_and_predict_bytes
    return {name: function.get_concrete_function() for name, function in functions.items()}


def named_answer(learner, outputs, regression):
    """The outputs of a signature, from logits `(Q, ways)` or predictions `(Q, outputs)`."""
    if regression:
        outputs = tf.ensure_shape(outputs, (None, *learner.network.output_shape[1:]), name="predictions_shape")
        return {"predictions": check_answer(outputs, "predictions")}
    probabilities = check_answer(tf.nn.softmax(outputs), "probabilities")
    return {"probabilities": probabilities, "labels": tf.argmax(probabilities, axis=-1, output_type=tf.int32)}
