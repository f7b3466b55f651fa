"""Writes reports to a folder."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from gantune.analysis.run import Run
from gantune.errors import UsageError
from gantune.paths import RunPaths
from gantune.report.figures import Figure, figures
from gantune.report.gather import Material, gather
from gantune.report.markdown import markdown
from gantune.report.optuna_plots import optuna_plots
from gantune.report.page import page
from gantune.report.png import to_png
from gantune.report.several import put_side_by_side
from gantune.report.several_page import several_figures, several_markdown, several_page
from gantune.storage import write_atomically

REPORTS = Path("reports")


def report_folder(runs: Sequence[Run]) -> Path:
    """Where a report of these runs goes unless told otherwise."""
    return REPORTS / "-and-".join(run.name for run in runs)[:100]


def write_report(runs: Sequence[Run], out: Path) -> Path:
    """Writes a report of one run, or of several side by side.

    Args:
        runs: They are only read.
        out: The folder; files of an earlier report in it are written over.

    Returns:
        The page.

    Raises:
        UsageError: The folder cannot be one, or the runs do not compare.
    """
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file; a report is a folder")
    if len(runs) == 1:
        return _write_one(runs[0], out)
    return _write_several(runs, out)


def _write_one(run: Run, out: Path) -> Path:
    material = gather(run)
    drawn = figures(material)
    plots = optuna_plots(run, material.found.ranked)
    _write(out / "index.html", page(material, drawn, plots))
    _write(out / "summary.md", markdown(material, drawn))
    _write(out / "trials.csv", run.trials.to_csv(index=False))
    write_atomically(out / "epochs.parquet", _parquet(run.epochs))
    # By them the tables can be read alone: domains, rungs, features, seeds.
    for path in (RunPaths(run.root).study, RunPaths(run.root).info):
        if path.is_file():
            write_atomically(out / path.name, path.read_bytes())
    _pictures(material, drawn, out)
    return out / "index.html"


def _write_several(runs: Sequence[Run], out: Path) -> Path:
    info = put_side_by_side(runs)
    drawn = several_figures(info)
    _write(out / "index.html", several_page(info, drawn))
    _write(out / "summary.md", several_markdown(info, drawn))
    labelled = [(side.label, side.run) for side in info.sides]
    trials = pd.concat([run.trials.assign(run=label) for label, run in labelled])
    epochs = pd.concat([run.epochs.assign(run=label) for label, run in labelled])
    _write(out / "trials.csv", trials.to_csv(index=False))
    write_atomically(out / "epochs.parquet", _parquet(epochs))
    for name, _, drawing in drawn:
        write_atomically(out / f"{name}.png", to_png(drawing))
    return out / "index.html"


def _write(path: Path, text: str) -> None:
    write_atomically(path, text.encode("utf-8"))


def _parquet(epochs: pd.DataFrame) -> bytes:
    found = epochs.to_parquet(index=False)
    assert isinstance(found, bytes)
    return found


def _pictures(material: Material, drawn: Sequence[Figure], out: Path) -> None:
    for figure in drawn:
        write_atomically(out / f"{figure.name}.png", to_png(figure.drawing))
    if material.real is not None:
        write_atomically(out / "samples_real.png", material.real.picture)
    grid = material.grids.get(material.best) if material.best is not None else None
    if grid is not None:
        write_atomically(out / "samples_best.png", _as_png(grid.webps[-1]))


def _as_png(webp: bytes) -> bytes:
    import io

    from PIL import Image

    image = Image.open(io.BytesIO(webp), formats=("WEBP",))
    factor = max(1, round(400 / image.width))
    size = (image.width * factor, image.height * factor)
    buffer = io.BytesIO()
    image.resize(size, Image.Resampling.NEAREST).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
