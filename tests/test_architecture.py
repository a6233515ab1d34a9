"""The size of the files, and habits that ruff and import-linter cannot check: see pyproject.toml for those."""

import ast
import functools
import importlib
import inspect
import pathlib
import re
import sys
from types import FunctionType

import metalearn_tf
from metalearn_tf.engine.keras_internals import OVERRIDDEN
from metalearn_tf.engine.private_names import names_in

import pytest

PACKAGE = pathlib.Path(metalearn_tf.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

MOST_LINES = 320
MOST_LINES_OF_SIGNATURE, MOST_PARAMETERS = 10, 18


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


def test_signatures_of_public_functions_fit_on_ten_lines():
    """What belongs together is one argument; Keras's `fit` has 14, and what is like it some of its own."""
    too_long = []
    for name, function in {name: value for name, value in public_names() if inspect.isfunction(value)}.items():
        (definition,) = ast.parse(inspect.getsource(inspect.unwrap(function))).body
        lines, parameters = definition.body[0].lineno - definition.lineno, len(inspect.signature(function).parameters)
        if lines > MOST_LINES_OF_SIGNATURE or parameters > MOST_PARAMETERS:
            too_long.append(f"{name}: {parameters} parameters on {lines} lines")
    assert not too_long


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


# === Private names ===

INTERNALS = {"engine/keras_internals.py", "engine/fit_internals.py"}
PRIVATE = re.compile(r"_[A-Za-z]\w*")
OF_NAMED_TUPLES = {"_asdict", "_replace"}  # which Python documents
INNER_PACKAGES = re.compile(r"\b(keras\.src|(tensorflow|tf)\.(python|_api|__internal__))\b")
OF_FRAMES = {"currentframe", "_getframe", "f_back", "f_locals"}


def own_names(tree):
    """The names that each class of a file defines, in its body or on `self`, with those of its bases."""
    found = {}
    for cls in (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)):
        names = {node.name for node in cls.body if isinstance(node, ast.FunctionDef)}
        for node in ast.walk(cls):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names.add(node.id)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_self(node.value):
                names.add(node.attr)
        found[cls.name] = names, [ast.unparse(base).rpartition(".")[2] for base in cls.bases]
    return found


@functools.cache
def classes_of_package():
    return {name: found for path in FILES for name, found in own_names(tree_of(path)).items()}


def is_self(node):
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


def family(cls, classes):
    """A class of ours with its bases that are ours."""
    return {cls}.union(*(family(base, classes) for base in classes[cls][1])) if cls in classes else set()


def is_known(cls, name, classes):
    """Whether a class of ours, one of its bases, or one whose part it is, defines a name."""
    families = [family(one, classes) for one in classes if name in classes[one][0]]
    return any(cls in one for one in families) or any(name in classes[one][0] for one in family(cls, classes))


CODE = (type, FunctionType)  # asked of their types, since what Keras imports when it is needed would be imported here


@functools.cache
def private_names_of_keras():
    """All private names in the code of Keras's classes and functions."""
    modules = [module for name, module in sorted(sys.modules.items()) if name.startswith("keras.src.")]
    values = {value for module in modules for value in vars(module).values() if issubclass(type(value), CODE)}
    methods = [(name, part) for value in values if inspect.isclass(value) for name, part in vars(value).items()]
    code = [*values, *(part for _, part in methods)]
    names = {*(name for name, _ in methods), *(name for part in code for name in names_in(part))}
    return {name for name in names if isinstance(name, str) and PRIVATE.fullmatch(name)}


def imported(node):
    """What a line imports of other packages, with the names of the modules that it is in."""
    module = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
    names = [f"{module}{alias.name}" for alias in node.names if not getattr(node, "level", 0)]
    return [name for name in names if not name.startswith("metalearn_tf.")]


def is_private_module(name):
    return bool(INNER_PACKAGES.match(name)) or any(map(PRIVATE.fullmatch, name.split(".")))


@functools.cache
def names_of_package_alone():
    return {name for names, _ in classes_of_package().values() for name in names} - private_names_of_keras()


