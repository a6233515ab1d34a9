"""Random numbers of a function's own, without a change to the user's."""

import contextlib
import random
import threading

import keras
import numpy as np
from keras.src.backend.common import global_state
from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR
from keras.src.utils.rng_utils import GLOBAL_RANDOM_SEED
from tensorflow.python.eager import context

_KERAS_STATES = (GLOBAL_RANDOM_SEED, GLOBAL_SEED_GENERATOR)
_one_at_a_time = threading.RLock()


@contextlib.contextmanager
def seeded(seed):
    """Inside, the random numbers of Python, NumPy, Keras and TensorFlow are those of a seed; after it, the user's go on.

    Keras draws the first weights of layers, and the seeds of layers that have none, from a state that belongs to the
    whole process. A function that has a `seed` draws them inside this; what the user draws after it is what it would
    have been without the call.

    Since there is one state for all threads, their blocks run one after the other; one inside another is possible.
    What other threads draw outside of any block meanwhile is not theirs.

    Args:
        seed: integer of at least 0, as `keras.utils.set_random_seed` takes it.
    """
    with _one_at_a_time:
        # TensorFlow has a way to set its seed, and none to read it.
        tensorflow = context.context()
        of_tensorflow = tensorflow._seed, tensorflow._rng
        of_keras = {name: global_state.get_global_attribute(name) for name in _KERAS_STATES}
        of_python, of_numpy = random.getstate(), np.random.get_state()
        try:
            keras.utils.set_random_seed(seed)
            yield
        finally:
            random.setstate(of_python)
            np.random.set_state(of_numpy)
            for name, value in of_keras.items():
                global_state.set_global_attribute(name, value)
            tensorflow._seed, tensorflow._rng = of_tensorflow
