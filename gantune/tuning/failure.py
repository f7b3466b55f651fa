"""Why a trial failed, from what its worker has left."""

from gantune.paths import RunPaths
from gantune.study import Study
from gantune.tuning.stalls import is_stalled


def failure_of(paths: RunPaths, number: int, study: Study) -> str:
    """A line for the ``error`` column of a trial that has failed for good."""
    if is_stalled(paths.stalled(number)):
        return f"no record for {study.stall_timeout} s: stalled.txt says where it hung"
    try:
        lines = paths.error(number).read_text(encoding="utf-8").strip().splitlines()
    except OSError:
        lines = []
    return lines[-1] if lines else "its worker died without a word: killed, maybe for its memory"
