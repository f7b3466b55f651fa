"""What a run keeps on disk: the weights and pictures of its best trials and of unfinished ones.

Of any other trial its records stay, in the tables, and the picture of its last epoch. It can be
trained again to the same weights; see :func:`gantune.trial_as_study`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gantune.checkpoints import remove_checkpoint
from gantune.lock import hold_lock
from gantune.paths import RunPaths
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


def best_ended(ends: Sequence[EndRow], sign: int, count: int | None) -> list[EndRow]:
    """The best trials in order; None: all of those that have a value.

    Args:
        ends: Last rows of ended trials.
        sign: 1 where a lower objective is better, -1 where a higher one is.
        count: How many at most.
    """
    scored = [row for row in ends if row["objective"] is not None]
    return sorted(scored, key=lambda row: (sign * row["objective"], row["number"]))[:count]


def thin(
    paths: RunPaths, ends: Sequence[EndRow], sign: int, keep: Checkpoints, *, keep_last: bool = True
) -> Freed:
    """Removes what ended trials do not need to keep; may be repeated after a crash at any point.

    Args:
        paths: The run.
        ends: Last rows of ended trials; files of no other trial are touched.
        sign: 1 where a lower objective is better, -1 where a higher one is.
        keep: How many of the best keep their weights.
        keep_last: Whether of those the completed ones keep what they could be trained on from.
    """
    if keep.keep_top is None:
        best = {int(row["number"]) for row in ends}
    else:
        best = {int(row["number"]) for row in best_ended(ends, sign, keep.keep_top)}
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
    """Removes weights of a run that nobody drives.

    Args:
        paths: The run.
        study: Its study.
        keep_top: How many of the best trials keep theirs; None: as many as the study says.
        keep_last: Whether completed ones among them can be trained on.

    Raises:
        UsageError: A process drives the run.
    """
    with hold_lock(paths.lock):
        rows = read_table(paths.table("trials")).to_pylist()
        ends = {row["number"]: row for row in rows if row["status"] != "running"}
        keep = study.checkpoint
        if keep_top is not None:
            keep = keep.model_copy(update={"keep_top": keep_top})
        return thin(paths, list(ends.values()), study.objective.sign, keep, keep_last=keep_last)
