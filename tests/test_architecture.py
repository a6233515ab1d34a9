"""The order of the folders, the size of the files, and habits that a machine can check."""

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

# In the order in which data flows; a folder imports only from those above it.
FOLDERS = ["files", "checks", "engine", "data", "networks"]
FOLDERS += ["serving", "learners", "gan", "transfer", "evaluation", "training", "workflows"]
# These take learners as arguments, so that they import none.
INDEPENDENT = {"evaluation", "training"}
WITHOUT = {"learners", "gan", "transfer", "workflows"}
MOST_LINES = 320


def name_of(path):
    return path.relative_to(PACKAGE).as_posix()


def folder_of(path):
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else None


parse = functools.cache(ast.parse)


def tree_of(path):
    return parse(path.read_text(encoding="utf-8"))


def imported_modules(path):
    """Every module that a file imports, wherever in the file, with what it takes from it."""
    package = ["metalearn_tf", *path.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def imported_folders(path):
    modules = (module.split(".") for module in imported_modules(path))
    return {parts[1] for parts in modules if parts[0] == "metalearn_tf" and len(parts) > 1}


def allowed_folders(folder):
    if folder is None:
        return set(FOLDERS)
    above = set(FOLDERS[: FOLDERS.index(folder)])
    return (above - WITHOUT if folder in INDEPENDENT else above) | {folder}


def offences(find):
    """What a function finds in each file of the package, with the file's name before it."""
    return [f"{name_of(path)}: {found}" for path in FILES for found in find(path)]


def test_every_folder_has_its_place():
    assert {folder_of(path) for path in FILES} - {None} <= set(FOLDERS)


def test_folders_import_only_from_folders_above():
    assert not offences(lambda path: imported_folders(path) - allowed_folders(folder_of(path)))


def test_the_check_on_imports_sees_through_every_spelling(tmp_path, monkeypatch):
    monkeypatch.setattr(f"{__name__}.PACKAGE", tmp_path)
    file = tmp_path / "data" / "file.py"
    file.parent.mkdir()
    for line in (
        "import metalearn_tf.learners",
        "import metalearn_tf.learners.maml as m",
        "from metalearn_tf import learners",
        "from metalearn_tf.learners import MAML",
        "from metalearn_tf.learners.maml import MAML",
        "from .. import learners",
        "from ..learners import MAML",
        "def f():\n    from metalearn_tf.learners import MAML",
    ):
        file.write_text(line)
        assert imported_folders(file) == {"learners"}, line
    file.write_text("from . import sampling\nfrom .sampling import x\nimport tensorflow as tf\n")
    assert imported_folders(file) == {"data"}
    assert "learners" not in allowed_folders("evaluation") | allowed_folders("training") | allowed_folders("data")
    assert "learners" in allowed_folders("workflows")


def test_files_stay_short():
    lines = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert not {name: count for name, count in lines.items() if count > MOST_LINES}


def test_the_library_neither_prints_nor_asserts():
    def find(path):
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Assert):
                yield f"assert in line {node.lineno}"
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
                yield f"print in line {node.lineno}"

    assert not offences(find)


def test_no_exception_is_caught_unnamed_or_dropped():
    def find(path):
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ExceptHandler):
                if node.type is None or ast.unparse(node.type) in ("Exception", "BaseException"):
                    yield f"broad except in line {node.lineno}"
                if all(isinstance(line, ast.Pass) for line in node.body):
                    yield f"dropped in line {node.lineno}"

    assert not offences(find)


def test_nothing_is_ever_unpickled():
    def find(path):
        modules = {module.split(".")[0] for module in imported_modules(path)}
        yield from {"pickle", "cloudpickle", "dill", "joblib"} & modules
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
    for folder in FOLDERS:
        if (PACKAGE / folder / "__init__.py").exists():
            module = importlib.import_module(f"metalearn_tf.{folder}")
            for name, value in vars(module).items():
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
