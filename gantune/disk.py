"""What a run keeps on disk: the weights and pictures of its best trials and of unfinished ones.

Of any other trial its records stay, in the tables, and the picture of its last epoch. It can be
trained again to the same weights; see :func:`gantune.trial_as_study`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gantune.checkpoints import remove_checkpoint
from gantune.goals import front
from gantune.kept import open_store
from gantune.lock import hold_lock
from gantune.paths import RunPaths, refuse_links
from gantune.records import read_table
from gantune.study import Checkpoints, Study

EndRow = Mapping[str, Any]


class Freed(NamedTuple):
    """What was removed.

    Attributes:
        trials: Trials that have lost files.
        size: Bytes.
    """

    trials: int
    size: int


def worth_keeping(ends: Sequence[EndRow], study: Study, count: int | None) -> list[EndRow]:
    """The trials whose weights somebody will ask for.

    The best of the search, of two objectives all that no other trial dominates, and of each
    configuration that was confirmed its best repeat.

    Args:
        ends: Last rows of ended trials.
        study: Their study.
        count: How many of the search at most; None: all that have a value.
    """
    ranking, second = study.ranking, study.objective.second
    scored = [row for row in ends if row["objective"] is not None]
    scored.sort(key=lambda row: (ranking.of_trial(row), row["number"]))
    searched = [row for row in scored if row["confirms"] is None]
    kept = searched[:count]
    if second:
        both = [row for row in searched if row["second_objective"] is not None]
        points = [
            (ranking.sign * row["objective"], second.sign * row["second_objective"]) for row in both
        ]
        kept += [both[index] for index in front(points)]
    repeats = [row for row in scored if row["confirms"] is not None]
    # One that diverged counts as failed, whatever it had reached.
    repeats.sort(key=lambda row: row["status"] != "completed")
    # The last that is put under a name stays there: the best.
    return kept + list({row["confirms"]: row for row in reversed(repeats)}.values())


def thin(
    paths: RunPaths,
    ends: Sequence[EndRow],
    study: Study,
    keep: Checkpoints,
    *,
    keep_last: bool = True,
) -> Freed:
    """Removes what ended trials do not need to keep; may be repeated after a crash at any point.

    Args:
        paths: The run.
        ends: Last rows of ended trials; files of no other trial are touched.
        study: Their study.
        keep: How many of the best keep their weights.
        keep_last: Whether of those the completed ones keep what they could be trained on from.
    """
    best = {int(row["number"]) for row in ends}
    if keep.keep_top is not None:
        best = {int(row["number"]) for row in worth_keeping(ends, study, keep.keep_top)}
    sizes = []
    for row in ends:
        number = int(row["number"])
        freed = 0
        if number not in best:
            freed = _strip(paths, number)
        elif not keep_last or row["status"] != "completed":
            # A trial that was stopped, has diverged or failed never goes on.
            freed = remove_checkpoint(paths.last(number))
        sizes.append(freed)
    return Freed(sum(size > 0 for size in sizes), sum(sizes))


def thin_waiting(
    paths: RunPaths, waiting: Sequence[EndRow], best: Sequence[EndRow], study: Study
) -> None:
    """Removes weights of trials that wait at a rung with many better ones before them.

    One of those that goes on after all is trained to its rung again, to the same weights: its
    records stay.

    Args:
        paths: The run.
        waiting: Of each that waits the row that would be its last.
        best: Last rows of the best that have ended.
        study: Their study.
    """
    count = study.checkpoint.keep_top
    if count is None:
        return
    kept = worth_keeping([*best, *waiting], study, count)
    for level in {row["epochs"] for row in waiting}:
        # As a rung sees them: by their latest values.
        there = [{**row, "objective": row["last_objective"]} for row in waiting]
        there = [row for row in there if row["epochs"] == level]
        kept += sorted(there, key=study.ranking.of_trial)[:count]
    for number in {row["number"] for row in waiting} - {row["number"] for row in kept}:
        _strip(paths, number)


def _strip(paths: RunPaths, number: int) -> int:
    """Removes a trial's weights, its animation, and its pictures but the last."""
    freed = remove_checkpoint(paths.best(number)) + remove_checkpoint(paths.last(number))
    pictures = sorted(paths.samples(number).glob("*.png"))[:-1]
    return freed + sum(_remove(path) for path in (paths.animation(number), *pictures))


def _remove(path: Path) -> int:
    if not path.exists():
        return 0
    size = path.stat().st_size
    path.unlink()
    return size


def prune(paths: RunPaths, study: Study, keep_top: int | None, *, keep_last: bool) -> Freed:
    """Removes weights of a run that nobody drives, here and in the store that keeps it.

    Args:
        paths: The run.
        study: Its study.
        keep_top: How many of the best trials keep theirs; None: as many as the study says.
        keep_last: Whether completed ones among them can be trained on.

    Raises:
        UsageError: A process drives the run, a link leads out of it, or its store is not its own.
    """
    refuse_links(paths)
    with hold_lock(paths.lock):
        store = open_store(paths) if paths.storage.exists() else None
        rows = read_table(paths.table("trials")).to_pylist()
        ends = {row["number"]: row for row in rows if row["status"] != "running"}
        keep = study.checkpoint
        if keep_top is not None:
            keep = keep.model_copy(update={"keep_top": keep_top})
        before = _trial_files(paths)
        freed = thin(paths, list(ends.values()), study, keep, keep_last=keep_last)
        if store:
            for path in before - _trial_files(paths):
                store.remote.remove(store.remote.root / path.relative_to(paths.root))
        return freed


def _trial_files(paths: RunPaths) -> set[Path]:
    return {path for path in paths.trial(0).parent.rglob("*") if path.is_file()}
