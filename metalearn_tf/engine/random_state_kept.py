"""Random numbers of a function's own, without a change to the user's."""

import contextlib
import random
import threading

import numpy as np
from keras.src.backend.common import global_state
from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR
from keras.src.utils.rng_utils import GLOBAL_RANDOM_SEED
from tensorflow.python.eager import context

_OF_KERAS = (GLOBAL_RANDOM_SEED, GLOBAL_SEED_GENERATOR)
_OF_TENSORFLOW = ("_seed", "_rng")
_one_at_a_time = threading.RLock()


@contextlib.contextmanager
def random_state_kept(wait=True):
    """Inside, seeds may be set and random numbers drawn; after it, the user's go on as if nothing had been.

    Keras draws the first weights of layers, and the seeds of layers that have none, from a state that belongs to the
    whole process. A function that has a `seed` of its own sets that state, and gives it back:

    ```python
    @random_state_kept()
    def train(seed):
        keras.utils.set_random_seed(seed)
        ...
    ```

    What is kept: the states of Python's `random`, of NumPy's global functions and of Keras, and TensorFlow's global
    seed with the numbers that it has given out. Since threads share them, their blocks run one after the other; one
    inside another is possible. What another thread draws outside of any block meanwhile is not its own.

    Args:
        wait: whether to wait for the blocks of other threads. For what draws numbers that do not matter, such as first
            weights that are overwritten, `False`: while another thread's block runs, the state is not the user's.
    """
    if not _one_at_a_time.acquire(blocking=wait):
        yield
        return
    try:
        # TensorFlow has a function to set its seed, and none to read it; both names are there once it has one.
        tensorflow = vars(context.context())
        of_tensorflow = {name: tensorflow[name] for name in _OF_TENSORFLOW if name in tensorflow}
        of_keras = {name: global_state.get_global_attribute(name) for name in _OF_KERAS}
        of_python, of_numpy = random.getstate(), np.random.get_state()
        try:
            yield
        finally:
            random.setstate(of_python)
            np.random.set_state(of_numpy)
            for name, value in of_keras.items():
                global_state.set_global_attribute(name, value)
            for name in _OF_TENSORFLOW:
                tensorflow.pop(name, None)
            tensorflow.update(of_tensorflow)
    finally:
        _one_at_a_time.release()
