"""A small BERT made from KerasHub's classes, from random weights, as the network of learners."""

import metalearn_tf as mtf

import keras
import numpy as np
import pytest
import tensorflow as tf

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"topic{c}" for c in range(6)), "the", "a", "of"]
TEXTS = [f"the topic{c} of a topic{c} topic{c} {'of ' * number}" for c in range(6) for number in range(4)]
LEARNERS = {
    "PrototypicalNetwork": lambda: mtf.learners.PrototypicalNetwork(bert()),
    "MAML": lambda: mtf.learners.MAML(bert(outputs=3), inner_steps=1, inner_learning_rate=0.1),
}


@pytest.fixture(scope="module", autouse=True)
def _needs_keras_hub():
    pytest.importorskip("keras_hub", reason="needs the extra `hub`")


def preprocessor(**options):
    import keras_hub

    tokenizer = keras_hub.models.BertTokenizer(vocabulary=WORDS)
    return keras_hub.models.BertTextClassifierPreprocessor(tokenizer, sequence_length=12, **options)


def bert(outputs=None):
    import keras_hub

    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=len(WORDS),
        num_layers=1,
        num_heads=2,
        hidden_dim=8,
        intermediate_dim=16,
        max_sequence_length=12,
        dropout=0.0,
    )
    return mtf.networks.hub_encoder(backbone, preprocessor(), outputs=outputs)


def test_the_embedding_is_the_pooled_output():
    network = bert()
    backbone = next(layer for layer in network.layers if "bert_backbone" in layer.name)
    expected = backbone(preprocessor()(tf.constant(TEXTS)))["pooled_output"]
    np.testing.assert_allclose(np.asarray(network(tf.constant(TEXTS))), np.asarray(expected), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", LEARNERS)
def test_the_whole_way(name, tmp_path):
    learner = LEARNERS[name]()
    learner.compile(optimizer=keras.optimizers.Adam(1e-3), metrics=["accuracy"])
    dataset = mtf.data.ClassDataset(TEXTS, np.repeat(np.arange(6), 4))
    tasks = mtf.data.episodes(dataset, 3, 2, 2, tasks_per_batch=2)
    before = learner.get_weights()
    assert np.isfinite(learner.fit(tasks, steps_per_epoch=2, verbose=0).history["loss"]).all()
    assert any(not np.array_equal(one, other) for one, other in zip(learner.get_weights(), before))

    inputs, _ = next(iter(tasks))
    (support_x, support_y, query_x) = (tensor[0] for tensor in inputs)
    expected = tf.nn.softmax(learner(inputs)[0]).numpy()
    adapted = learner.adapt([text.decode() for text in support_x.numpy()], support_y.numpy())
    np.testing.assert_allclose(adapted.predict(query_x, verbose=0), expected, rtol=1e-3, atol=1e-5)
    learner.save(tmp_path / "learner.keras")
    loaded = keras.models.load_model(tmp_path / "learner.keras", safe_mode=True)
    np.testing.assert_allclose(tf.nn.softmax(loaded(inputs)[0]).numpy(), expected, rtol=1e-3, atol=1e-5)
    learner.export(tmp_path / "1", warm_up=False)
    served = tf.saved_model.load(str(tmp_path / "1")).signatures["serving_default"]
    answer = served(support_texts=support_x, support_labels=support_y, query_texts=query_x)
    np.testing.assert_allclose(answer["probabilities"], expected, rtol=1e-3, atol=1e-5)


def test_tokens_without_a_vocabulary_are_an_error():
    network = bert()
    tokens = network.get_layer("tokens")
    without = type(tokens).from_config(tokens.get_config())  # a file has the vocabulary beside the configuration
    with pytest.raises(tf.errors.InvalidArgumentError, match="vocabulary of the preprocessor was not loaded"):
        without(tf.constant(TEXTS))


def test_a_preprocessor_of_something_else_is_refused():
    network = mtf.networks.mlp((3,))
    with pytest.raises(ValueError, match="`preprocessor` must make the backbone's inputs.*Received: "):
        mtf.networks.hub_encoder(network, preprocessor())
