"""Meta-trains GANs that draw more images of a class from a few examples, and compares them with other methods.

    python examples/few_shot_gan.py --data_dir DIR --dataset omniglot
    python examples/few_shot_gan.py --data_dir DIR --dataset mnist --algorithms reptile --export served/few_shot/1
    python examples/few_shot_gan.py --data_dir DIR --usps_dir DIR --dataset cross

- `omniglot`: trained on the background alphabets, tested on characters of the evaluation alphabets.
- `mnist`: trained on the digits 0 to 7, tested on 8 and 9.
- `cross`: trained on Omniglot and the glyphs, tested on the digits of MNIST and of USPS.

Each test task is 4 or 8 images of a class that no arm has seen. The arms (compared methods) are: the meta-trained GANs,
before and after adaptation; the same GAN trained on the few images from random weights; and the same GAN first trained
in the ordinary way on all source classes, then on the few images. All have the same networks, steps and training time.
`real` are other images of the class. Scores use the features of the library's own classifier. KID compares 128
generated images with the other images of the class. FID compares one half of these other images with as many generated
images as the other half has. `distance` is the mean distance of a generated image to the nearest shown image, divided
by the same distance for real images: near 0 the GAN would copy.
"""

import argparse
import json
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import metalearn_tf as mtf
from metalearn_tf.files.markdown_table import markdown_row, markdown_table
from metalearn_tf.files.whole_files import write_text
from metalearn_tf.training.descriptions import check_same

import keras
import numpy as np
import tensorflow as tf

evaluation = mtf.evaluation
OPTIONS = {
    "reptile": {"inner_steps": 20, "inner_learning_rate": 1e-3},
    "fomaml": {"inner_steps": 20, "inner_learning_rate": 1e-3},
    "maml": {"inner_steps": 5, "inner_learning_rate": 1e-2, "learned_rates": True},
}
OUTER = {
    "reptile": lambda: keras.optimizers.SGD(0.5),
    "fomaml": lambda: keras.optimizers.Adam(2e-4),
    "maml": lambda: keras.optimizers.Adam(5e-4),
}


def load(arguments):
    """Source datasets, the test datasets by name, and the feature network."""

    def dataset(name, split, **options):
        return mtf.data.load(name, split, data_dir=arguments.data_dir, **options)

    if arguments.dataset == "omniglot":
        source = [dataset("omniglot", "train", protocol="lake")]
        return source, {"omniglot": dataset("omniglot", "test", protocol="lake")}, "omniglot"
    if arguments.dataset == "mnist":
        digits, test = dataset("mnist", "train"), dataset("mnist", "test")
        return [digits.select(digits.class_names[:8])], {"mnist 8, 9": test.select(test.class_names[8:])}, "mnist"
    usps = mtf.data.load("usps", "test", data_dir=arguments.usps_dir or arguments.data_dir, image_size=28)
    source = [dataset("omniglot", "train", protocol="lake"), mtf.data.load("glyphs", "train")]
    return source, {"mnist": dataset("mnist", "test"), "usps": usps}, "mnist"


def new_gan():
    keras.utils.set_random_seed(0)
    networks = mtf.networks.dcgan(
        (28, 28, 1), filters=32, generator_normalization="layer", discriminator_normalization="layer"
    )
    return mtf.gan.GAN(*networks, penalty="r1", average_decay=None)


# === Training ===


class Anneal(keras.callbacks.Callback):
    """Lets the outer learning rate fall to 0 over the available time, then stops."""

    def __init__(self, minutes):
        super().__init__()
        self.seconds = 60 * minutes

    def on_train_begin(self, logs=None):
        self.start, self.rate = time.perf_counter(), float(self.model.optimizer.learning_rate)

    def on_train_batch_end(self, batch, logs=None):
        left = 1.0 - (time.perf_counter() - self.start) / self.seconds
        self.model.optimizer.learning_rate = self.rate * max(left, 0.0)
        self.model.stop_training = left <= 0

    def on_epoch_end(self, epoch, logs=None):
        self.on_train_batch_end(0)


def meta_train(algorithm, source, arguments):
    """The meta-trained GAN; from the run's folder if it was trained before."""
    meta_gan = mtf.gan.MetaGAN(new_gan(), algorithm, test_inner_steps=arguments.steps, **OPTIONS[algorithm])
    path = arguments.run_dir / f"{algorithm}.weights.h5"
    if path.exists():
        meta_gan.load_weights(path)
        return meta_gan
    meta_gan.compile(OUTER[algorithm]())
    tasks = mtf.data.image_tasks(source, shots=8, queries=8, tasks_per_batch=4)
    clock = Anneal(arguments.minutes)
    start = time.perf_counter()
    meta_gan.fit(tasks, steps_per_epoch=50, epochs=100_000, callbacks=[clock], verbose=2)
    steps = int(meta_gan.optimizer.iterations)
    print(f"{algorithm}: {steps} outer steps, {4 * steps / (time.perf_counter() - start):.1f} tasks/s", flush=True)
    meta_gan.save_weights(path)
    return meta_gan


def ordinary_gan(source, arguments):
    """The same GAN trained on the images of all source classes, for the same time."""
    gan, path = new_gan(), arguments.run_dir / "ordinary.weights.h5"
    if path.exists():
        gan.load_weights(path)
        return gan
    gan.compile()
    images = np.concatenate([dataset.examples for dataset in source])
    gan.fit(images, batch_size=64, steps_per_epoch=50, epochs=100_000, callbacks=[Anneal(arguments.minutes)], verbose=2)
    gan.save_weights(path)
    return gan


# === Testing ===


