"""Commands on files: shipped studies, and what runs have left."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gantune.errors import UsageError
from gantune.finding import find_run, find_trial, open_run, trial_number
from gantune.terminal import Terminal, say

if TYPE_CHECKING:
    from gantune.analysis.run import Run
    from gantune.generator import Generator
    from gantune.study import Study
    from gantune.tuning.warm import WarmStart

PIPE_WIDTH = 160

RunName = Annotated[str, typer.Argument(metavar="RUN", help="A run: its directory, name or URI.")]
RunsDir = Annotated[Path, typer.Option(help="Where runs are kept.")]
WhichTrial = Annotated[
    str, typer.Option("--trial", metavar="N|best", help="A trial's number, or the best.")
]

WarmStartRun = Annotated[
    str | None,
    typer.Option("--warm-start", metavar="RUN", help="Learn from an earlier run's ended trials."),
]


def init(
    name: Annotated[str | None, typer.Argument(help="A shipped study; none: list them.")] = None,
    out: Annotated[Path | None, typer.Option(help="The file to write; default NAME.yaml.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over what is there.")] = False,
) -> None:
    """Write a shipped study's file here to begin from, or list them all."""
    from gantune.shipped import find_shipped, shipped_studies, write_shipped

    if name is None:
        if out is not None:
            raise UsageError("init --out FILE needs the name of a study; `gantune init` lists them")
        studies = shipped_studies()
        width = max(len(study.name) for study in studies)
        for study in studies:
            say(f"{study.name:{width}}  {study.question}")
        return
    written = write_shipped(find_shipped(name), out or Path(f"{name}.yaml"), force=force)
    say(f"wrote {', '.join(map(str, written))}; try: gantune check {written[0]}")


def stop(
    run: RunName,
    trial: Annotated[int | None, typer.Option(min=0, help="Only this trial.")] = None,
    runs_dir: RunsDir = Path("runs"),
) -> None:
    """End a running study, or one of its trials, cleanly, from another terminal."""
    from gantune.analysis.run import load
    from gantune.lock import is_held
    from gantune.paths import RunPaths, refuse_links

    paths = RunPaths(find_run(run, runs_dir))
    refuse_links(paths)
    if not is_held(paths.lock):
        raise UsageError(f"{paths.root} is not running")
    if trial is not None:
        trials = load(paths.root).trials
        has_time = trials["status"].isin(["running", "waiting"])
        running = [int(number) for number in trials["number"][has_time]]
        if trial not in running:
            raise UsageError(f"trial {trial} is not running; those that are, or wait: {running}")
    paths.control.mkdir(exist_ok=True)
    what = "all" if trial is None else str(trial)
    (paths.control / f"stop-{what}").touch()
    who = "its running trials end" if trial is None else f"trial {trial} ends"
    say(f"asked {paths.root}: {who} at the next report")


def export(
    run: RunName,
    out: Annotated[Path | None, typer.Option(help="The folder to write.")] = None,
    trial: WhichTrial = "best",
    study: Annotated[
        Path | None, typer.Option(help="Write the trial as a study file (YAML), too or instead.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over what is there.")] = False,
    runs_dir: RunsDir = Path("runs"),
) -> None:
    """Write a trial's generator: safetensors, configuration, model card."""
    if out is None and study is None:
        raise UsageError("export needs --out DIR, or --study FILE, or both")
    loaded = open_run(run, runs_dir)
    number = trial_number(loaded, trial)
    if study is not None:
        _export_study(loaded, number, study, force=force)
        say(f"wrote {study}; try: gantune train {study}")
    if out is not None:
        from gantune.export import write_export

        write_export(loaded, loaded.trial(number), out, force=force)
        say(f'wrote {out}; in Python: gantune.load_generator("{out}")')


def _export_study(run: "Run", number: int, path: Path, *, force: bool) -> None:
    from gantune.analysis.again import trial_as_study
    from gantune.document import write_document
    from gantune.parts.base import as_written
    from gantune.storage import write_atomically

    if run.study.extensions:
        raise UsageError(
            f"{run.root} has extensions, and export runs none: train the trial again with "
            f"`gantune train {run.root} --trial {number}`, or use gantune.trial_as_study in Python"
        )
    tree = as_written(trial_as_study(run, number))
    if path.exists() and not force:
        raise UsageError(f"{path} exists already; --force writes over it")
    write_atomically(path, write_document(tree).encode())


