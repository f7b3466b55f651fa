"""What is wrong with a trial, by hand-made records: every verdict, its epoch and its sentence."""

import math
import random
import time
from typing import Any, get_args

import pytest

from gantune.columns import VerdictName
from gantune.config import TrialConfig
from gantune.diagnosis.context import NO_THRESHOLD, Context, context_of
from gantune.diagnosis.rules import RULES
from gantune.diagnosis.verdicts import Watch, diagnose
from gantune.engine.losses import LOSSES
from gantune.study import with_values

EVEN = [0.1] * 10
TWO = [0.6, 0.37, 0.03, *[0.0] * 7]
LABELLED = Context("non_saturating", 20, 10, 1000, 1600)
UNLABELLED = Context("non_saturating", 20, None, 1000, 1600)


def statistics(histogram: list[float]) -> dict[str, Any]:
    entropy = -sum(p * math.log(p) for p in histogram if p)
    full = math.log(len(histogram))
    return {
        "mode_histogram": histogram,
        "mode_kl": full - entropy,
        "mode_entropy": entropy / full,
        "modes": sum(p > 0 for p in histogram),
    }


def well(epoch: int, **values: Any) -> dict[str, Any]:
    """A record in which nothing is wrong."""
    record = {
        "epoch": epoch,
        "d_loss": 0.65,
        "g_loss": 0.8,
        "d_acc": 0.7,
        "d_auc": 0.78,
        "g_grad_norm": 1.0,
        "precision": 0.6,
        "recall": 0.7,
        "coverage": 0.5,
        "vendi": 3.8,
        "nearest_neighbor_ratio": 1.1,
        "d_overfit": 0.05,
        "frechet_distance": 10.0,
        **statistics(EVEN),
    }
    return {**record, **values}


COLLAPSED = {**statistics(TWO), "coverage": 0.02, "precision": 0.3, "recall": 0.0, "vendi": 1.1}
DOMINATED = {"d_acc": 0.99, "d_auc": 1.0, "coverage": 0.0, "precision": 0.0}
FOOLING = {"d_acc": 0.5, "d_auc": 0.5, "coverage": 0.02, "precision": 0.01}
COPYING = {"nearest_neighbor_ratio": 0.4, "d_overfit": 0.9, "d_acc": 0.96, "precision": 1.0}
DROPPED = statistics([0.2] * 5 + [0.0] * 5)
SLOW = {"coverage": 0.05, "precision": 0.3}

SENTENCES = {
    "mode_collapse": (
        "mode_collapse since epoch 8: 2 of 10 modes hold 97% of samples (entropy 0.34 of 1), modes "
        "are served as by 2.2 of 10 (at most 4.6), coverage 0.02, precision 0.30, discriminator "
        "accuracy 0.70."
    ),
    "discriminator_dominates": (
        "discriminator_dominates since epoch 8: discriminator accuracy 0.99 (at least 0.95), "
        "coverage 0.00, precision 0.00, generator's gradient 1."
    ),
    "generator_dominates": (
        "generator_dominates since epoch 8: discriminator accuracy 0.50 (at most 0.55) although "
        "samples are poor, coverage 0.02, precision 0.01."
    ),
    "memorizing": (
        "memorizing since epoch 8: samples are 0.40 as far from training as from held-out data (at "
        "most 0.85), 90% of D's lead is missing on held-out samples, 1,600 training samples."
    ),
    "mode_dropping": (
        "mode_dropping since epoch 9: 5 of 10 modes have less than a tenth of a fair share (at "
        "least 1.0), at best modes are served as by 5.0 of 10 (at most 7.5), coverage 0.50, "
        "precision 0.60, discriminator accuracy 0.70."
    ),
}


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("mode_collapse", COLLAPSED),
        ("discriminator_dominates", DOMINATED),
        ("generator_dominates", FOOLING),
        ("memorizing", COPYING),
        ("mode_dropping", DROPPED),
    ],
)
def test_a_fault_has_a_name_an_epoch_and_a_sentence(name: str, fault: dict[str, Any]) -> None:
    # The fault is there from epoch 7 on; the median of three values shows it an epoch later, and
    # dropped is only what none of three epochs has served.
    records = [well(e) for e in range(1, 7)] + [well(e, **fault) for e in range(7, 13)]
    assert diagnose(records[:6], LABELLED).name == "healthy"
    verdict = diagnose(records, LABELLED)
    assert (verdict.name, verdict.epoch) == (name, 9 if name == "mode_dropping" else 8)
    assert verdict.evidence == SENTENCES[name]


