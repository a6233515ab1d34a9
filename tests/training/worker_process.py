"""A training of one or several workers: `python worker_process.py KIND FOLDER [DEVICES]`, with or without `TF_CONFIG`.

With `DEVICES` it is one process with as many replicas.

It writes its last weights and history to `FOLDER/end_INDEX.npz`, for the worker of that index.
"""

import json
import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import metalearn_tf as mtf

import keras
import numpy as np
from mirrored import mirrored

FOLDER = pathlib.Path(sys.argv[2])
SHAPE = (16, 16, 1)
INDEX = json.loads(os.environ.get("TF_CONFIG", '{"task": {"index": 0}}'))["task"]["index"]


def dataset():
    random = np.random.default_rng(0)
    images = random.uniform(0, 1, (8, 1, *SHAPE)) * 0.7 + random.uniform(0, 0.3, (8, 24, *SHAPE))
    return mtf.data.ClassDataset(images.reshape(-1, *SHAPE).astype("float32"), np.repeat(np.arange(8), 24))


def networks():
    return mtf.networks.dcgan(SHAPE, filters=4, generator_normalization="layer", discriminator_normalization="layer")


def smooth_network():
    """One without kinks, at which rounding changes a derivative, and by MAML's second derivative all weights soon."""
    layers = [keras.layers.Conv2D(8, 3, 2, activation="tanh"), keras.layers.Flatten(), keras.layers.Dense(3)]
    return keras.Sequential([keras.Input(SHAPE), *layers])


def build(kind):
    """A compiled model, and data for it: batches of six tasks, or of 24 images."""
    if kind == "GAN":
        model = mtf.gan.GAN(*networks(), penalty="r1", augmentation="translation")
        model.compile(keras.optimizers.SGD(1e-3), keras.optimizers.SGD(1e-3))
        return model, {"x": 2 * dataset().examples - 1, "batch_size": 24, "epochs": 3}
    if kind == "MetaGAN":
        # The first steps of Adam have the size of the rate whatever the gradient's, and so that of rounding errors.
        model = mtf.gan.MetaGAN(
            mtf.gan.GAN(*networks(), penalty="r1"), inner_steps=2, inner_optimizer=keras.optimizers.SGD(0.01)
        )
        model.compile()
        data = mtf.data.image_tasks(dataset(), 4, tasks_per_batch=6)
        return model, {"x": data, "steps_per_epoch": 5, "epochs": 4}
    if kind == "resumed":
        resume = mtf.training.Resume(FOLDER / "backup", save_freq=4, delete_checkpoint=False)
        model, arguments = build("MAML")
        return model, {**arguments, "steps_per_epoch": 10, "epochs": 6, "callbacks": [resume]}
    learners = {
        "MAML": lambda: mtf.learners.MAML(smooth_network(), inner_steps=1, inner_learning_rate=0.1),
        "MAML of sums": lambda: mtf.learners.MAML(smooth_network(), inner_steps=1, inner_learning_rate=0.02),
        "prototypes": lambda: mtf.learners.PrototypicalNetwork(mtf.networks.conv4(SHAPE, 8, normalization="running")),
        "Reptile": lambda: mtf.learners.Reptile(mtf.networks.conv4(SHAPE, 8, outputs=3), inner_steps=2),
        "MANN": lambda: mtf.learners.MANN(mtf.networks.conv4(SHAPE, 8), ways=3),
    }
    tasks_per_batch = 5 if kind == "odd" else 6
    model = learners["MAML" if kind == "odd" else kind]()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum") if "sums" in kind else None
    model.compile(keras.optimizers.SGD(0.01), loss, metrics=["accuracy"])
    tasks = mtf.data.episodes(dataset(), ways=3, shots=2, queries=4, tasks_per_batch=tasks_per_batch)
    return model, {"x": tasks, "steps_per_epoch": 5, "epochs": 4, "validation_data": tasks, "validation_steps": 2}


def main():
    kind = sys.argv[1]
    mtf.training.use_task_parallelism(1)
    strategy = mirrored(int(sys.argv[3])) if len(sys.argv) > 3 else mtf.training.multi_worker_strategy()
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model, arguments = build(kind)
    history = model.fit(**arguments, verbose=0).history
    np.savez(FOLDER / f"end_{INDEX}.npz", *model.get_weights(), history=json.dumps(history))


if __name__ == "__main__":
    main()
