"""Trains second-order MAML on Omniglot, tests it, and exports a SavedModel that adapts to five new characters.

    python examples/omniglot_prototypical.py --normalization transductive --data_dir DIR
    python examples/omniglot_maml.py --shots 1 --body runs/omniglot_prototypical/learner.keras --data_dir DIR

Conv4-64, 5-way. With `--body`, meta-training starts from the embedding of a prototypical network and a head of zeros,
and takes minutes. Without it, meta-training starts from random weights, as in the paper, and takes hours. Training
computes in bfloat16 if the machine has it, the test and the export in float32. A run that was stopped continues with
the same command.
"""

import argparse
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import metalearn_tf as mtf

import keras


def build(arguments, normalization="transductive"):
    network = mtf.networks.conv4(outputs=5, downsampling=arguments.downsampling, normalization=normalization)
    return mtf.learners.MAML(
        network,
        inner_steps=arguments.inner_steps,
        inner_learning_rate=arguments.inner_learning_rate,
        test_inner_steps=arguments.test_inner_steps,
    )


def start_from(body, network):
    """Copies the trained layers, and sets the head to zero: the first inner step makes it the class means."""
    for layer in body.layers:
        network.get_layer(layer.name).set_weights(layer.get_weights())
    head = network.get_layer("head")
    head.set_weights([0.0 * weight for weight in head.get_weights()])


def with_weights_of(learner, arguments, normalization):
    """The trained weights in a float32 learner of the given normalisation."""
    copy = build(arguments, normalization)
    for variable, trained in zip(copy.trainable_variables, learner.trainable_variables):
        variable.assign(trained)
    return copy


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shots", type=int, default=1)
    parser.add_argument("--body", type=pathlib.Path, default=None, help="a prototypical network's .keras file")
    parser.add_argument("--downsampling", choices=["max_pool", "stride"], default="max_pool")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--steps_per_epoch", type=int, default=250, help="outer steps")
    parser.add_argument("--tasks_per_batch", type=int, default=16)
    parser.add_argument("--train_queries", type=int, default=5, help="per class; the test always has 15")
    parser.add_argument("--inner_steps", type=int, default=3)
    parser.add_argument("--test_inner_steps", type=int, default=5)
    parser.add_argument("--inner_learning_rate", type=float, default=0.2)
    parser.add_argument("--learning_rate", type=float, default=1e-3)
    parser.add_argument(
        "--precision",
        choices=["auto", "float32", "mixed_bfloat16", "mixed_float16"],
        default="auto",
        help="precision of the training; by default the fastest one on this machine",
    )
    parser.add_argument("--test_episodes", type=int, default=1000)
    parser.add_argument("--data_dir", default=None, help="folder of TensorFlow Datasets; by default TFDS_DATA_DIR")
    parser.add_argument(
        "--run_dir", type=pathlib.Path, default=None, help="checkpoints; by default runs/omniglot_maml_*"
    )
    parser.add_argument(
        "--export", type=pathlib.Path, default=None, help="path of the SavedModel, such as models/maml/1"
    )
    arguments = parser.parse_args()
    if arguments.precision == "auto":
        arguments.precision = mtf.training.fastest_precision()
    run_dir = arguments.run_dir or pathlib.Path(f"runs/omniglot_maml_5way_{arguments.shots}shot")
    run_dir.mkdir(parents=True, exist_ok=True)

    mtf.training.use_task_parallelism()
    keras.utils.set_random_seed(0)
    train = mtf.data.load("omniglot", "train", data_dir=arguments.data_dir, rotations=True)
    validation = mtf.data.load("omniglot", "validation", data_dir=arguments.data_dir)
    test = mtf.data.load("omniglot", "test", data_dir=arguments.data_dir)
    tasks = mtf.data.episodes(train, 5, arguments.shots, arguments.train_queries, arguments.tasks_per_batch)
    validation_tasks = mtf.data.episodes(validation, 5, arguments.shots, 15, tasks_per_batch=10, seed=1).take(20)

    keras.mixed_precision.set_global_policy(arguments.precision)
    learner = build(arguments)
    if arguments.body:
        start_from(keras.models.load_model(arguments.body).network, learner.network)
    schedule = keras.optimizers.schedules.CosineDecay(
        arguments.learning_rate, arguments.epochs * arguments.steps_per_epoch
    )
    learner.compile(optimizer=keras.optimizers.Adam(schedule), metrics=["accuracy"])
    start = time.perf_counter()
    learner.fit(
        tasks,
        epochs=arguments.epochs,
        steps_per_epoch=arguments.steps_per_epoch,
        validation_data=validation_tasks,
        callbacks=[
            keras.callbacks.BackupAndRestore(run_dir / "backup", delete_checkpoint=False),
            keras.callbacks.CSVLogger(run_dir / "log.csv", append=True),
        ],
        verbose=2,
    )
    minutes = (time.perf_counter() - start) / 60
    learner.save(run_dir / "learner.keras")
    print(f"trained for {minutes:.1f} minutes")

    keras.mixed_precision.set_global_policy("float32")
    print(mtf.evaluation.Report.markdown_header())
    reports = []
    for normalization in ("transductive", "support"):
        final = with_weights_of(learner, arguments, normalization)
        report = mtf.evaluation.evaluate_episodes(
            final, test, ways=5, shots=arguments.shots, queries=15, episodes=arguments.test_episodes, seed=7
        )
        print(report.to_markdown_row(), flush=True)
        report.to_json(run_dir / f"report_{normalization}.json")
        reports.append(report)
    if arguments.export:
        start_point = "the embedding of a prototypical network" if arguments.body else "random weights"
        description = (
            "Trained by `examples/omniglot_maml.py` on the 1,100 training characters of Omniglot (Vinyals split, "
            f"with rotations), from {start_point}: {arguments.epochs * arguments.steps_per_epoch:,} outer steps of "
            f"{arguments.tasks_per_batch} {arguments.shots}-shot tasks in {arguments.precision}, {minutes:.0f} minutes "
            "on 2 cores, with the statistics of the set at hand; exported with those of the support set, so that "
            "queries may come one at a time. Images are white ink on black."
        )
        final.export(arguments.export, report=reports, description=description)


if __name__ == "__main__":
    main()
