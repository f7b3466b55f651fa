"""What the commands print: studies, runs, trials."""

import random
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from gantune.analysis.measured import MeasuredIn, from_features
from gantune.checks import search_space
from gantune.document import write_document
from gantune.errors import GantuneError, RunError
from gantune.forecast import forecast
from gantune.goals import metric_of
from gantune.runinfo import describe_warm_start
from gantune.space import Parameter, propose
from gantune.study import Study
from gantune.terminal import Terminal
from gantune.trial import costly_evaluation
from gantune.walks import RandomSource

if TYPE_CHECKING:
    import pandas as pd

    from gantune.analysis.run import Run

SAMPLES = 5
TOP = 10
EPOCH_COLUMNS = (
    "epoch",
    "g_loss",
    "d_loss",
    "d_acc",
    "d_auc",
    "modes",
    "coverage",
    "objective",
    "verdict",
    "train_s",
)


def show_study(study: Study, console: Terminal) -> None:
    """Prints a study as resolved, and what it would use."""
    console.print(write_document({"trial": study.trial.model_dump(mode="json")}))
    for path, spec in study.search.items():
        parameter = Parameter(path, spec)
        console.print(f"{path}: {', '.join(describe(parameter))}")
    console.print("")
    for line in forecast(study):
        console.print(line)
    if study.search:
        console.print(f"\n{SAMPLES} configurations drawn at random:")
        console.print(_samples(study))


def describe(parameter: Parameter) -> list[str]:
    """A parameter's domain and relations in words."""
    spec = parameter.spec
    parts = [f"{spec.domain} {parameter.ends()}"] if spec.domain else []
    parts += [f"step {spec.step}"] if spec.step is not None else []
    parts += [f"times {spec.times}"] if spec.times else []
    parts += [f"same as {spec.same_as}"] if spec.same_as else []
    return parts + [f"when {path} is {value}" for path, value in (spec.when or {}).items()]


def _samples(study: Study) -> Table:
    space, rng = search_space(study), random.Random(study.sampler.seed)
    draws = [propose(space, RandomSource(rng)) for _ in range(SAMPLES)]
    table = make_table("parameter", *(str(index + 1) for index in range(SAMPLES)))
    for path in study.search:
        table.add_row(path, *(shorten(draw.get(path)) for draw in draws))
    return table


def show_runs(runs_dir: Path, console: Terminal) -> None:
    """Prints a line for each run of a directory."""
    from gantune.analysis.run import load

    roots = sorted(path.parent for path in runs_dir.glob("*/study.yaml"))
    if not roots:
        console.print(f"{runs_dir} has no runs")
        return
    table = make_table("run", "status", "trials", "metric", "best", "measured in", "created")
    for root in roots:
        try:
            run = load(root)
            best = run.trials["objective"].dropna()
        except (GantuneError, OSError) as error:
            table.add_row(root.name, "unreadable", "", "", "", "", str(error).splitlines()[0])
            continue
        lower = run.study.objective.direction == "minimize"
        value = (best.min() if lower else best.max()) if len(best) else None
        created = str(run.info.get("created_at", ""))[:16].replace("T", " ")
        table.add_row(
            root.name,
            run.status,
            str(len(run.trials)),
            run.study.objective.metric,
            shorten(value),
            run.measured_in.short if run.measured_in else "-",
            created,
        )
    console.print(table)


def show_run(run: "Run", console: Terminal) -> None:
    """Prints a run: how its trials ended, the best ones, and where everything is."""
    trials = run.trials
    counts = trials["status"].astype("string").value_counts()
    ended = ", ".join(f"{count} {status}" for status, count in counts.items()) or "no trials yet"
    console.print(f"{run.name}: {run.status}; {ended}; {len(run.epochs):,} epochs recorded")
    for session in run.info.get("sessions", [])[:1]:
        if "warm_start" in session:
            console.print(describe_warm_start(session["warm_start"]))
    verdicts = trials["verdict"].astype("string").value_counts()
    if len(verdicts):
        found = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items())
        console.print(f"verdicts: {found}")
    if len(trials):
        console.print(_best_trials(run))
    if run.epochs["objective"].notna().any():
        _show_best(run, console)
    train_s, eval_s = (float(run.epochs[name].sum()) for name in ("train_s", "eval_s"))
    if notice := costly_evaluation(train_s, eval_s, run.study.trial):
        console.print(f"\nnote: {notice}")
    console.print(f"\ntables and journal: {run.place}")
    console.print(f'in Python: gantune.load("{run.place}").trials')


def _show_best(run: "Run", console: Terminal) -> None:
    """Prints what was confirmed, of two objectives how many trials stand, and the best trial."""
    if run.is_confirmed:
        console.print(f"\nconfirmed: {run.seeds()}")
        console.print(_seeds(run))
    try:
        best = run.best()
        if run.study.objective.second:
            front = run.pareto()["number"]
            listed = ", ".join(map(str, front))
            console.print(f"\nno other is better in both: trials {listed} (run.pareto())")
    except RunError as error:
        console.print(f"\nno best trial: {error}")
        return
    values = [f"{run.study.objective.metric} {best.objective:.4g}"]
    if run.study.objective.second:
        second = run.study.objective.second.metric
        values += [f"{second} {shorten(metric_of(best.record, second))}"]
    repeats = run.repeats[run.repeats["number"] == best.number]["confirms"]
    of = f" (trial {repeats.iloc[0]}'s configuration)" if len(repeats) else ""
    found = ", ".join(values)
    console.print(f"\nbest: trial {best.number}{of}, {found}, epoch {best.epoch}")
    console.print(f"  {_measured(run)}")
    for path, value in best.parameters.items():
        console.print(f"  {path}: {shorten(value)}")
    console.print(f"  checkpoint: {best.checkpoint}")


