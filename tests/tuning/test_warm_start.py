"""A study that goes on from an earlier run's trials, which its journal and tables do not have."""

import random
import shutil
import statistics
from pathlib import Path
from typing import Any

import optuna
import pytest
from conftest import make_study
from optuna.samplers import BaseSampler, GPSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState
from test_replay import reopen, run_to_its_end, tables
from toy import Crasher, ToyHost, crashing

import gantune
from gantune.api import Silent
from gantune.checks import search_space
from gantune.errors import GantuneError, IncomparableError, UsageError
from gantune.extensions import Extension
from gantune.paths import RunPaths
from gantune.runinfo import begin_session
from gantune.seeds import derive_seed
from gantune.space import propose
from gantune.storage import read_json, write_json
from gantune.strategy import Budget
from gantune.study import Study
from gantune.tuning.conductor import Conductor
from gantune.tuning.lifecycle import create_run, session_facts
from gantune.tuning.local import drive
from gantune.tuning.prior import as_frozen, read_prior
from gantune.tuning.sampler import Seeded
from gantune.tuning.warm import warm_start

# A process that dies closes no files.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

TRAIN = {"epochs": 6, "steps_per_epoch": 2, "batch_size": 8}
CONDITIONAL: dict[str, Any] = {
    "optimizer.generator.lr": {"log_uniform": [1e-5, 1e-2]},
    "optimizer.discriminator.lr": {"log_uniform": [0.1, 10], "times": "optimizer.generator.lr"},
    "optimizer.generator.beta1": {"uniform": [0.0, 0.9]},
    "optimizer.discriminator.beta1": {"same_as": "optimizer.generator.beta1"},
    "generator.hidden": {"choice": [[8], [8, 8]]},
    "penalty.name": {"choice": ["none", "r1"]},
    "penalty.weight": {"log_uniform": [0.01, 10], "when": {"penalty.name": "r1"}},
}
PLAIN: dict[str, Any] = {
    path: CONDITIONAL[path]
    for path in ("optimizer.generator.lr", "optimizer.generator.beta1", "generator.hidden")
}


def study(trials: int = 12, **sections: Any) -> Study:
    plan: dict[str, Any] = {
        "trial": {"train": TRAIN},
        "search": PLAIN,
        "scheduler": {"grace_epochs": 2, "reduction_factor": 2},
        "sampler": {"seed": 3, "startup_trials": 5},
        "budget": {"trials": trials},
    }
    return make_study(**(plan | sections))


def ran(root: Path, plan: Study) -> Path:
    """A whole run of toy trials; it began with what an earlier one is told of."""
    create_run(RunPaths(root), plan)
    run_to_its_end(root, plan)
    return root


def started(root: Path, plan: Study, source: Path) -> Path:
    """The directory of a new run that knows the trials of another."""
    create_run(RunPaths(root), plan, warm_start(plan, source).prior)
    return root


def own_trials(root: Path) -> list[FrozenTrial]:
    return reopen(RunPaths(root)).get_trials()


def known(root: Path, plan: Study) -> list[FrozenTrial]:
    """What the sampler of a run knows of the earlier one."""
    return as_frozen(read_prior(RunPaths(root)), search_space(plan))


def told(trials: list[FrozenTrial]) -> list[tuple[Any, ...]]:
    """All that Optuna was told of trials."""
    return [
        (t.state, t.values, t.params, t.distributions, t.intermediate_values, t.user_attrs)
        for t in trials
    ]


