"""What a report counts, again from the files beside it: Optuna, numpy and plain Python, no gantune.

Written from what the documentation says of each number, not from the code that makes it.
"""

import csv
import json
import math
import statistics
from collections import Counter
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import optuna
import pyarrow.parquet as pq
import yaml

Row = dict[str, Any]


class Tables:
    """The tables beside a report, with the study and what the run noted of itself."""

    def __init__(self, folder: Path) -> None:
        with open(folder / "trials.csv", newline="", encoding="utf-8") as file:
            self.trials: dict[int, Row] = {int(r["number"]): r for r in csv.DictReader(file)}
        self.epochs: list[Row] = pq.read_table(folder / "epochs.parquet").to_pylist()
        self.search = {n: r for n, r in self.trials.items() if not r["confirms"]}
        self.study: dict[str, Any] = yaml.safe_load((folder / "study.yaml").read_text("utf-8"))
        self.info: dict[str, Any] = json.loads((folder / "run.json").read_text("utf-8"))
        self.space: dict[str, Row] = self.study.get("search") or {}
        objective = self.study["objective"]
        self.objective: Row = objective[0] if isinstance(objective, list) else objective
        self.sign = -1 if self.objective.get("goal") == "maximize" else 1
        self.by_trial: dict[int, list[Row]] = {}
        for row in self.epochs:
            self.by_trial.setdefault(row["number"], []).append(row)

    def parameters(self, number: int) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.trials[number]["parameters"])
        return found

    def value(self, number: int) -> float | None:
        text = self.trials[number]["objective"]
        return float(text) if text else None

    @cached_property
    def measured(self) -> Row:
        """Features of the last session that noted them; samples as noted, or as by default."""
        session = [s for s in self.info["sessions"] if s.get("features")][-1]
        features = session["features"]
        default = 2500 if features["name"] == "coordinates" else 1000
        given = session.get("samples") or self.study["trial"]["eval"].get("samples")
        return {**features, "real": features["samples"], "samples": given or default}

    @cached_property
    def best_in_order(self) -> list[int]:
        """Trials of the search that have a value, the best first."""
        known = {n: v for n in self.search if (v := self.value(n)) is not None}
        return sorted(known, key=lambda n: (self.sign * known[n], n))

    @cached_property
    def base(self) -> int | None:
        """The first trial whose searched values are the study's own."""
        for number in self.search:
            own = self.parameters(number)
            if all(_equal(self.own(path), value) for path, value in own.items()):
                return number
        return None

    @cached_property
    def best(self) -> int:
        """By medians where the search was confirmed, else by the value."""
        over = self.over_seeds
        if not over:
            return self.best_in_order[0]
        whole = max(row["seeds"] for row in over.values())
        ranked = [n for n, row in over.items() if row["seeds"] == whole]
        return min(ranked, key=lambda n: (over[n]["signed_median"], n))

    @cached_property
    def over_seeds(self) -> dict[int, Row]:
        """Each confirmed configuration; a failure counts as infinitely bad."""
        found: dict[int, Row] = {}
        for row in self.trials.values():
            if row["confirms"] and row["status"] in ("completed", "diverged", "failed"):
                fails = row["status"] != "completed" or not row["objective"]
                fails = fails or row["feasible"] == "no"
                signed = math.inf if fails else self.sign * float(row["objective"])
                at = found.setdefault(int(float(row["confirms"])), {"by_seed": {}})
                at["by_seed"][row["seed"]] = signed
        for row in found.values():
            ordered = sorted(row["by_seed"].values())
            ends = [ordered[math.ceil(share * len(ordered)) - 1] for share in (0.25, 0.75)]
            row["seeds"] = len(ordered)
            row["failure_rate"] = sum(map(math.isinf, ordered)) / len(ordered)
            row["signed_median"] = statistics.median(ordered)
            row["median"] = self.sign * row["signed_median"]
            row["q25"], row["q75"] = sorted(self.sign * end for end in ends)
        return found

    def own(self, path: str) -> Any:
        node: Any = self.study["trial"]
        for word in path.split("."):
            node = node.get(word) if isinstance(node, dict) else None
        return node


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=1e-9)
    return bool(one == other)


def verdicts(t: Tables) -> Counter[str]:
    """How often each verdict fell on a trial of the search."""
    return Counter(row["verdict"] for row in t.search.values() if row["verdict"])


@cache
def at_first_rung(t: Tables) -> dict[int, float]:
    """The best value of each trial at the first rung, or at its end where it has none before."""
    found: dict[int, float] = {}
    diverged = []
    for number, row in t.search.items():
        rows = t.by_trial.get(number, [])
        at = next((r for r in rows if r["rung"] == 0 and r["verdict"] != "diverged"), None)
        if at is not None:
            until = [r["objective"] for r in rows if r["epoch"] <= at["epoch"]]
            known = [v for v in until if v is not None and not math.isnan(v)]
            if known:
                found[number] = t.sign * min(t.sign * v for v in known)
        elif row["status"] == "completed" or row["stopped_by"] == "verdict":
            if row["objective"]:
                found[number] = float(row["objective"])
        elif row["status"] == "diverged":
            diverged.append(number)
    if found:
        worst = t.sign * max(t.sign * v for v in found.values())
        found.update(dict.fromkeys(diverged, worst))
    return dict(sorted(found.items()))


