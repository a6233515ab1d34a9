# %% [markdown]
# # Transfer learning: from a source to other classes
#
# A network is trained on a source with many labelled images, and then tuned to a target with few. The documents'
# example is CIFAR-10 → CIFAR-100. Both are downloaded by TensorFlow Datasets; to run without a download, this page uses
# letters of the world's scripts instead. Set `EMBEDDED = False` for CIFAR, which takes some hours on a CPU.

# %%
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import pathlib
import tempfile

import metalearn_tf as mtf

import keras
import numpy as np
import tensorflow as tf

EMBEDDED = True
keras.utils.set_random_seed(0)

# %%
if EMBEDDED:
    source, target = mtf.data.load("glyphs", "train"), mtf.data.load("glyphs", "test").select(range(20))
    backbone = mtf.networks.conv4((28, 28, 1), filters=32, normalization="running")
else:
    source, target = mtf.data.load("cifar10", "train"), mtf.data.load("cifar100", "train")
    backbone = mtf.networks.resnet9((32, 32, 3))
few, others = target.split_examples([0.25, 0.75])
print(f"source: {source}\nfew labelled images: {few}\nheld back: {others}")

# %% [markdown]
# ## Pre-train
#
# This uses the source's labels. `"autoencoder"` and `"contrastive"` need no labels.

# %%
mtf.transfer.pretrain(backbone, source, epochs=3, verbose=0)

# %% [markdown]
# ## Three ways to use it
#
# 1. *Features*: computed once (and cached if `cache_dir` is given), with a linear probe on top.
# 2. *Fine-tuning*: a copy with a new head; the head first, then all layers from the top, the lower ones more slowly.
# 3. For comparison, the same network *from scratch*.


# %%
def accuracy(probabilities):
    return f"{np.mean(probabilities.argmax(axis=1) == others.labels):.1%}"


def probe_accuracy(network):
    """Of a linear probe of the network's features."""
    features = [mtf.transfer.extract_features(network, part, verbose=0) for part in (few, others)]
    probe = mtf.transfer.linear_probe(features[0], few.labels)
    return accuracy(probe.predict(features[1], verbose=0))


print("linear probe", probe_accuracy(backbone))

classifier = mtf.transfer.fine_tune(backbone, few.examples, few.labels, verbose=0)
print("fine-tuned", accuracy(classifier.predict(others.examples, verbose=0)))

fresh = keras.models.clone_model(backbone)
mtf.transfer.pretrain(fresh, few, verbose=0)
print("from scratch", probe_accuracy(fresh))

# %% [markdown]
# ## Export
#
# The classifier is exported as a SavedModel with the names of its classes, and the backbone as a feature extractor.

# %%
folder = pathlib.Path(tempfile.mkdtemp())
classifier.export(folder / "classifier" / "1", class_names=target.class_names)
mtf.serving.export_features(backbone, folder / "features" / "1")
served = tf.saved_model.load(folder / "classifier" / "1")
print({name: list(signature.structured_outputs) for name, signature in served.signatures.items()})
