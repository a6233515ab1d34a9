"""What trainings reach with their default arguments, against a linear probe and a plain Keras network.

    python benchmarks/default_accuracies.py transfer --data photographs vectors --counts 5 10 50 --seeds 3
    python benchmarks/default_accuracies.py learners --data vectors --counts 10 --steps 300

`transfer`: `fine_tune` of a backbone that was pre-trained on other classes, and `pretrain` with its own head, on a few
examples a class; beside them `linear_probe` on the frozen features and the same network from scratch (Adam 1e-3, 20
epochs of 32). With images also probes of features that `pretrain` learned from the same few images without labels,
beside a probe of random weights. `learners`: gradient-based learners, meta-trained on a few examples a class, in 5-way
5-shot episodes of other classes; beside them `linear_probe` of each raw support set, and the same network trained on
each support set alone (Adam 1e-3, 20 epochs of 32). Each line is a mean over seeds, in %, with the 95 % interval over
seeds (Student's t) where there are several.

Characters are Omniglot, with MNIST's digits as target. Photographs are Caltech-101 at 32 pixels for learners, and for
transfer five classes of CIFAR-10 as source and the others as target. These need prepared datasets. Vectors are noisy
clouds.
"""

import argparse
import collections.abc
import functools
import os
import typing

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import metalearn_tf as mtf
from machine import describe_machine
from metalearn_tf.evaluation.scores import student_half_width

import keras
import numpy as np

LEARNERS = ("MAML", "ANIL", "MetaSGD", "MetaLSTM", "Reptile")
TEST_EXAMPLES, SOURCE_EXAMPLES = 100, 450
WITHOUT_LABELS = ("autoencoder", "contrastive")


# === Data ===


class Data(typing.NamedTuple):
    """Training and test classes of learners, source and target of transfer, and a function that makes the network."""

    train: mtf.data.ClassDataset
    test: mtf.data.ClassDataset
    source: mtf.data.ClassDataset
    target: mtf.data.ClassDataset
    network: collections.abc.Callable


def characters(data_dir):
    train, test = (mtf.data.load("omniglot", split, data_dir=data_dir) for split in ("train", "test"))
    digits = mtf.data.load("mnist", "train", data_dir=data_dir)
    return Data(train, test, train, digits, functools.partial(mtf.networks.conv4, (28, 28, 1), 16))


def photographs(data_dir):
    train, test = (mtf.data.load("caltech101", split, data_dir=data_dir, image_size=32) for split in ("train", "test"))
    cifar10 = mtf.data.load("cifar10", "train", data_dir=data_dir)
    source, target = cifar10.select(range(5)), cifar10.select(range(5, 10))
    return Data(train, test, source, target, functools.partial(mtf.networks.conv4, (32, 32, 3), 16))


def vectors(data_dir):
    """Noisy clouds about means in a subspace of 20 of 64 dimensions, standardised."""
    random = np.random.default_rng(0)
    means = random.normal(size=(100, 20)) @ random.normal(size=(20, 64)) / 20**0.5
    labels = np.repeat(np.arange(100), 800)
    x = means[labels] + 1.5 * random.normal(size=(len(labels), 64))
    x = ((x - x.mean(axis=0)) / x.std(axis=0)).astype("float32")
    train, test = mtf.data.ClassDataset(x, labels).split([0.7, 0.3])
    return Data(train, test, train, test.select(range(10)), functools.partial(mtf.networks.mlp, (64,), (64, 64)))


DATA = {"characters": characters, "photographs": photographs, "vectors": vectors}


def few(dataset, count, seed):
    """At most `count` examples of each class."""
    random = np.random.default_rng(seed)
    rows = [random.permutation(np.flatnonzero(dataset.labels == label))[:count] for label in np.unique(dataset.labels)]
    rows = np.concatenate(rows)
    return mtf.data.ClassDataset(dataset.examples[rows], dataset.labels[rows])


# === Transfer ===


def transfer(name, counts, seeds, data_dir):
    data = DATA[name](data_dir)
    arms = ["probe", "plain", "fine_tune", "pretrain"]
    if name != "vectors":
        arms += ["random weights", *WITHOUT_LABELS]
    backbone = data.network(None, **({} if name == "vectors" else {"normalization": "running"}))
    first = backbone.get_weights()
    mtf.transfer.pretrain(backbone, few(data.source, SOURCE_EXAMPLES, 0), epochs=8, verbose=0)
    for count in counts:
        rows = {arm: [] for arm in arms}
        for seed in range(seeds):
            shown, rest = _shown_and_rest(data.target, count, seed)
            for arm, accuracies in rows.items():
                accuracies.append(_accuracy(arm, backbone, first, shown, rest, seed))
        for arm, accuracies in rows.items():
            _say(name, count, arm, accuracies)


def _shown_and_rest(dataset, count, seed):
    """Examples to learn from, and others of the same classes to be tested on."""
    random, shown, rest = np.random.default_rng(seed), [], []
    for label in np.unique(dataset.labels):
        rows = random.permutation(np.flatnonzero(dataset.labels == label))
        rest.append(rows[:TEST_EXAMPLES])
        shown.append(rows[TEST_EXAMPLES:][:count])
    return (
        mtf.data.ClassDataset(dataset.examples[rows], dataset.labels[rows])
        for rows in map(np.concatenate, (shown, rest))
    )