def sample(
    source: Annotated[
        str, typer.Argument(metavar="RUN|EXPORT", help="A run, or an exported folder.")
    ],
    out: Annotated[Path, typer.Option(help="The PNG to write.")],
    count: Annotated[int, typer.Option("-n", min=1, max=10_000, help="Number of samples.")] = 64,
    seed: Annotated[int, typer.Option(min=0, help="Of the latents.")] = 0,
    trial: WhichTrial = "best",
    runs_dir: RunsDir = Path("runs"),
) -> None:
    """Draw samples of a trained generator into a picture."""
    from gantune.pictures import picture_to_png, samples_to_picture
    from gantune.storage import write_atomically

    generator = _generator(source, trial, runs_dir)
    samples = generator.sample(count, seed).numpy()
    picture = samples_to_picture(samples, generator.config.data)
    write_atomically(out, picture_to_png(picture))
    say(f"wrote {out}: {count} samples, {picture.width}x{picture.height} pixels")


def _generator(source: str, trial: str, runs_dir: Path) -> "Generator":
    from gantune.export import is_export, load_generator

    if is_export(Path(source)):
        return load_generator(source)
    return find_trial(source, trial, runs_dir)[1].stored_generator()


def evaluate(
    run: RunName,
    trial: WhichTrial = "best",
    samples: Annotated[int, typer.Option(min=2, help="Samples in each repeat.")] = 10_000,
    repeats: Annotated[int, typer.Option(min=2, help="Repeats with fresh latents.")] = 5,
    runs_dir: RunsDir = Path("runs"),
) -> None:
    """Score a trial's checkpoint again, with more samples and an interval."""
    from gantune.display import show_evaluation
    from gantune.evaluate import evaluate as evaluate_trial
    from gantune.paths import RunPaths, refuse_links
    from gantune.storage import write_json

    refuse_links(RunPaths(find_run(run, runs_dir)))
    loaded, best = find_trial(run, trial, runs_dir)
    found = evaluate_trial(best, samples, repeats)
    path = RunPaths(loaded.root).evaluation(best.number)
    write_json(path, found.as_json())
    show_evaluation(found.as_json(), best.record, loaded.measured_in, make_console())
    say(f"wrote {path}")


def compare(
    runs: Annotated[list[str], typer.Argument(metavar="RUN RUN...", help="Two runs or more.")],
    metric: Annotated[
        str | None, typer.Option(help="A metric of every run; default their objective.")
    ] = None,
    runs_dir: RunsDir = Path("runs"),
) -> None:
    """Compare runs: what each reached, by which budget, how their studies differ."""
    from gantune.analysis.compare import compare as compare_runs
    from gantune.comparison import show_comparison

    loaded = [open_run(run, runs_dir) for run in runs]
    show_comparison(compare_runs(loaded, metric=metric), make_console())


def prune(
    run: RunName,
    keep_top: Annotated[
        int | None, typer.Option(min=1, help="Trials that keep theirs; default the study's.")
    ] = None,
    last: Annotated[
        bool, typer.Option("--last", help="Also what trials could be trained on from.")
    ] = False,
    runs_dir: RunsDir = Path("runs"),
) -> None:
    """Remove weights and pictures of ended trials that are not among the best."""
    from gantune.disk import prune as prune_run
    from gantune.loader import open_study
    from gantune.paths import RunPaths

    paths = RunPaths(find_run(run, runs_dir))
    freed = prune_run(paths, open_study(paths.study), keep_top, keep_last=not last)
    say(f"{paths.root}: freed {freed.size / 1e6:,.1f} MB of {freed.trials} trials")


def change_concurrency(root: Path, trials: int) -> None:
    """Tells the process that drives a run how many trials may run at once from now on."""
    from gantune.paths import RunPaths, refuse_links
    from gantune.storage import write_atomically

    paths = RunPaths(root)
    refuse_links(paths)
    paths.control.mkdir(exist_ok=True)
    write_atomically(paths.concurrency, str(trials).encode())
    say(f"{root} is running; from now on with at most {trials} at once")


def find_warm_start(study: "Study", run: str | None, runs_dir: Path) -> "WarmStart | None":
    """What a study can learn from a run given by path or by name; says how much it is.

    Raises:
        UsageError: There is no such run, or nothing to learn from it.
    """
    if run is None:
        return None
    from gantune.tuning.warm import warm_start

    found = warm_start(study, find_run(run, runs_dir))
    say(str(found.prior), err=True)
    return found


def make_console() -> Terminal:
    """Where commands print tables."""
    console = Terminal(soft_wrap=True)
    # Whoever reads a file or a pipe has room for a table.
    return console if console.is_terminal else Terminal(soft_wrap=True, width=PIPE_WIDTH)
