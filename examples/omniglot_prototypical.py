"""Trains a prototypical network on Omniglot, tests it, and exports a SavedModel that takes any number of classes.

    python examples/omniglot_prototypical.py --data_dir DIR

Conv4-64, trained on 60-way 1-shot episodes as in the paper, but with one query a class instead of five, which allows
more episodes in the same time. It is tested on the four usual settings, with the normalisation of the training. After
training with transductive statistics, it is also tested with those of the support set alone.
"""

import argparse
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import metalearn_tf as mtf

import keras

PUBLISHED = {(5, 1): 98.8, (5, 5): 99.7, (20, 1): 96.0, (20, 5): 98.9}


def with_weights_of(learner, normalization):
    """The trained weights in a float32 learner of the given normalisation."""
    copy = mtf.learners.PrototypicalNetwork(mtf.networks.conv4(normalization=normalization))
    if normalization == "running":
        copy.set_weights(learner.get_weights())
    for variable, trained in zip(copy.trainable_variables, learner.trainable_variables):
        variable.assign(trained)
    return copy


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=3600, help="outer steps of two episodes")
    parser.add_argument("--train_queries", type=int, default=1, help="per class; the test always has 15")
    parser.add_argument("--learning_rate", type=float, default=4e-3)
    parser.add_argument("--normalization", choices=["transductive", "support", "running"], default="transductive")
    parser.add_argument(
        "--precision",
        choices=["auto", "float32", "mixed_bfloat16", "mixed_float16"],
        default="auto",
        help="precision of the training; by default the fastest one on this machine",
    )
    parser.add_argument("--test_episodes", type=int, default=1000)
    parser.add_argument("--data_dir", default=None, help="folder of TensorFlow Datasets; by default TFDS_DATA_DIR")
    parser.add_argument("--run_dir", type=pathlib.Path, default=pathlib.Path("runs/omniglot_prototypical"))
    parser.add_argument("--export", type=pathlib.Path, default=None, help="path of the SavedModel")
    arguments = parser.parse_args()
    if arguments.precision == "auto":
        arguments.precision = mtf.training.fastest_precision()
    arguments.run_dir.mkdir(parents=True, exist_ok=True)

    mtf.training.use_task_parallelism()
    keras.utils.set_random_seed(0)
    train = mtf.data.load("omniglot", "train", data_dir=arguments.data_dir, rotations=True)
    test = mtf.data.load("omniglot", "test", data_dir=arguments.data_dir)
    # Two episodes in a step, one for each core.
    tasks = mtf.data.episodes(train, ways=60, shots=1, queries=arguments.train_queries, tasks_per_batch=2)

    keras.mixed_precision.set_global_policy(arguments.precision)
    learner = mtf.learners.PrototypicalNetwork(mtf.networks.conv4(normalization=arguments.normalization))
    schedule = keras.optimizers.schedules.CosineDecay(arguments.learning_rate, arguments.steps)
    learner.compile(optimizer=keras.optimizers.Adam(schedule), metrics=["accuracy"])
    start = time.perf_counter()
    learner.fit(tasks, epochs=10, steps_per_epoch=arguments.steps // 10, verbose=2)
    seconds = time.perf_counter() - start
    learner.save(arguments.run_dir / "learner.keras")
    print(f"trained for {seconds:.0f} s")

    keras.mixed_precision.set_global_policy("float32")
    final = with_weights_of(learner, arguments.normalization)
    inductive = with_weights_of(learner, "support") if arguments.normalization == "transductive" else None
    print(mtf.evaluation.Report.markdown_header())
    reports = []
    for (ways, shots), published in PUBLISHED.items():
        for tested in filter(None, (final, inductive)):
            report = mtf.evaluation.evaluate_episodes(
                tested, test, ways, shots, queries=15, episodes=arguments.test_episodes, seed=7
            )
            print(f"{report.to_markdown_row()} published {published}", flush=True)
            report.to_json(arguments.run_dir / f"report_{ways}way_{shots}shot_{report.normalization}.json")
            reports.append(report)
    if arguments.export:
        description = (
            "Trained by `examples/omniglot_prototypical.py` on the 1,100 training characters of Omniglot (Vinyals "
            f"split, with rotations): {arguments.steps:,} steps of two 60-way 1-shot episodes in "
            f"{arguments.precision}, {seconds:.0f} s on 2 cores, with {arguments.normalization} normalisation. Images "
            "are white ink on black."
        )
        # With the statistics of the support set, a served model can take queries one at a time.
        (inductive or final).export(arguments.export, report=reports, description=description)


if __name__ == "__main__":
    main()
