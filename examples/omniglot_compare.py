"""Trains every meta-learner and baseline on Omniglot, tests all on the same episodes, and prints one table.

    python examples/omniglot_compare.py --data_dir DIR
    python examples/omniglot_compare.py --data_dir DIR --only MAML ANIL --settings 5x1 5x5
    python examples/omniglot_compare.py --data_dir DIR --dataset caltech101

All learners use Conv4-64 and the 1,100 training characters of the Vinyals split, or 64 classes of Caltech-101. The
gradient-based learners and the baselines start from the embedding of the prototypical network and a head of zeros; the
table says so. Each row is trained once, with the budget in `METHODS`. Finished parts are kept in `--run_dir`; a run
that was stopped continues from there. Training computes in bfloat16 if the machine has it, the test in float32.
"""

import argparse
import dataclasses
import functools
import json
import os
import pathlib
import time
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import metalearn_tf as mtf
from metalearn_tf.files.markdown_table import markdown_row, markdown_table
from metalearn_tf.files.whole_files import write_text
from metalearn_tf.training.descriptions import check_same

import keras
import numpy as np

learners, networks = mtf.learners, mtf.networks
SETTINGS = {"5x1": (5, 1), "5x5": (5, 5), "20x1": (20, 1)}


@dataclasses.dataclass(frozen=True)
class Method:
    """How a row of the table is built and trained, and the published figures.

    Attributes:
        build: function from the maker of a Conv4 and the number of ways (for a head) to the learner.
        published: accuracies in % for 5-way 1-shot, 5-way 5-shot and 20-way 1-shot; `None` where there is none.
        start: `"embedding"` copies the prototypical network's layers and sets the head to zero.
        steps: outer steps; 0 for a method that is not meta-trained.
        tasks: tasks in an outer step.
        train_ways: ways in training, if they differ from the test; one training then serves all settings.
        shots: support examples of a class in training, `None` for the test's.
        queries: query examples of a class in training.
        optimizer: function from the number of steps to the outer optimizer.
    """

    build: Callable
    published: tuple = (None, None, None)
    start: str = "random"
    steps: int = 0
    tasks: int = 8
    train_ways: int | None = None
    shots: int | None = None
    queries: int = 5
    optimizer: Callable = lambda steps: adam(2e-4, steps)


def adam(rate, steps):
    return keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(rate, steps))


def linear(steps):
    """Reptile's outer step size: it falls linearly to 0, from 0.1 because Reptile starts from a trained embedding."""
    return keras.optimizers.SGD(keras.optimizers.schedules.PolynomialDecay(0.1, steps, 0.0))


def conv4_for(dataset):
    """A function from the width of a head (`None` for an embedding) to a Conv4 for the dataset's images."""
    return lambda ways=None, **options: networks.conv4(dataset.example_shape, outputs=ways, **options)


def frozen(network):
    """A frozen embedding whose features have mean 0 and variance 1, so that a memory can distinguish examples."""
    for layer in network.layers:
        layer.trainable = False
    x = networks.TaskNormalization("running", name="standardized")(network.output)
    return keras.Model(network.input, x)


def pixels(network):
    """The images themselves instead of features."""
    inputs = keras.Input(network.input_shape[1:])
    return keras.Model(inputs, keras.layers.Flatten()(inputs))


def load_omniglot(split, data_dir):
    return mtf.data.load("omniglot", split, data_dir=data_dir, rotations=split == "train")


def load_caltech101(split, data_dir):
    return mtf.data.load("caltech101", split, data_dir=data_dir, image_size=32)


LOADERS = {"omniglot": load_omniglot, "caltech101": load_caltech101}

METRIC = {"train_ways": 60, "shots": 1, "queries": 1, "tasks": 2, "steps": 1500, "optimizer": lambda s: adam(4e-3, s)}
GRADIENT = {"start": "embedding", "steps": 150}

# The largest rate that does not damage a trained embedding; that of Caltech-101 has more and larger features.
INNER_RATES = {"omniglot": 0.2, "caltech101": 0.01}


