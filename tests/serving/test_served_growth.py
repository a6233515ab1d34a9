"""A server that is asked for days: no call leaves memory behind, be it answered or refused, and no request ends it."""

import gc

import metalearn_tf as mtf

import numpy as np
import pytest
import tensorflow as tf
from odd_files import REFUSED, SERVED
from test_limits import CASES, MODELS, ask

CALLS = 300
# What the allocator may keep in other places than before.
MOST_MEBIBYTES = 6.0


def resident():
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) / 256


def damaged_files(count):
    """Pictures with bytes changed, cut out or put in at any place, and some that are none."""
    random, files = np.random.default_rng(0), [*SERVED.values(), *(file for file, _ in REFUSED.values())]
    for _ in range(count):
        file = bytearray(files[random.integers(len(files))])
        for _ in range(random.integers(1, 6)):
            place = random.integers(min(len(file), 400)) if random.random() < 0.7 else random.integers(len(file))
            length = random.integers(1, 5)
            file[place : place + random.integers(0, 5)] = random.integers(0, 256, length, dtype="uint8").tobytes()
        yield bytes(file)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_calls_leave_no_memory_behind(name, tmp_path):
    limits, requests = CASES[name]
    path = tmp_path / "model" / "1"
    model = MODELS[name]()
    if name.startswith("features"):
        mtf.serving.export_features(model, path, warm_up=False, **limits)
    else:
        model.export(path, warm_up=False, **limits)
    signatures = tf.saved_model.load(str(path)).signatures

    def call(signature, inputs, message):
        try:
            ask(signatures, signature, inputs)
        except tf.errors.InvalidArgumentError:
            assert message is not None

    grown = {}
    for number, request in enumerate(requests):
        for _ in range(50):
            call(*request)
        before = resident()
        for _ in range(CALLS):
            call(*request)
        grown[number, request[0], request[2]] = resident() - before
    assert {request: most for request, most in grown.items() if most > MOST_MEBIBYTES} == {}


@pytest.mark.slow
def test_damaged_files_are_answered_or_refused(tmp_path):
    model = MODELS["classifier"]()
    model.export(tmp_path / "1", warm_up=False, max_pixels=1 << 20)
    answer = tf.saved_model.load(str(tmp_path / "1")).signatures["predict_bytes"]
    answered = refused = 0
    for file in damaged_files(3000):
        try:
            probabilities = answer(image_bytes=tf.constant([file]))["probabilities"].numpy()
            assert np.isfinite(probabilities).all()
            answered += 1
        except tf.errors.InvalidArgumentError as error:
            assert "image_bytes" in str(error)
            refused += 1
    assert answered > 100 and refused > 100
