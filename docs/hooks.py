"""Pages of the site that are made when it is built: one of reference for each folder of the package."""

import ast
import pathlib

from mkdocs.structure.files import File

PACKAGE = pathlib.Path(__file__).resolve().parents[1] / "metalearn_tf"


def on_files(files, config):
    for init in sorted(PACKAGE.glob("*/__init__.py")):
        folder = init.parent.name
        if not any(isinstance(node, ast.ImportFrom) for node in parsed(init).body):
            continue  # a room of the library's own
        files.append(File.generated(config, f"reference/{folder}.md", content=reference_page(folder, init)))
    return files


def parsed(init):
    return ast.parse(init.read_text(encoding="utf-8"))


def reference_page(folder, init):
    """All that a folder's `__init__.py` imports, in its order, with the docstrings."""
    tree = parsed(init)
    lines = [f"# `mtf.{folder}`", "", ast.get_docstring(tree), ""]
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            lines += [f"::: {node.module}.{alias.name}\n" for alias in node.names]
    return "\n".join(lines)
