"""Training on many machines: the strategy for the workers in `TF_CONFIG`, checked before TensorFlow waits for them."""

import contextlib
import errno
import json
import os
import socket

import tensorflow as tf

from metalearn_tf.checks.whole_numbers import check_whole

_EXAMPLE = '{"cluster": {"worker": ["host0:12345", "host1:12345"]}, "task": {"type": "worker", "index": 0}}'


def multi_worker_strategy():
    """The strategy under which the workers in `TF_CONFIG` train one model together.

    Each worker runs the same program with the same environment variable, except for its own index:

    ```
    TF_CONFIG='{"cluster": {"worker": ["host0:12345", "host1:12345"]}, "task": {"type": "worker", "index": 0}}'
    ```

    ```python
    mtf.training.use_task_parallelism()
    strategy = mtf.training.multi_worker_strategy()
    with strategy.scope():
        learner = mtf.learners.MAML(mtf.networks.conv4(outputs=5))
        learner.compile("adam", metrics=["accuracy"])
    learner.fit(tasks, steps_per_epoch=500, epochs=20, callbacks=[mtf.training.Resume(folder_of_all_workers)])
    ```

    Call it before TensorFlow runs its first operation. It returns when all workers have joined. `fit` gives every
    worker its part of the tasks in each batch, and all weights stay equal.

    Returns:
        A `tf.distribute.MultiWorkerMirroredStrategy`; without `TF_CONFIG`, TensorFlow's default strategy, so that the
        same program also trains on one machine.

    Raises:
        ValueError: if `TF_CONFIG` is not JSON, or if its `task` is not one of the workers that it lists.
        OSError: if this worker's port is in use.
    """
    if not os.environ.get("TF_CONFIG"):
        return tf.distribute.get_strategy()
    check_port(check_tf_config(os.environ["TF_CONFIG"]))
    # Ring is the algorithm for CPUs; on GPUs "auto" finds NCCL.
    return tf.distribute.MultiWorkerMirroredStrategy()


def local_tf_configs(workers):
    """The `TF_CONFIG` for each of several workers on this machine, with ports that are free now.

    ```python
    for config in mtf.training.local_tf_configs(2):
        subprocess.Popen([sys.executable, "train.py"], env={**os.environ, "TF_CONFIG": config})
    ```

    Args:
        workers: the number of workers.

    Returns:
        A list of JSON texts.

    Raises:
        ValueError: if `workers` is not a positive integer.
    """
    check_whole(workers=workers)
    with contextlib.ExitStack() as stack:
        # All sockets are open at once, because the system may give out a closed port again.
        sockets = [stack.enter_context(socket.socket()) for _ in range(workers)]
        for each in sockets:
            each.bind(("localhost", 0))
        cluster = {"worker": [f"localhost:{each.getsockname()[1]}" for each in sockets]}
    return [json.dumps({"cluster": cluster, "task": {"type": "worker", "index": n}}) for n in range(workers)]


def check_tf_config(text):
    """The address `"host:port"` of this worker. Refuses values for which TensorFlow would wait forever or fail.

    Args:
        text: the value of `TF_CONFIG`.
    """
    try:
        config = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"`TF_CONFIG` must be JSON, as {_EXAMPLE}. Received: {text!r} ({error})") from None
    cluster, task = (config.get(name) if isinstance(config, dict) else None for name in ("cluster", "task"))
    if not isinstance(cluster, dict) or not isinstance(task, dict):
        raise ValueError(f"`TF_CONFIG` must have a `cluster` and a `task`, as {_EXAMPLE}. Received: {text!r}")
    unknown = set(cluster) - {"chief", "worker"}
    if unknown:
        raise ValueError(f"`TF_CONFIG` may name workers and a chief, and no others. Received: {sorted(unknown)}")
    for name, addresses in cluster.items():
        if not isinstance(addresses, list) or not all(isinstance(a, str) and _port(a) for a in addresses):
            raise ValueError(f'`TF_CONFIG` must list {name}s as "host:port". Received: {addresses!r}')
    kind, index = task.get("type"), task.get("index")
    addresses = cluster.get(kind, []) if isinstance(kind, str) else []
    if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < len(addresses):
        there = ", ".join(f"{name} 0 to {len(addresses) - 1}" for name, addresses in cluster.items() if addresses)
        raise ValueError(f"`TF_CONFIG` must say which worker this is, of {there}. Received: task={task!r}")
    return addresses[index]


def check_port(address):
    """Refuses an address whose port is used by another program on this machine."""
    with socket.socket() as probe:
        # Like servers do, so that old connections of an ended job do not block the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", _port(address)))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise OSError(
                errno.EADDRINUSE,
                "The port of this worker in `TF_CONFIG` is in use: end what listens there, or give all workers "
                f"another one. Received: {address!r}",
            ) from None


def _port(address):
    host, _, port = address.rpartition(":")
    return int(port) if host and port.isdigit() and 0 < int(port) < 65536 else None
