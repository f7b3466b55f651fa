"""A trial, from opening to its end: the same numbers however it gets there."""

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from conftest import make_study

from gantune.checkpoints import CheckpointWriter, drop_stale, read_checkpoint
from gantune.columns import EPOCHS, STEPS, TIMES
from gantune.config import TrialConfig
from gantune.engine.engine import choose_device, generate, sample_latents
from gantune.engine.losses import LOSSES
from gantune.engine.materials import make_materials
from gantune.errors import CheckpointError, UsageError
from gantune.host import Host, Progress
from gantune.pictures import picture_to_png, samples_to_picture
from gantune.study import with_values
from gantune.trial import TrialSpec

DIGITS = {
    "data": {"name": "digits", "limit": 150, "holdout": 0.2},
    "train": {"epochs": 5, "steps_per_epoch": 3, "batch_size": 16},
    "eval": {"samples": 60},
}


def spec(folder: Path, config: TrialConfig, number: int = 0, **options: Any) -> TrialSpec:
    return TrialSpec.model_validate(
        {
            "trial_id": f"t_{number}",
            "number": number,
            "seed": 17 + number,
            "config": config,
            "metric": "frechet_distance",
            "goal": "minimize",
            "rungs": (2,),
            "folder": str(folder),
            "threads": 1,
            **options,
        }
    )


def base(**sections: Any) -> TrialConfig:
    return make_study(trial=DIGITS | sections).trial


@pytest.fixture(scope="module")
def host() -> Host:
    return Host(make_materials(base()))


def run(host: Host, trial: TrialSpec, until: int = 10**9) -> list[Progress]:
    handle, parts, epoch = host.open(trial), [], 0
    while True:
        part = host.advance(handle, min(trial.next_stop(epoch), until), 60)
        parts.append(part)
        epoch = part.records[-1]["epoch"]
        if part.status != "running" or epoch >= until:
            host.close(handle)
            return parts


def numbers(parts: list[Progress]) -> list[dict[str, Any]]:
    rows = {r["epoch"]: r for part in parts for r in part.records}
    return [{k: v for k, v in row.items() if k not in TIMES} for row in rows.values()]


def test_every_column_that_applies_is_there(host: Host, tmp_path: Path) -> None:
    records = [r for part in run(host, spec(tmp_path, base())) for r in part.records]
    expected = {column.name for column in EPOCHS} - {"seq"}
    # No penalty and no content loss are configured; pairs are compared where there are no labels.
    absent = {"penalty", "content_loss", "pair_distance_ratio", "extra_metrics"}
    for record in records:
        assert set(record) == expected - absent
        null = {name for name, value in record.items() if value is None}
        assert null == {"high_quality"} | ({"rung"} if record["epoch"] != 2 else set())
    assert [r["epoch"] for r in records] == [1, 2, 3, 4, 5]
    assert [r["step"] for r in records] == [3, 6, 9, 12, 15]
    assert [r["images_seen"] for r in records] == [48, 96, 144, 192, 240]


def test_losses_and_accuracies_have_their_meaning(host: Host, tmp_path: Path) -> None:
    for record in numbers(run(host, spec(tmp_path, base()))):
        halves = (record["d_loss_real"] + record["d_loss_fake"]) / 2
        assert record["d_loss"] == pytest.approx(halves, rel=1e-6)
        halves = (record["d_acc_real"] + record["d_acc_fake"]) / 2
        assert record["d_acc"] == pytest.approx(halves, rel=1e-6)
        assert 0 <= record["d_auc"] <= 1 and 0 < record["d_x"] < 1 and 0 < record["d_gz"] < 1
        assert record["g_grad_norm"] > 0 and record["d_grad_norm"] > 0


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_every_loss_trains_and_is_recorded(host: Host, tmp_path: Path, name: str) -> None:
    config = with_values(base(), {"loss.name": name})
    records = numbers(run(host, spec(tmp_path, config)))
    assert len(records) == 5
    for record in records:
        assert all(record[column] is not None for column in ("g_loss", "d_loss", "d_acc", "d_auc"))
        assert ("d_x" in record) == LOSSES[name].is_probability
        if name == "relativistic":
            assert "d_loss_real" not in record
        else:
            parts = record["d_loss_real"] + record["d_loss_fake"]
            weight = 0.5 if LOSSES[name].is_probability else 1.0
            assert record["d_loss"] == pytest.approx(weight * parts, rel=1e-5, abs=1e-6)


