"""What a study would do and use, in words, before it runs."""

from collections.abc import Iterator

from gantune.checks import search_space
from gantune.config import rounds_per_epoch
from gantune.pace import images_per_epoch
from gantune.starts import base_problem, start_keys
from gantune.strategy import GridSearch, Halving
from gantune.study import Study


def forecast(study: Study) -> Iterator[str]:
    """Yields objective, length, rungs, budget, and what is tried first."""
    epochs, rounds = study.max_epochs, rounds_per_epoch(study.trial)
    yield f"objective: {' and '.join(f'{a.direction} {a.metric}' for a in study.objective.both)}"
    if study.constraints:
        yield f"the best trial has {' and '.join(study.constraints)}"
    yield f"length: {epochs} epochs of {rounds} steps ({epochs * rounds:,} steps)"
    yield _rungs(study, rounds)
    yield _budget(study)
    if study.search:
        yield from _first(study)
    if study.confirm:
        yield _confirm(study)


def _rungs(study: Study, rounds: int) -> str:
    scheduler = study.scheduler
    if not isinstance(scheduler, Halving) or not study.rungs:
        return "rungs: none, every trial runs to its end"
    if scheduler.unit == "seconds":
        listed = ", ".join(f"{rung:g}" for rung in study.rungs)
        return f"rungs in seconds: {listed}; a trial runs {scheduler.max_seconds:g} at most"
    if scheduler.unit == "images":
        images = images_per_epoch(study.trial)
        listed = ", ".join(f"{rung * images:,.0f}" for rung in study.rungs)
        return f"rungs in images: {listed}; every trial sees {study.max_epochs * images:,} in all"
    listed = ", ".join(f"{rung:g} ({rung * rounds:,.0f} steps)" for rung in study.rungs)
    return f"rungs in epochs: {listed}"


def _budget(study: Study) -> str:
    budget, gpu = study.budget, study.resources.gpu
    parts = [f"{budget.trials} trials"]
    factor, unit = _unit(study)
    most, likely = (factor * v for v in (budget.trials * _longest(study), expected(study)))
    parts += [f"at most {most:,.3g} {unit}"] if unit == HOURS else [f"at most {most:,.0f} {unit}"]
    parts += [f"about {likely:,.3g} expected" if unit == HOURS else f"about {likely:,.0f} expected"]
    parts += [f"ends after {budget.epochs:,} epochs of all trials"] if budget.epochs else []
    parts += [f"ends after {budget.hours:g} hours on the clock"] if budget.hours else []
    parts += [f"ends after {budget.gpu_hours:g} GPU-hours"] if budget.gpu_hours and gpu else []
    return f"budget: {', '.join(parts)}"


HOURS = "hours of training"


def _unit(study: Study) -> tuple[float, str]:
    """What the budget is told in, and how many of them one of the rungs' units is."""
    unit = study.scheduler.unit if isinstance(study.scheduler, Halving) else "epochs"
    if unit == "seconds":
        return 1 / 3600, HOURS
    return (images_per_epoch(study.trial), "images") if unit == "images" else (1, "epochs")


def _longest(study: Study) -> float:
    """A trial's length where nothing stops it, in the rungs' unit."""
    scheduler = study.scheduler
    in_seconds = scheduler.max_seconds if isinstance(scheduler, Halving) else None
    return in_seconds or study.max_epochs


def expected(study: Study) -> float:
    """Epochs, or what rungs count, if each rung lets its share of trials go on."""
    trials, levels = study.budget.trials, [*study.rungs, _longest(study)]
    factor = study.scheduler.reduction_factor if isinstance(study.scheduler, Halving) else 1
    total, before, going = 0.0, 0.0, float(trials)
    for level in levels:
        total += going * (level - before)
        before, going = level, going / factor
    return total


def _first(study: Study) -> Iterator[str]:
    """What is tried before the sampler draws."""
    if isinstance(study.sampler, GridSearch):
        yield "first: nothing, a grid has its own order"
        return
    space = search_space(study)
    problem = "start is empty" if study.start == () else base_problem(space)
    given = len(start_keys(study, space)) - (problem is None)
    parts = ["the base trial"] if problem is None else []
    parts += [f"{given} of start"] if given else []
    yield f"first: {', '.join(parts) or 'nothing'}"
    if problem:
        yield f"the base trial is not among them: {problem}"


def _confirm(study: Study) -> str:
    """What is repeated when the search is over."""
    assert study.confirm is not None
    top, seeds = study.confirm.top, study.confirm.seeds
    is_base_known = not (study.start == () or base_problem(search_space(study)))
    who = f"the best {top}" + (" and the base trial" if is_base_known else "")
    trials = (top + is_base_known) * seeds
    epochs = f"at most {trials * study.max_epochs:,} epochs, not part of the budget"
    few = "; fewer than 5 seeds tell nothing apart at 95%" if seeds < 5 else ""
    return f"confirm: {who} again with {seeds} fresh seeds each, {trials} trials, {epochs}{few}"
