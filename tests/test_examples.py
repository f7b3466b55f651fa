"""The notebooks run, and what is kept of them was run."""

import re
from pathlib import Path

import nbformat
import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))


def code(path: Path) -> list[nbformat.NotebookNode]:
    cells = nbformat.read(path, as_version=4).cells
    return [cell for cell in cells if cell.cell_type == "code"]


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_kept_notebook_was_run_from_its_first_cell_to_its_last(path: Path) -> None:
    cells = code(path)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert outputs and all(output.output_type != "error" for output in outputs)
    assert path.stat().st_size < 200_000
    assert not re.search("/ho" + "me/|/ro" + "ot/|/wo" + "rk/", path.read_text())


@pytest.mark.long
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_runs(path: Path) -> None:
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    kept = [[output.output_type for output in cell.outputs] for cell in code(path)]
    client = NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        startup_timeout=300,
    )
    client.execute()
    ran = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for cell, before in zip(ran, kept, strict=True):
        shown = [output.output_type for output in cell.outputs]
        # Ray shows an empty line of its own.
        assert shown[-len(before) :] == before if before else not shown, cell.source
