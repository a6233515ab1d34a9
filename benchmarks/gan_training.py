"""Steps a second of a GAN through `fit` against the same in PyTorch; and what MetaGAN costs.

    python benchmarks/gan_training.py --peer "TORCH_PYTHON benchmarks/torch_dcgan.py" --rounds 3

`mtf.networks.dcgan()` on 28×28×1, 64 images a batch, non-saturating loss, Adam, averaged generator. Each side is a
process of its own; the sides take turns, and the medians over the rounds are compared. Run it on an idle machine.
"""

import argparse
import json
import os
import pathlib
import re
import shlex
import statistics
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from machine import describe_machine, dtypes, run

sys.path.append(str(pathlib.Path(__file__).parent.parent / "serving"))
from cpp_client import CppClient, compile_client, missing_for_client

BATCH = 64


def measure_gan(bfloat16, seconds):
    """Steps a second of this process."""
    import metalearn_tf as mtf

    import keras
    import numpy as np

    if bfloat16:
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
    images = np.random.default_rng(0).integers(0, 256, (16 * BATCH, 28, 28, 1), dtype="uint8")
    gan = mtf.gan.GAN(*mtf.networks.dcgan())
    gan.compile()
    gan.fit(images, batch_size=BATCH, verbose=0)
    start = time.perf_counter()
    gan.fit(images, batch_size=BATCH, verbose=0)
    epochs = max(1, round(seconds / (time.perf_counter() - start)))
    start = time.perf_counter()
    gan.fit(images, batch_size=BATCH, epochs=epochs, verbose=0)
    return {"rate": 16 * epochs / (time.perf_counter() - start)}


def measure_meta_gan(algorithm, tasks_per_batch, seconds):
    """Tasks a second, the memory, and the seconds that it takes to adapt to 8 images in 10 inner steps."""
    import resource

    import metalearn_tf as mtf

    import keras
    import numpy as np

    mtf.training.use_task_parallelism()
    images = np.random.default_rng(0).integers(0, 256, (480, 28, 28, 1), dtype="uint8")
    dataset = mtf.data.ClassDataset(images, np.repeat(np.arange(24), 20))
    networks = mtf.networks.dcgan(filters=32, generator_normalization="layer", discriminator_normalization="layer")
    inner_steps = 5 if algorithm == "maml" else 10
    meta_gan = mtf.gan.MetaGAN(mtf.gan.GAN(*networks, penalty="r1"), algorithm, inner_steps, test_inner_steps=10)
    meta_gan.compile(keras.optimizers.SGD(1e-3))
    tasks = mtf.data.image_tasks(dataset, shots=8, queries=8, tasks_per_batch=tasks_per_batch)
    meta_gan.fit(tasks, steps_per_epoch=2, verbose=0)
    start = time.perf_counter()
    meta_gan.fit(tasks, steps_per_epoch=2, verbose=0)
    steps = max(2, round(2 * seconds / (time.perf_counter() - start)))
    start = time.perf_counter()
    meta_gan.fit(tasks, steps_per_epoch=steps, verbose=0)
    rate = tasks_per_batch * steps / (time.perf_counter() - start)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    adaptations = []
    for _ in range(3):
        start = time.perf_counter()
        meta_gan.adapt(images[:8]).sample(64)
        adaptations.append(time.perf_counter() - start)
    return {"rate": rate, "memory": memory, "first": adaptations[0], "later": adaptations[-1]}


def served_milliseconds():
    """How long `adapt_and_generate` takes in C++, median of five: 8 images, 10 inner steps, 64 new images."""
    import metalearn_tf as mtf

    import numpy as np

    networks = mtf.networks.dcgan(filters=32, generator_normalization="layer", discriminator_normalization="layer")
    meta_gan = mtf.gan.MetaGAN(mtf.gan.GAN(*networks, penalty="r1"), inner_steps=10)
    images = np.random.default_rng(0).uniform(-1.0, 1.0, (8, 28, 28, 1)).astype("float32")
    request = {"images": images, "count": np.int32(64), "seed": np.int32(0)}
    with tempfile.TemporaryDirectory() as folder:
        meta_gan.export(f"{folder}/model/1", warm_up=False)
        client = CppClient(compile_client(folder), folder)
        (answer,) = client.ask(f"{folder}/model/1", [("adapt_and_generate", request)], repeat=5)
    return answer.milliseconds


def ours(*arguments):
    return json.loads(run([sys.executable, pathlib.Path(__file__), "--measure", *map(str, arguments)]).splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", help="command of the PyTorch program; without it only our side is measured")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--measure", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        kind, option, *tasks = arguments.measure
        if kind == "gan":
            print(json.dumps(measure_gan(option == "bfloat16", arguments.seconds)))
        else:
            print(json.dumps(measure_meta_gan(option, int(tasks[0]), arguments.seconds)))
        return

    print(describe_machine())
    for dtype in dtypes():
        mine, theirs = [], []
        for _ in range(arguments.rounds):
            if arguments.peer:
                command = [*shlex.split(arguments.peer), str(BATCH), *(["--bfloat16"] * (dtype == "bfloat16"))]
                theirs.append(float(re.search(r"([\d.]+) steps/s", run(command))[1]))
            mine.append(ours("gan", dtype)["rate"])
        rate = statistics.median(mine)
        line = f"GAN, {dtype}: fit {rate:.1f} steps/s"
        if theirs:
            line += f"; peer {statistics.median(theirs):.1f} steps/s: {rate / statistics.median(theirs):.2f}×"
        print(line, flush=True)
    for algorithm in ("reptile", "fomaml", "maml"):
        few, many = (ours("meta", algorithm, tasks) for tasks in (4, 32))
        print(
            f"MetaGAN, {algorithm}: {few['rate']:.1f} tasks/s; peak memory with 32 tasks a batch {many['memory']:.2f} "
            f"GiB, with 4 {few['memory']:.2f} GiB: {many['memory'] / few['memory']:.2f}×; adapts to 8 images and draws "
            f"64 in {few['first']:.2f} s the first time, {few['later']:.2f} s later",
            flush=True,
        )
    missing = missing_for_client()
    print(missing or f"adapt_and_generate in C++, 10 inner steps: {served_milliseconds():.0f} ms")


if __name__ == "__main__":
    main()
