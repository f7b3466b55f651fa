"""The report on search quality: what the tables come to, and how they were made."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from search_figures import RESAMPLES, Interval, Search, matrix
from search_plot import Panel, draw
from search_record import SEARCH_SPACES, TASKS, task_study
from search_simulate import STOPPING
from search_surrogate import FOLDS, TREES, Recorded, held_out, read_recorded
from search_tables import (
    NO_WORSE,
    Findings,
    arms_table,
    early_table,
    ratios_table,
    seeds_table,
    shown_ratio,
    shown_share,
    surrogate_table,
)

from gantune.loader import load_study

TEXT = """# Search quality

How many epochs does a search need until it has found a good GAN? gantune as shipped (TPE and
ASHA, the base trial first; ASHA's promoting kind, on packing the stopping one) against random
search that stops nothing and against a hand-written Ray Tune script (OptunaSearch's defaults under
ASHAScheduler), after equally many epochs.

Two aims: random search's last median in at most a third of its epochs; no worse than the script at
equal epochs, at 95% (the interval of the ratio of best objectives ends at {no_worse} or below).

{answers}

{why}

## Real training

Digits, {trained_seeds} seeds, {trained_budget} epochs each, two trials at once. So few seeds give
wide intervals: what each found is below. (On grid only gantune's search was run on real training,
with seeds 0 to 2: after 960 epochs 0.22, 0.10 and 0.14 of the data were not covered.)

{trained}

## Simulated: the searches on recorded trials

Two slots, every epoch as long as any other; how many seeds is said above. Below: `start: []` is
gantune without its base trial (random search has none either); `random + ASHA` has gantune's rungs
and no model; `by hand` has the rungs of
[ray_tune_script.py](../../benchmarks/baselines/ray_tune_script.py) (`grace_period` 4,
`reduction_factor` 3), *Ray's rungs* are ASHAScheduler's defaults (1, 4), *gantune's* those of the
shipped study.

![Best objective against epochs spent](curves.svg)

Lines: medians over the seeds; bands: quartiles. Both axes' left ends are cut where little was found
yet.

{simulated}

## How it was measured

`python benchmarks/search_quality.py`; {machine}.

- **Studies.** A search may spend what the shipped study's trials come to in full length,
  some of them in shorter epochs:

{studies}
- **Recorded.** {recorded}: all trained to their full length on real data by gantune itself; the
  first ones drawn at random, the rest proposed by TPE, to have more of them where searches go.
- **Surrogate.** A trial in a simulated search has the learning curve of one recorded trial, as it
  was measured: that in the leaf of one of {trees} fully grown, extremely randomised trees over the
  searched parameters (ratios and rates as logarithms), fitted to the logarithms of the curves; the
  trial's seed draws the tree. Noise and setbacks stay. **No simulated trial is better than the
  best recorded one**: searches that reach it are equal. It was the end of {floors}.
- **Searches.** gantune's conductor itself, with its sampler, rungs and tables; Ray's OptunaSearch
  and ASHAScheduler objects themselves, called as Tune's controller calls them: the last objective
  of each epoch, stopped trials told with it as complete, one trial asked ahead of the slots. A test
  compares both with real runs.
- **Real training** is `gantune run`, and
  [search_script.py](../../benchmarks/baselines/search_script.py): the same networks, data and
  Fréchet distance, so that only the search differs.
- **Intervals**: 95%, paired bootstrap, {resamples} draws of seeds. *Epochs to random search's last
  median*: when a search's median is at least as good as random search's after all its epochs; one
  third is the aim. *gantune / by hand*: geometric mean of the ratios of best objectives; below 1
  gantune is better, and it is *no worse* where the interval ends at {no_worse} or below.
- The best objective is the best that was measured, noise included, as a search reports it. Of
  coverage, which is maximized, it is what is missing to 1: the share of the data that is not
  covered.

### How much early epochs say

The recorded trials by their objective at an epoch, by the best until then, and at the end.
gantune's rungs go by the value there.

{early}

### How good the surrogate is

Each recorded trial against what a surrogate says that was fitted without it ({folds} folds).
*One answer* is what a simulated search sees; it also holds the noise between two seeds.

{surrogate}

[digits.parquet](digits.parquet), [grid.parquet](grid.parquet), [rates.parquet](rates.parquet) and
[packing.parquet](packing.parquet) have every recorded epoch, [searches.parquet](searches.parquet)
what each search found when.
"""

WHY = """## Why

- **Early epochs mislead.** Of the tenth of the recorded trials that ends best, on digits less than
  half are among those that pass the first rung ([below](#how-much-early-epochs-say)).
- **Waiting.** But for packing the shipped studies use `asha_promotion`: a trial that is not among
  the best at its rung waits there, and goes on when enough worse ones have come. Best objectives
  over those with the same rungs but stopped for good (below: *gantune, stopping*), all epochs, are
  {stopping}. The first trials of a stopping search go far because nobody was there before them,
  and what starts slowly is gone.
- **What a rung and the sampler see** is a trial's objective at the rung, not its best until then,
  which is often a lucky early epoch. On rates it draws TPE to where nothing is.
- **Rungs** and shares of random draws were chosen by seeds of their own (1000 to 1039): of
  `digits` and `rates` among some 20 pairs, of `grid` among seven.
- **What is measured** decides how early one can tell. `rates` was the first study of a grid here,
  and stopping gains little on it: its objective `mode_kl` looks at samples near a mode only, of
  which an untrained or blurred GAN has a few, spread evenly, and without averaged weights it jumps
  from epoch to epoch. `grid` is the same data with R1, averaged weights and *coverage*, which
  counts quality and spread at once; it was made after `rates` had been measured, to see whether
  that was the reason. Both are kept.
- **The base trial**, which gantune trains first, has usual rates, which are poor ones on digits:
  `start: []` below is the search without it.
- **On rates the model does not help.** The best trials are rare, bloom late, and a second seed
  of the same configuration often fails: two of three draws are at random there, and `random + ASHA`
  (with gantune's rungs) and the script find as much.
- **The best recorded trial of grid** is far ahead of all others. Whether a search comes by it is
  much of what differs between seeds late in a search.
- **On packing there is little to find.** At this length a trial's end hardly depends on its
  configuration (the last table below: the surrogate says next to nothing about trials that it has
  not seen). No search leaves random search behind there, the script included.
"""

AIM = 1 / 3
PROMOTES = ("digits", "grid", "rates")
DRAWN = ("gantune", "random", "by hand")
SURROGATE_AT = {
    "digits": (1, 5, 15, 40),
    "grid": (1, 5, 15, 40),
    "rates": (1, 5, 15, 20),
    "packing": (8, 16, 20),
}


def write_report(folder: Path, searches: Sequence[Search], machine: str) -> None:
    """Writes the report and its figure beside the tables that it is made of."""
    recorded = {
        name: read_recorded(folder / f"{name}.parquet", task_study(task).objective.direction)
        for name, task in TASKS.items()
    }
    text = TEXT.format(
        **found_text(searches),
        why=WHY.format(
            stopping=", ".join(_stopping(name, searches) for name in PROMOTES),
        ),
        machine=machine,
        studies="\n".join(map(_study, TASKS)),
        recorded=", ".join(_recorded(name, recorded[name]) for name in TASKS),
        floors="; ".join(
            _floors(name, Findings(searches, name, "simulated"), recorded[name]) for name in TASKS
        ),
        resamples=f"{RESAMPLES:,}",
        no_worse=NO_WORSE,
        folds=FOLDS,
        trees=TREES,
        early="\n\n".join(_early(name, recorded[name]) for name in TASKS),
        surrogate="\n\n".join(_surrogate(name, recorded[name]) for name in TASKS),
    )
    (folder / "README.md").write_text(text, encoding="utf-8")
    (folder / "curves.svg").write_text(figure(searches), encoding="utf-8")


def found_text(searches: Sequence[Search]) -> dict[str, str]:
    """What of the report the searches alone decide, by its place in the text."""
    found = {name: Findings(searches, name, "simulated") for name in TASKS}
    trained = Findings(searches, "digits", "trained")
    tables = (
        arms_table(trained),
        ratios_table(trained, ("by hand", "random")),
        seeds_table(trained),
    )
    return {
        "answers": _answers(found, trained),
        "trained_seeds": str(trained.seeds),
        "trained_budget": str(trained.budget),
        "trained": "\n\n".join(map(_lines, tables)),
        "simulated": "\n\n".join(_simulated(name, found[name]) for name in TASKS),
    }


def _answers(found: dict[str, Findings], trained: Findings) -> str:
    kinds = {f"{name}, simulated": findings for name, findings in found.items()}
    lines = []
    for kind, findings in {"digits, real training": trained, **kinds}.items():
        share, overall = findings.share("gantune"), findings.ratio("by hand")
        end = findings.ratio("by hand", findings.budget)
        lines.append(
            f"- **{kind}** ({findings.seeds} seeds): where random search's median ends, gantune's "
            f"is after {shown_share(share)} of its epochs ({_against_the_aim(share)}). Its best "
            f"objective is {shown_ratio(overall)} times the script's over all epochs "
            f"({_against_the_script(overall)}), {shown_ratio(end)} times after the last "
            f"({_against_the_script(end)})."
        )
    return "\n".join(lines)


def _against_the_aim(share: Interval) -> str:
    if share.high <= AIM:
        return "aim met, at 95%"
    return "aim met, not at 95%" if share.value <= AIM else "**aim not met**"


def _against_the_script(ratio: Interval) -> str:
    if ratio.high < 1:
        return "better, at 95%"
    if ratio.high <= NO_WORSE:
        return "no worse, at 95%"
    return "**worse, at 95%**" if ratio.low > 1 else "**not shown to be no worse**"


def _simulated(name: str, found: Findings) -> str:
    others = [arm for arm in found.best if arm != "gantune"]
    return f"### {name}\n\n{_lines(arms_table(found))}\n\n{_lines(ratios_table(found, others))}"


def _stopping(name: str, searches: Sequence[Search]) -> str:
    ratio = Findings(searches, name, "simulated").ratio(STOPPING)
    return f"{shown_ratio(ratio)} on {name}"


def _study(name: str) -> str:
    task, study = TASKS[name], task_study(TASKS[name])
    train = load_study(SEARCH_SPACES / task.file).trial.train
    instead = "" if train.steps_per_epoch == task.rounds else f" instead of {train.steps_per_epoch}"
    return (
        f"  - `{name}`: [{study.name}](../../search_spaces/{task.file}), {task.rounds} rounds per "
        f"epoch{instead}, {train.epochs} epochs a trial; "
        f"`{study.objective.metric}`; {task.budget} epochs, {task.budget // train.epochs} whole "
        f"trials."
    )


def _recorded(name: str, recorded: Recorded) -> str:
    task, count = TASKS[name], len(recorded.curves)
    return f"{count} trials of `{name}` ({min(task.drawn, count)} of them at random)"


def _floors(name: str, found: Findings, recorded: Recorded) -> str:
    length = task_study(TASKS[name]).trial.train.epochs
    floor = min(curve.best(length) for curve in recorded.curves)
    shares = [f"{arm} {int(np.sum(found.best[arm][:, -1] <= floor))}" for arm in DRAWN]
    return f"{', '.join(shares)} of {found.seeds} on {name}"


def _early(name: str, recorded: Recorded) -> str:
    study = task_study(TASKS[name])
    assert study.scheduler.name != "none"
    rungs = sorted({1, 4, *(int(level) for level in study.rungs)})
    table = early_table(recorded, rungs, study.scheduler.reduction_factor)
    return f"`{name}`:\n\n{_lines(table)}"


def _surrogate(name: str, recorded: Recorded) -> str:
    answers = held_out(task_study(TASKS[name]), recorded)
    return f"`{name}`:\n\n{_lines(surrogate_table(answers, SURROGATE_AT[name]))}"


def figure(searches: Sequence[Search]) -> str:
    """The curves of the searches that the report is about, as SVG."""
    panels = {
        "digits, real training": ("digits", "trained", "Fréchet distance"),
        "digits, simulated": ("digits", "simulated", "Fréchet distance"),
        "grid, simulated": ("grid", "simulated", "share not covered"),
    }
    return draw(
        [
            Panel(title, unit, {arm: matrix(searches, task, kind, arm) for arm in DRAWN})
            for title, (task, kind, unit) in panels.items()
        ]
    )


def _lines(lines: Sequence[str]) -> str:
    return "\n".join(lines)
