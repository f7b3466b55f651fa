"""The records behind the figures, against small tables counted by hand."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import make_study
from made import make_run
from PIL import Image, ImageFont

import gantune
from gantune.report.axes import Scale, scale_of, wants_log
from gantune.report.confirmed import Configuration, Confirmed, Pair, confirmed_lead
from gantune.report.drawing import Box, Dot, Drawing, Label
from gantune.report.figures_search import importance_figure
from gantune.report.gather import gather
from gantune.report.grids import shrink
from gantune.report.lessons import mattered
from gantune.report.modes import metric_curves, mode_histograms, precision_recall
from gantune.report.optuna_plots import journal_trials
from gantune.report.png import drawable, to_png
from gantune.report.search import best_against_epochs, history, rungs, shares_of, time_line
from gantune.report.stability import examples, failure_maps, verdict_shares
from gantune.report.svg import to_svg
from gantune.report.thinning import thin_indices, thin_numbers
from gantune.report.trials import rounded
from gantune.report.words import label, plain, short
from gantune.visible import visible

TRIALS = pd.DataFrame(
    {
        "number": [0, 1, 2, 3],
        "status": ["completed", "stopped", "diverged", "stopped"],
        "stopped_by": [None, "asha", None, "verdict"],
        "verdict": ["healthy", "mode_collapse", "diverged", "mode_collapse"],
        "verdict_epoch": [1, 2, 1, 1],
        "epochs": [3, 2, 1, 2],
        "objective": [5.0, 7.0, None, 3.0],
        "best_epoch": [2, 1, None, 2],
        "worker": ["a:1", "a:2", "a:1", "a:2"],
        "started_at": [f"2026-01-01T00:00:{s:02d}+00:00" for s in (0, 2, 30, 10)],
        "wall_s": [20.0, 5.0, 1.0, 9.0],
        "config.optimizer.generator.lr": [1e-3, 2e-3, 9e-3, 1e-4],
        "config.optimizer.generator.beta1": [0.0, 0.5, 0.9, 0.2],
        "config.loss.name": ["hinge", "hinge", "minimax", "hinge"],
    }
)

EPOCHS = pd.DataFrame(
    {
        "number": [0, 0, 0, 1, 1, 2, 3, 3],
        "epoch": [1, 2, 3, 1, 2, 1, 1, 2],
        "seq": [0, 2, 4, 1, 3, 5, 6, 7],
        "images_seen": [1] * 8,
        "train_s": [1.0] * 8,
        "eval_s": [0.0] * 8,
        "objective": [9.0, 5.0, 6.0, 7.0, 8.0, None, 4.0, 3.0],
        "best_objective": [9.0, 5.0, 5.0, 7.0, 7.0, None, 4.0, 3.0],
        "rung": [None, 0, None, None, 0, None, None, 0],
        "modes": [1, 2, 3, 1, 1, None, 4, 4],
        "mode_histogram": [[1, 0], [0.5, 0.5], [0.6, 0.4], [1, 0], [1, 0], None, None, [0, 1]],
        "precision": [0.1, 0.2, 0.3, 0.4, 0.5, None, 0.7, 0.8],
        "recall": [0.9, 0.8, 0.7, 0.6, 0.5, None, 0.3, 0.2],
        "verdict": ["healthy"] * 8,
        "evidence": ["e"] * 8,
        "d_acc": [0.5] * 8,
        "g_loss": [1.0] * 8,
        "d_loss": [1.0] * 8,
        "g_grad_norm": [1.0] * 7 + [float("nan")],
        "d_grad_norm": [1.0] * 8,
    }
)


def test_shares_of_verdicts() -> None:
    found = [(share.verdict, share.trials, share.share) for share in verdict_shares(TRIALS)]
    assert found == [("healthy", 1, 0.25), ("mode_collapse", 2, 0.5), ("diverged", 1, 0.25)]


def test_the_map_holds_numbers_only_and_knows_logarithms() -> None:
    ranked = ["loss.name", "optimizer.generator.beta1", "optimizer.generator.lr"]
    study = make_study()
    (plane,) = failure_maps(TRIALS, study, ranked)
    assert (plane.x_path, plane.y_path) == tuple(ranked[1:])
    assert (plane.x_log, plane.y_log) == (False, True)
    assert [(p.number, p.x, p.y) for p in plane.points][2] == (2, 0.9, 9e-3)
    # A multiple of a rate is spread like the rate.
    ranked = ["optimizer.discriminator.lr", "optimizer.generator.lr"]
    trials = TRIALS.assign(**{"config.optimizer.discriminator.lr": [1.0, 2.0, 3.0, 4.0]})
    assert failure_maps(trials, study, ranked)[0].x_log


def test_an_example_is_the_best_or_the_longest() -> None:
    found = {e.verdict: e for e in examples(TRIALS, EPOCHS, best=3)}
    assert {name: e.number for name, e in found.items()} == {
        "healthy": 0,
        "mode_collapse": 3,
        "diverged": 2,
    }
    assert found["mode_collapse"].began == 1
    assert found["mode_collapse"].curves["g_grad_norm"] == (1.0, None)


def test_the_history_is_a_step_line_of_the_best() -> None:
    found = history(TRIALS, sign=1)
    assert [p.objective for p in found.points] == [5.0, 7.0, 3.0] and found.without == 1
    assert found.best == ((0, 5.0), (3, 3.0), (3, 3.0))
    assert history(TRIALS, sign=-1).best == ((0, 5.0), (1, 7.0), (3, 7.0))


def test_the_best_against_epochs_goes_by_arrival() -> None:
    # By seq: 9, 7, 5, 8, 6, none, 4, 3.
    found = best_against_epochs(EPOCHS, "objective", "minimize")
    assert found.steps == ((1, 9.0), (2, 7.0), (3, 5.0), (7, 4.0), (8, 3.0), (8, 3.0))
    assert best_against_epochs(EPOCHS.iloc[:0], "objective", "minimize").steps == ()


def test_who_was_stopped_at_a_rung() -> None:
    (rung,) = rungs(TRIALS, EPOCHS, (2.0, 8.0))
    assert (rung.level, rung.reached, rung.stopped) == (2.0, 3, 1)
    # Trial 3 was stopped by its verdict, at the rung but not by it.
    assert [p.number for p in rung.points if p.is_stopped] == [1]
    assert [p.value for p in rung.points] == [5.0, 8.0, 3.0], "there, not the best until there"


def test_the_time_line_begins_with_the_first_trial() -> None:
    found = [(bar.number, bar.worker, bar.start, bar.seconds) for bar in time_line(TRIALS)]
    assert found[1] == (1, "a:2", 2.0, 5.0) and found[3] == (3, "a:2", 10.0, 9.0)


def test_curves_leave_out_epochs_without_a_value() -> None:
    found = metric_curves(EPOCHS, "modes", best=0)
    assert [(c.number, c.epochs, c.values) for c in found.drawn][:2] == [
        (0, (1, 2, 3), (1.0, 2.0, 3.0)),
        (1, (1, 2), (1.0, 1.0)),
    ]
    assert found.trials == 3


def test_histograms_are_of_the_best_epoch() -> None:
    found = [
        (h.name, h.number, h.epoch, h.shares) for h in mode_histograms(TRIALS, EPOCHS, 1, None)
    ]
    assert found == [
        ("best", 3, 2, (0.0, 1.0)),
        ("median", 0, 2, (0.5, 0.5)),
        ("worst", 1, 1, (1.0, 0.0)),
    ]
    # Seeds can have told another trial to be the best.
    names = [(h.name, h.number) for h in mode_histograms(TRIALS, EPOCHS, 1, 1)]
    assert names == [("best", 1), ("median", 0)]


def test_precision_and_recall_are_of_the_best_epoch() -> None:
    found = {p.number: (p.precision, p.recall) for p in precision_recall(TRIALS, EPOCHS)}
    assert found == {0: (0.2, 0.8), 1: (0.4, 0.6), 3: (0.8, 0.2)}


@pytest.mark.parametrize("count", [0, 1, 59, 60, 61, 1000])
def test_thinning_keeps_both_ends(count: int) -> None:
    found = thin_indices(count)
    assert len(found) <= 60 and found == sorted(set(found))
    assert not count or (found[0], found[-1]) == (0, count - 1)
    assert 500 in thin_numbers(list(range(1000)), limit=10, keep=500)


def test_values_are_rounded_to_what_is_drawn() -> None:
    values = np.array([123456.789, -0.000123456789, 0.0, np.nan, np.inf, 1e300])
    expected = [123460.0, -0.00012346, 0.0, np.nan, np.inf, 1e300]
    np.testing.assert_allclose(rounded(values), expected, rtol=1e-12)


def test_scales_hold_their_values_and_have_round_ticks() -> None:
    scale = scale_of([0.0, 10.0], 0, 100)
    assert 0 < scale(0) < scale(10) < 100 and scale(-99) == 0
    assert scale.ticks == [0, 2, 4, 6, 8, 10]
    log = scale_of([1e-4, 1e-1], 0, 100, is_log=True)
    assert log(1e-3) - log(1e-4) == pytest.approx(log(1e-1) - log(1e-2))
    assert {f"{tick:.0e}"[0] for tick in log.ticks} == {"1", "3"}
    assert scale_of([], 0, 100) == Scale(0, 1, 0, 100)
    assert len(scale_of([5.0], 0, 100).ticks) > 1
    assert wants_log([1, 5, 100]) and not wants_log([0, 5, 100]) and not wants_log([1, 2, 3])


def test_text_that_acts_gets_a_name() -> None:
    assert visible("a\u202eb\x00\ud800\n") == "a⟨U+202E⟩b⟨U+0000⟩⟨U+D800⟩\n"
    assert short("one\n  two", 20) == "one two" and short("x" * 99, 10) == "x" * 9 + "…"
    assert label("optimizer.generator.lr") == "G lr" and label("loss.name") == "loss.name"


def test_a_drawing_is_escaped_and_is_the_same_as_a_picture() -> None:
    drawing = Drawing(40, 20, (Dot(10, 10, "blue", 5), Label(1, 9, "<b>&", 9)), 'a "quoted" <alt>')
    svg = to_svg(drawing)
    assert "&lt;b&gt;&amp;" in svg and 'aria-label="a &quot;quoted&quot; &lt;alt&gt;"' in svg
    assert "style=" not in svg
    image = Image.open(io.BytesIO(to_png(drawing))).convert("RGB")
    assert image.size == (80, 40)
    red, _, blue = image.getpixel((20, 20))  # type: ignore[misc]
    assert blue > 120 > red


def test_pictures_shrink_to_their_own_pixels() -> None:
    small = np.random.default_rng(0).integers(256, size=(9, 7), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(small.repeat(5, 0).repeat(5, 1)).save(buffer, "PNG")
    found = shrink(buffer.getvalue())
    assert found is not None and found[1] == (7, 9)
    again = np.asarray(Image.open(io.BytesIO(found[0])).convert("L"))
    np.testing.assert_array_equal(again, small)
    assert shrink(buffer.getvalue()[:40]) is None


def test_shares_of_different_groups_of_trials_are_not_told_as_parts_of_one_whole() -> None:
    columns = ["parameter", "importance", "trials", "is_conditional"]
    rows = [("penalty.weight", 0.82, 22, True), ("loss.name", 0.44, 36, False)]
    table = pd.DataFrame([*rows, ("penalty.name", 0.3, 36, False)], columns=columns)
    assert plain(mattered(table, 36)) == (
        "loss.name (44%) and penalty.name (30%) most: the share of the objective’s variance that "
        "each explains by itself over 36 trials. Among the 22 trials that have it, penalty.weight "
        "explains 82% of what differs between those."
    )
    assert plain(mattered(table[1:2], 36)).startswith("loss.name (44%) most: the share of")
    drawn = importance_figure(shares_of(table))
    assert drawn.alt.endswith("penalty.weight 82% among the 22 that have it")
    # A pale bar under a head of its own.
    bars = [mark for mark in drawn.marks if isinstance(mark, Box)]
    assert [bar.opacity for bar in bars] == [0.9, 0.9, 0.4]


def test_a_journal_is_read_from_a_copy_and_not_changed(tmp_path: Path) -> None:
    root = make_run(tmp_path / "made")
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    assert not before[root / "optuna.journal"].endswith(b"\n")  # torn
    assert len(journal_trials(root / "optuna.journal", "made")) == 12
    gather(gantune.load(root))
    assert {p: p.read_bytes() for p in root.rglob("*") if p.is_file()} == before


def test_the_answer_of_seeds_says_what_they_tell_apart() -> None:
    best = Configuration(3, False, 5, 0.0, 2.0, 1.5, 2.5, (2.0,))
    base = Configuration(0, True, 5, 0.2, 6.0, 5.0, None, (6.0,))
    apart = Confirmed(3, (best, base), (Pair(3, 0, -4.0, -6.0, -2.0, True),))
    said = plain(confirmed_lead(apart, "frechet_distance", "minimize"))
    assert said == (
        "The best is trial 3’s configuration: median Fréchet distance 2 over 5 seeds (lower is "
        "better); the base trial’s median is 6."
    )
    open_ = Confirmed(3, (best, base), (Pair(3, 0, -4.0, -9.0, 1.0, False),))
    assert "do not tell apart" in plain(confirmed_lead(open_, "frechet_distance", "minimize"))
    nobody = Confirmed(None, (), ())
    assert "Every configuration fails" in plain(confirmed_lead(nobody, "modes", "maximize"))


def test_a_png_has_no_boxes_in_place_of_letters() -> None:
    font = ImageFont.load_default(20)
    box = bytes(font.getmask("\uffff"))
    assert bytes(font.getmask("é")) == box, "the font has it now: no need to leave accents out"
    shown = drawable("Fréchet −1.5 – später")
    assert shown == "Frechet -1.5 - spater"
    assert all(bytes(font.getmask(letter)) != box for letter in shown)
