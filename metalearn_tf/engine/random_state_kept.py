"""Lets a function use its own random numbers without changing the user's."""

import contextlib
import random
import threading

import numpy as np

from metalearn_tf.engine.keras_internals import random_state, set_random_state

_one_at_a_time = threading.RLock()


@contextlib.contextmanager
def random_state_kept(wait=True):
    """Restores the random state at the end. Inside, you may set seeds and draw random numbers.

    Keras draws the initial weights of layers, and missing seeds of layers, from a state of the whole process. A
    function with its own `seed` sets that state, and this decorator restores it:

    ```python
    @random_state_kept()
    def train(seed):
        keras.utils.set_random_seed(seed)
        ...
    ```

    It restores the states of Python's `random`, of NumPy's global functions and of Keras, and TensorFlow's global seed
    with its count of draws. Threads share these states, so blocks of different threads run one after the other. Blocks
    may be nested. If another thread draws numbers outside of a block at the same time, it gets other numbers.

    Args:
        wait: whether to wait for the blocks of other threads. Use `False` if the numbers do not matter, such as initial
            weights that are overwritten: while another thread's block runs, the state is not the user's.
    """
    if not _one_at_a_time.acquire(blocking=wait):
        yield
        return
    try:
        of_python, of_numpy, of_keras = random.getstate(), np.random.get_state(), random_state()
        try:
            yield
        finally:
            random.setstate(of_python)
            np.random.set_state(of_numpy)
            set_random_state(*of_keras)
    finally:
        _one_at_a_time.release()
