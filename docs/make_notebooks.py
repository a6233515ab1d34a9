"""The tutorials as notebooks, one for each `tutorials/*.py`.

python docs/make_notebooks.py            # writes docs/notebooks
python docs/make_notebooks.py --check    # says which are not those of their sources
"""

import argparse
import pathlib
import sys

import jupytext
import nbformat

FOLDER = pathlib.Path(__file__).parent


INSTALL = "%pip install --quiet metalearn_tf"


def notebook_of(source):
    notebook = jupytext.read(source)
    # Of a notebook alone: where the site is built, the package is there.
    notebook.cells.insert(1, nbformat.v4.new_code_cell(INSTALL))
    # What jupytext draws at random, or what depends on the machine.
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"
    notebook.metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return nbformat.writes(notebook) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check

    wrong = []
    for source in sorted((FOLDER / "tutorials").glob("*.py")):
        path = FOLDER / "notebooks" / f"{source.stem}.ipynb"
        text = notebook_of(source)
        if check and (not path.exists() or path.read_text(encoding="utf-8") != text):
            wrong.append(path.name)
        elif not check:
            path.write_text(text, encoding="utf-8")
    if wrong:
        sys.exit(f"Not made from their sources; run `python docs/make_notebooks.py`: {', '.join(wrong)}")


if __name__ == "__main__":
    main()
