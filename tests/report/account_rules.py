"""What the numbers of a report's texts are, by kind of text."""

import re
from collections import Counter

from account import QUOTED, Rounded, Values, path_of, rule
from recount import (
    Tables,
    at_first_rung,
    importances,
    parts,
    seconds,
    verdicts,
)
from recount_seeds import told_apart

# The answer


@rule(r"The best is trial \d+’s configuration: median .*")
def _confirmed_lead(found: re.Match[str], t: Tables) -> Values:
    rows = t.over_seeds
    own = rows[t.best]
    told: Values = [t.best, own["median"], own["seeds"]]
    if "median is" not in found[0]:
        return told
    assert t.base is not None
    is_sure = "do not tell apart" not in found[0]
    assert told_apart(t, t.best, t.base) in (None, is_sure)
    return [*told, rows[t.base]["median"]]


@rule(r"The best is trial \d+: .*")
def _lead(found: re.Match[str], t: Tables) -> Values:
    best = t.value(t.best)
    before = None if t.base is None else t.value(t.base)
    if before is None or t.base == t.best:
        return [t.best, best]
    assert best is not None
    gain = t.sign * (before - best) / abs(before)
    return [t.best, best, *([gain] if "%" in found[0] else []), before]


@rule(r"\w+: [\d,]+ trials?(?: \((.*)\))?, [\d,]+ epochs?")
def _status(found: re.Match[str], t: Tables) -> Values:
    statuses = [part.split(" ")[1] for part in (found[1] or "").split(", ") if part]
    known = [sum(r["status"] == status for r in t.trials.values()) for status in statuses]
    assert sum(known) == len(t.trials)
    return [len(t.trials), *known, len(t.epochs)]


@rule(r"(.+?) \([^()]+%\)(?: and (.+?) \([^()]+%\))? most: .*")
def _mattered(found: re.Match[str], t: Tables) -> Values:
    shares = importances(t)
    always = [path for path, told in shares.items() if not told[2]]
    named = [path_of(name, t) for name in found.groups() if name]
    assert named == always[: len(named)], "the most important come first"
    told: Values = [*(shares[path][0] for path in named), len(at_first_rung(t))]
    among = re.search(r"trials that have it, (.+) explains ", found[0])
    some = [path for path in shares if shares[path][2]]
    assert bool(among) == bool(some and shares[some[0]][0] >= 0.1)
    return [*told, shares[some[0]][1], shares[some[0]][0]] if among else told


@rule(r"Not healthy: .*? trials, most often ([\w ]+) \(\d+\)(?:; worst where (.+?) is (.+): .*)?\.")
def _failed(found: re.Match[str], t: Tables) -> Values:
    counts = verdicts(t)
    bad, most = counts.total() - counts["healthy"], counts[found[1].replace(" ", "_")]
    assert most == max(n for verdict, n in counts.items() if verdict != "healthy")
    told: Values = [bad, counts.total(), most]
    if not found[2]:
        return told
    ends, inside = part(t, path_of(found[2], t), found[3])
    return [*told, *ends, inside.total() - inside["healthy"], inside.total()]


@rule(r"All [\d,]+ trials ended as ([\w ]+): .*")
def _all_failed(found: re.Match[str], t: Tables) -> Values:
    counts = verdicts(t)
    assert counts[found[1].replace(" ", "_")] == counts.total()
    return [counts.total()]


def part(t: Tables, path: str, said: str) -> tuple[Values, Counter[str]]:
    """The numbers in what a part of a domain is called, and its verdicts."""
    said = said.replace("‑", "-")
    for choice, low, high, inside in parts(t, path):
        if choice == said:
            is_number = re.fullmatch(r"-?\d+(\.\d+)?(e[-+]?\d+)?", said)
            return ([float(said)] if is_number else []), inside
        ends = [Rounded(low)] if low == high else [Rounded(low), Rounded(high)]
        texts = said.split(" to ")
        if choice is None and len(texts) == len(ends):
            if all(abs(float(a) - b) <= 0.0501 * abs(b) for a, b in zip(texts, ends, strict=True)):
                return [*ends], inside
    raise AssertionError(f"{path} has no part {said!r}")


