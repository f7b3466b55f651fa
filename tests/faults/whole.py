"""What has to be true of a run that went through faults: nothing lost, nothing twice."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import gantune
from gantune.checkpoints import read_checkpoint
from gantune.columns import TIMES
from gantune.paths import RunPaths
from gantune.records import read_table

STATES = {"completed": "COMPLETE", "stopped": "PRUNED", "diverged": "PRUNED", "failed": "FAIL"}


def check_whole(root: Path, trials: int, epochs: int) -> None:
    """Every trial complete exactly once, every epoch exactly once, Optuna knows the same."""
    run = gantune.load(root)
    assert run.status == "finished"
    assert list(run.trials["number"]) == list(range(trials))
    rows = read_table(RunPaths(root).table("trials")).to_pylist()
    begun = Counter(row["number"] for row in rows if row["status"] == "running")
    ended = Counter(row["number"] for row in rows if row["status"] != "running")
    assert begun == ended == Counter(range(trials)), "each begins once and ends once"
    records: dict[int, list[dict[str, Any]]] = {number: [] for number in range(trials)}
    everything = read_table(RunPaths(root).table("epochs")).to_pylist()
    assert [row["seq"] for row in everything] == list(range(len(everything)))
    for row in everything:
        records[row["number"]].append(row)
    told = optuna_knows(root)
    for row in rows:
        if row["status"] == "running":
            continue
        number = row["number"]
        assert row["status"] in ("completed", "stopped", "diverged"), row["error"]
        assert [r["epoch"] for r in records[number]] == list(range(1, row["epochs"] + 1))
        if row["status"] == "completed":
            assert row["epochs"] == epochs
        state, value, values = told[number]
        assert state == STATES[row["status"]]
        if row["status"] != "diverged":
            assert value == [row["objective"]]
            assert values == {r["epoch"]: r["best_objective"] for r in records[number]}
    assert sorted(told) == list(range(trials))


def went_on(root: Path) -> int:
    """How many trials lost a worker, after which each went on from its own last checkpoint.

    No epoch that was reported was trained again: it would have taken another time than the tables
    say. Counts those that completed, all of whose checkpoints the run has to keep.
    """
    lost, rows = 0, read_table(RunPaths(root).table("epochs")).to_pylist()
    for folder in sorted((root / "trials").glob("0*/")):
        checkpoint = read_checkpoint(folder / "last")
        if checkpoint is not None and len(list(folder.glob("attempt-*"))) > 1:
            lost += 1
            kept = [row["train_s"] for row in checkpoint.meta["records"]]
            assert kept == [row["train_s"] for row in rows if row["number"] == int(folder.name)]
    return lost


def optuna_knows(root: Path) -> dict[int, tuple[str, Any, dict[int, float]]]:
    """State, values and intermediate values of the journal's trials, by number."""
    import optuna
    from optuna.storages.journal import JournalFileBackend

    storage = optuna.storages.JournalStorage(JournalFileBackend(str(RunPaths(root).journal)))
    (name,) = optuna.get_all_study_names(storage)
    trials = optuna.load_study(study_name=name, storage=storage).get_trials()
    ends = Counter(
        entry["trial_id"]
        for entry in map(json.loads, RunPaths(root).journal.read_text().splitlines())
        if entry.get("op_code") == 6 and entry.get("state") in (1, 2, 3)
    )
    assert set(ends.values()) == {1}, "each is told once"
    return {t.number: (t.state.name, t.values, t.intermediate_values) for t in trials}


def tables(root: Path) -> dict[str, Any]:
    """Everything in the tables that must not depend on faults."""
    dropped = TIMES | {"trial_id"}
    return {
        name: [
            {k: v for k, v in row.items() if k not in dropped}
            for row in read_table(RunPaths(root).table(name)).to_pylist()
        ]
        for name in ("epochs", "steps", "trials")
    }
