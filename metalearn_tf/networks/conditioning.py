"""How noise and labels enter a generator, and how features and labels leave a discriminator."""

import keras


def noise_and_labels(latent_dim, classes):
    """A generator's inputs, and one vector made of them.

    Args:
        latent_dim: width of the noise.
        classes: how many; `None` without labels.

    Returns:
        The inputs, `noise` or `[noise, labels]`; and a `(batch, features)` tensor, the noise and, with labels, an
        embedding of the same width.
    """
    noise = keras.Input((latent_dim,), name="noise")
    if classes is None:
        return noise, noise
    labels = keras.Input((), dtype="int32", name="labels")
    # Labels are learned much sooner than noise. With embeddings as large as the noise, a generator ignored the noise:
    # after 750 steps on MNIST, images of a class had a standard deviation of 0.016. With these embeddings it is 0.18.
    small = keras.initializers.RandomNormal(stddev=0.1)
    embedding = label_embedding(labels, classes, latent_dim, kernel_initializer=small)
    return [noise, labels], keras.layers.Concatenate(name="noise_and_labels")([noise, embedding])


def projected_logits(features, labels, classes, wrap):
    """A discriminator's logits: a linear head and, with labels, the projection on the class.

    Args:
        features: `(batch, features)`.
        labels: the input of labels `(batch,)`; `None` without labels.
        classes: how many.
        wrap: a function that takes a layer with a kernel and returns the layer to apply, such as spectral
            normalisation.

    Returns:
        Logits `(batch, 1)` float32.

    Reference: [Miyato and Koyama, 2018](https://arxiv.org/abs/1802.05637), equation 5.
    """
    logits = wrap(keras.layers.Dense(1, dtype="float32", name="head"))(features)
    if labels is None:
        return logits
    embedding = label_embedding(labels, classes, features.shape[-1], wrap, dtype="float32")
    projection = keras.layers.Dot(axes=1, dtype="float32", name="projection")([features, embedding])
    return keras.layers.Add(dtype="float32", name="logits")([logits, projection])


def label_embedding(labels, classes, width, wrap=lambda layer: layer, **options):
    """A trained vector `(batch, width)` for each label.

    It is computed as a product with one-hot labels. Inner steps need gradients that are tensors, and the gradient of a
    look-up is not one.
    """
    one_hot = keras.ops.one_hot(labels, classes)
    return wrap(keras.layers.Dense(width, use_bias=False, name="label_embedding", **options))(one_hot)
