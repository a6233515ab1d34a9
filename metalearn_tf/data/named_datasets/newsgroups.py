"""20 Newsgroups: texts for few-shot classification."""

import numpy as np

from metalearn_tf.data.class_dataset import ClassDataset
from metalearn_tf.data.named_datasets.splits import read_split_lists
from metalearn_tf.files.local_path import local_path

REMOVABLE = ("headers", "footers", "quotes")


def load_20newsgroups(split, data_dir=None, image_size=None, *, data_home=None, remove=()):
    """20 Newsgroups, divided by group: 8 training, 5 validation and 7 test classes of 628 to 999 postings.

    scikit-learn's loader reads the texts, and downloads them on the first use. Its training and test sets, which are
    divided by date, are joined. scikit-learn keeps its cache as a pickle, and loading a pickle can run code: let
    `data_home` name only a folder that you trust.

    The published benchmark uses the version of the data that has only the headers `From` and `Subject`, and that keeps
    footers and quotations. The default here is the same. `remove=("headers", "footers", "quotes")` leaves only what the
    author wrote. That is a harder task, because addresses and signatures no longer give the group away.

    Args:
        split: `"train"` (the groups below `sci` and `rec`), `"validation"` (`comp`) or `"test"` (`talk`, `soc`,
            `alt` and `misc`).
        data_dir: must be `None`, since the texts do not come from TFDS.
        image_size: must be `None`.
        data_home: scikit-learn's folder. Defaults to the environment variable `SCIKIT_LEARN_DATA`, then to
            `~/scikit_learn_data`, as in scikit-learn.
        remove: which of `"headers"`, `"footers"` and `"quotes"` scikit-learn removes. Postings that are empty
            afterwards are left out.

    Returns:
        `ClassDataset` of strings, with the groups as class names and their first parts, such as `"sci"`, as `parents`.

    Raises:
        ImportError: if scikit-learn is not installed.
        ValueError: if an argument is not accepted.
        FileNotFoundError: if the data is not there and cannot be downloaded.

    Reference:
        [Lang, 1995](https://doi.org/10.1016/B978-1-55860-377-6.50048-7);
        split: [Bao et al., 2020](https://arxiv.org/abs/1908.06039), see `splits/20newsgroups.json`.
    """
    if data_dir is not None:
        raise ValueError(
            "`data_dir` is TFDS's folder, and 20 Newsgroups comes through scikit-learn: name its folder with "
            f"`data_home`. Received: data_dir={data_dir!r}"
        )
    if image_size is not None:
        raise ValueError(f"`image_size` must be None for texts. Received: image_size={image_size}")
    if isinstance(remove, str) or not set(remove) <= set(REMOVABLE):
        raise ValueError(f"`remove` must be a sequence of some of {REMOVABLE}. Received: remove={remove!r}")
    if data_home is not None:
        local_path("data_home", data_home)
    chosen = read_split_lists("20newsgroups")[split]
    texts, labels = _fetch(chosen, data_home, tuple(remove))
    if "headers" not in remove:
        texts = [_with_two_headers(text) for text in texts]
    kept = [index for index, text in enumerate(texts) if text.strip()]
    examples = np.asarray([texts[index] for index in kept], dtype=object)
    parents = {name: name.split(".")[0] for name in chosen}
    return ClassDataset(examples, labels[kept], chosen, parents, domain="20newsgroups")


def _fetch(classes, data_home, remove):
    """Texts and labels; classes are numbered in alphabetical order."""
    try:
        from sklearn.datasets import fetch_20newsgroups
    except ModuleNotFoundError as error:
        raise ImportError('20 Newsgroups needs scikit-learn: `pip install "metalearn_tf[text]"`') from error
    try:
        bunch = fetch_20newsgroups(data_home=data_home, subset="all", categories=classes, remove=remove, shuffle=False)
    except OSError as error:
        raise FileNotFoundError(
            "20 Newsgroups is not in scikit-learn's folder, and the download failed. Run "
            "`sklearn.datasets.fetch_20newsgroups(data_home=...)` where there is a network, copy the folder here if "
            "that is another machine, and name it with `data_home` or with the environment variable SCIKIT_LEARN_DATA. "
            f"Received: data_home={data_home!r}, error: {error}"
        ) from error
    return bunch.data, bunch.target


def _with_two_headers(text):
    """The posting with `From` and `Subject` as its only headers, as in the `20news-18828` version of the data."""
    headers, blank, body = text.partition("\n\n")
    kept = [line for line in headers.splitlines() if line.startswith(("From:", "Subject:"))]
    return "\n".join(kept) + blank + body
