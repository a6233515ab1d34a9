"""A training that another process may kill: `python training_process.py KIND FOLDER`.

It saves every third step to `FOLDER/backup`, and its last weights and those of its optimizers to `FOLDER/end.npz`.
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import metalearn_tf as mtf

import keras
import numpy as np

SHAPE = (16, 16, 1)
STEPS, EPOCHS = 20, 10


def dataset():
    random = np.random.default_rng(0)
    patterns = random.uniform(0.2, 0.8, (8, 1, *SHAPE))
    images = np.clip(patterns + random.normal(0, 0.1, (8, 12, *SHAPE)), 0, 1).astype("float32")
    return mtf.data.ClassDataset(images.reshape(-1, *SHAPE), np.repeat(np.arange(8), 12))


def build(kind):
    """A compiled model, and endless data for it."""
    if kind in ("MAML", "prototypes"):
        if kind == "MAML":
            model = mtf.learners.MAML(mtf.networks.conv4(SHAPE, 8, outputs=3))
        else:
            model = mtf.learners.PrototypicalNetwork(mtf.networks.conv4(SHAPE, 8))
        model.compile(keras.optimizers.Adam(1e-2), metrics=["accuracy"])
        return model, mtf.data.episodes(dataset(), ways=3, shots=2, queries=3, tasks_per_batch=2)
    layers = {"generator_normalization": "layer", "discriminator_normalization": "layer"}
    networks = mtf.networks.dcgan(SHAPE, filters=4, **layers)
    model = mtf.gan.GAN(*networks, penalty="r1")
    tasks = mtf.data.image_tasks(dataset(), 4, tasks_per_batch=2)
    if kind == "MetaGAN":
        model = mtf.gan.MetaGAN(model, inner_steps=2)
    else:
        tasks = tasks.map(lambda images: images[0])
    model.compile()
    return model, tasks


def main():
    kind, folder = sys.argv[1:]
    keras.utils.set_random_seed(0)
    model, data = build(kind)
    resume = mtf.training.Resume(f"{folder}/backup", save_freq=3, delete_checkpoint=False, deterministic=True)
    model.fit(data, steps_per_epoch=STEPS, epochs=EPOCHS, callbacks=[resume], verbose=0)
    optimizers = getattr(model, "optimizers", None) or {"optimizer": model.optimizer}
    variables = [*model.variables, *(v for optimizer in optimizers.values() for v in optimizer.variables)]
    np.savez(f"{folder}/end.npz", *(keras.ops.convert_to_numpy(variable) for variable in variables))


if __name__ == "__main__":
    main()