def test_a_lazy_penalty_is_multiplied_and_recorded(host: Host, tmp_path: Path) -> None:
    changes = {"penalty.name": "r1", "penalty.weight": 2.0}
    eager = with_values(base(), changes | {"optimizer.discriminator.lr": 1e-9})
    lazy = with_values(eager, {"penalty.every": 3})
    found = [numbers(run(host, spec(tmp_path / str(i), c)))[0] for i, c in enumerate((eager, lazy))]
    # D hardly moves: a third of the rounds with three times the term is the same on average.
    assert found[0]["penalty"] > 0
    assert found[1]["penalty"] == pytest.approx(found[0]["penalty"], rel=0.2)


def test_best_objective_is_carried_forward(host: Host, tmp_path: Path) -> None:
    config = base(train={"epochs": 9, "steps_per_epoch": 3, "batch_size": 16}, eval={"every": 4})
    records = numbers(run(host, spec(tmp_path, config, rungs=(3,))))
    scored = [r["epoch"] for r in records if r["objective"] is not None]
    assert scored == [1, 3, 4, 8, 9]  # the first, the rung, every fourth, the last
    best = float("inf")
    for record in records:
        if record["objective"] is not None:
            best = min(best, record["objective"])
        assert record["best_objective"] == best


@pytest.mark.slow
def test_equal_trials_have_equal_numbers_whatever_ran_before(host: Host, tmp_path: Path) -> None:
    first = numbers(run(host, spec(tmp_path / "a", base())))
    run(host, spec(tmp_path / "other", base(), number=3))
    again = numbers(run(host, spec(tmp_path / "b", base())))
    fresh = numbers(run(Host(), spec(tmp_path / "c", base())))
    assert first == again
    assert first == fresh
    other = numbers(run(host, spec(tmp_path / "d", base(), number=1)))
    assert other[0]["g_loss"] != first[0]["g_loss"]


@pytest.mark.parametrize("at", [1, 2, 4])
def test_a_resumed_trial_gives_the_records_of_one_never_interrupted(
    host: Host, tmp_path: Path, at: int
) -> None:
    whole = run(host, spec(tmp_path / "whole", base()))
    broken = run(host, spec(tmp_path / "broken", base()), until=at)
    resumed = run(Host(), spec(tmp_path / "broken", base()))
    assert numbers(broken + resumed) == numbers(whole)
    steps = {row["step"]: row for part in broken + resumed for row in part.steps}
    assert list(steps.values()) == [row for part in whole for row in part.steps]
    # What may not have arrived is sent again, before anything new.
    assert [r["epoch"] for r in resumed[0].records] == list(range(1, at + 1))
    ends = [read_checkpoint(tmp_path / name / "best") for name in ("whole", "broken")]
    assert ends[0] is not None and ends[1] is not None
    assert ends[0].data == ends[1].data and ends[0].meta["epoch"] == ends[1].meta["epoch"]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "first byte": lambda data: bytes([data[0] ^ 1, *data[1:]]),
    "half way": lambda data: (
        data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 64]) + data[len(data) // 2 + 1 :]
    ),
    "near the end": lambda data: data[:-5] + bytes([data[-5] ^ 1]) + data[-4:],
    "cut": lambda data: data[: len(data) // 3],
    "cut by a byte": lambda data: data[:-1],
    "empty": lambda data: b"",
}


