"""Names the files of a run."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gantune.errors import UsageError
from gantune.study import NAME_PATTERN

_TABLES = ("epochs", "trials", "steps")


@dataclass(frozen=True)
class RunPaths:
    """The files of one run, below ``root``."""

    root: Path

    @property
    def study(self) -> Path:
        """The study as resolved: base trial with every default, overrides applied."""
        return self.root / "study.yaml"

    @property
    def info(self) -> Path:
        """Versions, hashes, seeds, device, status."""
        return self.root / "run.json"

    @property
    def lock(self) -> Path:
        """Held by the process that drives the run."""
        return self.root / "lock"

    @property
    def journal(self) -> Path:
        """Optuna's study."""
        return self.root / "optuna.journal"

    @property
    def journal_lock(self) -> Path:
        """Optuna's, while it writes: a symbolic link, left behind by a process that is killed."""
        return self.journal.with_name(self.journal.name + ".lock")

    @property
    def warm_start(self) -> Path:
        """An earlier run's trials that the sampler knows; only where there is an earlier run."""
        return self.root / "warm_start.json"

    @property
    def real_samples(self) -> Path:
        """A picture of some of the data, made when the run began."""
        return self.root / "samples_real.png"

    @property
    def real_modes(self) -> Path:
        """How the data fall on classes or modes."""
        return self.root / "real.json"

    @property
    def storage(self) -> Path:
        """Which store keeps the run, and the sessions that wrote there; only where one does."""
        return self.root / "storage.json"

    @property
    def mark(self) -> Path:
        """Up to where tables and journal belong together; in a store only."""
        return self.root / "mark.json"

    @property
    def control(self) -> Path:
        """Requests from other terminals, one file each."""
        return self.root / "control"

    @property
    def ray(self) -> Path:
        """Ray's own files, read by nobody else."""
        return self.root / "tune"

    @property
    def concurrency(self) -> Path:
        """How many trials may run at once, while it is being changed from another terminal."""
        return self.control / "concurrency"

    def table(self, name: str) -> Path:
        """The folder of a table's segments: ``epochs``, ``trials`` or ``steps``."""
        return self.root / name

    def trial(self, number: int) -> Path:
        """The folder of one trial."""
        return self.root / "trials" / f"{number:05d}"

    def best(self, number: int) -> Path:
        """The checkpoint of a trial's best epoch."""
        return self.trial(number) / "best"

    def last(self, number: int) -> Path:
        """The checkpoint that a trial goes on from."""
        return self.trial(number) / "last"

    def samples(self, number: int) -> Path:
        """The folder of a trial's pictures of samples, one per epoch."""
        return samples_of(self.trial(number))

    def animation(self, number: int) -> Path:
        """A trial's pictures in a row."""
        return self.trial(number) / "samples.webp"

    def evaluation(self, number: int) -> Path:
        """What `gantune evaluate` found of a trial."""
        return self.trial(number) / "evaluation.json"

    def tensorboard(self, number: int) -> Path:
        """A trial's folder of TensorBoard's event files."""
        return self.root / "tensorboard" / f"{number:05d}"

    def error(self, number: int) -> Path:
        """The traceback of a trial that failed."""
        return self.trial(number) / "error.txt"

    def stalled(self, number: int) -> Path:
        """Where a worker hung that was killed for it."""
        return self.trial(number) / "stalled.txt"


def refuse_links(paths: RunPaths) -> None:
    """Refuses a run directory from which a symbolic link leads out.

    Whoever writes into it, or removes from it, would do so somewhere else. The directory itself may
    be a link: its user has named it.

    Raises:
        UsageError: A file or a folder of it is a link, which is named; or one cannot be listed.
    """
    # Each after the one that it is in, which names it where it is a link itself.
    for folder in [paths.root, paths.control, *_folders(paths)]:
        _refuse_links_in(folder, paths)


def refuse_links_to_open(paths: RunPaths) -> None:
    """As :func:`refuse_links`, of what a run is known by: its own files, and those of its tables.

    Whoever reads it would read, and a report publish, something else. The folders of its trials can
    be many: what is in them is refused when it is opened, see :func:`refuse_linked`.

    Raises:
        UsageError: One is a link, which is named; or one cannot be listed.
    """
    for folder in [paths.root, *(paths.table(name) for name in _TABLES)]:
        _refuse_links_in(folder, paths)


def refuse_linked(folder: Path, root: Path) -> None:
    """Refuses one folder of a run where a link leads to it, or a file of it is a link.

    Raises:
        UsageError: One does, which is named; or the folder cannot be listed.
    """
    inside = [folder, *folder.parents]
    for path in inside[: inside.index(root)]:
        if path.is_symlink():
            _refuse(path)
    _refuse_links_in(folder, RunPaths(root))


def _refuse_links_in(folder: Path, paths: RunPaths) -> None:
    try:
        with os.scandir(folder) as entries:
            links = [Path(entry.path) for entry in entries if entry.is_symlink()]
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise UsageError(f"{folder} cannot be listed: {error.strerror}") from None
    for path in sorted(links):
        # Optuna's lock is never followed, and removed by whoever opens the journal.
        if path != paths.journal_lock:
            _refuse(path)


def _folders(paths: RunPaths) -> Iterator[Path]:
    """Folders that a run writes into; Ray's own are made anew with each session."""
    yield from (paths.table(name) for name in _TABLES)
    yield paths.ray
    events = paths.root / "tensorboard"
    yield from (events, *(path for path in events.rglob("*") if path.is_dir()))
    for folder in paths.root.glob("t*/[0-9][0-9][0-9][0-9][0-9]*"):
        yield folder
        yield from (folder / name for name in ("best", "last", "samples"))


def _refuse(path: Path) -> None:
    raise UsageError(
        f"{path} is a symbolic link to {os.readlink(path)}: a run keeps to its own directory; "
        "put the files themselves there (`cp -rL`), or mount what they are on"
    )


def samples_of(trial_folder: Path) -> Path:
    """The folder of the pictures of a trial's samples."""
    return trial_folder / "samples"


def picture_name(epoch: int) -> str:
    """The picture of an epoch's samples; in order of epochs when sorted."""
    return f"epoch-{epoch:05d}.png"


def run_paths(runs_dir: Path, name: str) -> RunPaths:
    """The paths of a run by name.

    Raises:
        UsageError: The name could lead out of the runs directory.
    """
    if not re.fullmatch(NAME_PATTERN, name):
        rule = "a run name is letters, digits, '.', '_' and '-', and begins with a letter or digit"
        raise UsageError(f"{name!r} is no run name: {rule}")
    return RunPaths(runs_dir / name)
