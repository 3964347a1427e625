"""A notebook of marimo's, which leaves threads behind."""

import tempfile
from pathlib import Path

import marimo

NOTEBOOK = """
import marimo

app = marimo.App()


@app.cell
def _():
    import marimo as mo
    mo.md("hello")
    return


if __name__ == "__main__":
    app.run()
"""

folder = tempfile.TemporaryDirectory()
notebook = Path(folder.name) / "notebook.py"
notebook.write_text(NOTEBOOK)
app = marimo.create_asgi_app().with_app(path="", root=str(notebook)).build()
