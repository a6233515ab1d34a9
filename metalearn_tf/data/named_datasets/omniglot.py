"""Omniglot: 1,623 handwritten characters of 50 alphabets, 20 drawings of each."""

import numpy as np

from metalearn_tf.data.class_dataset import ClassDataset
from metalearn_tf.data.named_datasets.splits import read_split_lists
from metalearn_tf.data.named_datasets.tfds_source import class_names, data_version, prepared_directory, read_images
from metalearn_tf.files.cache import cached_arrays

PROTOCOLS = ("vinyals", "lake")
DEFAULT_SIZE = (28, 28)


def load_omniglot(split, data_dir=None, image_size=None, *, protocol="vinyals", rotations=False, cache_dir=None):
    """Omniglot, divided by character or by alphabet.

    - `protocol="vinyals"`: 1,200 characters for training and 423 for testing, whatever their alphabets, as in the
      papers on matching networks and MAML. As in MAML's code, 100 of the 1,200 are `"validation"`, so `"train"` has
      1,100. The characters of each part are listed in `splits/omniglot.json`: a shuffle with seed 1 of the *sorted*
      names. MAML's code shuffles a folder listing, whose order differs between machines, so its split cannot be
      repeated.
    - `protocol="lake"`: the authors' 30 background alphabets (964 characters) for training, of which five (162
      characters, listed in the same file) are `"validation"`, and their 20 evaluation alphabets (659) as `"test"`.

    The drawings are shrunk from 105 × 105 and inverted to white ink (255) on black (0), as MNIST is. The shrunk images
    are cached.

    Args:
        split: `"train"`, `"validation"` or `"test"`.
        data_dir: TFDS's folder with `omniglot`.
        image_size: pair `(height, width)`. Defaults to `(28, 28)`.
        protocol: `"vinyals"` or `"lake"`.
        rotations: whether to add three classes for each character: its drawings turned by 90, 180 and 270 degrees
            (counter-clockwise), as Santoro et al. do. Their names end in `"/rot90"`, `"/rot180"` and `"/rot270"`.
        cache_dir: folder of the cache.

    Returns:
        `ClassDataset` of `uint8` images `(28, 28, 1)` with class names such as `"Balinese/character05"`, alphabets as
        `parents` and 20 examples a class.

    Raises:
        ValueError: if an argument is not accepted or the data lacks characters.

    Reference:
        - [Lake et al., 2015](https://doi.org/10.1126/science.aab3050)
        - [Vinyals et al., 2016](https://arxiv.org/abs/1606.04080)
        - [Santoro et al., 2016](https://arxiv.org/abs/1605.06065)
        - [Finn et al., 2017](https://arxiv.org/abs/1703.03400), `data_generator.py` of cbfinn/maml
    """
    height, width = size = image_size or DEFAULT_SIZE
    if protocol not in PROTOCOLS:
        raise ValueError(f"`protocol` must be one of {PROTOCOLS}. Received: protocol={protocol!r}")
    if not isinstance(rotations, (bool, np.bool_)):
        raise ValueError(f"`rotations` must be True or False. Received: rotations={rotations!r}")
    if rotations and height != width:
        raise ValueError(f"`rotations=True` needs a square `image_size`. Received: image_size={size}")
    directory = prepared_directory("omniglot", data_dir)
    name = f"omniglot_{height}x{width}_{data_version(directory)}"
    arrays = cached_arrays(name, lambda: _read(directory, size), cache_dir)
    names = arrays["names"].tolist()
    chosen = _characters(split, protocol, names, directory)
    images = arrays["images"][np.isin(arrays["labels"], [names.index(name) for name in chosen])]
    labels = np.repeat(np.arange(len(chosen)), 20)
    if rotations:
        images = np.concatenate([np.rot90(images, turns, axes=(1, 2)) for turns in range(4)])
        labels = np.concatenate([labels + turns * len(chosen) for turns in range(4)])
        chosen = [name + suffix for suffix in ("", "/rot90", "/rot180", "/rot270") for name in chosen]
    parents = {name: name.split("/")[0] for name in chosen}
    return ClassDataset(images, labels, chosen, parents, domain="omniglot")


def _read(directory, size):
    """All images of both sets, sorted by the name of the character."""
    arrays = read_images(
        directory,
        "train+test",
        ("alphabet", "alphabet_char_id"),
        size,
        transform=lambda image: 255 - image[..., :1],
    )
    # Not TFDS's "label", whose numbers follow the files: the name says which character it is.
    alphabets = class_names(directory, "alphabet")
    characters = [
        f"{alphabets[alphabet]}/character{number + 1:02d}"
        for alphabet, number in zip(arrays["alphabet"], arrays["alphabet_char_id"])
    ]
    names, labels = np.unique(characters, return_inverse=True)
    order = np.argsort(labels, kind="stable")
    return {"images": arrays["images"][order], "labels": labels[order], "names": names}


def _characters(split, protocol, names, directory):
    """The sorted names of the characters of a split."""
    lists = read_split_lists("omniglot")[protocol]
    if protocol == "lake":
        return [name for name in names if name.split("/")[0] in lists[split]]
    held_out = {*lists["validation"], *lists["test"]}
    missing = sorted(held_out - set(names))
    if missing or len(names) != 1623:
        raise ValueError(
            f"The data in {directory!r} is not the whole of Omniglot; remove the folder so that it is prepared again. "
            f"Received: {len(names)} of 1623 characters"
        )
    return [name for name in names if name not in held_out] if split == "train" else lists[split]
