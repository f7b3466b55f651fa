"""The command line. Each command imports what it needs when it runs."""

import sys
import traceback
import warnings
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gantune import commands, jobs, views
from gantune.commands import RunName, RunsDir, make_console
from gantune.errors import GantuneError, UsageError
from gantune.finding import find_run, is_run, open_run, take_up, trial_number
from gantune.loader import load_study
from gantune.options import Address, Concurrency, SetOption, Storage, StudyFile, TimeBudget, Trust
from gantune.study import Study
from gantune.terminal import Terminal, say, visible_warning
from gantune.views import WithReport

if TYPE_CHECKING:
    from gantune.tuning.lifecycle import MakeProgress, RunEnd

FAILED, INTERRUPTED = 1, 130

app = typer.Typer(
    name="gantune",
    help="Explore the hyperparameters of GANs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        say(f"gantune {installed_version('gantune')}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version)
    ] = False,
) -> None:
    """Explore the hyperparameters of GANs."""


@app.command()
def check(study: StudyFile, set_: SetOption = None, trust: Trust = False) -> None:
    """Validate a study; print its trial, space, rungs, budget and sample configurations."""
    from gantune.display import show_study

    show_study(load_study(study, set_ or [], trust=trust), make_console())


@app.command()
def schema() -> None:
    """Print the JSON Schema of study files, for editors."""
    import json

    from gantune.study import schema as study_schema

    say(json.dumps(study_schema(), indent=2))


@app.command()
def train(
    source: Annotated[str, typer.Argument(metavar="STUDY|RUN", help="A study file, or a run.")],
    set_: SetOption = None,
    trial: Annotated[
        str | None, typer.Option(metavar="N|best", help="Of a run: the trial to train again.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The run directory to make.")] = None,
    trust: Trust = False,
    runs_dir: RunsDir = Path("runs"),
) -> None:
    """Train a study's base trial, or a trial of a run again, in this process, without Ray."""
    if trial is None:
        if not Path(source).is_file() and is_run(source, runs_dir):
            raise UsageError(f"{source} is a run; say which trial to train again: --trial N|best")
        study = load_study(source, set_ or [], trust=trust)
        target = out or runs_dir / study.name
    else:
        study, target = _again(source, trial, set_ or [], runs_dir, trust)
        target = out or target
    from gantune.tuning.local import train_base

    _report(train_base(study, target, _progress()))


def _again(
    source: str, trial: str, overrides: list[str], runs_dir: Path, trust: bool
) -> tuple[Study, Path]:
    """A trial of a run as a study, and the directory for it."""
    from gantune.analysis.again import trial_as_study

    if Path(source).is_file():
        raise UsageError(f"{source} is a study file, and --trial is for a trial of a run")
    run = open_run(source, runs_dir)
    number = trial_number(run, trial)
    study = trial_as_study(run, number, overrides, trust=trust)
    return study, runs_dir / f"{run.name}-trial-{number}"


@app.command()
def run(
    study: StudyFile,
    set_: SetOption = None,
    trials: Annotated[int | None, typer.Option(min=1, help="Number of trials.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the run; default the study's.")] = None,
    time_budget: TimeBudget = None,
    runs_dir: RunsDir = Path("runs"),
    concurrency: Concurrency = None,
    address: Address = None,
    storage: Storage = None,
    warm_start: commands.WarmStartRun = None,
    trust: Trust = False,
    report: WithReport = True,
) -> None:
    """Run a study."""
    from gantune.tuning.extension import parse_hours
    from gantune.tuning.runner import run_study

    overrides = [*(set_ or []), *([f"budget.trials={trials}"] if trials else [])]
    overrides += [f"budget.hours={parse_hours(time_budget)}"] if time_budget else []
    loaded = load_study(study, overrides, trust=trust)
    what = f"{loaded.budget.trials} trials of at most {loaded.max_epochs} epochs"
    say(f"{name or loaded.name}: {what}; starting Ray ...", err=True)
    end = run_study(
        loaded,
        _progress(),
        name=name,
        runs_dir=runs_dir,
        concurrency=concurrency,
        address=address,
        storage=storage,
        study_file=study.resolve(),
        warm=commands.find_warm_start(loaded, warm_start, runs_dir),
    )
    _report(end, with_page=report)


