"""What a store is to have of a run."""

from pathlib import Path
from typing import Protocol

import pandas as pd

import gantune


class Server(Protocol):
    """A store on loopback with one bucket, ``bucket``."""

    def uri(self, path: str) -> str: ...

    def names(self, folder: str) -> set[str]: ...

    def stop(self) -> None: ...


def check_is_there(server: Server, uri: str, root: Path, *, trials: int, epochs: int) -> None:
    """What the bucket has is the run, file by file, and all of its trials with their weights."""
    here, there = gantune.load(root), gantune.load(uri)
    assert here.status == there.status == "finished"
    for table in ("trials", "epochs", "steps"):
        pd.testing.assert_frame_equal(getattr(there, table), getattr(here, table))
    counts = here.epochs.groupby("number")["epoch"].apply(list)
    assert list(counts) == [list(range(1, epochs + 1))] * trials
    names, expected = server.names(f"runs/{root.name}"), files_of(root) | {"mark.json"}
    assert names == expected, names ^ expected
    for number in range(trials):
        for folder in ("best", "last"):
            place = f"trials/{number:05d}/{folder}/"
            assert any(n.startswith(place) and n.endswith(".safetensors") for n in names), place


def files_of(root: Path) -> set[str]:
    """A run's files here that a store that keeps it has, too."""
    local = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    return {name for name in local if not name.startswith(("tune/", "control/", "lock"))}