def check_near(ours: dict[str, Any], theirs: dict[str, Any], tolerance: float) -> None:
    """Numbers within a relative tolerance, all else equal."""
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        near = pytest.approx(value, rel=tolerance) if isinstance(value, float) else value
        assert ours[name] == near, name


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with every kind of end, its last trial failed."""
    folder = tmp_path_factory.mktemp("source")
    plan = study(start=[{"optimizer.generator.lr": 9e-3}])
    root = ran(folder / "earlier", plan)
    larger = plan.model_copy(update={"budget": Budget(trials=13)})
    conductor = Conductor(RunPaths(root), larger, Silent())
    failing = conductor.ask()
    assert failing is not None and failing.number == 12
    conductor.finish(failing.number, failed=True)
    conductor.close()
    assert {trial.user_attrs["status"] for trial in own_trials(root)} == {
        *("completed", "stopped", "diverged", "failed")
    }
    return root


def test_the_sampler_knows_what_the_earlier_journal_was_told(tmp_path: Path, source: Path) -> None:
    """Made of tables on the one side; told trial by trial, and read from the journal, on the
    other."""
    root = started(tmp_path / "new", study(), source)
    ours, theirs = known(root, study()), own_trials(source)[:12]
    assert told(ours) == told(theirs)
    assert [t.number for t in ours] == list(range(12))
    prior = read_prior(RunPaths(root))
    assert prior is not None and prior.run == "earlier"
    assert (prior.left_out, prior.reason) == (1, "1 of them because it failed")
    assert str(prior) == (
        "warm start: 12 trials of earlier; 1 left out, 1 of them because it failed"
    )
    assert own_trials(root) == []


def _tpe(group: bool) -> Any:
    def make(seed: int) -> BaseSampler:
        return TPESampler(
            seed=seed, n_startup_trials=5, multivariate=True, group=group, constant_liar=True
        )

    return make


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize(
    ("search", "sampler", "make"),
    [
        pytest.param(PLAIN, "tpe", _tpe(False), id="tpe"),
        pytest.param(CONDITIONAL, "tpe", _tpe(True), id="grouped tpe"),
        pytest.param(
            PLAIN,
            "gp",
            lambda seed: GPSampler(seed=seed, n_startup_trials=5),
            marks=pytest.mark.slow,
            id="gp",
        ),
    ],
)
def test_the_first_suggestion_is_that_of_a_study_which_has_the_trials(
    tmp_path: Path, search: dict[str, Any], sampler: str, make: Any
) -> None:
    """Optuna's own sampler, in a study of Optuna's to which the very trials were added."""
    options = {"name": sampler, "seed": 3, "startup_trials": 5}
    plan = study(search=search, sampler=options, scheduler={"name": "none"})
    earlier = ran(tmp_path / "earlier", plan)
    seed = derive_seed("sampler", 3, 12, "") % 2**32
    reference = optuna.create_study(sampler=make(seed))
    reference.add_trials(own_trials(earlier))
    conductor = Conductor(RunPaths(started(tmp_path / "new", plan, earlier)), plan, Silent())
    first = conductor.ask()
    assert first is not None
    asked = reference.ask()
    propose(search_space(plan), asked)
    (ours,) = conductor.optuna.get_trials()
    # All are drawn jointly: what is drawn on its own has a seed of its own here.
    assert asked.params.keys() <= asked.relative_params.keys()
    if search == PLAIN and sampler == "tpe":
        assert ours.params == asked.params
    # A ratio that is taken from its product can differ in the last digit.
    check_near(ours.params, asked.params, 1e-6)
    assert ours.params != own_trials(earlier)[0].params  # which is what a cold start draws


@pytest.mark.slow
def test_a_study_goes_on_as_the_earlier_run_itself_would_have(tmp_path: Path) -> None:
    """The run that was extended has all trials in its own journal. With one seed for all trials
    and no rungs a trial's values follow from its configuration."""
    alike: dict[str, Any] = {"trial_seed": 7, "scheduler": {"name": "none"}}
    earlier = ran(tmp_path / "earlier", study(8, **alike))
    new = started(tmp_path / "new", study(6, **alike), earlier)
    run_to_its_end(new, study(6, **alike))
    run_to_its_end(earlier, study(14, **alike))
    assert told(own_trials(new)) == told(own_trials(earlier)[8:])
    assert [t.number for t in own_trials(new)] == list(range(6))


