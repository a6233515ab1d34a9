"""Random numbers of a function's own, without a change to the user's."""

import contextlib
import random
import threading

import numpy as np

from metalearn_tf.engine.keras_internals import random_state, set_random_state

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
        of_python, of_numpy, of_keras = random.getstate(), np.random.get_state(), random_state()
        try:
            yield
        finally:
            random.setstate(of_python)
            np.random.set_state(of_numpy)
            set_random_state(*of_keras)
    finally:
        _one_at_a_time.release()
