"""Records for the answer: the best configuration against the base, and how sure that is."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from gantune.analysis.recorded import of_search
from gantune.analysis.run import Run
from gantune.analysis.seeds import base_number
from gantune.errors import RunError
from gantune.report.confirmed import Confirmed
from gantune.report.lessons import WorstRegion, failed, mattered
from gantune.report.verdicts import look_of
from gantune.report.words import (
    Fact,
    Sentence,
    in_words,
    is_known,
    with_nulls,
)

SOUND = 0.9
"""Held-out accuracy below which a classifier's features say little."""


@dataclass(frozen=True)
class Reached:
    """What a trial has reached."""

    number: int
    objective: float | None
    epoch: int | None
    epochs: int | None
    status: str
    verdict: str | None


@dataclass(frozen=True)
class Setting:
    """A searched path: its value in the best trial and in the base trial."""

    path: str
    best: Any
    base: Any
    differs: bool


@dataclass(frozen=True)
class Answer:
    """What a run has found.

    Attributes:
        best: The best trial; None where no trial has a value.
        why_none: Why there is no best trial.
        base: The study's own trial as it stands; None where the search did not try it.
        gain: How much better the best is than the base, as a share of the base's value; negative
            would be worse. None where one of them or the share is not known.
        settings: Searched paths, those that differ first.
        mattered: A sentence.
        failed: A sentence.
        sure: Sentences.
    """

    metric: str
    goal: str
    best: Reached | None
    why_none: str
    base: Reached | None
    gain: float | None
    settings: tuple[Setting, ...]
    mattered: Sentence
    failed: Sentence
    sure: tuple[Sentence, ...]


def answer(
    run: Run, found: Confirmed | None, importance: pd.DataFrame, worst: WorstRegion | None
) -> Answer:
    """The answer of a run.

    Args:
        run: The run.
        found: Its confirmation over seeds.
        importance: A row per parameter: ``parameter``, ``importance``, ``trials``.
        worst: Where it failed most.
    """
    trials, objective = of_search(run), run.study.objective
    number, why = best_of(run, found)
    best = None if number is None else reached(trials, number)
    base_is = base_number(run)
    base = None if base_is is None else reached(trials, base_is)
    return Answer(
        metric=objective.metric,
        goal=objective.direction,
        best=best,
        why_none=why,
        base=base,
        gain=_gain(best, base, objective.sign),
        settings=_settings(run, best, base),
        mattered=mattered(importance, len(trials)),
        failed=failed(trials, worst),
        sure=_sure(run, best, found),
    )


def best_of(run: Run, found: Confirmed | None) -> tuple[int | None, str]:
    """The trial of the search with the best configuration, or why there is none."""
    if found is not None and found.winner is not None:
        return found.winner, ""
    try:
        return run.best_number(), ""
    except RunError as error:
        return None, str(error)


def reached(trials: pd.DataFrame, number: int) -> Reached | None:
    """What a trial has reached; None where its row is lost or not yet there."""
    rows = trials[trials["number"] == number]
    if rows.empty:
        return None
    row = {str(name): value for name, value in rows.iloc[0].items()}
    known = {name: row[name] if is_known(row[name]) else None for name in row}
    return Reached(
        number=number,
        objective=None if known["objective"] is None else float(known["objective"]),
        epoch=None if known["best_epoch"] is None else int(known["best_epoch"]),
        epochs=None if known["epochs"] is None else int(known["epochs"]),
        status=str(known["status"]),
        verdict=known["verdict"] and str(known["verdict"]),
    )


def _gain(best: Reached | None, base: Reached | None, sign: int) -> float | None:
    if not best or not base or best.objective is None or not base.objective:
        return None
    return sign * (base.objective - best.objective) / abs(base.objective)


def _settings(run: Run, best: Reached | None, base: Reached | None) -> tuple[Setting, ...]:
    if best is None:
        return ()
    ours = with_nulls(run.parameters(best.number))
    theirs = with_nulls(run.parameters(base.number)) if base else {}
    found = [
        Setting(path, ours.get(path), theirs.get(path), ours.get(path) != theirs.get(path))
        for path in run.study.search
        if path in ours or path in theirs
    ]
    return tuple(sorted(found, key=lambda setting: not setting.differs))


def _sure(run: Run, best: Reached | None, seeds: Confirmed | None) -> tuple[Sentence, ...]:
    found: list[Sentence] = [_chance(run, best, seeds)] if best is not None else []
    measured = run.measured_in
    if best is not None and best.verdict not in (None, "healthy"):
        look = look_of(best.verdict)
        text = f"The best trial ended as {in_words(str(best.verdict))}: {look.meaning}. "
        found.append((text, "Its numbers are of its best epoch; look at its samples."))
    if measured is not None and measured.accuracy is not None:
        weak = "" if measured.accuracy >= SOUND else ", which is low: distances say little"
        accuracy = Fact("features.accuracy", measured.accuracy, "%")
        found.append(
            (
                "Distances are in features of a classifier that is right on ",
                accuracy,
                f" of held-out data{weak}.",
            )
        )
    return tuple(found)


NEAR = 0.1


def _chance(run: Run, best: Reached, seeds: Confirmed | None) -> Sentence:
    """What another seed may change."""
    if seeds is not None and seeds.winner is not None:
        return _told_apart(seeds)
    values = of_search(run)["objective"].dropna().astype("float64")
    if len(values) < 2 or best.objective is None:
        return ("One trial alone says nothing of chance: another seed gives another value.",)
    near = int((abs(values - best.objective) <= abs(best.objective) * NEAR).sum()) - 1
    once = "Each configuration was trained from one seed, and another seed gives another value"
    if near < 1:
        return (f"{once}; no other trial comes within 10% of the best.",)
    told = Fact("trials.near", near)
    others = "other trial comes" if near == 1 else "other trials come"
    return (f"{once}; ", told, f" {others} within 10% of the best and may be as good.")


def _told_apart(seeds: Confirmed) -> Sentence:
    """Which configurations the seeds tell from the best one."""
    own = [pair for pair in seeds.pairs if pair.a == seeds.winner]
    apart = Fact("seeds.told_apart", sum(pair.told_apart for pair in own))
    total = Fact("seeds.others", len(own))
    least = Fact("seeds.fewest", min(row.seeds for row in seeds.rows))
    if not own:
        return ("One configuration was confirmed, over ", least, " seeds.")
    best = next(row for row in seeds.rows if row.number == seeds.winner)
    parts: list[str | Fact] = ["Confirmed over ", least, " seeds. "]
    if best.q25 is None or best.q75 is None:
        parts.append("A quarter of its seeds or more fail")
    else:
        parts += ["Half of its seeds lie between ", Fact("seeds.best.q25", best.q25)]
        parts += [" and ", Fact("seeds.best.q75", best.q75)]
    parts += ["; at 95% it is better than ", apart, " of the ", total, " other configurations"]
    return (*parts, "." if apart.value == len(own) else ", and the rest may be as good.")
