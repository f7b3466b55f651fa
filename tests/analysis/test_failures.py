"""Rates of verdicts over parts of the space: against a loop, and with planted faults."""

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tables import Row, completed, unrung, write_run

import gantune
from gantune.analysis.bins import cut
from gantune.space import ParameterSpec

G_LR, D_LR = "optimizer.generator.lr", "optimizer.discriminator.lr"
SEARCH: dict[str, Any] = {
    G_LR: {"log_uniform": [1e-5, 1e-1]},
    D_LR: {"log_uniform": [0.1, 10], "times": G_LR},
    "optimizer.generator.beta1": {"uniform": [0.0, 0.8]},
    "optimizer.discriminator.beta1": {"same_as": "optimizer.generator.beta1"},
    "generator.latent_dim": {"int": [2, 9]},
    "train.d_steps": {"log_int": [1, 8]},
    "generator.hidden": {"choice": [[8], [4, 4]]},
    "penalty.name": {"choice": ["none", "r1"]},
    "penalty.weight": {"log_uniform": [1e-2, 1e2], "when": {"penalty.name": "r1"}},
}
VERDICTS = ["diverged", "mode_collapse", "healthy", None]


def random_trials(count: int, seed: int) -> list[Row]:
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        lr, beta = float(10 ** rng.uniform(-5, -1)), float(rng.uniform(0, 0.8))
        point: dict[str, Any] = {
            G_LR: lr,
            D_LR: lr * float(10 ** rng.uniform(-1, 1)),
            "optimizer.generator.beta1": beta,
            "optimizer.discriminator.beta1": beta,
            "generator.latent_dim": int(rng.integers(2, 10)),
            "train.d_steps": int(rng.integers(1, 9)),
            "generator.hidden": [[8], [4, 4]][int(rng.integers(2))],
            "penalty.name": ["none", "r1"][int(rng.integers(2))],
        }
        if point["penalty.name"] == "r1":
            point["penalty.weight"] = float(10 ** rng.uniform(-2, 2))
        verdict = VERDICTS[int(rng.choice(4, p=[0.2, 0.2, 0.5, 0.1]))]
        rows.append(completed(number, 1.0, point, verdict=verdict))
    return rows


def in_log(value: float, low: float, high: float, bins: int) -> int:
    share = math.log(value / low) / math.log(high / low)
    return min(bins - 1, max(0, math.floor(share * bins)))


def place(path: str, value: Any, ratios: tuple[float, float], bins: int) -> Any:
    """Which bin a value belongs to, by a formula rather than by edges."""
    if path in ("generator.hidden", "penalty.name"):
        return json.dumps(value)
    if path == G_LR:
        return in_log(value, 1e-5, 1e-1, bins)
    if path == "penalty.weight":
        return in_log(value, 1e-2, 1e2, bins)
    if path == D_LR:
        return in_log(value, *ratios, bins)
    if path == "train.d_steps":
        return in_log(value, 1, 8, bins)
    low, high = (2, 9) if path == "generator.latent_dim" else (0.0, 0.8)
    return min(bins - 1, math.floor((value - low) / (high - low) * bins))


@pytest.mark.parametrize(("seed", "bins"), [(0, 4), (1, 4), (2, 3), (3, 1), (4, 7)])
def test_it_counts_what_a_loop_counts(seed: int, bins: int, tmp_path: Path) -> None:
    rows = random_trials(60, seed)
    table = write_run(tmp_path / "r", unrung(SEARCH), rows).failures(bins=bins)
    judged = [row for row in rows if row["verdict"]]
    rates = [row["parameters"][D_LR] for row in judged]
    expected: Counter[tuple[str, Any, str]] = Counter()
    totals: Counter[tuple[str, Any]] = Counter()
    for row in judged:
        for path, value in row["parameters"].items():
            if path != "optimizer.discriminator.beta1":
                key = place(path, value, (min(rates), max(rates)), bins)
                totals[path, key] += 1
                expected[path, key, row["verdict"]] += 1
    counts = Counter(
        {
            path: Counter(found["count"].tolist())
            for path, found in table[table["count"] > 0].groupby("parameter")
        }
    )
    for path, found in counts.items():
        assert found == Counter(n for (p, _, _), n in expected.items() if p == path), path
    filled = table[table["trials"] > 0]
    assert sorted(filled.drop_duplicates(["parameter", "bin"])["trials"]) == sorted(totals.values())
    assert np.allclose(filled["rate"], filled["count"] / filled["trials"])
    # One by one where bins have their place by order: the rates of the generator.
    lr = table[table["parameter"] == G_LR]
    for index, part in enumerate(lr["bin"].unique()):
        for verdict in ("diverged", "mode_collapse", "healthy"):
            row = lr[(lr["bin"] == part) & (lr["verdict"] == verdict)].iloc[0]
            assert row["count"] == expected[G_LR, index, verdict]
            assert row["trials"] == totals[G_LR, index]