@cache
def importances(t: Tables) -> dict[str, tuple[float, int, bool]]:
    """Share, trials behind it and whether it is conditional, by path: Optuna's fANOVA, seed 0."""
    values = at_first_rung(t)
    own = {path: spec for path, spec in t.space.items() if "same_as" not in spec}
    drawn = {n: _drawn(t, n, own) for n in values}
    always = [path for path, spec in own.items() if "when" not in spec]
    found = {}
    shares = _fanova(own, always, drawn, values)
    for path, spec in own.items():
        if "when" not in spec:
            found[path] = (shares[path], len(values), False)
            continue
        having = {n: v for n, v in drawn.items() if path in v}
        common = [other for other in own if all(other in v for v in having.values())]
        if len(having) > 1:
            among = _fanova(own, common, having, {n: values[n] for n in having})
            found[path] = (among[path], len(having), True)
    return dict(sorted(found.items(), key=lambda item: -item[1][0]))


def _drawn(t: Tables, number: int, own: dict[str, Row]) -> dict[str, Any]:
    """What the sampler drew: a ratio for a product, a place for a choice."""
    effective, found = t.parameters(number), {}
    for path, spec in own.items():
        if path not in effective:
            continue
        value = effective[path]
        if "times" in spec:
            factor = effective.get(spec["times"], t.own(spec["times"]))
            low, high = next(v for k, v in spec.items() if k in ("uniform", "log_uniform"))
            value = min(max(value / factor, low), high)
        found[path] = spec["choice"].index(value) if "choice" in spec else value
    return found


def _fanova(
    own: dict[str, Row], paths: list[str], drawn: dict[int, Row], values: dict[int, float]
) -> dict[str, float]:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study()
    # The forest sees parameters in the order of the names that the journal has.
    names = {path: path + "@ratio" * ("times" in own[path]) for path in own}
    for number, value in values.items():
        parameters = {names[p]: v for p, v in drawn[number].items()}
        distributions = {names[p]: _distribution(own[p]) for p in drawn[number]}
        study.add_trial(
            optuna.trial.create_trial(params=parameters, distributions=distributions, value=value)
        )
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    raw = evaluator.evaluate(study, params=[names[path] for path in paths])
    return {path: raw[names[path]] / sum(raw.values()) for path in paths}


def _distribution(spec: Row) -> optuna.distributions.BaseDistribution:
    kind = next(k for k in spec if k in ("uniform", "log_uniform", "int", "log_int", "choice"))
    if kind == "choice":
        return optuna.distributions.CategoricalDistribution(list(range(len(spec["choice"]))))
    (low, high), is_log = spec[kind], kind.startswith("log")
    if "int" in kind:
        return optuna.distributions.IntDistribution(low, high, log=is_log)
    return optuna.distributions.FloatDistribution(low, high, log=is_log)


Part = tuple[str | None, float, float, Counter[str]]


def parts(t: Tables, path: str, count: int = 4) -> list[Part]:
    """Verdicts by part of a domain: (choice, low, high, verdicts), cut as the documents say."""
    spec = t.space[path]
    judged = [n for n, row in t.search.items() if row["verdict"]]
    known = {n: v[path] for n in judged if path in (v := t.parameters(n))}
    said = {n: t.search[n]["verdict"] for n in known}
    if "choice" in spec:
        texts = [v if isinstance(v, str) else json.dumps(v) for v in spec["choice"]]
        inside = [
            Counter(said[n] for n, v in known.items() if v == choice and type(v) is type(choice))
            for choice in spec["choice"]
        ]
        return [(text, 0, 0, found) for text, found in zip(texts, inside, strict=True)]
    kind = next(k for k in spec if k in ("uniform", "log_uniform", "int", "log_int"))
    low, high = (min(known.values()), max(known.values())) if "times" in spec else spec[kind]
    is_log, is_whole = kind.startswith("log") and low > 0, "int" in kind
    edges = [
        low * (high / low) ** (i / count) if is_log else low + (high - low) * i / count
        for i in range(count + 1)
    ]
    inner = [float(f"{edge:.12g}") for edge in edges[1:-1]]
    starts = [low, *(sorted({math.ceil(e) for e in inner} - {low}) if is_whole else inner)]
    ends = [start - 1 if is_whole else start for start in starts[1:]] + [high]
    places = {n: sum(v >= start for start in starts[1:]) for n, v in known.items()}
    return [
        (None, start, end, Counter(said[n] for n in known if places[n] == place))
        for place, (start, end) in enumerate(zip(starts, ends, strict=True))
    ]


def seconds(t: Tables) -> dict[str, float]:
    """Time of training, of evaluation, and of trials that did neither."""
    found = {
        "training": math.fsum(row["train_s"] or 0.0 for row in t.epochs),
        "evaluation": math.fsum(row["eval_s"] or 0.0 for row in t.epochs),
    }
    wall = math.fsum(float(row["wall_s"] or 0.0) for row in t.trials.values())
    return {**found, "overhead": max(0.0, wall - sum(found.values()))}


def shows(shown: str, value: float) -> bool:
    """Whether a shown number is its value, rounded as the report says it rounds."""
    text = shown.replace(",", "").replace("−", "-").strip()
    if text.endswith("%"):
        share = text.removesuffix("%")
        if share[0] in "<>":
            return 0 < value < 0.005 if share == "<1" else share == ">99" and 0.995 < value < 1
        return abs(float(share) / 100 - value) <= 0.00501
    for unit, seconds in (("min", 60.0), ("s", 1.0), ("h", 3600.0)):
        if text.endswith(f" {unit}"):
            told = float(text.removesuffix(unit)) * seconds
            return math.isclose(told, value, rel_tol=0.006, abs_tol=0.06 * seconds)
    return math.isclose(float(text), value, rel_tol=5.1e-4, abs_tol=1e-12)
