"""GANs that know classes: their training, and the datasets that they draw."""

import numpy as np
import tensorflow as tf

from metalearn_tf.data.class_dataset import ClassDataset
from metalearn_tf.data.image_range import change_range, to_image_range
from metalearn_tf.data.tasks.image_tasks import image_tasks
from metalearn_tf.engine.array_batches import shuffled_rows, stream
from metalearn_tf.gan.network_inputs import has_pairs

_BATCH = 256


def gan_kind(gan, image_shape):
    """The kind of images that a GAN can draw: `"classes"`, `"others"` or `"labels"`.

    - `"classes"`: new classes; networks of `mtf.networks.pair_gan`.
    - `"others"`: other images of the class that an image shows; networks of `mtf.networks.augmentation_gan`.
    - `"labels"`: more images of the classes of its training; networks with `classes`.

    Raises:
        ValueError: if it draws none of these, or if its images have another shape than `image_shape` or an unknown
            range.
    """
    check_range("build_gan", gan)
    height, width, channels = image_shape
    if gan.conditional and gan.image_shape == tuple(image_shape):
        return "others" if has_pairs(gan) else "labels"
    is_pair = "noise_1" in [layer.name for layer in gan.generator.layers]
    if not gan.conditional and is_pair and gan.image_shape == (height, width, 2 * channels):
        return "classes"
    raise ValueError(
        "`build_gan` must build a GAN of classes: with the networks of `mtf.networks.pair_gan`, of "
        "`mtf.networks.augmentation_gan`, or with `classes`, for images of the shape "
        f"{tuple(image_shape)}. Received: a GAN{' with labels' if gan.conditional else ''} of images {gan.image_shape}"
    )


def check_range(argument, gan):
    """Refuses a GAN whose range of pixels is not known.

    Args:
        argument: the name of the function that built it.
        gan: a `GAN`.
    """
    if gan.image_range is None:
        raise ValueError(
            f"`{argument}` must build a GAN whose pixels are in a known range: end the generator with tanh or sigmoid, "
            "or declare it by `GAN(..., image_range=(-1, 1))`. Received: a generator whose last layers do not say it"
        )


def check_takes_sources(gan, image_shape):
    """Refuses a GAN that does not redraw source images; with such a GAN, `more_examples` uses the dataset's labels."""
    kind = gan_kind(gan, image_shape)
    if kind != "others":
        raise ValueError(
            "`build_gan` must build a GAN that takes source images and returns others, as with the networks of "
            f"`mtf.networks.translation_gan`. Received: a GAN that draws {kind}"
        )


def train_gan(gan, dataset, steps, batch_size, seed):
    """Trains a GAN of classes on a `ClassDataset`, in place."""
    kind = gan_kind(gan, dataset.example_shape)
    if kind == "labels":
        batches = image_batches(dataset, batch_size, seed, gan)
    else:
        pairs = image_tasks(dataset, 2, tasks_per_batch=batch_size, seed=seed, image_range=gan.image_range)
        if kind == "classes":
            batches = pairs.map(lambda images: tf.concat([images[:, 0], images[:, 1]], axis=-1))
        else:
            batches = pairs.map(lambda images: (images[:, 0], images[:, 1]))
        batches = batches.with_options(pairs.options())
    gan.fit(batches, steps_per_epoch=steps, verbose=0)


def image_batches(dataset, batch_size, seed, gan):
    """Endless batches of images, float32 in the range of a GAN, and their class numbers. The seed sets the order."""
    labels = tf.constant(dataset.labels)

    def batch(number):
        positions = number * batch_size + tf.range(batch_size, dtype=tf.int64)
        rows = shuffled_rows(positions, len(dataset), (seed, 0))
        return to_gan_range(gan, dataset.gather(rows)), tf.gather(labels, rows)

    return stream(batch)