def _accuracy(arm, backbone, first, shown, rest, seed):
    keras.utils.set_random_seed(seed)
    x, y, queries = shown.examples, shown.labels, rest.examples
    fresh = keras.models.clone_model(backbone)
    fresh.set_weights(first)
    if arm in WITHOUT_LABELS:
        mtf.transfer.pretrain(fresh, x, verbose=0, method=arm, seed=seed)
    if arm == "plain":
        outputs = _plain(fresh, x, y, shown.num_classes, queries)
    elif arm == "fine_tune":
        outputs = mtf.transfer.fine_tune(backbone, x, y, verbose=0, seed=seed).predict(queries, verbose=0)
    elif arm == "pretrain":
        outputs = _pretrained(fresh, shown, queries, seed)
    else:
        outputs = _probed(backbone if arm == "probe" else fresh, x, y, queries)
    return float(np.mean(outputs.argmax(axis=-1) == rest.labels))


def _probed(backbone, x, y, queries):
    probe = mtf.transfer.linear_probe(mtf.transfer.extract_features(backbone, x, verbose=0), y)
    return probe.predict(mtf.transfer.extract_features(backbone, queries, verbose=0), verbose=0)


def _plain(network, x, y, classes, queries):
    model = keras.Sequential([network, keras.layers.Dense(classes)])
    model.compile(keras.optimizers.Adam(1e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(_scaled(x), y, epochs=20, batch_size=32, verbose=0)
    return model.predict(_scaled(queries), verbose=0)


def _scaled(x):
    return x.astype("float32") / 255.0 if x.dtype == np.uint8 else x


def _pretrained(network, shown, queries, seed):
    class Keep(keras.callbacks.Callback):
        def on_train_end(self, logs=None):
            kept.append(self.model)

    kept = []
    mtf.transfer.pretrain(network, shown, verbose=0, seed=seed, callbacks=[Keep()])
    return kept[0].predict(queries, verbose=0)


# === Learners ===


def learners(name, counts, seeds, data_dir, steps, episodes):
    data = DATA[name](data_dir)
    _say(name, "-", "probe of the support set", [_probe_of_support_sets(data.test, episodes)])
    _say(name, "-", "plain network of the support set", [_plain_of_support_sets(data.test, episodes, data.network)])
    for count in counts:
        if count > np.bincount(data.train.labels).min():
            continue
        for kind in LEARNERS:
            accuracies = []
            for seed in range(seeds):
                keras.utils.set_random_seed(seed)
                learner = getattr(mtf.learners, kind)(data.network(5))
                learner.compile()
                shots = min(5, max(1, count // 2))
                tasks = mtf.data.episodes(few(data.train, count, seed), 5, shots, min(5, count - shots), 4, seed)
                learner.fit(tasks, steps_per_epoch=steps, verbose=0)
                report = mtf.evaluation.evaluate_episodes(learner, data.test, 5, 5, 5, episodes=episodes, seed=7)
                accuracies.append(report.accuracy)
            _say(name, count, kind, accuracies)


def _tasks(test, episodes):
    """The episodes of `evaluate_episodes` one by one, as arrays."""
    for (support_x, support_y, query_x), query_y in mtf.data.episodes(test, 5, 5, 5, 1, 7).take(episodes):
        yield tuple(part[0].numpy() for part in (support_x, support_y, query_x, query_y))


def _probe_of_support_sets(test, episodes):
    accuracies = []
    for support_x, support_y, query_x, query_y in _tasks(test, episodes):
        probe = mtf.transfer.linear_probe(support_x.reshape(len(support_x), -1), support_y)
        outputs = probe.predict(query_x.reshape(len(query_x), -1), verbose=0)
        accuracies.append(np.mean(outputs.argmax(axis=-1) == query_y))
    return float(np.mean(accuracies))


def _plain_of_support_sets(test, episodes, network):
    accuracies = []
    for support_x, support_y, query_x, query_y in _tasks(test, min(episodes, 20)):
        outputs = _plain(network(None), support_x, support_y, 5, query_x)
        accuracies.append(np.mean(outputs.argmax(axis=-1) == query_y))
    return float(np.mean(accuracies))


def _say(name, count, what, accuracies):
    interval = f" ± {100 * student_half_width(accuracies):.1f}" if len(accuracies) > 1 else ""
    print(f"| {name} | {count} | {what} | {100 * np.mean(accuracies):.1f}{interval} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["transfer", "learners"])
    parser.add_argument("--data", nargs="+", choices=list(DATA), default=["vectors"])
    parser.add_argument("--counts", nargs="+", type=int, default=[5, 10, 50, 500], help="examples of a class")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--steps", type=int, default=300, help="outer steps of a learner")
    parser.add_argument("--episodes", type=int, default=100, help="test episodes of a learner")
    parser.add_argument("--data_dir", default=None, help="of TensorFlow Datasets; by default TFDS_DATA_DIR")
    arguments = parser.parse_args()

    mtf.training.use_task_parallelism()
    print(f"{describe_machine()}\n\n| data | examples a class | what | accuracy % |\n|---|---|---|---|")
    for name in arguments.data:
        if arguments.part == "transfer":
            transfer(name, arguments.counts, arguments.seeds, arguments.data_dir)
        else:
            learners(name, arguments.counts, arguments.seeds, arguments.data_dir, arguments.steps, arguments.episodes)


if __name__ == "__main__":
    main()