def test_nothing_wrong_is_healthy() -> None:
    verdict = diagnose([well(e) for e in range(1, 21)], LABELLED)
    assert verdict == (
        "healthy",
        1,
        "healthy since epoch 1: 10 of 10 modes, coverage 0.50, precision 0.60, discriminator "
        "accuracy 0.70.",
        (),
    )


def test_diverged_is_what_the_engine_says_and_outranks_all() -> None:
    records = [well(e, **COLLAPSED) for e in range(1, 7)]
    end = {"epoch": 7, "verdict": "diverged", "evidence": "in epoch 7 a parameter is not finite"}
    verdict = diagnose([*records, end], LABELLED)
    assert verdict.name == "diverged" and verdict.epoch == 7
    assert verdict.evidence == "in epoch 7 a parameter is not finite"
    assert verdict.others == ("mode_collapse", "mode_dropping")


def sides(many: float, few: float) -> list[dict[str, Any]]:
    """Records of samples that go from one half of the modes to the other and back."""
    halves = [[many] * 5 + [few] * 5, [few] * 5 + [many] * 5]
    return [well(e, **statistics(halves[e % 2])) for e in range(1, 13)]


def test_modes_that_come_and_go_oscillate() -> None:
    verdict = diagnose(sides(0.195, 0.005), LABELLED)
    assert (verdict.name, verdict.epoch, verdict.others) == ("oscillating", 7, ())
    assert verdict.evidence == (
        "oscillating since epoch 7: 10 of 10 modes came and went (at least 2.5), 89% of the "
        "samples change their mode from an epoch to the next (at least 40%), at best modes are "
        "served as by 5.6 of 10 (at most 7.5)."
    )
    # Every mode is there in every epoch: however many samples move, none comes and goes.
    assert diagnose(sides(0.185, 0.015), LABELLED).name == "healthy"


def test_an_epoch_that_serves_all_modes_shows_that_none_is_lost() -> None:
    records = sides(0.195, 0.005)
    records[-3] = well(10)
    assert diagnose(records[:-1], LABELLED).name == "healthy"
    dropped = [well(e, **DROPPED) for e in range(1, 13)]
    assert diagnose(dropped, LABELLED).name == "mode_dropping"
    dropped[-3] = well(10)
    assert diagnose(dropped, LABELLED).name == "healthy"
    # Uneven, and nothing lacks: no mode is dropped.
    uneven = [well(e, **statistics([0.18] * 5 + [0.02] * 5)) for e in range(1, 13)]
    assert diagnose(uneven, LABELLED).name == "healthy"


def test_what_chance_leaves_empty_is_no_dropped_mode() -> None:
    # Of 1,000 samples of 400 even modes 33 get none, here always the same ones.
    stacked = Context("hinge", 20, 400, 1000, 60_000)
    for empty, name in ((60, "healthy"), (100, "mode_dropping")):
        histogram = [0.0] * empty + [1 / (400 - empty)] * (400 - empty)
        fault = {**statistics(histogram), "mode_kl": 1.0}
        verdict = diagnose([well(e, **fault) for e in range(1, 9)], stacked)
        assert verdict.name == name
    assert "67 of 400 modes have less" in verdict.evidence


def test_without_modes_a_swinging_loss_oscillates() -> None:
    records = [unlabelled(well(e, d_loss=0.2 if e % 2 else 1.0)) for e in range(1, 11)]
    verdict = diagnose(records, UNLABELLED)
    assert (verdict.name, verdict.epoch) == ("oscillating", 6)
    assert "varies by 67% of its size (at least 30%) and turned at 100%" in verdict.evidence


def test_only_a_trial_of_full_length_is_undertrained() -> None:
    records = [well(e, frechet_distance=100.0 / e, **SLOW) for e in range(1, 21)]
    verdict = diagnose(records, LABELLED)
    assert (verdict.name, verdict.epoch) == ("undertrained", 20)
    assert "fell by 35% in the last third (at least 25%)" in verdict.evidence
    # Stopped by the scheduler after 19 of 20 epochs: it had no time to show.
    assert diagnose(records[:19], LABELLED).name == "healthy"
    good = [{**record, "coverage": 0.5} for record in records]
    assert diagnose(good, LABELLED).name == "healthy"


