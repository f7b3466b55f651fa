"""What `gantune compare` prints."""

from math import isnan
from typing import TYPE_CHECKING, Any

from rich.console import Console

from gantune.display import make_table, plain

if TYPE_CHECKING:
    from gantune.analysis.compare import Comparison

LONGEST = 60


def show_comparison(comparison: "Comparison", console: Console) -> None:
    """Prints runs side by side: what each reached, after how much, how their studies differ."""
    metric, labels = comparison.metric, [str(label) for label in comparison.runs.index]
    plain(console, f"{metric} ({comparison.goal})\n")
    table = make_table("", *labels)
    for name in comparison.runs.columns:
        table.add_row(str(name), *(_cell(value) for value in comparison.runs[name]))
    console.print(table)
    plain(console, f"\nbest {metric} by epochs spent in all trials:")
    table = make_table("epochs", *labels)
    for epochs, row in comparison.budgets.iterrows():
        table.add_row(f"{epochs:,}", *(_cell(value) for value in row))
    console.print(table)
    target = f"{comparison.target:.4g}, the worst run's best"
    plain(console, f"\nspent in all trials until {metric} was as good as {target}:")
    table = make_table("", *labels)
    for spent, row in comparison.reached.iterrows():
        table.add_row(str(spent), *("-" if isnan(value) else f"{value:,.0f}" for value in row))
    console.print(table)
    if comparison.differences.empty:
        plain(console, "\ntheir studies do not differ")
        return
    plain(console, "\nwhat differs in their studies:")
    table = make_table("path", *labels)
    for path, row in comparison.differences.iterrows():
        table.add_row(str(path), *(_cell(value) for value in row))
    console.print(table)


def _cell(value: Any) -> str:
    if str(value) in ("None", "nan", "<NA>"):  # all of them mean: not there
        return "-"
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