@pytest.mark.parametrize("kind", DAMAGE)
@pytest.mark.parametrize("name", ["001-000004.safetensors", "meta-001.json"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_used(
    host: Host, tmp_path: Path, name: str, kind: str
) -> None:
    whole = run(host, spec(tmp_path / "whole", base()))
    broken = run(host, spec(tmp_path / "broken", base()), until=4)
    path = tmp_path / "broken" / "last" / name
    path.write_bytes(DAMAGE[kind](path.read_bytes()))
    resumed = run(host, spec(tmp_path / "broken", base()))
    said = f"{path} is damaged; its trial goes on from epoch 2, to the same numbers"
    assert [note for part in resumed for note in part.notes] == [said]
    assert (tmp_path / "broken" / "damaged.txt").read_text() == said
    assert not any(part.notes for part in [*whole, *broken])
    assert [r["epoch"] for r in resumed[0].records] == [1, 2]
    assert numbers(resumed) == numbers(whole) and numbers(broken) == numbers(whole)[:4]
    assert [row for part in resumed for row in part.steps] == [r for p in whole for r in p.steps]
    ends = [read_checkpoint(tmp_path / name / "best") for name in ("whole", "broken")]
    assert ends[0] is not None and ends[1] is not None and ends[0].data == ends[1].data


def test_a_trial_without_a_whole_checkpoint_begins_anew_and_says_so(
    host: Host, tmp_path: Path
) -> None:
    whole = numbers(run(host, spec(tmp_path / "whole", base())))
    run(host, spec(tmp_path / "broken", base()), until=4)
    weights = sorted((tmp_path / "broken" / "last").glob("*.safetensors"), reverse=True)
    for path in weights:
        path.write_bytes(DAMAGE["half way"](path.read_bytes()))
    resumed = run(host, spec(tmp_path / "broken", base()))
    said = [f"{path} is damaged; its trial begins anew, to the same numbers" for path in weights]
    assert len(said) == 2 and list(resumed[0].notes) == said
    assert numbers(resumed) == whole


def test_a_trial_that_has_ended_has_one_checkpoint(host: Host, tmp_path: Path) -> None:
    run(host, spec(tmp_path, base()), until=4)
    kept = {path.name for path in (tmp_path / "last").iterdir()}
    weights = {"001-000002.safetensors", "001-000004.safetensors"}
    assert kept == {*weights, "meta-001.json", "meta-001-before.json"}
    run(host, spec(tmp_path, base(), last_every=100))
    drop_stale(tmp_path / "last")
    assert {p.name for p in (tmp_path / "last").iterdir()} == {
        "002-000005.safetensors",
        "meta-002.json",
    }


def test_a_checkpoint_of_another_configuration_is_refused(host: Host, tmp_path: Path) -> None:
    run(host, spec(tmp_path, base()), until=2)
    other = with_values(base(), {"optimizer.generator.lr": 0.5})
    with pytest.raises(CheckpointError, match="another configuration"):
        host.open(spec(tmp_path, other))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"records": []}, "weights of epoch 2 beside records of"),
        ({"epoch": 3}, "weights of epoch 3 beside records of"),
        ({"status": "well"}, "status"),
        ({"steps": None}, "steps"),
        (lambda named: named.popitem(), "other tensors"),
        (lambda named: named.update(generator=torch.zeros(1)), "other tensors"),
        (lambda named: named.update({n: t.double() for n, t in named.items()}), "other tensors"),
    ],
)
def test_a_sealed_checkpoint_that_is_none_is_refused(
    host: Host, tmp_path: Path, change: Any, message: str
) -> None:
    """As somebody could write it: checksums that fit."""
    run(host, spec(tmp_path, base()), until=2)
    last = read_checkpoint(tmp_path / "last")
    assert last is not None
    named = safetensors.torch.load(last.data)
    meta = last.meta | change if isinstance(change, dict) else last.meta
    if callable(change):
        change(named)
    CheckpointWriter(tmp_path / "last", 2).write(safetensors.torch.save(named), meta)
    with pytest.raises(CheckpointError, match=f"is damaged: .*{message}"):
        host.open(spec(tmp_path, base()))


def test_a_checkpoint_from_before_a_field_existed_is_taken_up(host: Host, tmp_path: Path) -> None:
    run(host, spec(tmp_path, base()), until=2)
    (meta,) = (tmp_path / "last").glob("meta-*.json")
    tree = json.loads(meta.read_text())
    del tree["config"]["penalty"], tree["seal"]
    meta.write_text(json.dumps(tree))
    assert run(host, spec(tmp_path, base()))[0].records[-1]["epoch"] == 2


def test_auto_is_a_gpu_only_where_the_trial_was_given_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto", has_gpu=False).type == "cpu"
    assert choose_device("auto", has_gpu=True).type == "cuda"
    assert choose_device("cpu", has_gpu=True).type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto", has_gpu=True).type == "cpu"
    with pytest.raises(UsageError, match="cuda was asked for and this process sees no such device"):
        choose_device("cuda", has_gpu=True)


def test_two_attempts_never_write_the_same_file(host: Host, tmp_path: Path) -> None:
    """A worker whose driver was killed goes on for seconds beside the one that took over."""
    stale = host.open(spec(tmp_path, base()))
    host.advance(stale, 1, 60)
    fresh = host.open(spec(tmp_path, base()))
    host.advance(fresh, 1, 60)
    newest = host.advance(fresh, 3, 60).records[-1]["epoch"]
    host.advance(stale, 2, 60)  # the stale one writes last
    checkpoint = read_checkpoint(tmp_path / "last")
    assert checkpoint is not None and checkpoint.meta["epoch"] == newest


