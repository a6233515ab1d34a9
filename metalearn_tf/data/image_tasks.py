"""Tasks of a few images without labels, for GANs that learn to adapt."""

import tensorflow as tf

from metalearn_tf.data.class_dataset import ClassDataset
from metalearn_tf.data.episode_checks import check_domains
from metalearn_tf.data.episodes import episodes
from metalearn_tf.data.whole_numbers import check_whole
from metalearn_tf.data.worker_batches import by_worker


def image_tasks(dataset, shots, queries=0, tasks_per_batch=1, per="class", proportions=None, seed=0):
    """An endless stream of tasks, each a few images of one class, or of one domain.

    ```python
    tasks = mtf.data.image_tasks(train, shots=8, tasks_per_batch=4)
    meta_gan.fit(tasks, steps_per_epoch=100)
    ```

    Args:
        dataset: a `ClassDataset` or a `ShardedClassDataset` of images, or a list of them, the domains.
        shots: images of a task, at least 2.
        queries: further images of the same class or domain, on which the adapted GAN is judged.
        tasks_per_batch: tasks in a batch.
        per: `"class"`, each task of one class; or `"domain"`, each of all classes of one `ClassDataset`.
        proportions: positive numbers, how many of the tasks are of each domain; by default as many.
        seed: integer; task `i` of a seed is the same on every machine.

    Returns:
        An infinite `tf.data.Dataset` of images `(tasks, shots, height, width, channels)` float32, uint8 images in
        `[-1, 1]` as GANs take them, others as they are; with `queries`, of pairs of them and the query images
        `(tasks, queries, height, width, channels)`.

    Raises:
        ValueError: if a number is not accepted, a class has too few images, or the examples are not images.
        TypeError: if a dataset is not a `ClassDataset`.
    """
    check_whole(least=2, shots=shots)
    check_whole(least=0, queries=queries)
    if per not in ("class", "domain"):
        raise ValueError(f'`per` must be "class" or "domain". Received: {per!r}')
    domains = check_domains(dataset, proportions)
    if len(domains[0].example_shape) != 3:
        raise ValueError(
            "`dataset` must hold images (height, width, channels). "
            f"Received: examples of the shape {domains[0].example_shape}"
        )
    smallest = min(int(domain.class_sizes.min() if per == "class" else len(domain)) for domain in domains)
    if smallest < shots + queries:
        raise ValueError(
            f"`shots` and `queries` together must be at most the images of every {per}, {smallest}; leave classes out "
            f"with `dataset.select(...)`. Received: shots={shots}, queries={queries}"
        )
    if per == "domain":
        domains = [_as_one_class(domain) for domain in domains]
    is_uint8 = domains[0].dtype == "uint8"
    tasks = episodes(domains, 1, shots + queries - 1, 1, tasks_per_batch, seed, proportions=proportions)

    def to_images(x, y):
        images = tf.concat([x[0], x[2]], axis=1)
        images = 2.0 * images - 1.0 if is_uint8 else images
        return (images[:, :shots], images[:, shots:]) if queries else images

    def make(worker, workers):
        return tasks.of_worker(worker, workers).map(to_images).prefetch(2).with_options(tasks.options())

    return by_worker(make, [tasks_per_batch])


def _as_one_class(dataset):
    if not isinstance(dataset, ClassDataset):
        raise TypeError(f'`per="domain"` needs a ClassDataset in memory. Received: {type(dataset).__name__}')
    return ClassDataset(dataset.examples, 0 * dataset.labels, domain=dataset.domain)
