"""Compiles `serve.cc` and runs requests with it: a SavedModel in a process without Python."""

import dataclasses
import itertools
import os
import pathlib
import shutil
import subprocess

import numpy as np
import tensorflow as tf

SOURCE = pathlib.Path(__file__).with_name("serve.cc")
LIBRARIES = ("libtensorflow_cc.so.2", "libtensorflow_framework.so.2")


@dataclasses.dataclass
class Answer:
    """Of one request: the outputs by name and the median time of a run, or the error's text."""

    outputs: dict = None
    milliseconds: float = None
    error: str = None


def missing_for_client():
    """What keeps the client from being compiled, as text; `None` where nothing does."""
    library = pathlib.Path(tf.sysconfig.get_lib())
    missing = ["g++"] if shutil.which("g++") is None else []
    missing += [name for name in LIBRARIES if not (library / name).exists()]
    return f"the C++ client needs {', '.join(missing)}" if missing else None


def compile_client(folder):
    """Compiles the client to `folder`; returns the program's path. About 20 seconds."""
    library, program = tf.sysconfig.get_lib(), pathlib.Path(folder) / "serve"
    command = [
        *("g++", *tf.sysconfig.get_compile_flags(), "-w", str(SOURCE), "-o", str(program), "-pthread"),
        *("-Wl,--no-as-needed", *(os.path.join(library, name) for name in LIBRARIES), f"-Wl,-rpath,{library}"),
    ]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(f"{SOURCE.name} does not compile:\n{result.stderr[-4000:]}")
    return program


class CppClient:
    """Requests to exported models, answered by the compiled client.

    Args:
        program: what `compile_client` returned.
        folder: an existing folder for the requests' files.
    """

    def __init__(self, program, folder):
        self.program = program
        self.folder = pathlib.Path(folder)
        self._numbers = itertools.count()

    def ask(self, model, requests, threads=1, repeat=1):
        """Runs requests on a model, one after the other in one process.

        Args:
            model: the SavedModel's folder.
            requests: list of pairs of a signature's name and a dictionary of arrays by input.
            threads: how many threads run each request at once.
            repeat: how often each of them runs it.

        Returns:
            A list of `Answer`s. Answers that differ in a bit between threads or runs are an error.
        """
        folders = [self._write(signature, inputs) for signature, inputs in requests]
        options = ["--threads", str(threads), "--repeat", str(repeat)]
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        result = subprocess.run(
            [self.program, *options, str(model), *map(str, folders)], capture_output=True, text=True, env=environment
        )
        if result.returncode:
            raise RuntimeError(f"The C++ client ended with {result.returncode}: {result.stderr[-4000:]}")
        return [self._read(folder) for folder in folders]

    def _write(self, signature, inputs):
        folder = self.folder / f"request_{next(self._numbers)}"
        (folder / "inputs").mkdir(parents=True)
        (folder / "signature").write_text(signature)
        for name, value in inputs.items():
            (folder / "inputs" / name).write_bytes(tf.make_tensor_proto(value).SerializeToString())
        return folder

    def _read(self, folder):
        if (folder / "error").exists():
            return Answer(error=(folder / "error").read_text(errors="replace"))
        outputs = {}
        for file in (folder / "outputs").iterdir():
            proto = tf.make_tensor_proto(0)
            proto.ParseFromString(file.read_bytes())
            outputs[file.name] = np.asarray(tf.make_ndarray(proto))
        return Answer(outputs, float((folder / "milliseconds").read_text()))
