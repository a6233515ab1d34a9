"""What trainings reach with their default arguments, against a linear probe and a plain Keras network.

    python tests/benchmarks/default_accuracies.py transfer --data photographs vectors --counts 5 10 50 --seeds 3
    python tests/benchmarks/default_accuracies.py learners --data vectors --counts 10 --steps 300

`transfer`: `fine_tune` of a backbone that was pre-trained on other classes, and `pretrain` with its own head, on a few
examples a class; beside them `linear_probe` on the frozen features and the same network from scratch (Adam 1e-3, 20
epochs of 32). `learners`: gradient-based learners, meta-trained on a few examples a class, in 5-way 5-shot episodes of
other classes; beside them `linear_probe` of each raw support set. Each line is a mean over seeds, in %, with the 95 %
interval over seeds (Student's t) where there are several. Characters and photographs need prepared datasets.
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from machine import describe_machine

import metalearn_tf as mtf
from metalearn_tf.evaluation.scores import student_half_width

LEARNERS = ("MAML", "ANIL", "MetaSGD", "MetaLSTM", "Reptile")
TEST_EXAMPLES, SOURCE_EXAMPLES = 200, 450


# === Data: source and target of transfer, training and test classes of learners ===


def characters(data_dir):
    train, test = (mtf.data.load("omniglot", split, data_dir=data_dir) for split in ("train", "test"))
    return train, test, lambda outputs, **options: mtf.networks.conv4(filters=16, outputs=outputs, **options)


def photographs(data_dir):
    train, test = (mtf.data.load("caltech101", split, data_dir=data_dir, image_size=16) for split in ("train", "test"))
    return train, test, lambda outputs, **options: mtf.networks.conv4((16, 16, 3), 16, outputs, **options)


def vectors(data_dir):
    """Noisy clouds about means in a subspace of 20 of 64 dimensions, standardised."""
    random = np.random.default_rng(0)
    means = random.normal(size=(100, 20)) @ random.normal(size=(20, 64)) / 20**0.5
    labels = np.repeat(np.arange(100), 520)
    x = means[labels] + 1.5 * random.normal(size=(len(labels), 64))
    x = ((x - x.mean(axis=0)) / x.std(axis=0)).astype("float32")
    train, test = mtf.data.ClassDataset(x, labels).split([0.7, 0.3])
    return train, test, lambda outputs, **options: mtf.networks.mlp((64,), (64, 64), outputs, **options)


DATA = {"characters": characters, "photographs": photographs, "vectors": vectors}


def few(dataset, count, seed):
    """At most `count` examples of each class."""
    random = np.random.default_rng(seed)
    rows = [random.permutation(np.flatnonzero(dataset.labels == label))[:count] for label in np.unique(dataset.labels)]
    rows = np.concatenate(rows)
    return mtf.data.ClassDataset(dataset.examples[rows], dataset.labels[rows])


# === Transfer ===


def transfer(name, counts, seeds, data_dir):
    source, target, network = DATA[name](data_dir)
    backbone = network(None, **({} if name == "vectors" else {"normalization": "running"}))
    first = backbone.get_weights()
    mtf.transfer.pretrain(backbone, few(source, SOURCE_EXAMPLES, 0), epochs=8)
    target = target.select(range(min(10, target.num_classes)))
    for count in counts:
        rows = {arm: [] for arm in ("probe", "plain", "fine_tune", "pretrain")}
        for seed in range(seeds):
            shown, rest = _halves(target, count, seed)
            for arm, accuracies in rows.items():
                accuracies.append(_accuracy(arm, backbone, first, shown, rest, seed))
        for arm, accuracies in rows.items():
            _say(name, count, arm, accuracies)


def _halves(dataset, count, seed):
    """Examples to learn from, and others of the same classes to be tested on."""
    random, shown, rest = np.random.default_rng(seed), [], []
    for label in np.unique(dataset.labels):
        rows = random.permutation(np.flatnonzero(dataset.labels == label))
        tested = min(TEST_EXAMPLES, len(rows) // 2)
        rest.append(rows[:tested])
        shown.append(rows[tested : tested + count])
    return (
        mtf.data.ClassDataset(dataset.examples[rows], dataset.labels[rows])
        for rows in map(np.concatenate, (shown, rest))
    )


def _accuracy(arm, backbone, first, shown, rest, seed):
    keras.utils.set_random_seed(seed)
    x, y, classes = shown.examples, shown.labels, shown.num_classes
    if arm == "probe":
        probe = mtf.transfer.linear_probe(mtf.transfer.extract_features(backbone, x), y)
        outputs = probe.predict(mtf.transfer.extract_features(backbone, rest), verbose=0)
    elif arm == "fine_tune":
        outputs = mtf.transfer.fine_tune(backbone, x, y, seed=seed).predict(rest.examples, verbose=0)
    else:
        fresh = keras.models.clone_model(backbone)
        fresh.set_weights(first)
        outputs = _plain(fresh, x, y, classes, rest) if arm == "plain" else _pretrained(fresh, shown, rest, seed)
    return float(np.mean(outputs.argmax(axis=-1) == rest.labels))


def _plain(network, x, y, classes, rest):
    model = keras.Sequential([network, keras.layers.Dense(classes)])
    model.compile(keras.optimizers.Adam(1e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(_scaled(x), y, epochs=20, batch_size=32, verbose=0)
    return model.predict(_scaled(rest.examples), verbose=0)


def _scaled(x):
    return x.astype("float32") / 255.0 if x.dtype == np.uint8 else x


def _pretrained(network, shown, rest, seed):
    class Keep(keras.callbacks.Callback):
        def on_train_end(self, logs=None):
            kept.append(self.model)

    kept = []
    mtf.transfer.pretrain(network, shown, seed=seed, callbacks=[Keep()])
    return kept[0].predict(rest.examples, verbose=0)


# === Learners ===


def learners(name, counts, seeds, data_dir, steps, episodes):
    train, test, network = DATA[name](data_dir)
    _say(name, 5, "probe of the support set", [_probe_of_support_sets(test, episodes)])
    for count in counts:
        for kind in LEARNERS:
            accuracies = []
            for seed in range(seeds):
                keras.utils.set_random_seed(seed)
                learner = getattr(mtf.learners, kind)(network(5))
                learner.compile()
                shots = min(5, max(1, count // 2))
                tasks = mtf.data.episodes(few(train, count, seed), 5, shots, min(5, count - shots), 4, seed)
                learner.fit(tasks, steps_per_epoch=steps, verbose=0)
                report = mtf.evaluation.evaluate_episodes(learner, test, 5, 5, queries=5, episodes=episodes, seed=7)
                accuracies.append(report.accuracy)
            _say(name, count, kind, accuracies)


def _probe_of_support_sets(test, episodes):
    accuracies = []
    for (support_x, support_y, query_x), query_y in mtf.data.episodes(test, 5, 5, 5, 1, 7).take(episodes):
        flat = [np.reshape(x[0], (len(x[0]), -1)) for x in (support_x, query_x)]
        answers = mtf.transfer.linear_probe(flat[0], support_y[0].numpy())(flat[1])
        accuracies.append(np.mean(np.argmax(answers, axis=-1) == query_y[0].numpy()))
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