@pytest.mark.slow
def test_earlier_trials_count_as_startup_trials(tmp_path: Path, source: Path) -> None:
    """The draw at random of the same number is independent of history; a model's is not."""

    def first(startup_trials: int) -> dict[str, Any]:
        plan = study(sampler={"seed": 3, "startup_trials": startup_trials})
        root = started(tmp_path / str(startup_trials), plan, source)
        conductor = Conductor(RunPaths(root), plan, Silent())
        conductor.ask()
        return conductor.optuna.get_trials()[0].params

    at_random = first(1000)
    assert first(13) == at_random  # 12 are known
    assert first(12) != at_random


def test_draws_at_random_repeat_none_of_the_earlier_ones(tmp_path: Path) -> None:
    """The same seed on both sides, and too few trials for a model."""
    plan = study(4, sampler={"seed": 3, "startup_trials": 100})
    earlier = ran(tmp_path / "earlier", plan)
    new = started(tmp_path / "new", plan, earlier)
    run_to_its_end(new, plan)
    rates = [t.params["optimizer.generator.lr"] for t in own_trials(earlier) + own_trials(new)]
    assert len(set(rates)) == 8


def test_the_base_trial_and_start_come_first_all_the_same(tmp_path: Path, source: Path) -> None:
    plan = study(3, start=[{"optimizer.generator.lr": 5e-3}])
    new = started(tmp_path / "new", plan, source)
    run_to_its_end(new, plan)
    rates = [t.params["optimizer.generator.lr"] for t in own_trials(new)]
    assert rates[:2] == [2e-4, 5e-3] and rates[2] not in rates[:2]


@pytest.mark.long
def test_a_warm_start_finds_better_values_soon(tmp_path: Path) -> None:
    """Medians over seeds of the best of four trials; the toy's optimum is a rate of 1e-3."""
    best: dict[str, list[float]] = {"cold": [], "warm": []}
    for seed in range(6):
        earlier = ran(tmp_path / f"earlier-{seed}", study(16, sampler={"seed": seed}))
        few = study(4, sampler={"seed": seed + 100}, trial={"train": TRAIN, "seed": seed})
        warm = started(tmp_path / f"warm-{seed}", few, earlier)
        run_to_its_end(warm, few)
        cold = ran(tmp_path / f"cold-{seed}", few)
        for name, root in (("cold", cold), ("warm", warm)):
            gaps = [abs(t.params["optimizer.generator.lr"] - 1e-3) for t in own_trials(root)]
            best[name].append(min(gaps))
    assert statistics.median(best["warm"]) < statistics.median(best["cold"]) / 2


# What is taken.


def taken(plan: Study, source: Path) -> list[int]:
    return [trial.number for trial in warm_start(plan, source).prior.trials]


def test_a_smaller_space_takes_the_trials_that_lie_in_it(source: Path) -> None:
    rates = [t.params["optimizer.generator.lr"] for t in own_trials(source)[:12]]
    low, high = sorted(rates)[3], sorted(rates)[8]
    narrow = {**PLAIN, "optimizer.generator.lr": {"log_uniform": [low, high]}}
    plan = study(search=narrow, start=[])
    assert taken(plan, source) == [n for n, rate in enumerate(rates) if low <= rate <= high]
    assert warm_start(plan, source).prior.left_out == 13 - 6


def test_what_is_fixed_now_has_to_have_been_so(source: Path) -> None:
    """The width was searched then; now the base trial has [8]."""
    fixed = {path: spec for path, spec in PLAIN.items() if path != "generator.hidden"}
    widths = [t.params["generator.hidden"] for t in own_trials(source)[:12]]
    found = warm_start(study(search=fixed), source).prior
    assert [t.number for t in found.trials] == [n for n, w in enumerate(widths) if w == "json:[8]"]
    assert 0 < len(found.trials) < 12 and found.left_out == 13 - len(found.trials)
    assert found.reason == (
        f"{found.left_out - 1} of them because generator.hidden is (8, 8) in it and (8,) here"
    )