def new_classes(gan, classes, examples, seed, keep=1.0, variety=1.0):
    """Draws classes that do not exist.

    Args:
        gan: a `GAN` of kind `"classes"`.
        classes: how many.
        examples: images of each.
        seed: integer.
        keep: share of the drawn classes that is kept: those that look most real to the discriminator.
        variety: standard deviation of the styles. It is 1 in training; below 1, the images of a class are more similar.

    Returns:
        A `ClassDataset` of uint8 images `(classes * examples, height, width, channels)`.
    """
    # The noise is the class and two styles; an image is drawn from the class and one style.
    class_dim = 2 * gan.generator.get_layer("noise_1").output.shape[-1] - gan.latent_dim
    random = np.random.default_rng(seed)
    drawn = int(np.ceil(classes / keep))
    halves = -(-examples // 2)
    noise = random.normal(size=(drawn, halves, gan.latent_dim)).astype("float32")
    noise[:, :, :class_dim] = noise[:, :1, :class_dim]
    noise[:, :, class_dim:] *= variety
    pairs = _predict(gan.sampler, noise.reshape(-1, gan.latent_dim))
    logits = _predict(gan.discriminator, pairs).reshape(drawn, halves).mean(axis=1)
    best = np.sort(np.argsort(-logits, kind="stable")[:classes])
    images = np.stack(np.split(pairs, 2, axis=-1), axis=1).reshape(drawn, 2 * halves, *pairs.shape[1:3], -1)
    images = to_bytes(gan, images[best, :examples])
    labels = np.repeat(np.arange(classes), examples)
    return ClassDataset(images.reshape(-1, *images.shape[2:]), labels, [f"new {n}" for n in range(classes)])


def more_examples(gan, dataset, ratio, seed, keep=1.0):
    """Draws more images of a dataset's classes, `ratio` for each real image, class by class.

    Args:
        gan: a `GAN` of kind `"others"` or `"labels"`; the latter trained on this dataset.
        dataset: a `ClassDataset`.
        ratio: positive number.
        seed: integer.
        keep: share of the drawn images that is kept: in each class those that look most real to the discriminator.

    Returns:
        A `ClassDataset` of uint8 images, with the classes of `dataset`.
    """
    wanted = np.maximum(1, np.round(ratio * dataset.class_sizes)).astype(int)
    labels = np.repeat(np.arange(dataset.num_classes, dtype="int32"), np.ceil(wanted / keep).astype(int))
    # The position of each image within its class.
    numbers = np.arange(len(labels)) - np.searchsorted(labels, labels)
    condition = labels
    if gan_kind(gan, dataset.example_shape) == "others":
        rows = dataset.offsets[labels] + numbers % dataset.class_sizes[labels]
        condition = np.asarray(to_gan_range(gan, dataset.examples[rows]))
    noise = np.random.default_rng(seed).normal(size=(len(labels), gan.latent_dim)).astype("float32")
    made = _predict(gan.sampler, noise, condition)
    # Class by class, the most real-looking images first.
    order = np.lexsort((-_predict(gan.discriminator, made, condition)[:, 0], labels))
    best = np.sort(order[numbers < wanted[labels]])
    return ClassDataset(to_bytes(gan, made[best]), labels[best], dataset.class_names, dataset.parents, dataset.domain)


def to_bytes(gan, images):
    """Images that a GAN has drawn as uint8."""
    return np.clip(np.round(change_range(images, gan.image_range, (0.0, 255.0))), 0, 255).astype("uint8")


def as_in(dataset, images):
    """uint8 images in the form of a dataset's images: uint8, or float32 in [0, 1]."""
    return images if dataset.dtype == images.dtype else to_image_range(images, (0.0, 1.0)).numpy()


def to_gan_range(gan, images):
    """uint8 images, or images in [0, 1], as a float32 tensor in the range of a GAN."""
    return change_range(to_image_range(images, (0.0, 1.0)), (0.0, 1.0), gan.image_range)


def _predict(network, *inputs):
    """A network's outputs for arrays, batch by batch."""
    inputs = inputs if len(inputs) > 1 else inputs[0]
    return network.predict(inputs, batch_size=_BATCH, verbose=0)
