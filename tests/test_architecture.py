"""The size of the files, and habits that ruff and import-linter cannot check: see pyproject.toml for those."""

import ast
import functools
import importlib
import inspect
import pathlib
import re

import pytest

import metalearn_tf

PACKAGE = pathlib.Path(metalearn_tf.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

MOST_LINES = 320


def name_of(path):
    return path.relative_to(PACKAGE).as_posix()


parse = functools.cache(ast.parse)


def tree_of(path):
    return parse(path.read_text(encoding="utf-8"))


def offences(find):
    """What a function finds in each file of the package, with the file's name before it."""
    return [f"{name_of(path)}: {found}" for path in FILES for found in find(path)]


def test_files_stay_short():
    lines = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert not {name: count for name, count in lines.items() if count > MOST_LINES}


def test_arrays_are_read_without_pickles():
    def find(path):
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("np.load", "numpy.load"):
                allowed = [ast.unparse(keyword.value) for keyword in node.keywords if keyword.arg == "allow_pickle"]
                if allowed != ["False"]:
                    yield f"np.load in line {node.lineno}"

    assert not offences(find)


ABSOLUTE = re.compile(r"(?:^|[\s\"'`(])(?:~?/(?:[a-z]\w*/)|/(?:work|home|root|tmp|usr|opt|var|etc|mnt)\b|[A-Z]:\\)")


def test_no_string_is_an_absolute_path():
    def find(path):
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and ABSOLUTE.search(node.value):
                yield f"{node.value!r} in line {node.lineno}"

    assert not offences(find)


@pytest.mark.parametrize(
    "text, absolute",
    [("/tmp/x", True), ("see /home/me", True), ("~/data/x", True), ("C:\\data", True)]
    + [("saved_models/learner/1", False), ("https://host/usr/x", False), ("1/2 and/or", False), ("/", False)],
)
def test_the_check_on_paths_tells_them_apart(text, absolute):
    assert bool(ABSOLUTE.search(text)) is absolute


def public_names():
    for folder in sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py")):
        for name, value in vars(importlib.import_module(f"metalearn_tf.{folder}")).items():
            if not name.startswith("_") and not inspect.ismodule(value):
                yield f"{folder}.{name}", value


def undocumented_methods(cls):
    methods = [name for name, _ in inspect.getmembers(cls, inspect.isfunction) if not name.startswith("_")]
    # What overrides a method of Keras is documented there.
    keras_bases = [base for base in inspect.getmro(cls) if not base.__module__.startswith("metalearn_tf")]
    ours = [name for name in methods if not any(hasattr(base, name) for base in keras_bases)]
    return [name for name in ours if not inspect.getdoc(getattr(cls, name))]


def test_public_names_are_documented():
    names = dict(public_names())
    assert len(names) > 100
    documented = {name: value for name, value in names.items() if inspect.isclass(value) or inspect.isroutine(value)}
    assert not [name for name, value in documented.items() if len((value.__doc__ or "").strip()) <= 20]
    classes = {name: value for name, value in documented.items() if inspect.isclass(value)}
    assert not {name: missing for name, value in classes.items() if (missing := undocumented_methods(value))}


def test_folders_and_modules_say_what_they_are_for():
    assert not [name_of(path) for path in FILES if not ast.get_docstring(tree_of(path))]
