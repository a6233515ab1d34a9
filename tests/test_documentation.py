"""What the pages say exists: files that they link to, names of the package, and code that Python reads."""

import ast
import pathlib
import re

import metalearn_tf as mtf

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *ROOT.glob("docs/**/*.md"),
    *ROOT.glob("examples/**/*.md"),
    ROOT / "saved_models" / "README.md",
]
TUTORIALS = sorted(ROOT.glob("docs/tutorials/*.py"))
pytestmark = pytest.mark.skipif(not (ROOT / "docs").is_dir(), reason="the documentation is not beside the tests")


def test_links_lead_to_files():
    """Links of the site among its pages are checked by `mkdocs build --strict`; of other files here."""
    missing = []
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
            made = target.startswith("../reference/")
            if not (re.match(r"[a-z]+:", target) or made or (page.parent / target).exists()):
                missing.append(f"{page.relative_to(ROOT)}: {target}")
    assert not missing


def test_names_of_the_package_are_there():
    missing = []
    for page in [*PAGES, *TUTORIALS]:
        for folder, name in re.findall(r"\bmtf\.(\w+)\.(\w+)", page.read_text(encoding="utf-8")):
            if not hasattr(getattr(mtf, folder, None), name):
                missing.append(f"{page.relative_to(ROOT)}: mtf.{folder}.{name}")
    assert not missing


def test_code_of_the_pages_is_python():
    count = 0
    for page in PAGES:
        for code in re.findall(r"(?s)```python\n(.*?)```", page.read_text(encoding="utf-8")):
            ast.parse(code, str(page))
            count += 1
    assert count > 15


def test_the_front_page_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 170


def test_every_tutorial_has_its_notebook():
    notebooks = {path.stem for path in ROOT.glob("docs/notebooks/*.ipynb")}
    assert notebooks == {path.stem for path in TUTORIALS}
