"""The GANs of `meta_gan_transfer`: their training, and the images that they draw of the target's classes."""

import math

import keras
import tensorflow as tf

from metalearn_tf.data.image_range import change_range
from metalearn_tf.data.tasks.image_tasks import image_tasks
from metalearn_tf.gan.meta_gan import MetaGAN
from metalearn_tf.gan.objectives import draw_noise
from metalearn_tf.workflows.class_gans import check_range, image_batches, to_gan_range
from metalearn_tf.workflows.workflow_checks import check_compiled, merged_sources

_GAN_BATCH = 64


def check_adaptation(meta_gan, sources, classes, gan_shots):
    """Refuses a MetaGAN that cannot adapt to the target, or cannot be meta-trained on tasks of the sources.

    Args:
        meta_gan: the MetaGAN that `build_meta_gan` built.
        sources: a list of `ClassDataset`s.
        classes: the number of the target's classes.
        gan_shots: the number of images of a class.
    """
    if not isinstance(meta_gan, MetaGAN):
        raise ValueError(f"`build_meta_gan` must build a MetaGAN. Received: {type(meta_gan).__name__}")
    gan, shown = meta_gan.gan, gan_shots
    check_compiled("build_meta_gan", meta_gan)
    check_range("build_meta_gan", gan)
    if gan.image_shape != tuple(sources[0].example_shape):
        raise ValueError(
            f"`build_meta_gan` must build a MetaGAN of images {tuple(sources[0].example_shape)}, as the datasets hold "
            f"them. Received: a GAN of images {gan.image_shape}"
        )
    if gan.conditional:
        if gan.number_of_classes != classes:
            raise ValueError(
                f"`build_meta_gan` must build a MetaGAN without labels, or with those of the target's {classes} "
                f"classes. Received: a GAN of {gan.number_of_classes} classes"
            )
        fewest, shown = min(dataset.num_classes for dataset in sources), gan_shots * classes
        if fewest < classes:
            raise ValueError(
                f"`sources` must each have {classes} classes or more, the target's, for a conditional MetaGAN. "
                f"Received: a source of {fewest}"
            )
    least, smallest = max(2, meta_gan.inner_batch_size or 0), min(int(dataset.class_sizes.min()) for dataset in sources)
    if shown < least or not gan_shots <= smallest:
        raise ValueError(
            f"`gan_shots` must be at most the images of every class of the sources, {smallest}, and make tasks of "
            f"{least} images or more. Received: gan_shots={gan_shots}, tasks of {shown}"
        )


def trained_gans(run, build_meta_gan, sources, steps, shots, tasks_per_batch, seed):
    """The MetaGANs of the three arms, by name. Those that are not meta-trained adapt in the same way.

    Args:
        run: the `RunDirectory` that keeps them.
        build_meta_gan: function without arguments that returns a compiled `MetaGAN`.
        sources: a list of `ClassDataset`s of images.
        steps: outer steps.
        shots: images of a class in a task.
        tasks_per_batch: tasks of an outer step.
        seed: integer.
    """

    def build():
        keras.utils.set_random_seed(seed)
        return build_meta_gan()

    def meta_train(meta_gan):
        ways = meta_gan.gan.number_of_classes if meta_gan.gan.conditional else None
        options = {"tasks_per_batch": tasks_per_batch, "seed": seed, "ways": ways}
        tasks = image_tasks(sources, shots, **options, image_range=meta_gan.gan.image_range)
        meta_gan.fit(tasks, steps_per_epoch=steps, verbose=0)

    def train(gan):
        # The same number of images as in the inner loops of the meta-training.
        classes = gan.number_of_classes if gan.conditional else 1
        images_per_step = tasks_per_batch * meta_gan.inner_steps * (meta_gan.inner_batch_size or shots * classes)
        batches = image_batches(merged_sources(sources), _GAN_BATCH, seed, gan)
        # The sources have more classes than there are labels, so each label stands for several classes.
        batches = batches.map(lambda images, labels: (images, labels % classes) if gan.conditional else images)
        gan.compile()
        gan.fit(batches, steps_per_epoch=max(1, steps * images_per_step // _GAN_BATCH), verbose=0)

    meta_gan, fine_tuned = build(), build()
    run.trained(f"meta_gan_{seed}", meta_gan, meta_train)
    run.trained(f"gan_{seed}", fine_tuned.gan, train)
    return {"GAN from scratch": build(), "GAN fine-tuned": fine_tuned, "MetaGAN": meta_gan}


def drawing(meta_gan, steps, count, keep):
    """A function with which a MetaGAN enlarges classes.

    Args:
        meta_gan: a `MetaGAN`; for a conditional one the labels are the classes, and it adapts to all of them at once.
        steps: inner steps.
        count: images to draw of each class.
        keep: share of the drawn images that is used: those that look most real to the adapted discriminator.

    Returns:
        A function that maps the few images of each class `(classes, n, height, width, channels)` in [0, 1] and an int32
        scalar, the seed, to new images `(classes, count, height, width, channels)` in [0, 1].
    """
    drawn_of_each, latent_dim = math.ceil(count / keep), meta_gan.gan.latent_dim

    def draw_best(state, seed, labels=None):
        drawn = meta_gan.generate(state, draw_noise(drawn_of_each, latent_dim, seed), labels)
        return tf.gather(drawn, tf.math.top_k(meta_gan.judge(state, drawn, labels)[:, 0], count).indices)

    def draw_class(task):
        images, seeds = task
        return draw_best(meta_gan.adapt_task(images, seeds[0], steps), seeds[1])

    @tf.function(reduce_retracing=True)
    def draw(images, seed):
        drawn = draw_in_range(to_gan_range(meta_gan.gan, images), seed)
        return tf.clip_by_value(change_range(drawn, meta_gan.gan.image_range, (0.0, 1.0)), 0.0, 1.0)

    def draw_in_range(images, seed):
        classes, shots = tf.shape(images)[0], tf.shape(images)[1]
        seeds = tf.reshape(tf.random.split(tf.stack([seed, 0]), 2 * classes), (-1, 2, 2))
        if not meta_gan.gan.conditional:
            return tf.map_fn(draw_class, (images, seeds), fn_output_signature=tf.float32)
        labels = tf.range(classes)
        in_turn = tf.reshape(tf.transpose(images, [1, 0, 2, 3, 4]), (-1, *images.shape[2:]))
        state = meta_gan.adapt_task(in_turn, seeds[0, 0], steps, tf.tile(labels, [shots]))

        def draw_label(task):
            label, seed = task
            return draw_best(state, seed, tf.fill([drawn_of_each], label))

        return tf.map_fn(draw_label, (labels, seeds[:, 1]), fn_output_signature=tf.float32)

    return draw
