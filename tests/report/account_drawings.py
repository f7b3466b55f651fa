"""What the numbers in labels and titles of a page's drawings are."""

import re
from collections.abc import Callable, Sequence
from functools import partial

from account import Values, compared, path_of, unaccounted
from account_figures import best_row, histogram_row
from recount import Tables, at_first_rung

DrawingRule = tuple[re.Pattern[str], Callable[[re.Match[str], str, Tables], Values]]
DRAWING_RULES: list[DrawingRule] = []


def in_drawing(text: str, alt: str, t: Tables) -> str | None:
    """What is wrong with a label or a title of a drawing with such an alternative text."""
    for pattern, count in DRAWING_RULES:
        found = pattern.fullmatch(text)
        if found:
            return compared(text, t, partial(count, found, alt, t))
    return unaccounted(text, t)


def drawing_rule(
    pattern: str,
) -> Callable[[Callable[[re.Match[str], str, Tables], Values]], None]:
    """Enters what the numbers of a kind of label are, in a drawing of some alternative text."""

    def enter(count: Callable[[re.Match[str], str, Tables], Values]) -> None:
        DRAWING_RULES.append((re.compile(pattern), count))

    return enter


@drawing_rule(r"trial (\d+)(, the best)?")
def _curve(found: re.Match[str], alt: str, t: Tables) -> Values:
    assert int(found[1]) in t.trials
    assert not found[2] or int(found[1]) == t.best
    return [int(found[1])]


@drawing_rule(r"trial (\d+): ([^,;]+), (completed|stopped|diverged|failed|interrupted|running)")
def _tried(found: re.Match[str], alt: str, t: Tables) -> Values:
    assert t.trials[int(found[1])]["status"] == found[3]
    return [int(found[1]), t.value(int(found[1]))]


@drawing_rule(r"trial (\d+): (\w+), [\d.]+ (?:s|min|h)")
def _ran(found: re.Match[str], alt: str, t: Tables) -> Values:
    row = t.trials[int(found[1])]
    assert row["status"] == found[2]
    return [int(found[1]), float(row["wall_s"])]


@drawing_rule(r"trial (\d+): [^,;]+, (stopped here|went on)")
def _at_rung(found: re.Match[str], alt: str, t: Tables) -> Values:
    number = int(found[1])
    rows = t.by_trial[number]
    reached = [row for row in rows if row["rung"] is not None]
    is_stopped = found[2] == "stopped here"
    assert not is_stopped or t.trials[number]["stopped_by"] == "asha"
    at = reached[-1:] if is_stopped else reached
    shown = float(found[0].split(": ")[1].split(",")[0].replace("−", "-"))
    known = [row for row in rows if row["objective"] is not None]
    latest = [[r["objective"] for r in known if r["epoch"] <= a["epoch"]][-1] for a in at]
    return [number, min(latest, key=lambda value: abs(value - shown))]


@drawing_rule(r"trial (\d+): ([a-z ]+); [^,]+, .+")
def _in_map(found: re.Match[str], alt: str, t: Tables) -> Values:
    names = re.fullmatch(r"\d+ trials by (.+) and (.+), marked by verdict", alt)
    assert names is not None
    number = int(found[1])
    assert t.trials[number]["verdict"].replace("_", " ") == found[2]
    return [number, *(float(t.parameters(number)[path_of(n, t)]) for n in names.groups())]


@drawing_rule(r"trial (\d+): precision .*, recall .*, ([a-z ]+)")
def _precision(found: re.Match[str], alt: str, t: Tables) -> Values:
    row = best_row(int(found[1]), t)
    assert str(row["verdict"]).replace("_", " ") == found[2]
    return [int(found[1]), row["precision"], row["recall"]]


@drawing_rule(r"mode (\d+): .*")
def _mode(found: re.Match[str], alt: str, t: Tables) -> Values:
    row = histogram_row(alt.split(", ")[2].split(":")[0], t)
    shares = row["mode_histogram"]
    return [int(found[1]), shares[int(found[1])]]


COUNTS = re.compile(r"[a-z ]+: \d+ of \d+|\d+ trials?|\d+ \(\S+%\)")
"""Labels and titles of bars of counts, which say in pieces what the alternative text says."""


def wrong_counts(texts: Sequence[str], alt: str) -> bool:
    """Whether bars of counts say other than their alternative text, or in another order."""
    kind, _, told = alt.partition(": ")
    expected = []
    if kind.startswith("verdicts over the range"):
        for row in told.split("; "):
            counts = re.findall(r"(\d+) ([a-z ]+)", row.rpartition(": ")[2])
            total = sum(int(count) for count, _ in counts)
            expected += [f"{verdict}: {count} of {total}" for count, verdict in counts]
            expected += [f"{total} trial" + "s" * (total != 1)] if total else []
    elif kind == "trials by verdict":
        values = [int(count) for count in re.findall(r"\d+", told)]
        expected = [f"{value} ({_percent(value / sum(values))})" for value in values]
    return [text for text in texts if COUNTS.fullmatch(text)] != expected


def _percent(share: float) -> str:
    return "<1%" if share < 0.005 else ">99%" if 0.995 < share < 1 else f"{share:.0%}"


@drawing_rule(r"(\S+) of (\d+) trials?")
def _importance(found: re.Match[str], alt: str, t: Tables) -> Values:
    assert f" {found[1]}" in alt
    among = f"{found[1]} among the {found[2]} that" in alt
    return [float(found[1].strip("%<>")) / 100, int(found[2]) if among else len(at_first_rung(t))]


@drawing_rule(r"base trial .*")
def _base(found: re.Match[str], alt: str, t: Tables) -> Values:
    return [None if t.base is None else t.value(t.base)]


@drawing_rule(r"(\S+)% failed")
def _failures(found: re.Match[str], alt: str, t: Tables) -> Values:
    rates = [row["failure_rate"] for row in t.over_seeds.values()]
    return [min(rates, key=lambda rate: abs(rate - float(found[1].strip("<>")) / 100))]


@drawing_rule(r"[\d.,e−-]+")
def _seed(found: re.Match[str], alt: str, t: Tables) -> Values:
    assert " over seeds: " in alt
    values = [t.sign * v for row in t.over_seeds.values() for v in row["by_seed"].values()]
    shown = float(found[0].replace(",", "").replace("−", "-"))
    return [min(values, key=lambda value: abs(value - shown))]
