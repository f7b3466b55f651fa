"""How studies differ, by dotted path."""

import json
from collections.abc import Sequence
from typing import Any

import pandas as pd

from gantune.document import dotted
from gantune.study import Study

_NO_DIFFERENCE = {"name", "description"}


def differences(labels: Sequence[str], studies: Sequence[Study]) -> pd.DataFrame:
    """A row per dotted path in which studies differ, a column of values per study.

    Args:
        labels: What each study is called.
        studies: The studies, in the same order.
    """
    flat = [study_leaves(study) for study in studies]
    paths = dict.fromkeys(path for leaves in flat for path in leaves)
    rows = {path: [leaves.get(path) for leaves in flat] for path in paths}
    differing = {path: row for path, row in rows.items() if any(v != row[0] for v in row[1:])}
    return pd.DataFrame(
        list(differing.values()),
        index=pd.Index(list(differing), name="path"),
        columns=pd.Index(labels, name="run"),
        dtype="object",
    )


def study_leaves(study: Study) -> dict[str, Any]:
    """What a study says, by dotted path; a searched path's domain is one text."""
    tree = study.model_dump(mode="json", exclude=_NO_DIFFERENCE)
    search = {
        path: json.dumps(spec.model_dump(mode="json", exclude_none=True, exclude_defaults=True))
        for path, spec in study.search.items()
    }
    leaves = dotted({**tree, "search": search})
    # The base value of a path that is searched is used nowhere, unless the search has a condition.
    unused = {f"trial.{path}" for path, spec in study.search.items() if not spec.when}
    return {path: value for path, value in leaves.items() if path not in unused}
