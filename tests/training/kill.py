"""A training that is interrupted at a step."""

import keras


class Kill(keras.callbacks.Callback):
    """Ends a training behind its n-th step by an error, by default that of Ctrl-C."""

    def __init__(self, step, error=KeyboardInterrupt):
        super().__init__()
        self.left, self.error = step, error

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            raise self.error