@pytest.mark.parametrize("lr", [1e-3, 10.0])
def test_what_diverges_ends_at_once_and_is_no_number(host: Host, tmp_path: Path, lr: float) -> None:
    config = with_values(base(), {"optimizer.generator.lr": lr, "optimizer.discriminator.lr": lr})
    trial = spec(tmp_path, config)
    handle = host.open(trial)
    if lr < 1:  # plant it: one parameter becomes NaN
        host._open[handle].lane.state.generator.params["0.weight"][0, 0] = float("nan")
    else:  # let it happen: weights grow until float32 ends
        for tensor in host._open[handle].lane.state.discriminator.params.values():
            tensor.mul_(1e30)
    progress = host.advance(handle, 5, 60)
    assert progress.status == "diverged"
    assert len(progress.records) == 1
    record = progress.records[0]
    assert record["verdict"] == "diverged" and "not finite" in record["evidence"]
    json.dumps(progress.records, allow_nan=False)  # null, never NaN
    assert record["best_objective"] is None


def test_a_trial_uses_the_threads_that_it_holds(host: Host, tmp_path: Path) -> None:
    before = torch.get_num_threads()
    for threads in (2, 1):
        host.open(spec(tmp_path / str(threads), base(), threads=threads))
        assert torch.get_num_threads() == threads
    torch.set_num_threads(before)


@pytest.mark.slow
def test_the_trace_is_thin(tmp_path: Path) -> None:
    config = base(train={"epochs": 3, "steps_per_epoch": 400, "batch_size": 4})
    steps = [row for part in run(Host(), spec(tmp_path, config)) for row in part.steps]
    assert 350 <= len(steps) <= 500
    assert {column.name for column in STEPS} == set(steps[0])
    gaps = {b["step"] - a["step"] for a, b in pairwise(steps)}
    assert gaps == {3}


def test_a_trial_that_searches_the_data_gets_its_own(host: Host, tmp_path: Path) -> None:
    ring = with_values(base(), {"data.name": "ring", "data.points": 300, "generator.hidden": [8]})
    records = numbers(run(host, spec(tmp_path, ring)))
    assert records[0]["high_quality"] is not None and "classifier_score" not in records[0]


@pytest.mark.slow
def test_every_few_epochs_and_the_last_leave_a_picture(host: Host, tmp_path: Path) -> None:
    samples = {"every": 2, "count": 9}
    for number in (0, 1):
        run(host, spec(tmp_path / str(number), base(), number, samples=samples))
    pictures = sorted((tmp_path / "0" / "samples").iterdir())
    names = ["epoch-00002.png", "epoch-00004.png", "epoch-00005.png"]
    assert [path.name for path in pictures] == names
    assert len({path.read_bytes() for path in pictures}) == 3
    # The last one is what the last state makes of the study's latents.
    checkpoint = read_checkpoint(tmp_path / "0" / "last")
    assert checkpoint is not None
    handle = host.open(spec(tmp_path / "0", base(), samples=samples))
    lane = host._open[handle].lane
    made = generate(lane.generator, lane.state, sample_latents(base(), 9, base().seed))
    picture = picture_to_png(samples_to_picture(made.numpy(), base().data))
    assert pictures[-1].read_bytes() == picture
    run(host, spec(tmp_path / "off", base(), samples={"every": 0}))
    assert not (tmp_path / "off" / "samples").exists()


@pytest.mark.slow
def test_a_picture_does_not_depend_on_interruptions(host: Host, tmp_path: Path) -> None:
    samples = {"every": 1, "count": 4}
    run(host, spec(tmp_path / "whole", base(), samples=samples))
    for until in (1, 2, 4, 10):
        run(Host(), spec(tmp_path / "broken", base(), samples=samples), until=until)
    for name in (f"epoch-{epoch:05d}.png" for epoch in range(1, 6)):
        found = [(tmp_path / kind / "samples" / name).read_bytes() for kind in ("whole", "broken")]
        assert found[0] == found[1]


def test_what_diverged_leaves_no_picture(host: Host, tmp_path: Path) -> None:
    handle = host.open(spec(tmp_path, base(), samples={"every": 1}))
    host._open[handle].lane.state.generator.params["0.weight"][0, 0] = float("nan")
    host.advance(handle, 5, 60)
    assert not (tmp_path / "samples").exists()
