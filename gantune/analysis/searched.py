"""The searched values of a run's trials."""

import json
from typing import Any

from gantune.analysis.recorded import Recorded


def searched_values(run: Recorded) -> dict[int, dict[str, Any]]:
    """Effective values by path, by trial number; a path that a trial does not have is absent.

    From the table's own text, not from its ``config.`` columns, where a value of null and none at
    all are the same.
    """
    paths = set(run.study.search)
    return {
        int(number): {k: v for k, v in json.loads(str(text)).items() if k in paths}
        for number, text in zip(run.trials["number"], run.trials["parameters"], strict=True)
    }
