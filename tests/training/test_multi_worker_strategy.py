"""What is wrong with `TF_CONFIG` is said before TensorFlow waits for workers."""

import json
import socket

from metalearn_tf.training import local_tf_configs, multi_worker_strategy
from metalearn_tf.training.multi_worker_strategy import check_port, check_tf_config

import pytest
import tensorflow as tf


def config(cluster=None, **task):
    return json.dumps({"cluster": cluster or {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 0} | task})


def test_without_the_variable_one_machine_trains(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert multi_worker_strategy() is tf.distribute.get_strategy()
    assert multi_worker_strategy().num_replicas_in_sync == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{'cluster': 1}", r"`TF_CONFIG` must be JSON, as .*Received: \"{'cluster': 1}\""),
        ("[]", "must have a `cluster` and a `task`"),
        ('{"cluster": {"worker": ["a:1"]}}', "must have a `cluster` and a `task`"),
        (config({"worker": ["a:1"], "ps": ["b:2"]}), r"workers and a chief, and no others. Received: \['ps'\]"),
        (config({"worker": ["a"]}), r"must list workers as \"host:port\". Received: \['a'\]"),
        (config({"worker": ["a:70000"]}), "host:port"),
        (config({"worker": "a:1"}), "host:port"),
        (config(index=2), r"which worker this is, of worker 0 to 1. Received: task={'type': 'worker', 'index': 2}"),
        (config(index=True), "which worker this is"),
        (config(type="chief"), "which worker this is, of worker 0 to 1"),
        (config(type=["worker"]), "which worker this is"),
    ],
)
def test_what_tensorflow_would_not_understand_is_refused(text, message, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ValueError, match=message):
        multi_worker_strategy()


def test_a_port_in_use_is_named(monkeypatch):
    with socket.socket() as server:
        server.bind(("localhost", 0))
        server.listen()
        address = f"localhost:{server.getsockname()[1]}"
        monkeypatch.setenv("TF_CONFIG", config({"worker": [address]}))
        with pytest.raises(OSError, match=f"in use.*Received: '{address}'"):
            multi_worker_strategy()


def test_workers_of_this_machine_have_addresses_of_their_own():
    configs = local_tf_configs(3)
    addresses = [check_tf_config(config) for config in configs]
    assert len(set(addresses)) == 3 and all(json.loads(config)["cluster"]["worker"] == addresses for config in configs)
    for address in addresses:
        check_port(address)


@pytest.mark.parametrize("workers", [0, -1, 1.5, True])
def test_a_number_of_workers_is_one(workers):
    with pytest.raises(ValueError, match=f"`workers` must be a positive integer. Received: workers={workers}"):
        local_tf_configs(workers)
