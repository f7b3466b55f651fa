"""Which metrics exist for which trials, and where their values compare."""

from collections.abc import Iterator
from typing import Any

from gantune.config import TrialConfig
from gantune.errors import DataError
from gantune.goals import OBJECTIVES
from gantune.parts.data import Grid, Ring
from gantune.parts.foreign import EXTRA_METRICS
from gantune.sources import source_info
from gantune.study import Study

GROUPS = {
    **{name: name for name in OBJECTIVES},
    **dict.fromkeys(("precision", "recall", "density", "coverage"), "manifold"),
    **dict.fromkeys(("modes", "mode_kl", "mode_jsd", "mode_entropy", "high_quality"), "modes"),
}
"""The group of ``eval.metrics`` that a metric is computed in."""

NEIGHBOURS = 5
"""Of the balls that the metrics of the manifold are made of."""

OF_CLASSES = {"classifier_score", "modes", "mode_kl", "mode_jsd", "mode_entropy"}
IN_FEATURES = set(OBJECTIVES) - {"modes", "mode_kl", "mode_jsd", "mode_entropy", "high_quality"}

MIXTURE_PATHS = {f"data.{name}" for name in ("modes", "radius", "side", "spacing", "std")}

DATA_PATHS = {
    *("data.root", "data.image_size", "data.channels", "eval.features"),
    *MIXTURE_PATHS,
}
"""Paths that change the features, so that values in them do not compare."""

SPLIT_PATHS = {"data.limit", "data.holdout", "data.points"}
"""Paths that change which real samples are compared with: copies of few are near to them."""

WITHOUT_REAL = {"classifier_score", "vendi"}
"""Metrics in features that look at generated samples alone."""


def objective_problems(study: Study) -> Iterator[str]:
    """Yields what is wrong with a study's objectives and constraints."""
    for metric in metrics_of(study):
        yield from _problems(study, metric)


def metrics_of(study: Study) -> list[str]:
    """Every metric that decides which trial of a study is the best, the objective's first."""
    aims = [aim.metric for aim in study.objective.both]
    bounds = [constraint.metric for constraint in study.ranking.constraints]
    return list(dict.fromkeys([*aims, *bounds]))


def _problems(study: Study, metric: str) -> Iterator[str]:
    names = {study.trial.data.name, *_searched_values(study, "data.name")}
    if metric in IN_FEATURES and len(names) > 1:
        listed = ", ".join(sorted(names))
        yield f"values of {metric} for different data sets do not compare: {listed}"
    for path in sorted(DATA_PATHS & set(study.search)):
        if metric in IN_FEATURES:
            yield f"values of {metric} in different features do not compare, and {path} is searched"
    for path in sorted(SPLIT_PATHS & set(study.search)):
        if metric in IN_FEATURES - WITHOUT_REAL:
            yield f"values of {metric} to other samples do not compare, and {path} is searched"
    if metric in IN_FEATURES and "eval.samples" in study.search:
        # Fréchet's is biased in it, and so are all that ask for neighbours.
        yield f"values of {metric} of more or fewer samples do not compare: fix eval.samples"
    lacking = what_lacks(metric, study.trial)
    if lacking:
        yield lacking


def what_lacks(metric: str, trial: TrialConfig) -> str | None:
    """Why a metric does not exist for a trial, in words; None where it does."""
    if metric in EXTRA_METRICS:
        return None
    data, wanted = trial.data, trial.eval.metrics
    is_mixture = isinstance(data, Ring | Grid)
    if wanted is not None and GROUPS[metric] not in wanted:
        return f"{metric} is not computed: add {GROUPS[metric]} to eval.metrics"
    if metric == "high_quality" and not is_mixture:
        return f"{metric} does not exist for {data.name}, only for ring, grid"
    if metric == "classifier_score" and is_mixture:
        return f"{metric} does not exist for {data.name}, only for images with labels"
    if GROUPS[metric] == "manifold" and (trial.eval.samples or NEIGHBOURS + 1) <= NEIGHBOURS:
        return f"{metric} needs more than {NEIGHBOURS} samples: raise eval.samples"
    if metric == "nearest_neighbor_ratio" and not data.holdout:
        return f"{metric} compares with held-out samples: set data.holdout"
    if metric not in OF_CLASSES | {"pair_distance_ratio"}:
        return None
    try:
        classes = source_info(data).classes
    except DataError:
        return None  # the rule on data says what is wrong with it
    if metric == "pair_distance_ratio":
        return f"{metric} is for data without labels: coverage says more here" if classes else None
    missing = f"{metric} needs classes, and this {data.name} set has no labels of several"
    return None if classes else missing


def _searched_values(study: Study, path: str) -> list[Any]:
    spec = study.search.get(path)
    return list(spec.choice or ()) if spec else []
