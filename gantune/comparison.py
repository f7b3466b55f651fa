"""What `gantune compare` prints."""

from collections.abc import Mapping, Sequence
from math import isnan
from typing import TYPE_CHECKING, Any

from rich.measure import Measurement

from gantune.display import make_table
from gantune.terminal import Terminal

if TYPE_CHECKING:
    from gantune.analysis.compare import Comparison

LONGEST = 60


def show_comparison(comparison: "Comparison", console: Terminal) -> None:
    """Prints runs side by side: what each reached, after how much, how their studies differ."""
    metric, labels = comparison.metric, [str(label) for label in comparison.runs.index]
    console.print(f"{metric} ({comparison.goal})\n")
    runs = {str(n): [_cell(v) for v in comparison.runs[n]] for n in comparison.runs.columns}
    _print("", labels, runs, console)
    console.print(f"\nbest {metric} by epochs spent in all trials:")
    budgets = comparison.budgets.iterrows()
    _print("epochs", labels, {f"{n:,}": [_cell(v) for v in row] for n, row in budgets}, console)
    target = f"{comparison.target:.4g}, the worst run's best"
    console.print(f"\nspent until {metric} was as good as {target}:")
    spent = comparison.reached.iterrows()
    counts = {str(n): ["-" if isnan(v) else f"{v:,.0f}" for v in row] for n, row in spent}
    _print("", labels, counts, console)
    if comparison.differences.empty:
        console.print("\ntheir studies do not differ")
        return
    console.print("\nwhat differs in their studies:")
    differing = comparison.differences.iterrows()
    paths = {str(path): [_cell(value) for value in row] for path, row in differing}
    _print("path", labels, paths, console)


def _print(
    head: str, labels: Sequence[str], rows: Mapping[str, Sequence[str]], console: Terminal
) -> None:
    """A table; where the terminal is too narrow for it, a list, for a cut name tells nothing."""
    table = make_table(head, *labels)
    for name, cells in rows.items():
        table.add_row(name, *map(_cut, cells))
    unbounded = console.options.update(width=10_000)
    if Measurement.get(console, unbounded, table).maximum <= console.width:
        console.print(table)
        return
    for name, cells in rows.items():
        console.print(name)
        for value in dict.fromkeys(cells):
            same = [label for label, cell in zip(labels, cells, strict=True) if cell == value]
            console.print(f"  {', '.join(same)}: {value}")


def _cell(value: Any) -> str:
    if str(value) in ("None", "nan", "<NA>"):  # all of them mean: not there
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