@rule(r"Confirmed over .* at 95% it is better than (\d+) of the \d+ other configurations.*\.")
def _confirmed(found: re.Match[str], t: Tables) -> Values:
    rows = t.over_seeds
    apart = [told_apart(t, t.best, other) for other in rows if other != t.best]
    told = int(found[1])
    assert apart.count(True) <= told <= apart.count(True) + apart.count(None)
    assert ("the rest may be as good" in found[0]) == (told < len(apart))
    own, least = rows[t.best], min(row["seeds"] for row in rows.values())
    between = [] if " fail;" in found[0] else [own["q25"], own["q75"]]
    return [least, *between, 0.95, told, len(apart)]


@rule(r"Each configuration was trained from one seed.*; (no other trial comes|.*) within 10% .*")
def _chance(found: re.Match[str], t: Tables) -> Values:
    best = t.value(t.best)
    assert best is not None
    values = [v for n in t.search if (v := t.value(n)) is not None]
    near = sum(abs(v - best) <= 0.1 * abs(best) for v in values) - 1
    return [0.1] if found[1].startswith("no other") and near == 0 else [near, 0.1]


@rule(r"Distances are in features of a classifier that is right on [\d>]+% of held-out data.*\.")
def _features(found: re.Match[str], t: Tables) -> Values:
    return [t.measured["accuracy"]]


@rule(r"\| parameter \| trial \d+ \|(?: base trial \|)?|gantune train \S+ --trial \d+")
def _of_best(found: re.Match[str], t: Tables) -> Values:
    return [t.best]


@rule(r"Samples of trial \d+")
def _samples(found: re.Match[str], t: Tables) -> Values:
    return [t.best]


@rule(r"\| ([\w.]+) \| ([^|]*) \|(?: ([^|]*) \|)?")
def _setting(found: re.Match[str], t: Tables) -> Values:
    trials = [t.best] if found[3] is None or t.base is None else [t.best, t.base]
    values = [t.parameters(n)[found[1]] for n in trials if found[1] in t.parameters(n)]
    return [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]


# Trials and provenance


@rule(r"\| (\d+) \| [a-z ]+ \| [a-z]+(, repeats \d+)? \| .*")
def _row(found: re.Match[str], t: Tables) -> Values:
    number = int(found[1])
    row, cells = t.trials[number], found[0].strip("| ").split(" | ")
    assert cells[1].replace(" ", "_") == (row["verdict"] or "not_judged")
    assert cells[2].split(",")[0] == row["status"]
    told: Values = [number, *([float(row["confirms"])] if found[2] else [])]
    told += [t.value(number)] * bool(row["objective"]) + [float(row["epochs"])]
    own = {path for path, spec in t.space.items() if "same_as" not in spec}
    heads = list(importances(t)) + [p for p in own if p not in importances(t)]
    values = [t.parameters(number).get(path) for path in heads[:8]]
    return told + [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]


@rule(r"The best \d+ of \d+; .*")
def _shown(found: re.Match[str], t: Tables) -> Values:
    return [min(10, len(t.trials)), len(t.trials)]


@rule(r"(?:features: )?(\w+) (?:features )?([0-9a-f]{16})(?: \(held-out accuracy .*\))?")
def _measured(found: re.Match[str], t: Tables) -> Values:
    assert (found[1], found[2]) == (t.measured["name"], t.measured["hash"])
    # Of a hash no digit stands alone. The accuracy has three digits.
    accuracy = t.measured["accuracy"]
    return [] if accuracy is None else [float(f"{accuracy:.3f}")]


@rule(r"(trials|epochs|real samples behind the metrics|generated samples of an evaluation): .*")
def _count(found: re.Match[str], t: Tables) -> Values:
    counts = {"trials": len(t.trials), "epochs": len(t.epochs)}
    measured = t.measured["real" if found[1].startswith("real") else "samples"]
    return [counts.get(found[1], measured)]


@rule(r"(training|evaluation|overhead): .*")
def _seconds(found: re.Match[str], t: Tables) -> Values:
    spent = seconds(t)
    return [spent[found[1]], spent[found[1]] / sum(spent.values())]


@rule(r"seed of the (\w+): \d+")
def _seed(found: re.Match[str], t: Tables) -> Values:
    return [t.info["sessions"][-1]["seeds"][found[1]]]


@rule(r"python .*; \d+ slots?; commit .*")
def _versions(found: re.Match[str], t: Tables) -> Values:
    last = t.info["sessions"][-1]
    versions = ", ".join(f"{name} {version}" for name, version in last["versions"].items())
    slots = f"{last['slots']} slot" + "s" * (last["slots"] != 1)
    commit = (last.get("git_commit") or "–")[:12]
    assert found[0] == f"python {last['python']}, {versions}; {slots}; commit {commit}"
    return QUOTED