def test_what_is_searched_now_has_the_value_that_was_fixed_then(source: Path) -> None:
    wider = {**PLAIN, "optimizer.discriminator.lr": {"log_uniform": [1e-5, 1e-2]}}
    found = warm_start(study(search=wider), source).prior
    assert len(found.trials) == 12
    assert {t.params["optimizer.discriminator.lr"] for t in found.trials} == {2e-4}


@pytest.mark.slow
def test_parameters_that_exist_under_a_condition(tmp_path: Path) -> None:
    """Into a space without the relation, and back from it."""
    plan = study(search=CONDITIONAL, scheduler={"name": "none"})
    earlier = ran(tmp_path / "earlier", plan)
    free = {path: s for path, s in CONDITIONAL.items() if path != "optimizer.discriminator.beta1"}
    free["optimizer.discriminator.beta1"] = {"uniform": [0.0, 0.9]}
    free["optimizer.discriminator.lr"] = {"log_uniform": [1e-6, 1e-1]}
    loose = study(search=free, scheduler={"name": "none"})
    new = started(tmp_path / "new", loose, earlier)
    run_to_its_end(new, loose)
    by_rate = {}
    for trial, row in zip(known(new, loose), own_trials(earlier), strict=True):
        p, q = trial.params, row.params
        assert p["optimizer.discriminator.beta1"] == q["optimizer.generator.beta1"]
        assert p["optimizer.discriminator.lr"] == pytest.approx(
            q["optimizer.generator.lr"] * q["optimizer.discriminator.lr@ratio"], rel=1e-12
        )
        assert ("penalty.weight" in p) == (q["penalty.name"] == "r1")
        by_rate[p["optimizer.generator.lr"]] = q
    # What was drawn freely does not keep to the relations.
    with pytest.raises(UsageError, match="no trial that this study can learn from"):
        warm_start(plan, new)
    back = started(tmp_path / "back", plan, earlier)
    for trial in known(back, plan):
        expected = by_rate[trial.params["optimizer.generator.lr"]]
        check_near(trial.params, expected, 1e-12)


@pytest.mark.slow
def test_equal_images_are_epochs_of_the_new_base(tmp_path: Path) -> None:
    """Two updates of D a round are twice the images: three epochs are the six of the base."""
    search = {**PLAIN, "train.d_steps": {"choice": [1, 2]}}
    images = study(search=search, scheduler={"unit": "images", "grace_epochs": 2})
    earlier = ran(tmp_path / "earlier", images)
    new = started(tmp_path / "images", images, earlier)
    assert told(known(new, images)) == told(own_trials(earlier))
    # Counted in epochs every trial has six: those with two updates are too short.
    epochs = study(search=search)
    singles = [t.number for t in own_trials(earlier) if t.params["train.d_steps"] == 1]
    assert taken(epochs, earlier) == singles and 0 < len(singles) < 12


def test_a_gaussian_process_takes_those_that_ran_to_their_end(source: Path) -> None:
    plan = study(sampler={"name": "gp", "startup_trials": 2})
    completed = [t.number for t in own_trials(source) if t.state == TrialState.COMPLETE]
    assert taken(plan, source) == completed and 0 < len(completed) < 12


def test_a_run_that_goes_on_gives_what_has_ended(tmp_path: Path) -> None:
    plan = study(6)
    root = tmp_path / "earlier"
    create_run(RunPaths(root), plan)
    conductor, host = Conductor(RunPaths(root), plan, Silent()), ToyHost()
    for _ in range(2):
        spec = conductor.ask()
        assert spec is not None
        host.open(spec)
        goes_on = True
        while goes_on:
            progress = host.advance(spec.number, 6, 0)
            goes_on = conductor.observe(spec.number, progress.records, progress.steps, "w")
        conductor.finish(spec.number, failed=False)
    running = conductor.ask()
    assert running is not None
    host.open(running)
    progress = host.advance(running.number, 1, 0)
    conductor.observe(running.number, progress.records, progress.steps, "w")
    found = warm_start(plan, root).prior
    assert [t.number for t in found.trials] == [0, 1]
    assert found.reason == "1 of them because it has not ended"
    # Nothing was written there: it goes on.
    drive(conductor, host)
    assert len(own_trials(root)) == 6


