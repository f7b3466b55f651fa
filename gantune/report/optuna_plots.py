"""Optuna's own plots of a run, as plotly's JSON: read from a copy of the run's journal.

A stopped trial counts with the best value that it reached, for Optuna draws finished trials only
and in a search with early stopping those are few. Names and choices go in as text that plotly
shows as it is: plotly reads tags.
"""

import json
import math
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gantune.analysis.run import Run
from gantune.goals import Objective
from gantune.paths import RunPaths
from gantune.report.axes import wants_log
from gantune.report.drawing import INKS
from gantune.report.thinning import thin_indices
from gantune.report.words import in_words, label, short
from gantune.space import RATIO

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

MAX_TRIALS = 400
CONTOUR_TRIALS = 80
"""A contour has as many cells as pairs of trials."""
SLICES, CONTOURS, PARALLEL = 6, 3, 7

_INTERMEDIATE = b'{"op_code":7,'
"""Lines of the journal that none of these plots needs, and that most of it are."""


@dataclass(frozen=True)
class OptunaPlot:
    """One of Optuna's plots.

    Attributes:
        name: Short, for the page.
        title: For people.
        caption: What to read off it.
        figure: plotly's ``data`` and ``layout``.
    """

    name: str
    title: str
    caption: str
    figure: dict[str, Any]


def optuna_plots(run: Run, ranked: Sequence[str]) -> list[OptunaPlot]:
    """Optuna's plots; none where the run has no journal that can be read.

    Args:
        run: The run.
        ranked: Searched paths, the most important first.
    """
    from gantune.tuning.agreement import is_larger

    again = set(run.repeats["number"].astype(int))
    path = RunPaths(run.root).journal
    if is_larger(path, run.study, len(run.trials), len(run.epochs)):
        return []
    # Repeats of a confirmation are no part of the search.
    told = [trial for trial in journal_trials(path, run.name) if trial.number not in again]
    objectives = _objectives(run)
    reached = [_as_reached(trial, objectives) for trial in told]
    shown = [trial for trial in reached if trial.state.name == "COMPLETE"]
    if len(shown) < 2:
        return []
    names = [_name(_key(run, path)) for path in ranked if run.study.search[path].domain]
    names = [name for name in names if any(name in trial.params for trial in shown)]
    always = [name for name in names if all(name in trial.params for trial in shown)]
    with warnings.catch_warnings():
        # Some of Optuna's plots are marked as experimental.
        warnings.simplefilter("ignore")
        views = _Views(run.study.objective, told, reached, shown)
        return [*views.of_parameters(names, always), *views.of_trials()]


def journal_trials(path: Path, name: str) -> "list[FrozenTrial]":
    """Trials of a journal without their intermediate values, read from a copy.

    Args:
        path: The journal; one that is being written may end in a torn line.
        name: What the study is called there.
    """
    from optuna import load_study, logging
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    from gantune.tuning.journal import UNREADABLE

    if not path.is_file():
        return []
    logging.set_verbosity(logging.WARNING)
    lines = path.read_bytes().splitlines(keepends=True)
    kept = [x for x in lines if x.endswith(b"\n") and not x.startswith(_INTERMEDIATE)]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "journal"
        copy.write_bytes(b"".join(kept))
        try:
            storage = JournalStorage(JournalFileBackend(str(copy)))
            if not (names := [study.study_name for study in storage.get_all_studies()]):
                return []
            study = load_study(study_name=name if name in names else names[0], storage=storage)
            trials = study.get_trials(deepcopy=False)
        except UNREADABLE:
            return []
    return [_renamed(trial) for trial in trials]


def _objectives(run: Run) -> dict[int, float]:
    known = run.trials.dropna(subset=["objective"])
    return dict(zip(known["number"].astype(int), known["objective"].astype(float), strict=True))


def _renamed(trial: "FrozenTrial") -> "FrozenTrial":
    """The trial with names and choices that are safe to show."""
    from optuna.distributions import CategoricalDistribution
    from optuna.trial import FrozenTrial

    params, distributions = {}, {}
    for key, distribution in trial.distributions.items():
        value = trial.params[key]
        if isinstance(distribution, CategoricalDistribution):
            choices = _choices(distribution.choices)
            value = choices[distribution.choices.index(value)]
            distribution = CategoricalDistribution(choices)
        params[_name(key)], distributions[_name(key)] = value, distribution
    return FrozenTrial(
        number=trial.number,
        state=trial.state,
        value=trial.values[0] if trial.state.name == "COMPLETE" and trial.values else None,
        datetime_start=trial.datetime_start,
        datetime_complete=trial.datetime_complete,
        params=params,
        distributions=distributions,
        user_attrs={},
        system_attrs={},
        intermediate_values={},
        trial_id=trial.number,
    )


def _choices(choices: Sequence[Any]) -> list[Any]:
    """Choices as texts that differ; of Python's types only bools and numbers stay."""
    texts: list[Any] = []
    for choice in choices:
        text = escape(short(str(choice), 24)) if isinstance(choice, str) else choice
        texts.append(f"{text} #{len(texts)}" if text in texts else text)
    return texts


def _name(key: str) -> str:
    brief = short(label(key.removesuffix(RATIO)), 32)
    return escape(f"{brief} (ratio)" if key.endswith(RATIO) else brief)