def methods(inner_learning_rate):
    """The rows of the table by name."""
    inner = {"inner_steps": 5, "inner_learning_rate": inner_learning_rate}
    improved = {
        **inner,
        "first_order": "annealed",
        "learned_rates": True,
        "per_step_normalization": True,
        "multi_step_loss": True,
        "annealing_steps": 50,
    }
    return {
        # Baselines
        "nearest neighbour, pixels": Method(lambda conv4, ways: learners.NearestNeighbor(pixels(conv4()))),
        "untrained embedding, prototypes": Method(lambda conv4, ways: learners.PrototypicalNetwork(conv4())),
        "supervised, fine-tuned head": Method(
            lambda conv4, ways: learners.ANIL(conv4(ways), inner_steps=50, inner_learning_rate=0.2),
            start="supervised",
        ),
        "Baseline": Method(lambda conv4, ways: mtf.transfer.Baseline(conv4()), start="supervised"),
        "Baseline++": Method(lambda conv4, ways: mtf.transfer.BaselinePlusPlus(conv4()), start="supervised"),
        "multi-task heads, prototypes": Method(
            lambda conv4, ways: learners.PrototypicalNetwork(conv4()), start="multi-task"
        ),
        # By distance
        "PrototypicalNetwork": Method(
            lambda conv4, ways: learners.PrototypicalNetwork(conv4()), (98.8, 99.7, 96.0), **{**METRIC, "steps": 3600}
        ),
        "MatchingNetwork": Method(
            lambda conv4, ways: learners.MatchingNetwork(conv4(), logit_scale=10.0), (98.1, 98.9, 93.8), **METRIC
        ),
        "RelationNetwork": Method(
            lambda conv4, ways: learners.RelationNetwork(conv4(feature_map=True)),
            (99.6, 99.8, 97.6),
            **{**METRIC, "train_ways": 20, "optimizer": lambda s: adam(1e-3, s)},
        ),
        # By memory
        "MANN": Method(
            lambda conv4, ways: learners.MANN(frozen(conv4()), ways=5),
            (82.8, 94.9, None),
            start="embedding",
            steps=2500,
            tasks=64,
            shots=5,
            queries=5,
            train_ways=5,
            optimizer=lambda s: adam(1e-3, s),
        ),
        # By gradient steps
        "MAML": Method(
            lambda conv4, ways: learners.MAML(conv4(ways), test_inner_steps=10, **inner), (98.7, 99.9, 95.8), **GRADIENT
        ),
        "FOMAML": Method(
            lambda conv4, ways: learners.MAML(conv4(ways), first_order=True, test_inner_steps=10, **inner),
            (98.3, 99.2, 89.4),
            **GRADIENT,
        ),
        "MAML++": Method(
            lambda conv4, ways: learners.MAML(conv4(ways), test_inner_steps=10, **improved),
            (99.47, 99.93, 97.65),
            **GRADIENT,
        ),
        "ANIL": Method(lambda conv4, ways: learners.ANIL(conv4(ways), test_inner_steps=10, **inner), **GRADIENT),
        "MetaSGD": Method(
            lambda conv4, ways: learners.MetaSGD(conv4(ways), test_inner_steps=10, **inner),
            (99.53, 99.93, 95.93),
            **GRADIENT,
        ),
        "MetaLSTM": Method(
            lambda conv4, ways: learners.MetaLSTM(
                conv4(ways),
                inner_learning_rate=inner_learning_rate,
                forget_rate=1e-3,
                rematerialize=True,
                test_inner_steps=10,
            ),
            **{**GRADIENT, "steps": 200},
        ),
        "Reptile": Method(
            # The paper's Adam uses the signs rather than the sizes of gradients, and so moves away from a trained
            # embedding.
            lambda conv4, ways: learners.Reptile(
                conv4(ways), inner_optimizer=keras.optimizers.SGD(inner_learning_rate), test_inner_steps=25
            ),
            (97.68, 99.48, 89.43),
            **{**GRADIENT, "shots": 5, "optimizer": linear},
        ),
    }


METHODS = methods(INNER_RATES["omniglot"])


# === Training ===


def train(name, ways, shots, data, run_dir, precision, steps=None):
    """The trained learner in float32, and the time of its training; from `run_dir` if it was trained before."""
    method = METHODS[name]
    if steps is not None and method.steps:
        method = dataclasses.replace(method, steps=steps)
    keras.utils.set_random_seed(0)
    key = f"{name}_{method.train_ways or ways}way_{method.shots or shots}shot".replace(" ", "_")
    build = functools.partial(method.build, conv4_for(data["train"]), ways)
    learner, record = build(), run_dir / f"{key}.json"
    if record.exists():
        learner.load_weights(run_dir / f"{key}.weights.h5")
        return learner, json.loads(record.read_text())
    start_from(method.start, learner, data, run_dir, precision, steps)
    took = {"seconds": 0.0, "tasks_per_second": None}
    if method.steps:
        keras.mixed_precision.set_global_policy(precision)
        trained = build()
        keras.mixed_precision.set_global_policy("float32")
        trained.set_weights(learner.get_weights())
        train_ways = min(method.train_ways or ways, data["train"].num_classes)
        took = fit(trained, method, train_ways, method.shots or shots, data["train"])
        learner.set_weights(trained.get_weights())
    learner.save_weights(run_dir / f"{key}.weights.h5")
    write_text(record, json.dumps(took))
    return learner, took


def fit(learner, method, ways, shots, dataset):
    tasks = mtf.data.episodes(dataset, ways, shots, method.queries, method.tasks)
    learner.compile(optimizer=method.optimizer(method.steps), metrics=["accuracy"])
    learner.fit(tasks, steps_per_epoch=2, verbose=0)  # makes the graph
    start = time.perf_counter()
    learner.fit(tasks, steps_per_epoch=method.steps - 2, verbose=2)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "tasks_per_second": (method.steps - 2) * method.tasks / seconds}