@app.command()
def resume(
    run: RunName,
    trials: Annotated[
        str | None, typer.Option(metavar="+N|N", help="So many more, or so many in all.")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="A larger budget.epochs: of all trials together.")
    ] = None,
    time_budget: TimeBudget = None,
    confirm: Annotated[
        str | None, typer.Option(metavar="3x5", help="The best 3 again with 5 fresh seeds each.")
    ] = None,
    runs_dir: RunsDir = Path("runs"),
    concurrency: Concurrency = None,
    address: Address = None,
    trust: Trust = False,
    report: WithReport = True,
) -> None:
    """Go on with a run after a crash or Ctrl-C, or give a finished one more to do."""
    from gantune.analysis.run import load
    from gantune.tuning.extension import Extension, parse_hours
    from gantune.tuning.runner import resume_run
    from gantune.tuning.store import send_rest

    root = take_up(run, runs_dir, trust=trust)
    loaded = load(root)
    if loaded.is_live and concurrency and not any((trials, epochs, time_budget, confirm)):
        commands.change_concurrency(root, concurrency)
        return
    hours = parse_hours(time_budget) if time_budget else None
    extension = Extension(trials, epochs, hours, confirm)
    if loaded.is_done and not any(extension):
        if send_rest(root):
            say(f"{root} is in its store as it is here", err=True)
        say(
            f"{root} is finished; there is nothing to go on with, but for more: "
            "--trials +N, --confirm 3x5",
            err=True,
        )
        return
    say(f"going on with {root}; starting Ray ...", err=True)
    end = resume_run(
        root,
        _progress(),
        concurrency=concurrency,
        address=address,
        extension=extension,
        trust=trust,
    )
    _report(end, with_page=report)


@app.command(name="list")
def list_runs(runs_dir: RunsDir = Path("runs")) -> None:
    """List the runs in the runs directory."""
    from gantune.display import show_runs

    show_runs(runs_dir, make_console())


@app.command()
def show(
    run: RunName,
    trial: Annotated[int | None, typer.Argument(min=0, help="A trial's number.")] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Again as it changes, until the run has ended.")
    ] = False,
    runs_dir: RunsDir = Path("runs"),
) -> None:
    """Show a run, or one of its trials."""
    from gantune.display import show_run, show_trial

    if follow:
        _follow(find_run(run, runs_dir), trial)
        return
    loaded, console = open_run(run, runs_dir), make_console()
    if trial is None:
        show_run(loaded, console)
    else:
        show_trial(loaded, trial, console)


def _follow(root: Path, trial: int | None) -> None:
    from gantune.follow import follow

    if trial is not None:
        raise UsageError("--follow shows a whole run; leave the trial's number out")
    try:
        follow(root, make_console())
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


for command in (
    commands.init,
    commands.stop,
    commands.export,
    commands.sample,
    commands.evaluate,
    commands.compare,
    commands.prune,
    jobs.submit,
    views.report,
    views.dashboard,
):
    app.command()(command)


def _progress() -> "MakeProgress":
    from gantune.tuning.progress import LineProgress, LiveProgress

    console = Terminal(stderr=True)

    def make(study: Study) -> LiveProgress | LineProgress:
        return (LiveProgress if console.is_terminal else LineProgress)(study, console)

    return make


def _report(end: "RunEnd", *, with_page: bool = False) -> None:
    from gantune.analysis.run import load
    from gantune.display import show_run

    run = load(end.root)
    show_run(run, make_console())
    if with_page:
        views.report_at_end(end.root)
    if end.status == "interrupted":
        say(f"interrupted; go on with: gantune resume {end.root}", err=True)
        raise typer.Exit(INTERRUPTED)
    if end.status == "failed":
        say(views.why_failed(run), err=True)
        raise typer.Exit(FAILED)


def main() -> None:
    """Entry point: errors become messages on stderr and exit codes."""
    warnings.formatwarning = visible_warning
    try:
        app()
    except (GantuneError, OSError) as error:
        if "--debug" in sys.argv:
            say(traceback.format_exc(), err=True)
        say(f"error: {error}", err=True)
        sys.exit(error.exit_code if isinstance(error, GantuneError) else FAILED)
