# %% [markdown]
# # A learner of your own in 40 lines
#
# A learner is two functions:
#
# - `adapt_task(support_x, support_y)` looks at the support set of one task and returns a *task state*: a list of
#   tensors.
# - `classify(task_state, query_x)` answers queries with logits, one for each class.
#
# Training, evaluation, saving and serving are written once, in `MetaLearner`, for any such pair.

# %%
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import pathlib
import tempfile

import metalearn_tf as mtf

import keras
import numpy as np
import tensorflow as tf

mtf.training.use_task_parallelism()
keras.utils.set_random_seed(0)

# %% [markdown]
# ## The method
#
# Ours is a Gaussian for each class: prototypes, with a variance of each feature, shared by all classes of the task.
# It measures how far a query is from a mean in units of how much that feature varies among the support images.
#
# It has one argument, `smoothing`. The arguments of a learner belong in `get_config`, so that it can be copied and
# saved.

# %%


@keras.saving.register_keras_serializable("tutorial")
class GaussianClasses(mtf.learners.MetaLearner):
    """Classes as Gaussians with one variance for each feature.

    Args:
        network: an embedding, from examples to vectors.
        smoothing: the weight of a variance of 1 beside the one that is measured.
        **kwargs: of `MetaLearner`.
    """

    def __init__(self, network, smoothing=1.0, **kwargs):
        super().__init__(network, **kwargs)
        self.smoothing = smoothing

    def adapt_task(self, support_x, support_y):
        embeddings, statistics = self.encode_support(support_x)
        means = tf.math.unsorted_segment_mean(embeddings, support_y, self.ways(support_y))
        variance = tf.reduce_mean(tf.square(embeddings - tf.gather(means, support_y)), axis=0)
        return [means, (variance + self.smoothing) / (1.0 + self.smoothing), *statistics]

    def classify(self, task_state, query_x):
        means, variance, *statistics = task_state
        embeddings = self.encode_query(query_x, statistics=statistics)
        return -tf.reduce_sum(tf.square(embeddings[:, None] - means) / variance, axis=-1)

    def get_config(self):
        return {**super().get_config(), "smoothing": self.smoothing}


# %% [markdown]
# `encode_support` and `encode_query` pass examples through the network. If the network is normalised by the statistics
# of the support set, they are in `statistics`; the learner passes them on.
#
# ## It trains, like any Keras model

# %%
train, test = mtf.data.load("glyphs", "train"), mtf.data.load("glyphs", "test")
tasks = mtf.data.episodes(train, ways=20, shots=2, queries=3, tasks_per_batch=2)
learner = GaussianClasses(mtf.networks.conv4(filters=32, normalization="support"), smoothing=2.0)
learner.compile(keras.optimizers.Adam(2e-3), metrics=["accuracy"])
learner.fit(tasks, epochs=2, steps_per_epoch=75, verbose=2)

# %% [markdown]
# ## It is measured beside others, on the same tasks

# %%
peer = mtf.learners.PrototypicalNetwork(mtf.networks.conv4(filters=32, normalization="support"))
peer.network.set_weights(learner.network.get_weights())
for model in (learner, peer):
    print(mtf.evaluation.evaluate_episodes(model, test, ways=5, shots=5, queries=10, episodes=100, seed=7))

# %% [markdown]
# ## It is copied, saved and served

# %%
folder = pathlib.Path(tempfile.mkdtemp())
(support_x, support_y, query_x), _ = next(iter(mtf.data.episodes(test, ways=5, shots=5, queries=4, tasks_per_batch=1)))
expected = learner.adapt(support_x[0], support_y[0]).predict(query_x[0], verbose=0)

learner.save(folder / "learner.keras")
loaded = keras.models.load_model(folder / "learner.keras")
np.testing.assert_allclose(loaded.adapt(support_x[0], support_y[0]).predict(query_x[0], verbose=0), expected, atol=1e-5)

learner.export(folder / "served" / "1")
served = tf.saved_model.load(folder / "served" / "1").signatures["adapt_and_predict"]
answers = served(support_images=support_x[0], support_labels=support_y[0], query_images=query_x[0])
np.testing.assert_allclose(answers["probabilities"], expected, atol=1e-5)
print("loaded and served models give the same probabilities")