# What is refused.


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"sampler": {"name": "random"}}, "sampler random does not learn from earlier trials"),
        ({"sampler": {"name": "qmc"}}, "sampler qmc does not learn.*tpe, gp"),
        (
            {
                "sampler": {"name": "grid"},
                "search": {"generator.hidden": {"choice": [[8], [16]]}},
            },
            "sampler grid does not learn",
        ),
        ({"search": {}}, "searches nothing"),
        (
            {"objective": {"metric": "mode_kl"}},
            "its objective is minimize frechet_distance, here it is minimize mode_kl",
        ),
        (
            {"objective": {"metric": "frechet_distance", "goal": "maximize"}},
            "here it is maximize frechet_distance",
        ),
        (
            {"scheduler": {"unit": "seconds", "grace_seconds": 1, "max_seconds": 9}},
            "its trials end after their epochs, here after 9 seconds",
        ),
        (
            {"trial": {"train": {**TRAIN, "epochs": 8}}},
            "(?s)no trial that this study can learn from:\n"
            "  trial 0: train.epochs is 6 in it and 8 here.*and 10 more.*without a warm start",
        ),
        (
            {"trial": {"train": TRAIN, "data": {"name": "ring", "points": 300}}},
            "data.points is 200 in it and 300 here",
        ),
        (
            {"trial": {"train": TRAIN, "eval": {"samples": 60}}},
            "eval.samples is 50 in it and 60 here",
        ),
        (
            {"search": {"optimizer.generator.lr": {"log_uniform": [1e-9, 1e-8]}}, "start": []},
            r"optimizer.generator.lr = .* is not in \[1e-09, 1e-08\]",
        ),
    ],
)
def test_what_cannot_be_learned_from_is_refused_with_what_to_do(
    source: Path, sections: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        warm_start(study(**sections), source)


def test_a_run_in_which_nothing_has_ended(tmp_path: Path) -> None:
    create_run(RunPaths(tmp_path / "earlier"), study())
    with pytest.raises(UsageError, match="it has no trials yet"):
        warm_start(study(), tmp_path / "earlier")
    with pytest.raises(UsageError, match="is no run"):
        warm_start(study(), tmp_path)


def test_fields_that_change_no_outcome_may_differ(source: Path) -> None:
    plan = study(trial={"train": TRAIN, "seed": 5, "device": "cpu"})
    assert len(taken(plan, source)) == 12


LOSS = """
from typing import Literal
from gantune import extend

class Steep(extend.LossOptions):
    name: Literal["steep"] = "steep"
    power: float = {power}

@extend.loss(Steep)
def steep(options):
    raise NotImplementedError
"""


@pytest.mark.slow
def test_an_extension_has_to_be_the_same_file(tmp_path: Path) -> None:
    def plan(power: float) -> Study:
        steep = Extension(name="steep.py", text=LOSS.format(power=power))
        trial = {"train": TRAIN, "loss": {"name": "steep"}}
        return study(6, extensions=[steep.model_dump()], trial=trial)

    earlier = ran(tmp_path / "earlier", plan(2.0))
    assert len(taken(plan(2.0), earlier)) == 6
    with pytest.raises(UsageError, match=r"its extension steep\.py is not the study's"):
        warm_start(plan(3.0), earlier)


@pytest.mark.slow
def test_values_in_other_features_are_refused_before_the_run_is_made(tmp_path: Path) -> None:
    from gantune.engine.materials import make_materials

    plan = study()
    earlier = ran(tmp_path / "earlier", plan)
    materials = make_materials(plan.trial)
    begin_session(RunPaths(earlier).info, None, session_facts(plan, materials, 1))
    new = tmp_path / "new"
    warm_start(plan, earlier).check_measured(plan, new, materials)
    info = read_json(RunPaths(earlier).info)
    info["sessions"][0]["features"]["hash"] = "0123456789abcdef"
    write_json(RunPaths(earlier).info, info)
    with pytest.raises(IncomparableError, match="in coordinates 0123456789abcdef, the second"):
        warm_start(plan, earlier).check_measured(plan, new, materials)
    assert not new.exists()


# A crash, and a source that is gone.


@pytest.mark.slow
def test_a_warm_started_run_is_the_same_after_any_crashes(tmp_path: Path, source: Path) -> None:
    plan = study(5)
    gone = shutil.copytree(source, tmp_path / "earlier")
    roots = [started(tmp_path / str(n), plan, gone) for n in range(6)]
    shutil.rmtree(gone)
    run_to_its_end(roots[0], plan)
    expected = tables(roots[0])
    assert expected != tables(ran(tmp_path / "cold", plan))
    crashes = 0
    for number, root in enumerate(roots[1:]):
        rng = random.Random(number)
        crasher = Crasher(rng, average=rng.choice([5, 15, 40]))
        with crashing(crasher):
            crashes += run_to_its_end(root, plan, crasher)
        assert tables(root) == expected, number
    assert crashes > 10


@pytest.mark.slow
def test_a_longer_warm_started_run_begins_as_the_shorter_one(tmp_path: Path, source: Path) -> None:
    short, whole = (started(tmp_path / name, study(6), source) for name in ("short", "whole"))
    run_to_its_end(short, study(3))
    run_to_its_end(short, study(6))
    run_to_its_end(whole, study(6))
    assert tables(short) == tables(whole)


@pytest.mark.slow
def test_a_file_that_is_gone_or_damaged_is_not_passed_over(tmp_path: Path, source: Path) -> None:
    root = started(tmp_path / "new", study(), source)
    paths = RunPaths(root)
    prior = read_prior(paths)
    assert prior is not None
    begin_session(paths.info, None, {"warm_start": prior.facts})
    whole = paths.warm_start.read_text()
    paths.warm_start.write_text(whole[:-40])
    with pytest.raises(GantuneError, match=r"warm_start\.json is damaged"):
        Conductor(paths, study(), Silent())
    paths.warm_start.unlink()
    with pytest.raises(UsageError, match=r"warm_start\.json is missing"):
        Conductor(paths, study(), Silent())


def test_history_costs_no_more_with_the_number_of_trials(tmp_path: Path, source: Path) -> None:
    """Ended trials get their new number once, not at every draw."""
    plan = study()
    known_before = known(started(tmp_path / "new", plan, source), plan)
    space = search_space(plan)
    sampler = Seeded(plan.sampler, space, (), known_before)
    opened = optuna.create_study(sampler=sampler)
    for value in range(20):
        trial = opened.ask()
        propose(space, trial)
        opened.tell(trial, float(value))
    view = sampler._continued
    assert view is not None
    first, again = (view.get_trials(deepcopy=False) for _ in range(2))
    assert [t.number for t in first] == list(range(32))
    assert all(one is other for one, other in zip(first, again, strict=True))
    assert [t.number for t in opened.get_trials()] == list(range(20))
    assert opened.best_trial.number == 0


def test_the_run_from_python_says_what_it_began_with(tmp_path: Path) -> None:
    """Checked before Ray starts, so that no run is made."""
    plan = study(sampler={"name": "random"})
    earlier = ran(tmp_path / "earlier", study())
    with pytest.raises(UsageError, match="does not learn"):
        gantune.run(plan, name="new", runs_dir=tmp_path, warm_start=earlier)
    assert not (tmp_path / "new").exists()