def unlabelled(record: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in record.items() if not k.startswith("mode")}


def test_without_labels_samples_that_are_alike_are_a_collapse() -> None:
    fault = {"coverage": 0.02, "pair_distance_ratio": 0.05, "recall": 0.0}
    records = [unlabelled(well(e, pair_distance_ratio=0.9)) for e in range(1, 5)]
    records += [unlabelled(well(e, **fault)) for e in range(5, 9)]
    verdict = diagnose(records, UNLABELLED)
    assert (verdict.name, verdict.epoch) == ("mode_collapse", 6)
    assert "samples are 0.05 as far apart as the data (at most 0.9)" in verdict.evidence
    # Far from the data, and not alike: points everywhere reach all of the data.
    noise = [unlabelled(well(e, **{**fault, "recall": 0.7})) for e in range(1, 7)]
    assert diagnose(noise, UNLABELLED).name == "healthy"
    few = [unlabelled(well(e, vendi=1.05, coverage=0.02)) for e in range(1, 7)]
    assert "1.05 effectively distinct" in diagnose(few, UNLABELLED).evidence
    dropping = [unlabelled(well(e, recall=0.01, coverage=0.12)) for e in range(1, 7)]
    assert diagnose(dropping, UNLABELLED).name == "mode_dropping"


def test_noise_of_one_class_is_dominated_where_it_stands_still_and_collapsed_where_it_moves() -> (
    None
):
    fault = {**COLLAPSED, **DOMINATED}
    still = [well(e, **fault) for e in range(1, 9)]
    assert diagnose(still, LABELLED).name == "discriminator_dominates"
    moving = [well(e, **fault, frechet_distance=100.0 + 20 * (e % 3)) for e in range(1, 9)]
    verdict = diagnose(moving, LABELLED)
    assert verdict.name == "mode_collapse" and "discriminator_dominates" in verdict.others
    # It stands still in a mode of the data: what it makes is plausible, and D knows better.
    in_a_mode = [well(e, **{**fault, "precision": 0.9}) for e in range(1, 9)]
    assert diagnose(in_a_mode, LABELLED).name == "discriminator_dominates"
    unknown = [{**r, "frechet_distance": None} for r in still]
    assert diagnose(unknown, LABELLED).name == "discriminator_dominates"


def test_a_mixture_without_a_sample_near_a_mode_is_judged_by_the_rest() -> None:
    mixture = Context("hinge", 20, 8, 2500, 10_000)
    nothing = {"high_quality": 0.0, "mode_kl": None, "mode_histogram": [0.0] * 8, "vendi": 1.01}
    records = [well(e, **nothing, coverage=0.0, precision=0.0) for e in range(1, 7)]
    assert diagnose(records, mixture).name == "mode_collapse"
    one = {**statistics([1.0, *[0.0] * 7]), "high_quality": 0.9, "coverage": 0.1}
    verdict = diagnose([well(e, **one) for e in range(1, 7)], mixture)
    assert verdict.name == "mode_collapse" and "2 of 8 modes hold 100%" in verdict.evidence


def test_a_class_that_the_data_have_little_of_is_no_dropped_mode() -> None:
    # The data are 91% of one class, and so are the samples: the divergence is what counts.
    uneven = {**statistics([0.91, *[0.01] * 9]), "mode_kl": 0.01}
    assert diagnose([well(e, **uneven) for e in range(1, 9)], LABELLED).name == "healthy"


@pytest.mark.parametrize("loss", sorted(LOSSES))
def test_every_loss_has_its_score(loss: str) -> None:
    context = context_of(with_values(TrialConfig(), {"loss.name": loss, "train.epochs": 20}))
    assert context.has_threshold == (LOSSES[loss].threshold is not None)
    assert context.has_threshold == (loss not in NO_THRESHOLD)
    fault = {**DOMINATED, "d_acc": 0.99 if context.has_threshold else 0.6}
    verdict = diagnose([well(e, **fault) for e in range(1, 7)], context)
    name = "discriminator accuracy 0.99" if context.has_threshold else "discriminator AUC 1.00"
    assert verdict.name == "discriminator_dominates" and name in verdict.evidence
    assert diagnose([well(e) for e in range(1, 21)], context).name == "healthy"


