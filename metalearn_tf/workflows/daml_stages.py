"""The stages of `daml`: the training of its models, and the images that its GAN draws."""

import keras
import tensorflow as tf

from metalearn_tf.data.class_dataset import ClassDataset
from metalearn_tf.engine.schedule import warm_up_and_cosine
from metalearn_tf.transfer.domain_adaptation import DomainAdaptation
from metalearn_tf.workflows.class_gans import as_in, image_batches, more_examples
from metalearn_tf.workflows.parts_of_datasets import at_most

_BATCH = 64


def train_coral(backbone, part, few, epochs, seed):
    """Trains a backbone on labelled sources, and brings their features near those of the few target images."""
    model = DomainAdaptation(backbone, part.num_classes, "coral", seed=seed)
    steps = -(-max(len(part), len(few)) // _BATCH)  # those of `fit`: one pass over the larger domain
    model.compile(keras.optimizers.Adam(warm_up_and_cosine(3e-3, epochs * steps)))
    model.fit((part.examples, part.labels), few.examples, batch_size=_BATCH, epochs=epochs, verbose=0)


def train_translation(gan, sources, few, steps, seed):
    """Trains with the few images as real images, each paired with any source image."""
    real, source = (image_batches(dataset, _BATCH, seed, gan) for dataset in (few, sources))
    pairs = tf.data.Dataset.zip(real, source).map(lambda real, source: (real[0], source[0]))
    gan.fit(pairs, steps_per_epoch=steps, verbose=0)


def draw_virtual(gan, sources, images, keep, seed):
    """A virtual domain for each source, as arrays."""
    arrays = {}
    for number, dataset in enumerate(sources):
        drawn = more_examples(gan, at_most(dataset, images), 1.0, seed, keep)
        arrays |= {f"examples_{number}": drawn.examples, f"labels_{number}": drawn.labels}
    return arrays


def virtual_domains(sources, arrays):
    """The datasets of the drawn images, one for each source."""
    domains = []
    for number, dataset in enumerate(sources):
        examples = as_in(dataset, arrays[f"examples_{number}"])
        labels, name = arrays[f"labels_{number}"], f"{dataset.domain}, virtual"
        domains.append(ClassDataset(examples, labels, dataset.class_names, dataset.parents, name))
    return domains


def tune_learner(learner, tasks, steps, learning_rate):
    """Trains a learner on tasks of the few target images, with a separate optimizer."""
    learner.compile(keras.optimizers.Adam(learning_rate), loss=learner.loss)
    learner.fit(tasks, steps_per_epoch=steps, verbose=0)
