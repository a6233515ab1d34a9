"""Tasks of a few images, for GANs that learn to adapt."""

import tensorflow as tf

from metalearn_tf.checks.image_range import check_limits
from metalearn_tf.checks.whole_numbers import check_whole
from metalearn_tf.data.class_dataset import ClassDataset
from metalearn_tf.data.image_range import change_range, range_of_images
from metalearn_tf.data.tasks.episode_checks import check_domains
from metalearn_tf.data.tasks.episodes import episodes
from metalearn_tf.engine.worker_batches import by_worker


def image_tasks(
    dataset, shots, queries=0, tasks_per_batch=1, per="class", proportions=None, seed=0, ways=None,
    image_range=(-1.0, 1.0),
):  # fmt: skip
    """An endless stream of tasks, each a few images of one class, of one domain, or of several classes with labels.

    ```python
    tasks = mtf.data.image_tasks(train, shots=8, tasks_per_batch=4)
    meta_gan.fit(tasks, steps_per_epoch=100)

    labelled = mtf.data.image_tasks(train, shots=8, ways=10)  # for a conditional GAN of ten classes
    ```

    Args:
        dataset: a `ClassDataset` or a `ShardedClassDataset` of images, or a list of them, the domains.
        shots: images in a task, at least 2; with `ways`, images of each class of the task.
        queries: further images of the same class or domain, on which the adapted GAN is judged; with `ways`, this many
            of each class.
        tasks_per_batch: tasks in a batch.
        per: `"class"`: each task is of one class; or `"domain"`: each task is of all classes of one `ClassDataset`.
        proportions: positive numbers, the share of each domain in the tasks; by default equal shares.
        seed: integer; task `i` of a seed is the same on every machine.
        ways: classes of a task, all of one domain, drawn anew for each task; `None` for tasks without labels.
        image_range: lowest and highest value of a pixel of the GAN's images, `gan.image_range`. uint8 images and
            floating images in [0, 1] are scaled to it; images that are already in it stay. `None` leaves floating
            images as they are, for a generator whose range is not known.

    Returns:
        An infinite `tf.data.Dataset` of images `(tasks, shots, height, width, channels)` float32 in `image_range`; with
        `queries`, of pairs of them and the query images `(tasks, queries, height, width, channels)`.

        With `ways`, each set of images becomes a pair: images `(tasks, ways * shots, …)`, one of each class in turn,
        and their labels `(tasks, ways * shots)` int32 in `[0, ways)`.

    Raises:
        ValueError: if a number is not accepted, a class has too few images, a domain too few classes, or the examples
            are not images or in another range.
        TypeError: if a dataset is not a `ClassDataset`.
    """
    check_whole(least=2 if ways is None else 1, shots=shots)
    check_whole(least=0, queries=queries)
    if ways is not None:
        check_whole(least=2, ways=ways)
    if per not in ("class", "domain") or (per == "domain" and ways is not None):
        raise ValueError(f'`per` must be "class" or "domain", and "class" with `ways`. Received: {per!r}, ways={ways}')
    domains = check_domains(dataset, proportions)
    if len(domains[0].example_shape) != 3:
        raise ValueError(
            "`dataset` must hold images (height, width, channels). "
            f"Received: examples of the shape {domains[0].example_shape}"
        )
    smallest = min(int(domain.class_sizes.min() if per == "class" else len(domain)) for domain in domains)
    if smallest < max(2, shots + queries):
        raise ValueError(
            f"`shots` and `queries` together must be at most the images of every {per}, {smallest}, and those at least "
            f"2; leave classes out with `dataset.select(...)`. Received: shots={shots}, queries={queries}"
        )
    if per == "domain":
        domains = [_as_one_class(domain) for domain in domains]
    given = _given_range(domains, image_range)
    # An episode needs at least one query of each class. Here it is one more image.
    tasks = episodes(domains, ways or 1, max(1, shots + queries - 1), 1, tasks_per_batch, seed, proportions=proportions)

    def to_images(x, y):
        images = tf.concat([_by_class(part, ways or 1) for part in (x[0], x[2])], axis=2)
        images = images if given is None else change_range(images, given, image_range)
        arrange = _in_turn if ways else lambda part: part[:, 0]
        shown = arrange(images[:, :, :shots])
        return (shown, arrange(images[:, :, shots : shots + queries])) if queries else shown

    def make(worker, workers):
        return tasks.of_worker(worker, workers).map(to_images).prefetch(2).with_options(tasks.options())

    return by_worker(make, [tasks_per_batch])


def _given_range(domains, wanted):
    """The range of the domains' pixels, or `None` if they stay as they are."""
    if wanted is None:
        if domains[0].dtype == "uint8":
            raise ValueError("`image_range` must be the range that uint8 images are brought to. Received: None")
        return None
    check_limits(wanted)
    ranges = [range_of_images("dataset", domain, wanted) for domain in domains]
    if len(set(ranges)) > 1:
        raise ValueError(f"`dataset` must hold domains whose pixels are in one range. Received: {ranges}")
    return ranges[0]


def _by_class(images, ways):
    """Images `(tasks, ways * n, …)`, class by class, as `(tasks, ways, n, …)`."""
    return tf.reshape(images, [-1, ways, images.shape[1] // ways, *images.shape[2:]])


def _in_turn(images):
    """Images `(tasks, ways, n, …)` as `(tasks, n * ways, …)`, one of each class in turn, and their labels."""
    ways, count = images.shape[1:3]
    in_turn = tf.reshape(tf.transpose(images, [0, 2, 1, 3, 4, 5]), [-1, count * ways, *images.shape[3:]])
    return in_turn, tf.tile(tf.range(ways)[None], [tf.shape(images)[0], count])


def _as_one_class(dataset):
    if not isinstance(dataset, ClassDataset):
        raise TypeError(f'`per="domain"` needs a ClassDataset in memory. Received: {type(dataset).__name__}')
    return ClassDataset(dataset.examples, 0 * dataset.labels, domain=dataset.domain)
