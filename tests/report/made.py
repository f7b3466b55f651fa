"""Runs of any size and kind, written as tables: what a report has to stand."""

import io
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from gantune.document import write_document
from gantune.records import SCHEMAS
from gantune.storage import write_json

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

SEARCH: dict[str, Any] = {
    "optimizer.generator.lr": {"log_uniform": [1e-5, 1e-2]},
    "optimizer.discriminator.lr": {"log_uniform": [0.1, 10], "times": "optimizer.generator.lr"},
    "loss.name": {"choice": ["non_saturating", "hinge"]},
}

HOSTILE = {
    "script": "<script>window.hacked = 1</script>",
    "end": "</script></style></title><img src=x onerror='window.hacked = 1'>",
    "quotes": "\"'`><svg onload=window.hacked=1> &amp; &lt;b&gt; {{ 7 * 7 }} ${7*7}",
    "turned": "safe\u202egnp.exe\u2066 \u200f\x00\x1b[31m",
    "table": "a | b \\| [x](javascript:alert(1)) `code` *bold* <!-- c",
    "long": "W" * 9_000,
}
"""Text that must stand in a report as text."""


def make_run(
    root: Path,
    *,
    trials: int = 12,
    epochs: int = 6,
    search: Mapping[str, Any] | None = None,
    description: str = "A made run.",
    status: str = "finished",
    fault: str = "mixed",
    labels: bool = True,
    null: str = "",
    error: str = "",
    session: Mapping[str, Any] | None = None,
    pictures: int = 0,
    data: Mapping[str, Any] | None = None,
    repeats: int = 0,
    objective: Any = None,
) -> Path:
    """Writes a run.

    Args:
        root: Its directory.
        trials: How many.
        epochs: Of a trial that is not stopped; every third is, at half.
        search: The search space; default two rates and a loss.
        description: The study's.
        status: In run.json.
        fault: ``mixed``: verdicts of all kinds; else the verdict of all trials.
        labels: Whether modes are known.
        null: A metric without a value in any epoch.
        error: The error of every fifth trial, which then has failed.
        session: More of run.json's session.
        pictures: Of so many trials, one per epoch.
        data: The trial's data section.
        repeats: Seeds with which trials 0 and 1 are confirmed.
        objective: The study's; default one metric.
    """
    space = dict(SEARCH if search is None else search)
    root.mkdir(parents=True)
    (root / "study.yaml").write_text(
        write_document(_study(space, description, epochs, data, objective))
    )
    write_json(root / "run.json", _info(status, session or {}))
    rng = np.random.default_rng(7)
    drawn = [_draw(space, rng) for _ in range(trials)]
    ends = [_end(number, epochs, fault, error) for number in range(trials)]
    for confirmed in (0, 1) if repeats else ():
        drawn += [drawn[confirmed]] * repeats
        ends += [_repeat(confirmed, seed, epochs) for seed in range(repeats)]
    table = _epochs(ends, drawn, rng, labels)
    if null:
        index = table.schema.get_field_index(null)
        table = table.set_column(index, null, pa.nulls(len(table), table.schema.field(null).type))
    _write(root, "epochs", table)
    _write(root, "trials", _trials(root.name, ends, drawn, table))
    _write_journal(root, space, ends[:trials], drawn[:trials], table)
    for number in range(min(pictures, trials)):
        for epoch in range(1, ends[number]["epochs"] + 1):
            _picture(root / "trials" / f"{number:05d}" / "samples" / f"epoch-{epoch:05d}.png", rng)
    return root


