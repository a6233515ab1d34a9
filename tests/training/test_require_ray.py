"""Ray is optional."""

import sys

import metalearn_tf as mtf

import pytest


@pytest.fixture
def _no_ray(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setitem(sys.modules, "ray.tune", None)


def test_without_ray_the_error_says_what_to_install(_no_ray, toy_dataset, tmp_path):
    train, validation = toy_dataset.split([0.5, 0.5])
    with pytest.raises(ImportError, match=r'is not installed: `pip install "metalearn_tf\[ray\]"`. Received: .*ray'):
        mtf.training.tune(lambda rate: None, {"rate": [1, 2]}, train, validation, tmp_path / "run")
    with pytest.raises(ImportError, match="Ray, with Train and Tune, is not installed"):
        mtf.training.ReportToRay()
    assert not (tmp_path / "run").exists()
