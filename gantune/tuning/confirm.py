"""Which trials repeat the best configurations with fresh seeds, once the search is over."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from optuna.trial import FrozenTrial

from gantune.seeds import derive_seed
from gantune.space import Space
from gantune.starts import BASE, as_keys, base_problem
from gantune.study import Study

EndRow = Mapping[str, Any]


class Repeat(NamedTuple):
    """A trial that repeats another one.

    Attributes:
        confirms: The number of the trial of the search whose configuration it has.
        repeat: Which of its seeds, from 0; the same for all configurations, so that they pair.
    """

    confirms: int
    repeat: int

    def seed(self, study: Study) -> int:
        """The trial's own seed, which no trial of the search has."""
        return derive_seed("confirm", study.trial.seed, self.repeat)


def repeat_of(trial: FrozenTrial) -> Repeat | None:
    """What a trial of Optuna's study repeats; None for one of the search."""
    attributes = trial.user_attrs
    if "confirms" not in attributes:
        return None
    return Repeat(attributes["confirms"], attributes["repeat"])


def due(
    study: Study, space: Space, searched: Sequence[EndRow], trials: Sequence[FrozenTrial]
) -> list[Repeat]:
    """The repeats that are still to be made, in order: a seed of each before the next seed.

    Args:
        study: The study.
        space: Its space.
        searched: Last rows of the search's trials, all of them.
        trials: Optuna's trials, by number.
    """
    if study.confirm is None:
        return []
    made = {repeat_of(trial) for trial in trials}
    chosen = list(_chosen(study, space, searched, trials))
    wanted = [Repeat(number, seed) for seed in range(study.confirm.seeds) for number in chosen]
    return [repeat for repeat in wanted if repeat not in made]


def _chosen(
    study: Study, space: Space, searched: Sequence[EndRow], trials: Sequence[FrozenTrial]
) -> Iterator[int]:
    """The best configurations, each once, and the base trial's if the search has it."""
    assert study.confirm is not None
    scored = [row for row in searched if row["objective"] is not None]
    scored.sort(key=lambda row: (study.ranking.of_trial(row), row["number"]))
    seen: list[dict[str, Any]] = []
    for row in scored:
        parameters = trials[row["number"]].params
        if len(seen) < study.confirm.top and parameters not in seen:
            seen.append(parameters)
            yield row["number"]
    base = None if base_problem(space) else as_keys(space, BASE)
    if base is not None and base not in seen:
        yield from [row["number"] for row in searched if trials[row["number"]].params == base][:1]