def private_uses(path):
    """Each use of a private name that is not ours in a file."""
    own, tree = own_names(tree_of(path)), tree_of(path)
    classes = classes_of_package() | own
    ours = OF_NAMED_TUPLES | names_of_package_alone() | {name for names, _ in own.values() for name in names}
    in_text = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    in_text |= {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}  # docstrings

    def find(node, cls):
        found = None
        if isinstance(node, ast.ClassDef):
            cls = node.name
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            found = next((name for name in imported(node) if is_private_module(name)), None)
        elif isinstance(node, ast.Attribute):
            inner = isinstance(node.value, ast.Name) and INNER_PACKAGES.fullmatch(f"{node.value.id}.{node.attr}")
            if inner or node.attr in OF_FRAMES:
                found = node.attr
            elif PRIVATE.fullmatch(node.attr):
                is_own = cls is not None and (is_self(node.value) or ast.unparse(node.value) == "super()")
                known = is_known(cls, node.attr, classes) if is_own else node.attr in ours
                found = None if known else node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in in_text:
            is_name = node.value in private_names_of_keras() and node.value not in ours
            found = node.value if is_name or INNER_PACKAGES.search(node.value) else None
        elif isinstance(node, ast.keyword) and PRIVATE.fullmatch(node.arg or ""):
            found = node.arg
        if found is not None:
            yield f"{found} in line {node.lineno}"
        for child in ast.iter_child_nodes(node):
            yield from find(child, cls)

    yield from find(tree, None)


@pytest.mark.full
def test_private_names_of_others_are_used_in_one_place():
    assert not [use for use in offences(private_uses) if use.partition(":")[0] not in INTERNALS]


@pytest.mark.parametrize(
    "line, is_private",
    [
        ("import keras.src.backend", True),
        ("from keras.src import backend", True),
        ("from keras import src", True),
        ("from tensorflow.python.eager import context", True),
        ("import tensorflow.python as t", True),
        ("from tensorflow_datasets.core import _split", True),
        ("def f():\n    from keras.src.utils import x", True),
        ("importlib.import_module('keras.src.utils')", True),
        ("keras.src.utils.x()", True),
        ("tf.__internal__.x()", True),
        ("layer._flatten_layers()", True),
        ("[part._gone for part in model.layers]", True),
        ("getattr(loss, '_fn_kwargs', {})", True),
        ("vars(optimizer)['_var_key']", True),
        ("evaluate(x, _use_cached_eval_dataset=True)", True),
        ("kwargs.get('_use_cached_eval_dataset')", True),
        ("inspect.currentframe()", True),
        ("frame.f_locals", True),
        ("class A(keras.Layer):\n    def f(self):\n        return self._tracker", True),
        ("class A(keras.Model):\n    def f(self):\n        super()._symbolic_build()", True),
        ("class A(keras.Model):\n    def f(self):\n        self.model._initial_epoch = 1", True),
        ("class A:\n    def f(self):\n        self._mine = 1\nclass B(A):\n    g = lambda self: self._mine", False),
        ("class A:\n    def _mine(self):\n        return other._mine", False),
        ("class A(MetaLearner):\n    def f(self):\n        return self._adapt", False),
        ("learner._loss_of_file", False),
        ("named._replace(x=1)", False),
        ("x.__class__, f'{x}_model', _private", False),
        ("from metalearn_tf.engine import _ours", False),
    ],
)
def test_the_check_on_private_names_sees_through_every_spelling(tmp_path, monkeypatch, line, is_private):
    monkeypatch.setattr(f"{__name__}.PACKAGE", tmp_path)
    file = tmp_path / "data" / "file.py"
    file.parent.mkdir()
    file.write_text(line)
    assert bool(list(private_uses(file))) is is_private


def classes_in_package():
    modules = [".".join(("metalearn_tf", *path.relative_to(PACKAGE).with_suffix("").parts)) for path in FILES]
    for module in (importlib.import_module(name) for name in modules if not name.endswith("__init__")):
        yield from (cls for cls in vars(module).values() if inspect.isclass(cls) and cls.__module__ == module.__name__)


@functools.cache
def names_of_class(cls):
    """The names that a class defines, or its methods set on `self`."""
    return {*vars(cls), *(name for part in vars(cls).values() for name in names_in(part))}


def overridden(cls):
    """The private names of a class that its bases from elsewhere have too."""
    own = classes_of_package()[cls.__name__][0]
    bases = [base for base in cls.__mro__ if not base.__module__.startswith("metalearn_tf.")]
    return {name for name in own & set().union(*map(names_of_class, bases)) if PRIVATE.fullmatch(name)}


def test_what_overrides_a_private_method_of_keras_is_declared():
    found = {cls.__name__: names for cls in classes_in_package() if (names := overridden(cls))}
    assert found
    assert set().union(*found.values()) == set(OVERRIDDEN)
