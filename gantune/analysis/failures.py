"""Where in the search space training breaks: the rate of each verdict, by parameter."""

from math import nan
from typing import Any, get_args

import pandas as pd

from gantune.analysis.bins import cut
from gantune.analysis.recorded import Recorded, of_search
from gantune.analysis.searched import searched_values
from gantune.columns import VerdictName
from gantune.errors import UsageError

COLUMNS = {
    "parameter": "string",
    "bin": "string",
    "low": "float64",
    "high": "float64",
    "trials": "int64",
    "verdict": "string",
    "count": "int64",
    "rate": "float64",
}


def failures(run: Recorded, parameter: str | None = None, bins: int = 4) -> pd.DataFrame:
    """How often each verdict falls on trials, over parts of each parameter's domain.

    Domains on a log scale are cut evenly in the logarithm, choices by value. A path with ``times``
    is cut by its own effective value, over the range that occurred; one with ``same_as`` has no
    rows, being the path it takes its value from. Trials without a verdict, which recorded nothing,
    and for a conditional path trials that do not have it, are not counted.

    Args:
        run: The run.
        parameter: A searched path; default all.
        bins: Parts of a range, at most.

    Returns:
        A row per parameter, bin and verdict that occurs in the run: ``parameter``, ``bin`` (text),
        ``low`` and ``high`` (NaN for choices), ``trials`` in the bin, ``verdict``, ``count`` of
        them, ``rate`` (count over trials; NaN in an empty bin). Bins go up, verdicts from the most
        severe on.

    Raises:
        UsageError: The path is not searched, or bins is below 1.
    """
    own = {path: spec for path, spec in run.study.search.items() if spec.domain}
    if parameter is not None and parameter not in own:
        known = ", ".join(own) or "nothing"
        raise UsageError(f"{parameter} is not searched in {run.name}; searched: {known}")
    if bins < 1:
        raise UsageError(f"bins is 1 or more, has {bins}")
    verdicts = _verdicts(run)
    parameters = searched_values(run)
    rows: list[tuple[Any, ...]] = []
    for path in own if parameter is None else [parameter]:
        having = {n: verdict for n, verdict in verdicts.items() if path in parameters[n]}
        parts, places = cut(own[path], [parameters[number][path] for number in having], bins)
        for index, part in enumerate(parts):
            found = [v for v, at in zip(having.values(), places, strict=True) if at == index]
            for name in _present(verdicts):
                count, trials = found.count(name), len(found)
                rate = count / trials if trials else nan
                rows.append((path, part.label, part.low, part.high, trials, name, count, rate))
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def _verdicts(run: Recorded) -> dict[int, str]:
    judged = of_search(run).dropna(subset=["verdict"])
    return dict(zip(judged["number"].astype(int), judged["verdict"].astype(str), strict=True))


def _present(verdicts: dict[int, str]) -> list[str]:
    """Verdicts that occur, the most severe first."""
    found = set(verdicts.values())
    known: tuple[str, ...] = get_args(VerdictName)
    return [name for name in known if name in found] + sorted(found - set(known))