def start_from(start, learner, data, run_dir, precision, steps=None):
    """Gives the learner's network the layers of a trained embedding."""
    if start == "random":
        return
    if start == "embedding":
        source = train("PrototypicalNetwork", 20, 1, data, run_dir, precision, steps)[0].network
    else:
        source = pretrained(start, data["train"], run_dir, steps or 1500)
    network = learner.network
    for layer in source.layers:
        network.get_layer(layer.name).set_weights(layer.get_weights())
    if network.layers[-1].name == "head":
        network.layers[-1].set_weights([0.0 * weight for weight in network.layers[-1].get_weights()])


def pretrained(kind, dataset, run_dir, steps):
    """An embedding trained with one softmax over all training characters, or with one for each alphabet."""
    embedding, path = conv4_for(dataset)(), run_dir / f"{kind}.weights.h5"
    if path.exists():
        embedding.load_weights(path)
        return embedding
    tasks = np.zeros(dataset.num_classes, "int32") if kind == "supervised" else networks.task_of_class(dataset)
    image, task = keras.Input(dataset.example_shape), keras.Input((), dtype="int32")
    model = keras.Model([image, task], networks.MultiTaskHead(tasks)([embedding(image), task]))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(adam(2e-3, steps), loss, metrics=["accuracy"])
    random = np.random.default_rng(0)
    rows = random.permutation(len(dataset))
    rows = np.resize(rows, steps * 128)
    images = dataset.examples.astype("float32") / 255.0
    model.fit([images[rows], tasks[dataset.labels[rows]]], dataset.labels[rows], batch_size=128, verbose=2)
    embedding.save_weights(path)
    return embedding


# === Testing ===


def test(name, setting, data, arguments):
    """One row: the report, and the time of the training; from the run's folder if it was tested before."""
    ways, shots = SETTINGS[setting]
    path = arguments.run_dir / f"report_{name.replace(' ', '_')}_{setting}.json"
    learner, took = train(name, ways, shots, data, arguments.run_dir, arguments.precision, arguments.steps)
    if path.exists():
        return mtf.evaluation.Report.from_json(path.read_text()), took
    report = mtf.evaluation.evaluate_episodes(
        learner, data["test"], ways, shots, queries=15, episodes=arguments.episodes, seed=7
    )
    report.to_json(path)
    return report, took


def applies(name, setting, dataset):
    """Whether the table has this row: 20-way if there is a published figure, tasks of parents if there are parents."""
    method = METHODS[name]
    if setting == "20x1" and method.steps and method.published[2] is None:
        return False
    return dataset == "omniglot" or method.start != "multi-task"


def row(name, setting, dataset, report, took):
    method = METHODS[name]
    published = method.published[list(SETTINGS).index(setting)] if dataset == "omniglot" else None
    rate = took["tasks_per_second"]
    return [
        name,
        f"{report.ways}-way {report.shots}-shot",
        f"{100 * report.accuracy:.2f} ± {100 * report.confidence_interval:.2f}",
        report.normalization,
        method.start,
        f"{took['seconds']:.0f}",
        "" if rate is None else f"{rate:.1f}",
        "" if published is None else f"{published}",
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(METHODS), default=list(METHODS), help="methods")
    parser.add_argument("--settings", nargs="+", choices=list(SETTINGS), default=["5x1", "5x5"])
    parser.add_argument("--dataset", choices=list(LOADERS), default="omniglot")
    parser.add_argument("--episodes", type=int, default=1000, help="test episodes")
    parser.add_argument("--steps", type=int, default=None, help="of each training, for a short trial; at least 3")
    parser.add_argument("--data_dir", default=None, help="folder of TensorFlow Datasets; by default TFDS_DATA_DIR")
    parser.add_argument("--run_dir", type=pathlib.Path, default=None, help="by default runs/DATASET_compare")
    parser.add_argument(
        "--precision",
        choices=["auto", "float32", "mixed_bfloat16", "mixed_float16"],
        default="auto",
        help="precision of the training; by default the fastest one on this machine",
    )
    arguments = parser.parse_args()
    if arguments.precision == "auto":
        arguments.precision = mtf.training.fastest_precision()
    arguments.run_dir = arguments.run_dir or pathlib.Path(f"runs/{arguments.dataset}_compare")
    arguments.run_dir.mkdir(parents=True, exist_ok=True)
    # The folder belongs to these settings.
    settings = {name: getattr(arguments, name) for name in ("dataset", "episodes", "steps", "precision")}
    check_same("--run_dir", arguments.run_dir / "settings.json", settings, "run")

    METHODS.update(methods(INNER_RATES[arguments.dataset]))
    mtf.training.use_task_parallelism()
    data = {split: LOADERS[arguments.dataset](split, arguments.data_dir) for split in ("train", "test")}
    names = ("method", "setting", "accuracy %", "normalisation", "start", "training s", "tasks/s", "published %")
    rows = []
    for setting in arguments.settings:
        for name in arguments.only:
            if not applies(name, setting, arguments.dataset):
                continue
            rows.append(row(name, setting, arguments.dataset, *test(name, setting, data, arguments)))
            print(markdown_row(rows[-1]), flush=True)
    write_text(arguments.run_dir / "table.md", markdown_table(names, rows) + "\n")
    print(markdown_table(names, rows))


if __name__ == "__main__":
    main()
