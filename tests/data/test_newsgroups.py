"""20 Newsgroups: the split, what is stripped, and errors; on a small cache of our own and on the real one."""

import codecs
import pickle
import sys

from metalearn_tf.data.named_datasets.load import load
from metalearn_tf.data.named_datasets.splits import read_split_lists

import numpy as np
import pytest

LISTS = read_split_lists("20newsgroups")
GROUPS = sorted(name for split in ("train", "validation", "test") for name in LISTS[split])


@pytest.fixture
def small_home(tmp_path):
    """A folder as scikit-learn fills it: three postings a group, one of which is a header and nothing else."""
    datasets = pytest.importorskip("sklearn.datasets", reason="needs the extra `text`")
    for subset, count in (("train", 2), ("test", 1)):
        for group in GROUPS:
            folder = tmp_path / "raw" / f"20news-bydate-{subset}" / group
            folder.mkdir(parents=True)
            for number in range(count):
                body = "" if (subset, number) == ("train", 1) else f"> quoted\n{group} {subset}\n"
                (folder / str(number)).write_text(
                    f"From: me@x.org\nSubject: {group}\nLines: 1\nX-Subject: no\n\n{body}", encoding="latin1"
                )
    cache = {
        subset: datasets.load_files(tmp_path / "raw" / f"20news-bydate-{subset}", encoding="latin1")
        for subset in ("train", "test")
    }
    home = tmp_path / "home"
    home.mkdir()
    (home / "20news-bydate_py3.pkz").write_bytes(codecs.encode(pickle.dumps(cache), "zlib_codec"))
    return home


def test_the_split_is_by_the_first_part_of_the_name():
    assert {split: len(LISTS[split]) for split in ("train", "validation", "test")} == {
        "train": 8,
        "validation": 5,
        "test": 7,
    }
    assert len(set(GROUPS)) == 20
    assert {name.split(".")[0] for name in LISTS["train"]} == {"rec", "sci"}
    assert {name.split(".")[0] for name in LISTS["validation"]} == {"comp"}
    assert {name.split(".")[0] for name in LISTS["test"]} == {"alt", "misc", "soc", "talk"}


def test_both_sets_are_joined_and_two_headers_stay(small_home):
    dataset = load("20newsgroups", "test", data_home=small_home)
    assert dataset.class_names == LISTS["test"] and dataset.domain == "20newsgroups"
    assert np.diff(dataset.offsets).tolist() == [3] * 7
    assert dataset.parents["talk.religion.misc"] == "talk"
    assert sorted(dataset.class_examples("misc.forsale")) == [
        "From: me@x.org\nSubject: misc.forsale\n\n",
        "From: me@x.org\nSubject: misc.forsale\n\n> quoted\nmisc.forsale test\n",
        "From: me@x.org\nSubject: misc.forsale\n\n> quoted\nmisc.forsale train\n",
    ]


def test_stripped_postings_of_nothing_are_left_out(small_home):
    dataset = load("20newsgroups", "validation", data_home=str(small_home), remove=("headers", "footers", "quotes"))
    assert np.diff(dataset.offsets).tolist() == [2] * 5
    assert sorted(text.strip() for text in dataset.class_examples("comp.graphics")) == [
        "comp.graphics test",
        "comp.graphics train",
    ]
    only_headers = load("20newsgroups", "validation", data_home=small_home, remove=["headers"])
    assert sorted(only_headers.class_examples(0))[0].startswith("> quoted")


@pytest.mark.parametrize(
    "options, message",
    [
        ({"data_dir": "somewhere"}, "`data_dir` is TFDS's folder.*`data_home`.*Received: data_dir='somewhere'"),
        ({"image_size": 28}, "`image_size` must be None"),
        ({"remove": "headers"}, "`remove` must be a sequence.*Received: remove='headers'"),
        ({"remove": ("signatures",)}, "`remove` must be"),
        ({"quotes": False}, "options of '20newsgroups' are: `data_home`, `remove`. Received: quotes"),
    ],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        load("20newsgroups", "train", **options)


def test_without_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ImportError, match=r'pip install "metalearn_tf\[text\]"'):
        load("20newsgroups", "train")


def test_missing_data_without_a_network_says_what_to_do(tmp_path, monkeypatch):
    datasets = pytest.importorskip("sklearn.datasets", reason="needs the extra `text`")

    def no_network(**options):
        raise OSError("name resolution failed")

    monkeypatch.setattr(datasets, "fetch_20newsgroups", no_network)
    with pytest.raises(FileNotFoundError, match="(?s)fetch_20newsgroups.*SCIKIT_LEARN_DATA.*name resolution failed"):
        load("20newsgroups", "train", data_home=tmp_path)


@pytest.mark.full
def test_the_real_data(sklearn_data_home):
    parts = [load("20newsgroups", split, data_home=sklearn_data_home) for split in ("train", "validation", "test")]
    assert [part.num_classes for part in parts] == [8, 5, 7]
    assert sum(len(part) for part in parts) == 18846
    assert all(text.strip() for part in parts for text in part.examples)
    assert not any(text.startswith("Path:") or "\nNNTP-Posting-Host:" in text[:200] for text in parts[2].examples)
    posting = next(text for text in parts[0].class_examples("sci.space") if text.startswith("From:"))
    assert posting.split("\n")[1].startswith("Subject:")
    stripped = load("20newsgroups", "test", data_home=sklearn_data_home, remove=("headers", "footers", "quotes"))
    assert 5800 < len(stripped) < len(parts[2])