def _study(
    space: Mapping[str, Any],
    description: str,
    epochs: int,
    data: Mapping[str, Any] | None,
    objective: Any,
) -> dict[str, Any]:
    trial = {"data": dict(data or {"name": "digits"}), "train": {"epochs": epochs}}
    return {
        "name": "made",
        "description": description,
        "trial": trial,
        "search": dict(space),
        "objective": objective or {"metric": "frechet_distance", "goal": "minimize"},
        "start": [],
        "samples": {"every": 1},
        "scheduler": {"grace_epochs": max(1, epochs // 2), "reduction_factor": 3},
        "budget": {"trials": 10_000},
    }


def _info(status: str, session: Mapping[str, Any]) -> dict[str, Any]:
    features = {"name": "classifier", "hash": "0123456789abcdef", "accuracy": 0.97, "samples": 1797}
    return {
        "format": 1,
        "created_at": START.isoformat(),
        "status": status,
        "sessions": [
            {
                "started_at": START.isoformat(),
                "versions": {"gantune": "0.1.0", "torch": "2.15.0"},
                "python": "3.11",
                "host": "made",
                "slots": 2,
                "device": "cpu",
                "seeds": {"trial": 0, "sampler": 0},
                "features": features,
                "samples": 1000,
                "extensions": {},
                **session,
            }
        ],
    }


def _draw(space: Mapping[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """Values by path; ratios become products as in a search."""
    values: dict[str, Any] = {}
    for path, spec in space.items():
        if "choice" in spec:
            value = spec["choice"][int(rng.integers(len(spec["choice"])))]
        elif "log_uniform" in spec:
            low, high = np.log(spec["log_uniform"])
            value = float(np.exp(rng.uniform(low, high)))
        else:
            value = float(rng.uniform(*spec["uniform"]))
        values[path] = value * values[spec["times"]] if "times" in spec else value
    return values


VERDICTS = ("healthy", "mode_collapse", "healthy", "discriminator_dominates", "oscillating")


def _end(number: int, epochs: int, fault: str, error: str) -> dict[str, Any]:
    verdict = VERDICTS[number % len(VERDICTS)] if fault == "mixed" else fault
    status, stopped_by, length = "completed", None, epochs
    if verdict == "diverged" or (fault == "mixed" and number % 11 == 10):
        verdict, status, length = "diverged", "diverged", 2
    elif number % 3 == 1 and epochs > 1:
        status, stopped_by, length = "stopped", "asha", max(1, epochs // 2)
    if error and number % 5 == 4:
        status, stopped_by = "failed", None
    end = {"status": status, "stopped_by": stopped_by, "epochs": min(length, epochs)}
    return {**end, "verdict": verdict, "error": error if status == "failed" else None}


def _repeat(confirmed: int, seed: int, epochs: int) -> dict[str, Any]:
    """Trial 1's configuration fails on its first seed."""
    status = "failed" if confirmed == 1 and seed == 0 else "completed"
    end = {"status": status, "stopped_by": None, "epochs": epochs, "verdict": "healthy"}
    return {**end, "error": None, "confirms": confirmed, "seed": 9000 + seed}


def _epochs(
    ends: list[dict[str, Any]],
    drawn: list[dict[str, Any]],
    rng: np.random.Generator,
    labels: bool,
) -> pa.Table:
    lengths = np.array([end["epochs"] for end in ends], int)
    number = np.repeat(np.arange(len(ends)), lengths)
    n = len(number)
    epoch = np.concatenate([np.arange(1, k + 1) for k in lengths]) if n else np.zeros(0, int)
    lr = np.array([v.get("optimizer.generator.lr", 1e-3) for v in drawn])
    level = 5 + 20 * np.abs(np.log10(lr / 1e-3)) if len(drawn) else np.zeros(0)
    objective = level[number] * (1 + 3 / epoch) * np.exp(0.1 * rng.standard_normal(n))
    bad = np.array([end["verdict"] == "diverged" for end in ends], bool)
    objective[bad[number] & (epoch == lengths[number])] = np.nan
    best = _running_best(objective, epoch) if n else objective
    verdicts = [end["verdict"] for end in ends]
    share = rng.random((n, 10))
    share /= share.sum(1, keepdims=True) if n else 1
    columns: dict[str, Any] = {
        "number": number,
        "trial_id": [f"made_{k:05d}" for k in number],
        "seq": rng.permutation(n),
        "epoch": epoch,
        "step": epoch * 10,
        "images_seen": epoch * 640,
        "wall_s": epoch * 1.5,
        "train_s": np.full(n, 1.2),
        "eval_s": np.full(n, 0.2),
        "frechet_distance": objective,
        "objective": objective,
        "best_objective": best,
        "rung": [0 if e == max(1, lengths.max(initial=2) // 2) else None for e in epoch],
        "verdict": [verdicts[k] for k in number],
        "evidence": [f"{verdicts[k]} since epoch 1: made, trial {k}." for k in number],
        "modes": rng.integers(1, 11, n) if labels else None,
        "mode_entropy": rng.random(n) if labels else None,
        "mode_histogram": list(share) if labels else None,
    }
    for name in ("d_acc", "d_auc", "coverage", "precision", "recall"):
        columns[name] = rng.random(n)
    for name in ("g_loss", "d_loss", "g_grad_norm", "d_grad_norm"):
        columns[name] = np.exp(rng.standard_normal(n))
    return _table("epochs", columns, n)


def _running_best(objective: Any, epoch: Any) -> Any:
    """As an accumulated minimum per trial, without a loop over 10,000 of them."""
    starts = np.flatnonzero(epoch == 1)
    best = objective.copy()
    for step in range(1, int(epoch.max())):
        rows = starts[np.append(np.diff(starts), len(epoch) - starts[-1]) > step] + step
        best[rows] = np.fmin(best[rows], best[rows - 1])
    return best


def _table(name: str, columns: Mapping[str, Any], rows: int) -> pa.Table:
    arrays = []
    for field in SCHEMAS[name]:
        values = columns.get(field.name)
        if values is None:
            arrays.append(pa.nulls(rows, field.type))
        else:
            arrays.append(pa.array(values, field.type, from_pandas=True))
    return pa.Table.from_arrays(arrays, schema=SCHEMAS[name])


def _trials(
    name: str, ends: list[dict[str, Any]], drawn: list[dict[str, Any]], epochs: pa.Table
) -> pa.Table:
    frame = epochs.select(["number", "epoch", "objective"]).to_pandas()
    scored = frame.dropna()
    order = scored.sort_values(["objective", "epoch"]).drop_duplicates("number")
    best = order.set_index("number")
    last = scored.drop_duplicates("number", keep="last").set_index("number")["objective"]
    count = len(ends)
    columns = {
        "number": list(range(count)),
        "trial_id": [f"{name}_{k:05d}" for k in range(count)],
        **{key: [end[key] for end in ends] for key in ("status", "stopped_by", "epochs")},
        "verdict": [end["verdict"] for end in ends],
        "verdict_epoch": [1] * count,
        "objective": [best["objective"].get(k) for k in range(count)],
        "best_epoch": [best["epoch"].get(k) for k in range(count)],
        "last_objective": [last.get(k) for k in range(count)],
        "confirms": [end.get("confirms") for end in ends],
        "seed": [end.get("seed", 1000 + k) for k, end in enumerate(ends)],
        "worker": [f"made:{k % 2}" for k in range(count)],
        "started_at": [(START + timedelta(seconds=10 * k)).isoformat() for k in range(count)],
        "wall_s": [1.5 * end["epochs"] for end in ends],
        "parameters": [json.dumps(values) for values in drawn],
        "error": [end["error"] for end in ends],
    }
    return _table("trials", columns, count)


def _write(root: Path, name: str, table: pa.Table) -> None:
    folder = root / name
    folder.mkdir()
    with pa.ipc.new_stream(folder / "000001.arrow", table.schema) as writer:
        writer.write_table(table, max_chunksize=65_536)


def _write_journal(
    root: Path,
    space: Mapping[str, Any],
    ends: list[dict[str, Any]],
    drawn: list[dict[str, Any]],
    epochs: pa.Table,
) -> None:
    """As Optuna's JournalStorage writes it."""
    lines: list[dict[str, Any]] = [{"op_code": 0, "study_name": root.name, "directions": [1]}]
    frame = epochs.select(["number", "epoch", "best_objective"]).to_pandas().dropna()
    values: dict[int, list[tuple[int, float]]] = {}
    for number, epoch, value in frame.itertuples(index=False):
        values.setdefault(int(number), []).append((int(epoch), float(value)))
    for number, (end, parameters) in enumerate(zip(ends, drawn, strict=True)):
        began = START + timedelta(seconds=10 * number)
        lines.append({"op_code": 4, "study_id": 0, "datetime_start": began.isoformat()})
        for path, spec in space.items():
            lines.append({"op_code": 5, "trial_id": number, **_param(path, spec, parameters)})
        known = values.get(number, [])
        for epoch, value in known:
            told = {"step": epoch, "intermediate_value": value}
            lines.append({"op_code": 7, "trial_id": number, **told})
        state = {"completed": 1, "failed": 3}.get(end["status"], 2)
        state = 2 if state == 1 and not known else state
        reached = [known[-1][1]] if known and state != 3 else None
        over = (began + timedelta(seconds=9)).isoformat()
        lines.append(
            {
                "op_code": 6,
                "trial_id": number,
                "state": state,
                "values": reached,
                "datetime_complete": over,
            }
        )
    text = "".join(
        json.dumps({**line, "worker_id": "w"}, separators=(",", ":")) + "\n" for line in lines
    )
    # Killed while it wrote: a torn last line.
    (root / "optuna.journal").write_text(text + '{"op_code":4,"wor')


def _param(path: str, spec: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    name, value = path, values[path]
    if "choice" in spec:
        attributes: dict[str, Any] = {"choices": spec["choice"]}
        kind, value = "CategoricalDistribution", spec["choice"].index(value)
    else:
        is_log = "log_uniform" in spec
        low, high = spec["log_uniform"] if is_log else spec["uniform"]
        kind, attributes = "FloatDistribution", {"step": None, "low": low, "high": high}
        attributes["log"] = is_log
        if "times" in spec:
            name, value = f"{path}@ratio", value / values[spec["times"]]
            value = min(max(value, low), high)
    distribution = json.dumps({"name": kind, "attributes": attributes})
    return {"param_name": name, "param_value_internal": value, "distribution": distribution}


def _picture(path: Path, rng: np.random.Generator) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    small = Image.fromarray(rng.integers(256, size=(73, 73), dtype=np.uint8))
    buffer = io.BytesIO()
    small.resize((365, 365), Image.Resampling.NEAREST).save(buffer, "PNG")
    path.write_bytes(buffer.getvalue())
