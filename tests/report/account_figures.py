"""What the numbers in alternative texts and captions of figures are."""

import re
from datetime import datetime

from account import Values, path_of, rule
from account_rules import part
from recount import (
    Row,
    Tables,
    at_first_rung,
    importances,
    parts,
    verdicts,
)

METRICS = {
    "frechet distance": "frechet_distance",
    "fréchet distance": "frechet_distance",
    "mode kl": "mode_kl",
}


def column(words: str) -> str:
    """The column that is called so."""
    return METRICS.get(words.lower(), words.replace(" ", "_"))


@rule(r"[\w ]+ over seeds: (.*)")
def _seeds(found: re.Match[str], t: Tables) -> Values:
    rows = t.over_seeds
    ranked = sorted(rows, key=lambda n: (rows[n]["signed_median"], n))
    return [x for n in ranked for x in (n, rows[n]["median"])]


@rule(r"trials by verdict: (.*)")
def _verdicts(found: re.Match[str], t: Tables) -> Values:
    counts = verdicts(t)
    unknown = len(t.search) - counts.total()
    told = re.findall(r"\d+ ([a-z ]+)", found[1])
    known = [unknown if v == "not judged" else counts[v.replace(" ", "_")] for v in told]
    assert sum(known) == len(t.search), "each trial is told of once"
    return [*known]


@rule(r"verdicts over the range of (.+?): (.*)")
def _rates(found: re.Match[str], t: Tables) -> Values:
    told: Values = []
    path = path_of(found[1], t)
    rows = found[2].split("; ")
    assert len(rows) == len(parts(t, path))
    for row in rows:
        said, _, counts = row.rpartition(": ")
        ends, inside = part(t, path, said)
        names = re.findall(r"\d+ ([a-z ]+)", counts)
        assert {n.replace(" ", "_") for n in names} == {v for v, n in inside.items() if n}
        told += [*ends, *(inside[name.replace(" ", "_")] for name in names)]
    return told


@rule(r"\d+ trials by (.+) and (.+), marked by verdict")
def _map(found: re.Match[str], t: Tables) -> Values:
    paths = {path_of(name, t) for name in found.groups()}
    return [sum(paths <= t.parameters(n).keys() for n in t.search)]


@rule(r"([\w ]+) over epochs of \d+ trials(?:; trial \d+, the best, ends at .*)?")
def _curves(found: re.Match[str], t: Tables) -> Values:
    name = column(found[1])
    having = {n: [r[name] for r in t.by_trial[n] if r[name] is not None] for n in t.by_trial}
    having = {n: values for n, values in having.items() if n in t.search and values}
    return [len(having), *([t.best, having[t.best][-1]] if t.best in having else [])]


@rule(r"shares of samples in \d+ modes, \d+ of them reached, (\w+): trial \d+, epoch \d+")
def _histogram(found: re.Match[str], t: Tables) -> Values:
    row = histogram_row(found[1], t)
    shares = row["mode_histogram"]
    return [len(shares), sum(share > 0 for share in shares), row["number"], row["epoch"]]


def histogram_row(name: str, t: Tables) -> Row:
    """The best epoch of the best, the median or the worst trial that has a histogram."""
    at = {n: best_row(n, t) for n in t.best_in_order}
    order = [n for n in t.best_in_order if at[n] and at[n]["mode_histogram"] is not None]
    place = {"median": (len(order) - 1) // 2, "worst": len(order) - 1}.get(name, 0)
    return at[t.best if name == "best" and t.best in order else order[place]]


def best_row(number: int, t: Tables) -> Row:
    """A trial's best epoch; nothing where it has none."""
    wanted = t.trials[number]["best_epoch"]
    rows = t.by_trial.get(number, []) if wanted else []
    return next((row for row in rows if row["epoch"] == int(float(wanted))), {})


@rule(r"precision against recall of \d+ trials at their best epochs")
def _precision(found: re.Match[str], t: Tables) -> Values:
    rows = (best_row(n, t) for n in t.search)
    known = [r for r in rows if r and None not in (r["precision"], r["recall"])]
    return [len(known)]


def pictured(number: int, epoch: int, t: Tables) -> int:
    """The epoch with a picture that is nearest to another; every so many have one."""
    every = t.study["samples"]["every"]
    epochs = [row["epoch"] for row in t.by_trial[number]]
    return min((e for e in epochs if e % every == 0), key=lambda e: abs(e - epoch))


@rule(r"(\w+): trial \d+, epoch \d+: samples and \d+ true modes")
def _scatter(found: re.Match[str], t: Tables) -> Values:
    row = histogram_row(found[1], t)
    data = t.study["trial"]["data"]
    modes = data["modes"] if data["name"] == "ring" else data.get("side", 5) ** 2
    return [row["number"], pictured(row["number"], row["epoch"], t), modes]


@rule(r"([\w ]+) of \d+ trials in the order of their numbers; the best so far ends at .*")
def _history(found: re.Match[str], t: Tables) -> Values:
    return [len(t.best_in_order), t.value(t.best_in_order[0])]


@rule(r"best ([\w ]+) against epochs spent: .* after [\d,]+ epochs")
def _spent(found: re.Match[str], t: Tables) -> Values:
    spent = sum(len(t.by_trial.get(n, [])) for n in t.search)
    return [t.value(t.best_in_order[0]), spent]


@rule(r"rung at \w+ .*")
def _rungs(found: re.Match[str], t: Tables) -> Values:
    told: Values = []
    ladder = t.study["scheduler"]
    for index, text in enumerate(found[0].split("; ")):
        level = ladder["grace_epochs"] * ladder["reduction_factor"] ** index
        at = [r for r in t.epochs if r["number"] in t.search and r["rung"] == index]
        last = [r for r in at if r["epoch"] == t.by_trial[r["number"]][-1]["epoch"]]
        stopped = sum(t.trials[r["number"]]["stopped_by"] == "asha" for r in last)
        assert text.startswith("rung at ")
        told += [level, stopped, len(at)]
    return told


@rule(r"importance of parameters: (.*)")
def _importance(found: re.Match[str], t: Tables) -> Values:
    shares = importances(t)
    ordered = sorted(shares, key=lambda path: shares[path][2])
    return [x for path in ordered for x in shares[path][: 2 if shares[path][2] else 1]]


@rule(r"Share of the objective's variance .* Note: rests on \d+ trials: a hint, no more\.")
def _note(found: re.Match[str], t: Tables) -> Values:
    assert len(at_first_rung(t)) < 20
    return [len(at_first_rung(t))]


@rule(r"\d+ trials? on \d+ workers? over .*")
def _time_line(found: re.Match[str], t: Tables) -> Values:
    rows = [r for r in t.search.values() if r["started_at"] and r["wall_s"]]
    starts = [datetime.fromisoformat(r["started_at"]).timestamp() for r in rows]
    ends = [start + float(r["wall_s"]) for start, r in zip(starts, rows, strict=True)]
    return [len(rows), len({r["worker"] for r in rows}), max(ends) - min(starts)]
