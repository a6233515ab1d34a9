"""Small networks of every kind that a GAN takes."""

import keras

SHAPE, LATENT = (8, 8, 1), 6


def generator(classes=None, normalization=None, last="tanh", name="generator"):
    inputs = x = keras.Input((LATENT,))
    if classes:
        labels = keras.Input((), dtype="int32")
        x = keras.layers.Concatenate()([x, keras.layers.Embedding(classes, 3, name="label_embedding")(labels)])
        inputs = [inputs, labels]
    x = keras.layers.Dense(32)(x)
    if normalization == "batch":
        x = keras.layers.BatchNormalization()(x)
    x = keras.layers.Reshape((4, 4, 2))(keras.layers.ReLU()(x))
    x = keras.layers.Conv2DTranspose(1, 4, strides=2, padding="same")(x)
    return keras.Model(inputs, keras.layers.Activation(last, dtype="float32")(x), name=name)


def discriminator(classes=None, activation="leaky_relu"):
    inputs = x = keras.Input(SHAPE)
    x = keras.layers.Conv2D(4, 4, strides=2, padding="same", activation=activation)(x)
    x = keras.layers.Flatten(name="features")(x)
    if classes:
        labels = keras.Input((), dtype="int32")
        x = keras.layers.Concatenate()([x, keras.layers.Embedding(classes, 3, name="label_embedding")(labels)])
        inputs = [inputs, labels]
    return keras.Model(inputs, keras.layers.Dense(1, dtype="float32")(x), name="discriminator")
