"""A journal that is lost or damaged is made again, and the study goes on as it would have."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from optuna.samplers import RandomSampler
from test_replay import COLLAPSE, COURSES, run_to_its_end, study, tables
from toy import Crash, Crasher, ToyHost, crashing

from gantune.api import Silent
from gantune.checks import search_space
from gantune.errors import GantuneError
from gantune.paths import RunPaths
from gantune.records import read_table
from gantune.tuning.conductor import Conductor
from gantune.tuning.judge import Judge
from gantune.tuning.ledger import Ledger
from gantune.tuning.local import drive
from gantune.tuning.rebuild import Known, open_study

# Whoever crashes leaves its files open.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

RATIO = {
    "optimizer.generator.lr": {"log_uniform": [1e-5, 1e-2]},
    "optimizer.discriminator.lr": {"log_uniform": [0.1, 10], "times": "optimizer.generator.lr"},
    "optimizer.generator.eps": {"int": [1, 9], "times": "optimizer.discriminator.lr"},
    "penalty.name": {"choice": ["none", "r1"]},
    "penalty.weight": {"log_uniform": [0.1, 10], "when": {"penalty.name": "r1"}},
}

PLANS: dict[str, dict[str, Any]] = {
    **COURSES,
    "verdicts": {"stop": COLLAPSE},
    "confirmation": {"confirm": {"top": 2, "seeds": 2}},
    "ratios and conditions": {"search": RATIO, "budget": {"trials": 12}},
    "constraints": {"constraints": ["coverage >= 0.2"]},
    "two objectives": {
        "objective": [{"metric": "frechet_distance"}, {"metric": "coverage"}],
        "scheduler": {"name": "none"},
    },
}


def garbled(data: bytes, rng: random.Random) -> bytes:
    lines = data.splitlines(keepends=True)
    lines[rng.randrange(len(lines))] = b"[]\n"
    return b"".join(lines)


def of_another_run(data: bytes, rng: random.Random) -> bytes:
    return data.replace(b'"param_value_internal":', b'"param_value_internal":1')


DAMAGE: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "gone": lambda data, rng: b"",
    "cut": lambda data, rng: data[: rng.randrange(len(data))],
    "garbled": garbled,
    "of another run": of_another_run,
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*is damaged.*made from the tables:UserWarning")
@pytest.mark.parametrize("plan", PLANS)
def test_a_study_whose_journal_is_damaged_between_sessions_is_the_same(
    tmp_path: Path, plan: str
) -> None:
    """Tables, and all that Optuna knows, after crashes at each of which the journal is damaged."""
    course = study(**PLANS[plan])
    run_to_its_end(tmp_path / "undisturbed", course)
    expected, rebuilt = tables(tmp_path / "undisturbed"), 0
    for number, damage in enumerate(DAMAGE.values()):
        rng, root = random.Random(number), tmp_path / str(number)
        root.mkdir()
        paths, crasher = RunPaths(root), Crasher(rng, average=30)
        while not crashed_to_its_end(paths, course, crasher):
            if paths.journal.exists() and read_table(paths.table("trials")).num_rows:
                paths.journal.write_bytes(damage(paths.journal.read_bytes(), rng))
        rebuilt += paths.journal.with_name("optuna.journal.damaged-1").exists()
        found = tables(root)
        if plan == "ratios and conditions":
            # A ratio that is told from a product can be a digit off.
            found, expected = rounded(found), rounded(expected)
        assert found == expected, number
    assert rebuilt >= 3


def rounded(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: rounded(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [rounded(value) for value in tree]
    if isinstance(tree, str) and tree.startswith("{"):
        return rounded(json.loads(tree))
    return float(f"{tree:.12g}") if isinstance(tree, float) else tree


def crashed_to_its_end(paths: RunPaths, course: Any, crasher: Crasher) -> bool:
    """A session; whether it came to its end."""
    try:
        with crashing(crasher):
            conductor = Conductor(paths, course, Silent())
            drive(conductor, ToyHost())
            conductor.close()
    except Crash:
        crasher.reset()
        return False
    return True


def test_it_is_said_and_the_damaged_one_is_kept(tmp_path: Path) -> None:
    run_to_its_end(tmp_path, study(3))
    journal, expected = RunPaths(tmp_path).journal, tables(tmp_path)
    journal.write_bytes(damaged := journal.read_bytes().replace(b"{", b"[", 3))
    said = f"{journal} is damaged: line 1 is no.*made from the tables.*as {journal.name}.damaged-1"
    with pytest.warns(UserWarning, match=said):
        Conductor(RunPaths(tmp_path), study(3), Silent()).close()
    assert journal.with_name("optuna.journal.damaged-1").read_bytes() == damaged
    assert tables(tmp_path) == expected
    # Where a crash left none there is none to keep.
    journal.unlink()
    with pytest.warns(UserWarning, match="it has 0 trials, and trial 0 has begun"):
        Conductor(RunPaths(tmp_path), study(3), Silent()).close()
    assert journal.with_name("optuna.journal.damaged-1").read_bytes() == damaged
    assert not journal.with_name("optuna.journal.damaged-2").exists()
    journal.write_bytes(again := journal.read_bytes()[:-30] + b"}\n")
    with pytest.warns(UserWarning, match="kept as optuna.journal.damaged-2"):
        Conductor(RunPaths(tmp_path), study(3), Silent()).close()
    kept = [journal.with_name(f"optuna.journal.damaged-{n}").read_bytes() for n in (1, 2)]
    assert kept == [damaged, again]
    assert tables(tmp_path) == expected


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"parameters": json.dumps({"optimizer.generator.lr": 5.0})}, "lr = 5.0 is not in"),
        ({"confirms": 0}, "no repeat has the seed"),
        (None, "trial 1 is not in them"),
    ],
)
def test_tables_that_are_no_runs_make_none(
    tmp_path: Path, changed: dict[str, Any] | None, message: str
) -> None:
    plan, paths = study(3), RunPaths(tmp_path)
    run_to_its_end(tmp_path, plan)
    space, ledger = search_space(plan), Ledger(paths, plan)
    if changed is None:
        del ledger.starts[1]
    else:
        ledger.starts[1] |= changed
    known, sampler = Known(plan, space, ledger, Judge(plan, ledger)), RandomSampler()
    paths.journal.write_bytes(b"")
    with pytest.raises(GantuneError, match=f"cannot be made again from the tables: .*{message}"):
        open_study(paths.journal, known, sampler)
    assert paths.journal.exists()