def test_tasks(dataset, shots, count):
    """For each task the shown images, and other images of the class, float in [-1, 1]."""
    random = np.random.default_rng(7)
    tasks = []
    for index in range(count):
        images = dataset.class_examples(random.integers(dataset.num_classes) if index else 0)
        rows = random.permutation(len(images))[: shots + 200]
        images = images[rows].astype("float32") / 127.5 - 1.0
        tasks.append((images[:shots], images[shots:]))
    return tasks


def drawing(meta_gan, steps):
    """The function from a few images and noise to new images, after `steps` inner steps."""

    @tf.function(input_signature=[tf.TensorSpec((None, 28, 28, 1)), tf.TensorSpec((None, 64))])
    def draw(images, noise):
        return meta_gan.generate(meta_gan.adapt_task(images, tf.constant([1, 0]), steps), noise)

    return draw


def score(draw, tasks, network):
    """KID, FID and distance of each task `(tasks, 3)`."""
    noise, scores = np.random.default_rng(3).normal(size=(128, 64)).astype("float32"), []
    for images, others in tasks:
        half = len(others) // 2
        generated = others[half:] if draw is None else np.asarray(draw(images, noise))
        reference = others[:half] if draw is None else others
        size = min(len(reference), len(generated), 32)
        kid = evaluation.kid(reference, generated, network, subsets=20, subset_size=size).value
        fid = evaluation.fid(others[:half], generated[: len(others) - half], network)
        near = np.mean(evaluation.nearest_images(generated, images)[1])
        scores.append((kid, fid, near / np.mean(evaluation.nearest_images(others, images)[1])))
    return np.asarray(scores)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", choices=["omniglot", "mnist", "cross"], default="omniglot")
    parser.add_argument("--algorithms", nargs="+", choices=list(OPTIONS), default=list(OPTIONS))
    parser.add_argument("--minutes", type=float, default=10, help="training time of each arm that is trained")
    parser.add_argument("--steps", type=int, default=50, help="inner steps in the test")
    parser.add_argument("--shots", nargs="+", type=int, default=[4, 8], help="images that are shown")
    parser.add_argument("--test_tasks", type=int, default=60)
    parser.add_argument("--data_dir", default=None, help="folder of TensorFlow Datasets; by default TFDS_DATA_DIR")
    parser.add_argument("--usps_dir", default=None, help="the folder with usps/usps.npz in it; by default data_dir")
    parser.add_argument("--run_dir", type=pathlib.Path, default=None, help="by default runs/few_shot_gan_DATASET")
    parser.add_argument("--export", default=None, help="where to write the first algorithm's SavedModel")
    arguments = parser.parse_args()
    arguments.run_dir = arguments.run_dir or pathlib.Path(f"runs/few_shot_gan_{arguments.dataset}")
    arguments.run_dir.mkdir(parents=True, exist_ok=True)
    # The folder belongs to these settings.
    settings = {name: getattr(arguments, name) for name in ("dataset", "minutes")}
    check_same("--run_dir", arguments.run_dir / "settings.json", settings, "run")

    mtf.training.use_task_parallelism()
    source, tests, features = load(arguments)
    network = evaluation.feature_network(features)
    trained = {name: meta_train(name, source, arguments) for name in arguments.algorithms}
    reptile = OPTIONS["reptile"]
    random_weights = mtf.gan.MetaGAN(new_gan(), **reptile)
    fine_tuned = mtf.gan.MetaGAN(ordinary_gan(source, arguments), **reptile)
    arms = {
        "real": None,
        **{f"{name}, adapted": drawing(meta_gan, arguments.steps) for name, meta_gan in trained.items()},
        **{f"{name}, before": drawing(meta_gan, 0) for name, meta_gan in trained.items()},
        "from random weights": drawing(random_weights, arguments.steps),
        "ordinary GAN, fine-tuned": drawing(fine_tuned, arguments.steps),
    }

    names = ("test", "shots", "arm", "KID", "FID", "distance")
    rows, results = [], []
    for title, dataset in tests.items():
        for shots in arguments.shots:
            tasks = test_tasks(dataset, shots, arguments.test_tasks)
            for arm, draw in arms.items():
                scores = score(draw, tasks, network)
                means, widths = scores.mean(axis=0), [evaluation.confidence_half_width(each) for each in scores.T]
                cells = [f"{mean:.4g} ± {width:.2g}" for mean, width in zip(means[:2], widths)]
                rows.append([title, str(shots), arm, *cells, f"{means[2]:.2f} ± {widths[2]:.2f}"])
                results.append({"test": title, "shots": shots, "arm": arm, "scores": scores.tolist()})
                print(markdown_row(rows[-1]), flush=True)
            best = arms[f"{arguments.algorithms[0]}, adapted"]
            for index in range(min(3, len(tasks))):
                images, _ = tasks[index]
                noise = np.random.default_rng(index).normal(size=(10, 64)).astype("float32")
                path = arguments.run_dir / f"{title.replace(' ', '_')}_{shots}_{index}.png"
                evaluation.few_shot_figure(images, np.asarray(best(images, noise)), source[0].examples[::20], path)
    write_text(arguments.run_dir / "table.md", markdown_table(names, rows) + "\n")
    write_text(arguments.run_dir / "scores.json", json.dumps(results))
    print("\n".join(rows))
    if arguments.export:
        name = arguments.algorithms[0]
        text = f"Meta-trained with `{name}` on {arguments.dataset} by `examples/few_shot_gan.py`.\n\n" + "\n".join(rows)
        trained[name].export(arguments.export, description=text)


if __name__ == "__main__":
    main()
