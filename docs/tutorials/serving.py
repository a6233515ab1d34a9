# %% [markdown]
# # Serving: adaptation inside the graph
#
# `learner.export` writes a SavedModel that takes a support set and queries, and answers with probabilities. The
# adaptation (class means, or MAML's gradient steps) is in its graph, so standard TensorFlow Serving runs it, without
# Python.

# %%
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import json
import pathlib
import tempfile

import metalearn_tf as mtf

import keras
import numpy as np
import tensorflow as tf

mtf.training.use_task_parallelism()
keras.utils.set_random_seed(0)

train, test = mtf.data.load("glyphs", "train"), mtf.data.load("glyphs", "test")
learner = mtf.learners.PrototypicalNetwork(mtf.networks.conv4(filters=32, normalization="support"))
learner.compile("adam", metrics=["accuracy"])
learner.fit(mtf.data.episodes(train, 20, 1, 5, tasks_per_batch=2), steps_per_epoch=100, verbose=2)

# %% [markdown]
# ## Export
#
# The last folder is the version number, which TensorFlow Serving requires. A model card describes the export in words
# and as JSON.

# %%
folder = pathlib.Path(tempfile.mkdtemp()) / "glyphs" / "1"
learner.export(folder)
print(sorted(path.name for path in folder.iterdir()))
print((folder / "model_card.md").read_text()[:1200])

# %% [markdown]
# ## Ask it
#
# Here TensorFlow's loader is used. `adapt_and_predict` does everything in one call.

# %%
(support, labels, queries), answers = next(iter(mtf.data.episodes(test, 5, 5, 3, tasks_per_batch=1, seed=1)))
support, labels, queries, answers = support[0], labels[0], queries[0], answers[0]
model = tf.saved_model.load(folder)
outputs = model.signatures["adapt_and_predict"](support_images=support, support_labels=labels, query_images=queries)
print(outputs["probabilities"].shape, "right:", np.mean(outputs["labels"].numpy() == answers.numpy()))

# %% [markdown]
# You can also use two calls: `adapt` returns the task state, which the client keeps, and `predict` takes it together
# with each query. The server stores nothing.

# %%
state = model.signatures["adapt"](support_images=support, support_labels=labels)
again = model.signatures["predict"](**state, query_images=queries)
np.testing.assert_allclose(again["probabilities"], outputs["probabilities"], atol=1e-6)
print(sorted(state))

# %% [markdown]
# ## Under TensorFlow Serving
#
# ```bash
# docker run -p 8501:8501 -v "$PWD/glyphs:/models/glyphs" -e MODEL_NAME=glyphs tensorflow/serving
# ```
#
# The body of a request, in the columnar format, because support and queries differ in number:

# %%
inputs = {"support_images": support, "support_labels": labels, "query_images": queries}
body = json.dumps({"signature_name": "adapt_and_predict", "inputs": {k: v.numpy().tolist() for k, v in inputs.items()}})
print(f"POST http://localhost:8501/v1/models/glyphs:predict, {len(body):,} bytes")

# %% [markdown]
# Image files can be sent as they are, PNG or JPEG, to `adapt_and_predict_bytes`. A bad request is answered with an
# error that says what is wrong:

# %%
try:
    model.signatures["adapt_and_predict"](support_images=support, support_labels=labels[:3], query_images=queries)
except tf.errors.InvalidArgumentError as error:
    print(next(line for line in error.message.splitlines() if "must" in line))