def _seeds(run: "Run") -> Table:
    """A row per configuration that was confirmed."""
    table = make_table("as trial", "seeds", "failed", "median", "quartiles", "in the search")
    for _, row in run.seeds().summary.iterrows():
        table.add_row(
            f"{row['number']}{' (base)' if row['is_base'] else ''}",
            str(row["seeds"]),
            f"{row['failure_rate']:.0%}",
            _or_failed(row["median"]),
            f"{_or_failed(row['q25'])} to {_or_failed(row['q75'])}",
            shorten(row["searched"]),
        )
    return table


def _measured(run: "Run") -> str:
    """What the run's objective was measured in."""
    metric = run.study.objective.metric
    return run.measured_in.describe(metric) if run.measured_in else f"{metric}: nothing noted"


def _or_failed(value: float) -> str:
    return shorten(float(value)) if isfinite(value) else "failed"


def _best_trials(run: "Run") -> Table:
    objective = run.study.objective
    trials = run.trials[run.trials["confirms"].isna()]
    standing = {"misses": trials["feasible"] == "no", "value": objective.sign * trials["objective"]}
    ranked = trials.assign(**standing).sort_values(["misses", "value", "number"])
    searched = [name for name in trials.columns if str(name).startswith("config.")]
    copies = {f"config.{path}" for path, spec in run.study.search.items() if spec.same_as}
    searched = [name for name in searched if name not in copies]
    labels = [_label(str(name).removeprefix("config.")) for name in searched]
    values = ["objective", *(["second_objective"] if objective.second else [])]
    metrics = [aim.metric for aim in objective.both]
    if run.study.constraints:
        values, metrics = [*values, "feasible"], [*metrics, "feasible"]
    table = make_table("trial", "status", "verdict", "epochs", *metrics, *labels)
    for _, row in ranked.head(TOP).iterrows():
        by = f" ({row['stopped_by']})" if isinstance(row["stopped_by"], str) else ""
        cells = [shorten(row[name]) for name in ("epochs", *values, *searched)]
        verdict = shorten(row["verdict"])
        table.add_row(str(row["number"]), f"{row['status']}{by}", verdict, *cells)
    if len(ranked) > TOP:
        table.caption = f"the best {TOP} of {len(ranked)}"
    return table


def _label(path: str) -> str:
    for long, short in (("optimizer.", ""), ("generator.", "G "), ("discriminator.", "D ")):
        path = path.replace(long, short) if path.startswith(long) else path
    return path


def show_trial(run: "Run", number: int, console: Terminal) -> None:
    """Prints a trial: its end, its configuration, its epochs (thinned).

    Raises:
        UsageError: The run has no such trial.
    """
    run.require_trial(number)
    row = run.trials[run.trials["number"] == number].iloc[0]
    console.print(f"{row['trial_id']}: {row['status']}, seed {row['seed']}")
    for path, value in run.parameters(number).items():
        console.print(f"  {path}: {shorten(value)}")
    for name in ("error", "evidence"):
        text = row.get(name) if name == "error" else _last_evidence(run.epochs, number)
        if isinstance(text, str):
            console.print(f"{name}: {text}")
    console.print(_measured(run))
    epochs = run.epochs[run.epochs["number"] == number]
    stride = max(1, len(epochs) // 20)
    always = [1, len(epochs), row["best_epoch"]]
    shown = epochs[(epochs["epoch"] % stride == 0) | (epochs["epoch"].isin(always))]
    table = make_table(*EPOCH_COLUMNS)
    if len(shown) < len(epochs):
        table.caption = f"every {stride}. epoch, the best and the last of {len(epochs)}"
    for _, record in shown.iterrows():
        table.add_row(*(shorten(record[name]) for name in EPOCH_COLUMNS))
    console.print(table)


def _last_evidence(epochs: "pd.DataFrame", number: int) -> Any:
    evidence = epochs.loc[epochs["number"] == number, "evidence"].dropna()
    return evidence.iloc[-1] if len(evidence) else None


def show_evaluation(
    evaluation: Mapping[str, Any],
    record: Mapping[str, Any],
    training: MeasuredIn | None,
    console: Terminal,
) -> None:
    """Prints what `gantune evaluate` found, beside what the trial's own epoch said."""
    console.print(
        f"trial {evaluation['trial']}, epoch {evaluation['epoch']}: {evaluation['repeats']} times "
        f"{evaluation['samples']:,} samples, {evaluation['level']:.0%} intervals of the mean",
    )
    measured = from_features(evaluation["features"], evaluation["samples"])
    console.print(f"in {measured.features}")
    if training is not None:
        console.print(f"in training: {training.samples:,} samples in {training.features}")
    table = make_table("metric", "mean", "low", "high", "in training")
    for name, found in evaluation["metrics"].items():
        values = (found["mean"], found["low"], found["high"], record.get(name))
        table.add_row(name, *("-" if v is None else f"{v:.5g}" for v in values))
    console.print(table)


def make_table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", caption_justify="left")
    for index, name in enumerate(columns):
        table.add_column(name, justify="left" if index == 0 else "right", no_wrap=True)
    return table


def shorten(value: Any) -> str:
    if str(value) in ("None", "nan", "<NA>"):  # all of them mean: not there
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
