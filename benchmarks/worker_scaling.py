"""How training scales with workers: tasks a second, and the time and bytes of what they tell each other.

    python benchmarks/worker_scaling.py

MAML of a Conv4-64, 5-way 1-shot, 15 queries, 1 inner step. Each worker is a process of one thread on a core of its own.
Two workers share the batch of one (the ratio that is wanted), or have as many tasks each as one alone; two programs
that know nothing of each other show what the machine has to give. Then the gradients alone are reduced, and one number
for each of them, by 2, 3 and 4 workers. Run it on an idle machine.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=16, help="of a batch")
    parser.add_argument("--steps", type=int, default=15, help="of an epoch")
    parser.add_argument("--epochs", type=int, default=5, help="the first of which is not counted")
    parser.add_argument("--work", choices=["train", "reduce"], help=argparse.SUPPRESS)
    parser.add_argument("--core", type=int, default=0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        return work(arguments)

    from machine import describe_machine

    print(describe_machine())
    (one,) = run(1, "train", arguments, arguments.tasks)
    apart = sum(each["tasks/s"] for each in run(2, "train", arguments, arguments.tasks, together=False))
    print(f"1 worker {one['tasks/s']:.2f} tasks/s, 2 programs {apart:.2f}: {apart / one['tasks/s']:.2f} times")
    for name, tasks in (("the batch of one", arguments.tasks), ("twice the batch", 2 * arguments.tasks)):
        two = run(2, "train", arguments, tasks)[0]
        print(
            f"2 workers with {name} {two['tasks/s']:.2f} tasks/s: {two['tasks/s'] / one['tasks/s']:.2f} times; "
            f"a step takes {two['step_ms']:.1f} ms",
            flush=True,
        )
    for workers in (2, 3, 4):
        reduced = run(workers, "reduce", arguments, arguments.tasks)[0]
        print(
            f"{workers} workers reduce {reduced['bytes'] / 1e3:.0f} kB in {reduced['tensors']} tensors in "
            f"{reduced['gradients_ms']:.1f} ms, {reduced['tensors']} single numbers in {reduced['numbers_ms']:.1f} ms"
        )


def run(workers, kind, arguments, tasks, together=True):
    """What each of several workers measures, or of several programs that are not `together`."""
    from metalearn_tf.training import local_tf_configs

    cores = sorted(os.sched_getaffinity(0))
    processes = []
    for index, config in enumerate(local_tf_configs(workers)):
        command = [sys.executable, __file__, "--work", kind, "--core", cores[index % len(cores)], "--tasks", tasks]
        command += ["--steps", arguments.steps, "--epochs", arguments.epochs]
        environment = {**os.environ, **({"TF_CONFIG": config} if workers > 1 and together else {})}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        processes.append(subprocess.Popen([*map(str, command)], env=environment, **pipes))
    outputs = [process.communicate() for process in processes]
    for process, (_, error) in zip(processes, outputs):
        if process.returncode:
            raise SystemExit(error)
    return [json.loads(output.splitlines()[-1]) for output, _ in outputs]


def work(arguments):
    os.sched_setaffinity(0, [arguments.core])
    import metalearn_tf as mtf

    import keras
    import numpy as np
    import tensorflow as tf

    mtf.training.use_task_parallelism(1)
    strategy = mtf.training.multi_worker_strategy()
    with strategy.scope():
        learner = mtf.learners.MAML(mtf.networks.conv4(outputs=5), inner_steps=1, inner_learning_rate=0.4)
        learner.compile(keras.optimizers.Adam(1e-3), metrics=["accuracy"])
    if arguments.work == "reduce":
        return reduce(strategy, [tf.convert_to_tensor(variable) for variable in learner.trainable_variables])

    images = np.random.default_rng(0).integers(0, 256, (2400, 28, 28, 1), dtype="uint8")
    dataset = mtf.data.ClassDataset(images, np.repeat(np.arange(120), 20))
    tasks = mtf.data.episodes(dataset, 5, 1, 15, tasks_per_batch=arguments.tasks)

    class Clock(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            self.seconds = []

        def on_epoch_begin(self, epoch, logs=None):
            self.start = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            self.seconds.append(time.perf_counter() - self.start)

    clock = Clock()
    learner.fit(tasks, steps_per_epoch=arguments.steps, epochs=arguments.epochs, callbacks=[clock], verbose=0)
    step = statistics.median(clock.seconds[1:]) / arguments.steps
    print(json.dumps({"tasks/s": arguments.tasks / step, "step_ms": 1000 * step}))


def reduce(strategy, gradients):
    """The time in which all workers have the sum of tensors of the gradients' shapes."""
    import tensorflow as tf

    def measure(tensors):
        @tf.function
        def step():
            def of_replica():
                return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, tensors)

            return [tf.reduce_sum(total) for total in strategy.run(of_replica)]

        times = []
        for _ in range(60):
            start = time.perf_counter()
            step()
            times.append(time.perf_counter() - start)
        return 1000 * statistics.median(times[10:])

    result = {"bytes": sum(4 * int(tf.size(tensor)) for tensor in gradients), "tensors": len(gradients)}
    result |= {"gradients_ms": measure(gradients), "numbers_ms": measure([tf.zeros([1]) for _ in gradients])}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
