"""More of a run that has ended: its budget may grow, its best be confirmed; all else stays."""

import json
import re
from typing import Any, NamedTuple

from pydantic import ValidationError

from gantune.checks import within_grid
from gantune.document import dotted
from gantune.errors import UsageError
from gantune.paths import RunPaths
from gantune.runinfo import read_info
from gantune.strategy import Confirm
from gantune.study import Study
from gantune.tuning.clock import HOUR_S, seconds_before

HOURS = {"s": 1 / HOUR_S, "m": 1 / 60, "h": 1.0, "d": 24.0}
SHOWN = 8


class Extension(NamedTuple):
    """What a run is given on top.

    Attributes:
        trials: ``+20`` more, or ``44`` in all.
        epochs: Of all trials together, from the beginning of the run.
        hours: On the clock, from now on.
        confirm: ``3x5``: the best 3 with 5 fresh seeds each.
    """

    trials: str | None = None
    epochs: int | None = None
    hours: float | None = None
    confirm: str | None = None


def parse_hours(text: str) -> float:
    """Hours of a duration such as 90s, 30m, 1h30m or 2d.

    Raises:
        UsageError: It is none.
    """
    found = re.findall(r"(\d+(?:\.\d+)?)([smhd])", text)
    hours = sum(float(number) * HOURS[unit] for number, unit in found)
    if "".join(number + unit for number, unit in found) != text or not hours:
        raise UsageError(f"{text!r} is no duration: write it like 90s, 30m, 1h30m or 2d")
    return hours


def extended(study: Study, paths: RunPaths, extension: Extension) -> Study:
    """The study with a larger budget.

    Raises:
        UsageError: What is asked for is not more.
    """
    budget, changes = study.budget, dict[str, Any]()
    if extension.trials is not None:
        changes["trials"] = _total(extension.trials, budget.trials)
    if extension.epochs is not None:
        if budget.epochs is None or extension.epochs <= budget.epochs:
            limit = "no limit" if budget.epochs is None else f"{budget.epochs}"
            raise UsageError(f"--epochs {extension.epochs} is no more: the budget is {limit}")
        changes["epochs"] = extension.epochs
    if extension.hours is not None:
        changes["hours"] = _hours_until_now(paths) + extension.hours
    confirm = study.confirm if extension.confirm is None else _more(study, extension.confirm)
    larger = within_grid(
        study.model_copy(update={"budget": budget.model_copy(update=changes), "confirm": confirm})
    )
    if extension.trials is not None and larger.budget.trials <= budget.trials:
        raise UsageError(
            f"--trials {extension.trials} is no more: the grid has {budget.trials} combinations, "
            "and the budget has them all"
        )
    return larger


def _more(study: Study, text: str) -> Confirm:
    """More configurations, or more seeds of each, than before."""
    match = re.fullmatch(r"(\d{1,4})x(\d{1,4})", text)
    if not match:
        raise UsageError(f"--confirm {text}: write 3x5 for the best 3 with 5 fresh seeds each")
    if "seed" in study.search:
        raise UsageError("--confirm trains with fresh seeds, and this study searches the seed")
    top, seeds = map(int, match.groups())
    old = study.confirm
    if old and (top < old.top or seeds < old.seeds or (top, seeds) == (old.top, old.seeds)):
        raise UsageError(f"--confirm {text} is no more: the run has {old.top}x{old.seeds}")
    try:
        return Confirm(top=top, seeds=seeds)
    except ValidationError as error:
        message = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise UsageError(f"--confirm {text}: {message}") from None


def _total(text: str, before: int) -> int:
    if not re.fullmatch(r"\+?\d{1,7}", text):
        raise UsageError(f"--trials {text}: write +20 for 20 more, or 44 for 44 in all")
    total = before + int(text) if text.startswith("+") else int(text)
    if total <= before:
        raise UsageError(f"--trials {text} is no more: the run has {before} already")
    return total


def _hours_until_now(paths: RunPaths) -> float:
    return seconds_before(paths, with_last=True) / HOUR_S


def refuse_changed(paths: RunPaths, study: Study) -> None:
    """Raises UsageError where a run's study is no longer the one that it ran with.

    A budget may differ, what confirms the best, and when a worker hangs. So may fields that an
    older version of gantune did not have.
    """
    sessions = read_info(paths.info).get("sessions", [])
    if not sessions or "study" not in sessions[-1]:
        return
    before, after = (_texts(tree) for tree in (sessions[-1]["study"], dumped(study)))
    changed = [
        f"  {path}: {before.get(path, 'not there')} -> {after.get(path, 'not there')}"
        for path in dict.fromkeys([*before, *after])
        if before.get(path, NOT_SET) != after.get(path, NOT_SET)
        and path.partition(".")[0] not in ("budget", "confirm", "stall_timeout")
        and (path in before or path.startswith("search."))
    ]
    if changed:
        more = [f"  and {len(changed) - SHOWN} more"] if len(changed) > SHOWN else []
        listed = "\n".join([*changed[:SHOWN], *more])
        raise UsageError(
            f"{paths.study} is not what the run was made with, and only budget, confirm and "
            f"stall_timeout may change:\n"
            f"{listed}\nput it back, or run the changed study under another name"
        )


NOT_SET = "null"
"""Older sessions have noted only what was set."""


def dumped(study: Study) -> dict[str, Any]:
    """A study as it is noted with each session, with what is not set."""
    return {**study.model_dump(mode="json"), "objective": objective_tree(study)}


def objective_tree(study: Study) -> Any:
    """Metrics and goals, also those that a metric has by itself.

    Whoever opens the run does not run its extensions, and may not know their metrics.
    """
    aims = [{"metric": aim.metric, "goal": aim.direction} for aim in study.objective.both]
    return aims if len(aims) > 1 else aims[0]


def _texts(tree: dict[str, Any]) -> dict[str, str]:
    return {path: json.dumps(value) for path, value in dotted(tree).items()}
