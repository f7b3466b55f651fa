"""Commands that make something to look at: a report, a dashboard."""

import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gantune.commands import RunName, RunsDir
from gantune.errors import GantuneError, UsageError
from gantune.finding import find_run
from gantune.terminal import say

if TYPE_CHECKING:
    from gantune.analysis.run import Run

LOCAL = "127.0.0.1"

WithReport = Annotated[
    bool, typer.Option("--report/--no-report", help="Write reports/<name> at the end.")
]


def report(
    runs: Annotated[list[str], typer.Argument(metavar="RUN [RUN...]", help="One run or more.")],
    out: Annotated[
        Path | None, typer.Option(help="The folder to write; default reports/<name>.")
    ] = None,
    runs_dir: RunsDir = Path("runs"),
) -> None:
    """Write a page to look at (index.html), a summary, tables and pictures of runs."""
    page = make_report([find_run(run, runs_dir) for run in runs], out)
    say(f"wrote {page}")


def make_report(roots: Sequence[Path], out: Path | None) -> Path:
    """Writes the report of runs and returns its page."""
    from gantune.analysis.run import load
    from gantune.report.write import report_folder, write_report

    runs = [load(root) for root in roots]
    return write_report(runs, out or report_folder(runs))


def why_failed(run: "Run") -> str:
    """What to say of a run that has failed."""
    if not run.trials["status"].isin(["completed", "stopped"]).any():
        return f"no trial succeeded; see gantune show {run.root} 0"
    failed = run.trials.loc[run.trials["status"] == "failed", "number"].max()
    return (
        f"trial {failed} failed, and with fail_fast that ends the run; see gantune show {run.root} "
        f"{failed}, or go on with: gantune resume {run.root}"
    )


def report_at_end(root: Path) -> None:
    """Writes the report of a run that has ended; what is wrong with it is no fault of the run."""
    try:
        say(f"report: {make_report([root], None)}")
    except (GantuneError, OSError) as error:
        say(f"no report: {error}; try: gantune report {root}", err=True)


def dashboard(
    run: RunName,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="TensorBoard, on the run's event files.")
    ] = False,
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8080,
    runs_dir: RunsDir = Path("runs"),
) -> None:
    """Open optuna-dashboard on a copy of a run's journal, or TensorBoard, on this machine only."""
    from gantune.paths import RunPaths, refuse_links

    paths = RunPaths(find_run(run, runs_dir))
    if tensorboard:
        refuse_links(paths)
        _require("tensorboard", "TensorBoard")
        logs = paths.root / "tensorboard"
        if not logs.is_dir():
            raise UsageError(
                f"{paths.root} has no event files; its study needs loggers: [tensorboard]"
            )
        _announce(port)
        server = [sys.executable, "-m", "tensorboard.main", "--logdir", str(logs)]
        # In place of this process: what ends the command ends the server.
        os.execv(sys.executable, [*server, "--host", LOCAL, "--port", str(port)])
    _require("optuna_dashboard", "optuna-dashboard")
    if not paths.journal.exists():
        raise UsageError(f"{paths.root} has no journal: it was trained without a search")
    from gantune.analysis.run import load
    from gantune.report.dashboard import serve_copy

    loaded = load(paths.root)
    _announce(port)
    serve_copy(loaded, LOCAL, port)


def _require(module: str, name: str) -> None:
    if find_spec(module) is None:
        raise UsageError(f"{name} is not installed: pip install {name.lower()}")


def _announce(port: int) -> None:
    say(f"http://{LOCAL}:{port}/ until Ctrl-C", err=True)
