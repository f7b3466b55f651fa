"""Records for the section on provenance: with what, from what, in what time."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gantune.analysis.run import Run
from gantune.report.words import Fact, short
from gantune.visible import visible

LONGEST = 120
"""Letters of a foreign text in a list."""


@dataclass(frozen=True)
class Session:
    """A process that drove the run."""

    started_at: str
    ended_at: str
    host: str
    device: str
    slots: str
    python: str
    versions: tuple[tuple[str, str], ...]
    git_commit: str


@dataclass(frozen=True)
class Provenance:
    """Where a run's numbers come from.

    Attributes:
        sessions: In order of time.
        features: What distances are measured in, in words.
        counts: Numbers of samples and trials, by name.
        seeds: By name.
        extensions: (file, hash).
        train_s: Seconds of training in all trials.
        eval_s: Seconds of evaluation.
        overhead_s: Seconds in which trials ran and did neither.
        study: The study file's text.
    """

    sessions: tuple[Session, ...]
    features: str | None
    counts: tuple[tuple[str, Fact], ...]
    seeds: tuple[tuple[str, str], ...]
    extensions: tuple[tuple[str, str], ...]
    train_s: float
    eval_s: float
    overhead_s: float
    study: str


def provenance(run: Run) -> Provenance:
    """The provenance of a run."""
    sessions = [s for s in run.info.get("sessions", []) if isinstance(s, Mapping)]
    latest: Mapping[str, Any] = sessions[-1] if sessions else {}
    measured = run.measured_in
    train_s, eval_s = (float(run.epochs[name].sum()) for name in ("train_s", "eval_s"))
    wall_s = float(run.trials["wall_s"].sum())
    counts = [
        ("trials", Fact("trials.count", len(run.trials))),
        ("epochs", Fact("epochs.count", len(run.epochs))),
    ]
    if measured is not None:
        counts += [
            ("real samples behind the metrics", Fact("features.real", measured.real)),
            ("generated samples of an evaluation", Fact("features.samples", measured.samples)),
        ]
    return Provenance(
        sessions=tuple(map(_session, sessions)),
        features=visible(measured.features) if measured else None,
        counts=tuple(counts),
        seeds=_pairs(latest.get("seeds")),
        extensions=_pairs(latest.get("extensions")),
        train_s=train_s,
        eval_s=eval_s,
        overhead_s=max(0.0, wall_s - train_s - eval_s),
        study=visible(_study_text(run)),
    )


def _study_text(run: Run) -> str:
    return (run.root / "study.yaml").read_text(encoding="utf-8", errors="replace")


def _session(session: Mapping[str, Any]) -> Session:
    def text(name: str) -> str:
        value = session.get(name)
        return "–" if value is None else short(str(value), LONGEST)

    return Session(
        started_at=text("started_at")[:19].replace("T", " "),
        ended_at=text("ended_at")[:19].replace("T", " "),
        host=text("host"),
        device=text("device"),
        slots=text("slots"),
        python=text("python"),
        versions=_pairs(session.get("versions")),
        git_commit=text("git_commit")[:12],
    )


def _pairs(found: Any) -> tuple[tuple[str, str], ...]:
    if not isinstance(found, Mapping):
        return ()
    return tuple(
        (short(str(name), LONGEST), short(str(value), LONGEST)) for name, value in found.items()
    )
