"""One training on one machine, on many, or on a Ray cluster: the same program, and the same weights.

    python examples/multi_worker/train.py --run_dir runs/one
    python examples/multi_worker/train.py --run_dir runs/two --local_workers 2
    TF_CONFIG='{…}' python examples/multi_worker/train.py --run_dir SHARED
    python examples/multi_worker/train.py --run_dir SHARED --ray_workers 2

Prototypes on the embedded glyphs. If `TF_CONFIG` lists workers, each worker runs this program with its own index;
`--local_workers` starts the workers on this machine. All workers must see the folder `--run_dir`. A job that was killed
continues with the same command.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run_dir", type=pathlib.Path, default=pathlib.Path("runs/multi_worker"))
    parser.add_argument("--steps", type=int, default=100, help="steps in an epoch")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--tasks_per_batch", type=int, default=8, help="tasks in a batch, all workers together")
    parser.add_argument("--local_workers", type=int, default=None, help="workers to start on this machine")
    parser.add_argument("--ray_workers", type=int, default=None, help="workers of a Ray cluster")
    arguments = parser.parse_args()
    arguments.run_dir = arguments.run_dir.resolve()

    if arguments.local_workers and "TF_CONFIG" not in os.environ:
        start_workers(arguments.local_workers)
    elif arguments.ray_workers:
        import metalearn_tf as mtf

        mtf.training.run_on_ray(
            lambda resume: train(arguments, resume),
            workers=arguments.ray_workers,
            storage_path=arguments.run_dir,
            name="ray",
        )
    else:
        train(arguments)


def train(arguments, resume=None):
    """The work of each worker."""
    import metalearn_tf as mtf

    import keras

    mtf.training.use_task_parallelism()
    strategy = mtf.training.multi_worker_strategy()
    keras.utils.set_random_seed(0)
    with strategy.scope():
        learner = mtf.learners.PrototypicalNetwork(mtf.networks.conv4())
        learner.compile(keras.optimizers.Adam(2e-3), metrics=["accuracy"])
    glyphs = {split: mtf.data.load("glyphs", split) for split in ("train", "validation", "test")}
    tasks, validation = (
        mtf.data.episodes(glyphs[split], ways=5, shots=1, queries=10, tasks_per_batch=arguments.tasks_per_batch)
        for split in ("train", "validation")
    )
    is_first = json.loads(os.environ.get("TF_CONFIG", "{}")).get("task", {}).get("index", 0) == 0
    learner.fit(
        tasks,
        steps_per_epoch=arguments.steps,
        epochs=arguments.epochs,
        validation_data=validation,
        validation_steps=10,
        callbacks=[resume or mtf.training.Resume(arguments.run_dir / "state", delete_checkpoint=False)],
        verbose=2 if is_first else 0,
    )
    if is_first:
        learner.save(arguments.run_dir / "learner.keras")
        # The weights are read from the file, outside of the strategy's scope, so one machine can evaluate them.
        learner = keras.models.load_model(arguments.run_dir / "learner.keras")
        report = mtf.evaluation.evaluate_episodes(learner, glyphs["test"], ways=5, shots=1, queries=10, episodes=300)
        print(
            f"{100 * report.accuracy:.2f} ± {100 * report.confidence_interval:.2f} % of the test's queries", flush=True
        )


def start_workers(count):
    """Runs this program as several workers on this machine, each with one or more cores."""
    import metalearn_tf as mtf

    command = [sys.executable, *sys.argv]
    processes = [
        subprocess.Popen(command, env={**os.environ, "TF_CONFIG": config})
        for config in mtf.training.local_tf_configs(count)
    ]
    sys.exit(max(process.wait() for process in processes))


if __name__ == "__main__":
    main()