def test_a_trial_is_described_by_its_configuration() -> None:
    context = context_of(TrialConfig())
    assert context == Context("non_saturating", 40, 10, 1000, 1797)
    ring = with_values(TrialConfig(), {"data.name": "ring", "eval.samples": 70})
    assert context_of(ring) == Context("non_saturating", 40, 8, 70, 100_000)


def any_record(rng: random.Random, epoch: int) -> dict[str, Any]:
    kind = rng.choice([{}, COLLAPSED, DOMINATED, FOOLING, COPYING, DROPPED])
    record = well(epoch, **kind, d_loss=rng.random(), frechet_distance=100 * rng.random())
    hidden = rng.sample(sorted(record), rng.randint(0, 8))
    return {k: None if k in hidden and k != "epoch" else v for k, v in record.items()}


@pytest.mark.parametrize("seed", range(30))
def test_later_epochs_never_move_the_beginning_of_what_still_holds(seed: int) -> None:
    rng = random.Random(seed)
    records = [any_record(rng, e) for e in range(1, 31)]
    context = rng.choice([LABELLED, UNLABELLED])
    watch, before = Watch(context), None
    for count, record in enumerate(records, 1):
        verdict = watch.add(record)
        # Online and offline are the same; records from other trials in between change nothing.
        assert verdict == diagnose(records[:count], context)
        assert verdict.epoch <= count
        assert str(verdict.name) in verdict.evidence and "nan" not in verdict.evidence
        if before is not None and verdict.name == before.name:
            assert verdict.epoch in (before.epoch, count)
        if before is not None and verdict.epoch < count and verdict.name == before.name:
            assert verdict.epoch == before.epoch
        before = verdict


def test_severity_is_the_order_of_the_rules() -> None:
    names = get_args(VerdictName)
    assert names == ("diverged", *RULES, "healthy")


def test_no_metric_at_all_is_no_fault_and_no_error() -> None:
    for context in (LABELLED, UNLABELLED):
        records: list[dict[str, Any]] = [{"epoch": e} for e in range(1, 21)]
        assert diagnose(records, context).name == "healthy"
        nulls: list[dict[str, Any]] = [dict.fromkeys(well(1)) | {"epoch": e} for e in range(1, 21)]
        assert diagnose(nulls, context).name == "healthy"
    with pytest.raises(ValueError, match="without a record"):
        diagnose([], LABELLED)


@pytest.mark.parametrize("every", [2, 5])
def test_epochs_without_an_evaluation_are_bridged(every: int) -> None:
    scored = {"d_acc", "d_auc", "d_loss", "g_loss", "g_grad_norm", "epoch"}
    records = [
        {k: v for k, v in well(e, **COLLAPSED).items() if e % every == 0 or e == 1 or k in scored}
        for e in range(1, 21)
    ]
    verdict = diagnose(records, LABELLED)
    assert (verdict.name, verdict.epoch) == ("mode_collapse", 3)


def test_a_lone_outlier_is_no_verdict() -> None:
    records = [well(e, **(COLLAPSED if e == 9 else {})) for e in range(1, 13)]
    assert all(diagnose(records[:n], LABELLED).name == "healthy" for n in range(1, 13))


def test_nothing_is_judged_before_there_is_something_to_go_by() -> None:
    records = [well(e, **COLLAPSED) for e in range(1, 5)]
    assert diagnose(records[:2], LABELLED).evidence == (
        "healthy so far: nothing is judged before epoch 3."
    )
    assert diagnose(records[:3], LABELLED).name == "mode_collapse"


def test_an_epoch_is_judged_in_well_under_a_millisecond() -> None:
    watch = Watch(LABELLED)
    for epoch in range(1, 2001):
        watch.add(well(epoch, frechet_distance=1 / epoch))
    times = []
    for epoch in range(2001, 2101):
        record = well(epoch)
        began = time.perf_counter()
        watch.add(record)
        times.append(time.perf_counter() - began)
    assert sorted(times)[50] < 1e-3