def test_its_form(tmp_path: Path) -> None:
    run = write_run(tmp_path / "r", unrung(SEARCH), random_trials(40, 5))
    table = run.failures()
    assert list(table.columns) == [
        *("parameter", "bin", "low", "high", "trials", "verdict", "count", "rate")
    ]
    assert list(table["parameter"].unique()) == [p for p in SEARCH if "discriminator.beta" not in p]
    bins = table[table["parameter"] == G_LR].drop_duplicates("bin")
    assert list(bins["bin"]) == ["1e-05 to 1e-04", "1e-04 to 0.001", "0.001 to 0.01", "0.01 to 0.1"]
    assert bins["low"].to_list() == pytest.approx([1e-5, 1e-4, 1e-3, 1e-2])
    assert bins["high"].to_list() == pytest.approx([1e-4, 1e-3, 1e-2, 1e-1])
    verdicts = table[table["bin"] == "1e-05 to 1e-04"]["verdict"]
    assert list(verdicts) == ["diverged", "mode_collapse", "healthy"]
    rates = table.groupby(["parameter", "bin"], sort=False)["rate"].sum(min_count=1).dropna()
    assert rates.to_list() == pytest.approx([1.0] * len(rates))
    alone = run.failures("penalty.weight", bins=2)
    assert set(alone["parameter"]) == {"penalty.weight"}
    having = run.trials["config.penalty.weight"].notna() & run.trials["verdict"].notna()
    assert alone.drop_duplicates("bin")["trials"].sum() == having.sum()
    hidden = run.failures("generator.hidden")
    assert list(hidden["bin"].unique()) == ["[8]", "[4, 4]"] and hidden["low"].isna().all()


def test_a_border_is_found(tmp_path: Path) -> None:
    """Above a rate of 1e-3 every trial diverges, below none does."""
    rows = [
        completed(n, 1.0, {G_LR: lr}, verdict="diverged" if lr > 1e-3 else "healthy")
        for n, lr in enumerate(10 ** np.random.default_rng(0).uniform(-5, -1, 50))
    ]
    run = write_run(tmp_path / "r", unrung({G_LR: SEARCH[G_LR]}), rows)
    table = run.failures()
    rates = table[table["verdict"] == "diverged"].set_index("bin")["rate"]
    assert rates.to_list() == [0.0, 0.0, 1.0, 1.0]


def spec(**domain: Any) -> ParameterSpec:
    return ParameterSpec.model_validate(domain)


@pytest.mark.parametrize(
    ("domain", "count", "labels"),
    [
        ({"int": [1, 3]}, 4, ["1", "2", "3"]),
        ({"int": [1, 8]}, 4, ["1 to 2", "3 to 4", "5 to 6", "7 to 8"]),
        ({"int": [5, 5]}, 4, ["5"]),
        ({"log_int": [1, 8]}, 4, ["1", "2", "3 to 4", "5 to 8"]),
        ({"uniform": [0, 1]}, 2, ["0 to 0.5", "0.5 to 1"]),
        ({"uniform": [0.5, 0.5]}, 4, ["0.5"]),
        ({"uniform": [100.1, 100.4]}, 3, ["100.1 to 100.2", "100.2 to 100.3", "100.3 to 100.4"]),
        ({"log_uniform": [1e-5, 1e-2]}, 2, ["1e-05 to 3.2e-04", "3.2e-04 to 0.01"]),
        ({"choice": [1, 1.0, True, "one", None]}, 4, ["1", "1.0", "true", "one", "null"]),
    ],
)
def test_bins_in_words(domain: dict[str, Any], count: int, labels: list[str]) -> None:
    bins, _ = cut(spec(**domain), [], count)
    assert [part.label for part in bins] == labels


@pytest.mark.parametrize("kind", ["int", "log_int"])
def test_every_whole_number_is_in_the_bin_that_names_it(kind: str) -> None:
    for low in (1, 2, 7, 32):
        for high in range(low, low + 70, 3):
            for count in (1, 2, 4, 9):
                values = list(range(low, high + 1))
                bins, places = cut(spec(**{kind: [low, high]}), values, count)
                assert all(
                    bins[at].low <= v <= bins[at].high for v, at in zip(values, places, strict=True)
                )
                assert len(bins) <= count and set(places) == set(range(len(bins)))


def test_the_ends_of_a_domain_are_in_its_bins() -> None:
    for domain in ({"uniform": [0.1, 0.7]}, {"log_uniform": [1e-5, 3e-2]}):
        ((low, high),) = domain.values()
        assert cut(spec(**domain), [low, high], 6)[1] == [0, 5]


def test_requests_that_mean_nothing(tmp_path: Path) -> None:
    run = write_run(tmp_path / "r", unrung({G_LR: SEARCH[G_LR]}), [])
    assert run.failures().empty and len(run.failures().columns) == 8
    with pytest.raises(gantune.UsageError, match=r"batch is not searched in r; searched: optim"):
        run.failures("batch")
    with pytest.raises(gantune.UsageError, match="bins is 1 or more, has 0"):
        run.failures(bins=0)
    nothing = write_run(tmp_path / "n", unrung({}), [completed(0, 1.0, {})])
    assert nothing.failures().empty
    with pytest.raises(gantune.UsageError, match="searched: nothing"):
        nothing.failures("batch")


def test_trials_that_recorded_nothing_are_not_counted(tmp_path: Path) -> None:
    rows = [completed(0, 1.0, {G_LR: 1e-3}), completed(1, None, {G_LR: 1e-3}, verdict=None)]
    table = write_run(tmp_path / "r", unrung({G_LR: SEARCH[G_LR]}), rows).failures()
    assert table["trials"].max() == 1 and set(table["verdict"]) == {"healthy"}
    assert pd.isna(table["rate"]).sum() == 3