def _key(run: Run, path: str) -> str:
    return path + RATIO if run.study.search[path].times else path


def _as_reached(trial: "FrozenTrial", objectives: dict[int, float]) -> "FrozenTrial":
    """A trial that was stopped as if it had ended: with what it reached."""
    from copy import copy

    from optuna.trial import TrialState

    if trial.number not in objectives or not trial.state.is_finished():
        return trial
    ended = copy(trial)
    ended.state, ended.value = TrialState.COMPLETE, objectives[trial.number]
    return ended


class _Views:
    """Optuna's plots of one run's trials."""

    def __init__(
        self,
        objective: Objective,
        told: "Sequence[FrozenTrial]",
        reached: "Sequence[FrozenTrial]",
        shown: "Sequence[FrozenTrial]",
    ) -> None:
        self._name, self._goal = in_words(objective.metric), objective.direction
        self._told = told
        self._all = self._study(_thin(reached))
        best_first = sorted(shown, key=lambda t: objective.sign * float(t.value or 0))
        count = min(CONTOUR_TRIALS, len(best_first))
        self._which = f"{'all' if count == len(best_first) else 'the best'} {count} trials"
        self._top = self._study(best_first[:count])
        # Where a higher value is better, none that is spread like this is a distance.
        values = [float(trial.value or 0) for trial in shown]
        self._is_log = self._goal == "minimize" and wants_log(values)

    def of_parameters(self, names: list[str], always: list[str]) -> Iterator[OptunaPlot]:
        """Plots of the objective over parameters; some need all trials to have them."""
        from optuna import visualization as plots

        if names:
            slices = plots.plot_slice(self._all, params=names[:SLICES], target_name=self._name)
            yield OptunaPlot(
                "slice",
                "Slice: the objective against each parameter",
                "A parameter that matters bends the cloud. Darker dots are later trials: where "
                "they gather is where the search believes the best to be.",
                self._figure(slices, "yaxis"),
            )
        if len(always) < 2:
            return
        yield OptunaPlot(
            "contour",
            "Contour: pairs of the most important parameters",
            f"Of {self._which} with a value. A valley that runs aslant says that the two must be "
            "set together; colours between the dots are interpolated.",
            self._figure(plots.plot_contour(self._top, params=always[:CONTOURS], **self._target())),
        )
        parallel = plots.plot_parallel_coordinate(
            self._all, params=always[:PARALLEL], **self._target()
        )
        yield OptunaPlot(
            "parallel",
            "Parallel coordinates",
            "A line per trial, darker where it is better. Where dark lines meet on an axis, that "
            "value is common to the good trials.",
            self._figure(parallel),
        )

    def of_trials(self) -> Iterator[OptunaPlot]:
        """Plots of the objective over trials, and of trials over time."""
        from optuna import visualization as plots

        history = plots.plot_optimization_history(self._all, target_name=self._name)
        yield OptunaPlot(
            "history",
            "Optimization history",
            "The search learns if later dots lie better than the first ones.",
            self._figure(history, "yaxis"),
        )
        yield OptunaPlot(
            "edf",
            "Distribution of the objective over trials",
            "The share of trials at or below a value. Where lower is better, a steep start says "
            "that good values are easy to find.",
            self._figure(plots.plot_edf([self._all], target_name=self._name), "xaxis"),
        )
        if any(trial.datetime_complete for trial in self._told):
            yield OptunaPlot(
                "timeline",
                "Time line of trials",
                "When each trial ran, and how Optuna was told that it ended: PRUNED are those "
                "that were stopped or diverged. Gaps are time without training.",
                self._figure(plots.plot_timeline(self._study(_thin(self._told)))),
            )

    def _study(self, trials: "Sequence[FrozenTrial]") -> "Study":
        import optuna

        study = optuna.create_study(direction=self._goal)
        study.add_trials(trials)
        return study

    def _target(self) -> dict[str, Any]:
        """What colours stand for: a logarithm where one value would take all of the scale."""
        if not self._is_log:
            return {"target_name": self._name}
        return {
            "target": lambda trial: math.log10(trial.value),
            "target_name": f"log10 of {self._name}",
        }

    def _figure(self, figure: Any, axis: str = "") -> dict[str, Any]:
        """plotly's JSON without its own theme, which the page has; the objective's axis by name."""
        found: dict[str, Any] = json.loads(figure.to_json())
        # As wide as the page, not 300 pixels for each parameter.
        left_out = ("template", "width")
        layout = {name: value for name, value in found["layout"].items() if name not in left_out}
        layout["title"] = {"text": ""}
        for name, value in layout.items():
            if axis and self._is_log and name.startswith(axis):
                layout[name] = {**value, "type": "log", "dtick": 1}
        for trace in found["data"]:
            if isinstance(marker := trace.get("marker"), dict) and "colorscale" in marker:
                # The ends of a scale of colours are as light as one theme or as dark as the other.
                marker["line"] = {"color": INKS["grey"][0], "width": 1}
        return {"data": found["data"], "layout": layout}


def _thin(trials: "Sequence[FrozenTrial]") -> "list[FrozenTrial]":
    return [trials[i] for i in thin_indices(len(trials), MAX_TRIALS)]
