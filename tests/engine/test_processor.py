"""What the processor has decides on oneDNN and on the precision; the user's own setting wins."""

import os
import platform
import subprocess
import sys
import types
import warnings

import metalearn_tf as mtf
from metalearn_tf.engine import emulated_precision, processor

import keras
import numpy as np
import pytest
import tensorflow as tf

AVX2 = "fpu sse4_2 fma avx avx2 f16c"
AVX512 = f"{AVX2} avx512f avx512_vnni"
NATIVE = f"{AVX512} avx512_bf16 amx_bf16"


@pytest.fixture
def flags(monkeypatch, tmp_path):
    """Sets the features that the processor says it has."""
    caches = processor.processor_features, emulated_precision._is_emulated, emulated_precision._warn

    def set_flags(text, name="flags"):
        for cache in caches:
            cache.cache_clear()
        file = tmp_path / "cpuinfo"
        file.write_text(f"processor\t: 0\nmodel name\t: some\n{name}\t\t: {text}\n\nprocessor\t: 1\n{name}\t: other\n")
        monkeypatch.setattr(processor, "_ABOUT_PROCESSOR", file)

    yield set_flags
    monkeypatch.undo()
    for cache in caches:
        cache.cache_clear()


@pytest.mark.parametrize(
    "text, name, precision",
    [(AVX2, "flags", "float32"), (AVX512, "flags", "float32"), (NATIVE, "flags", "mixed_bfloat16")]
    + [("fp asimd bf16", "Features", "mixed_bfloat16"), ("fp asimd", "Features", "float32")],
)
def test_the_fastest_precision_is_one_that_the_processor_has(flags, text, name, precision):
    flags(text, name)
    assert mtf.training.fastest_precision() == precision


@pytest.mark.parametrize(
    "capability, precision",
    [((8, 6), "mixed_bfloat16"), ((7, 5), "mixed_float16"), ((6, 1), "float32"), (None, "float32")],
)
def test_a_gpu_decides_where_there_is_one(flags, monkeypatch, capability, precision):
    flags(NATIVE)
    details = {} if capability is None else {"compute_capability": capability}
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["a GPU"] if kind == "GPU" else [])
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: details)
    assert mtf.training.fastest_precision() == precision


@pytest.mark.skipif(platform.machine() != "x86_64", reason="oneDNN is set on x86 alone")
@pytest.mark.parametrize("text, expected", [(AVX2, "1"), (NATIVE, "1"), ("sse4_2", None)])
def test_onednn_is_on_where_it_helps(flags, monkeypatch, text, expected):
    flags(text)
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    monkeypatch.setattr(processor, "sys", types.SimpleNamespace(modules={}))
    processor.use_onednn()
    assert os.environ.get("TF_ENABLE_ONEDNN_OPTS") == expected


@pytest.mark.skipif(platform.machine() != "x86_64", reason="oneDNN is set on x86 alone")
@pytest.mark.parametrize("text, setting, warns", [(AVX2, None, True), (AVX512, None, False), (AVX2, "0", False)])
def test_a_tensorflow_that_came_first_is_said_once_where_it_matters(flags, monkeypatch, text, setting, warns):
    flags(text)
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    if setting is not None:
        monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", setting)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        processor.use_onednn()  # in a process that has TensorFlow
    assert len(caught) == warns and all("Import metalearn_tf first" in str(warning.message) for warning in caught)
    assert os.environ.get("TF_ENABLE_ONEDNN_OPTS") == setting


@pytest.mark.full
@pytest.mark.skipif("avx2" not in processor.processor_features(), reason="this processor is not helped by oneDNN")
@pytest.mark.parametrize("setting, expected", [(None, "True"), ("0", "False")])
def test_the_setting_comes_before_tensorflow_and_the_users_own_wins(setting, expected):
    environment = {name: value for name, value in os.environ.items() if name != "TF_ENABLE_ONEDNN_OPTS"}
    program = "import metalearn_tf; from tensorflow.python.framework import test_util; print(test_util.IsMklEnabled())"
    command = [sys.executable, "-c", program]
    given = {} if setting is None else {"TF_ENABLE_ONEDNN_OPTS": setting}
    shown = subprocess.run(command, env={**environment, **given}, capture_output=True, text=True, check=True)
    assert shown.stdout.strip().splitlines()[-1] == expected


@pytest.mark.rows(default=["fpu sse4_2 fma avx avx2 f16c avx512f avx512_vnni-1"])
@pytest.mark.parametrize("text, times", [(AVX512, 1), (NATIVE, 0)])
def test_emulated_bfloat16_is_said_once(flags, text, times):
    flags(text)
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    x, y = np.zeros((1, 2, 3), "float32"), np.array([[0, 1]])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            learner = mtf.learners.PrototypicalNetwork(mtf.networks.mlp((3,), (2,)))
            learner.compile("sgd")
            learner.train_on_batch((x, y, x), y)
    said = [warning for warning in caught if "fastest_precision" in str(warning.message)]
    assert len(said) == times
