"""A run that a store keeps: whatever machine is lost, it goes on from there."""

import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from test_replay import check_consistent, run_to_its_end, study, tables
from toy import ToyHost

from gantune import patience
from gantune.api import Silent
from gantune.disk import prune
from gantune.document import write_document
from gantune.errors import GantuneError, RunError, StorageError, UsageError
from gantune.host import Progress
from gantune.loader import load_study
from gantune.lock import hold_lock
from gantune.paths import RunPaths
from gantune.records import read_table, segments
from gantune.remote import Remote
from gantune.study import Study
from gantune.trial import TrialSpec
from gantune.trialsync import Sync, sync_of
from gantune.tuning import mirror as mirror_module
from gantune.tuning import store as store_module
from gantune.tuning.conductor import Conductor
from gantune.tuning.lifecycle import create_run
from gantune.tuning.local import drive
from gantune.tuning.observers import All, Keeper
from gantune.tuning.store import mirrored, storage_uri, take_up


class StoredToys(ToyHost):
    """Toy trials on another machine: what they write they send."""

    def __init__(self, machine: Path) -> None:
        super().__init__()
        self._machine = machine
        self._syncs: dict[int, Sync] = {}

    def open(self, spec: TrialSpec) -> int:
        there = self._machine / "trials" / f"{spec.number:05d}"
        spec = spec.model_copy(update={"folder": str(there)})
        sync = self._syncs[spec.number] = sync_of(spec)
        with storage_errors():
            sync.bring()
            handle = super().open(spec)
            sync.send()
        return handle

    def advance(self, handle: int, until: int, at_most_s: float) -> Progress:
        progress = super().advance(handle, until, at_most_s)
        with storage_errors():
            self._syncs[handle].send()
        return progress


@contextmanager
def storage_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(str(error)) from None


class Losses:
    """After so many writes to a store no more arrive."""

    def __init__(self, rng: random.Random, average: float) -> None:
        self._rng, self._average = rng, average
        self.count = 0
        self.reset()

    def reset(self) -> None:
        self._left = self._rng.expovariate(1 / self._average)

    @contextmanager
    def happening(self) -> Iterator[None]:
        send, remove = Remote._send, Remote.remove

        def lossy(self: Remote, path: Path, data: bytes) -> None:
            losses.spend()
            send(self, path, data)

        def lossy_remove(self: Remote, path: Path) -> None:
            losses.spend()
            remove(self, path)

        losses = self
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Remote, "_send", lossy)
            patch.setattr(Remote, "remove", lossy_remove)
            patch.setattr(patience, "PATIENCE_S", 0.0)
            patch.setattr(mirror_module, "EVERY_S", 0.01)
            patch.setattr(mirror_module, "AT_MOST_S", 0.01)
            patch.setattr(store_module, "_is_alive", lambda pid: False)
            yield

    def spend(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise OSError("planted: nothing arrives")


def run_through_losses(folder: Path, plan: Study, losses: Losses) -> int:
    """Until it is done; each time its machines are lost it is taken up from the store."""
    uri = storage_uri(str(folder / "store"), "tiny")
    machine, count = folder / "0", 0
    (folder / "store").mkdir(parents=True)
    machine.mkdir()
    create_run(RunPaths(machine / "tiny"), plan, storage=uri)
    while True:
        paths = RunPaths(machine / "tiny")
        try:
            with hold_lock(paths.lock), mirrored(paths) as mirror:
                observers = All([Silent(), mirror, Keeper(paths, plan)])
                conductor = Conductor(paths, plan, observers, mirror.bring)
                drive(conductor, StoredToys(folder / f"worker-{count}"))
                conductor.close()
                if conductor.fatal is None:
                    mirror.finish()
                    return count
        except (UsageError, RunError) as error:
            assert "planted" in str(error), error
        shutil.rmtree(machine)
        while True:
            count += 1
            losses.reset()
            machine = folder / str(count)
            machine.mkdir()
            try:
                take_up(uri, machine, trust=False)
                break
            except UsageError as error:
                if "no run" in str(error):  # lost before its first mark
                    create_run(RunPaths(machine / "tiny"), plan, storage=uri)
                    break
                assert "planted" in str(error), error


@pytest.mark.slow
@pytest.mark.parametrize("studies", [9, pytest.param(90, marks=pytest.mark.long)])
def test_one_slot_equals_the_undisturbed_study_after_any_losses(
    tmp_path: Path, studies: int
) -> None:
    lost = 0
    expected: dict[int, Any] = {}
    for number in range(studies):
        rng, seed, folder = random.Random(number), number % 3, tmp_path / str(number)
        if seed not in expected:
            run_to_its_end(tmp_path / f"undisturbed-{seed}", study(seed=seed))
            expected[seed] = tables(tmp_path / f"undisturbed-{seed}")
        losses = Losses(rng, average=rng.choice([40, 80, 150]))
        with losses.happening():
            lost += run_through_losses(folder, study(seed=seed), losses)
        # What counts is what the store has, to whoever reads it there, and to who takes it up.
        here, there = last_machine(folder) / "tiny", folder / "store" / "tiny"
        for table in ("trials", "epochs", "steps"):
            names = [[path.name for path in segments(root / table)] for root in (here, there)]
            assert names[0] == names[1], number
            assert read_table(there / table).equals(read_table(here / table)), number
        shutil.rmtree(last_machine(folder))
        root = take_up(storage_uri(str(folder / "store"), "tiny"), folder / "last", trust=False)
        assert tables(root) == expected[seed], number
        check_consistent(root, 7)
    assert lost > studies


def last_machine(folder: Path) -> Path:
    return max(
        (path for path in folder.iterdir() if path.name.isdigit()), key=lambda p: int(p.name)
    )


@pytest.mark.slow
def test_a_store_that_is_not_cut_to_its_mark_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A control: tables that are ahead of the journal would give trials a second course."""
    monkeypatch.setattr(store_module, "keep_first", lambda folder, rows: None)
    run_to_its_end(tmp_path / "undisturbed", study())
    expected = tables(tmp_path / "undisturbed")
    # Or it is taken for damage, which is said.
    with pytest.raises((AssertionError, GantuneError, UserWarning)):
        for number in range(30):
            losses = Losses(random.Random(number), average=60)
            with losses.happening():
                run_through_losses(tmp_path / str(number), study(), losses)
            assert tables(last_machine(tmp_path / str(number)) / "tiny") == expected


ELSEWHERE = """
import sys, time
from pathlib import Path
from gantune.loader import load_study
from gantune.lock import hold_lock
from gantune.paths import RunPaths
from gantune.tuning import mirror
from gantune.tuning.store import mirrored

mirror.EVERY_S = 0.3
paths = RunPaths(Path(sys.argv[1]))
with hold_lock(paths.lock), mirrored(paths):
    print("runs", flush=True)
    time.sleep(60)
"""


@pytest.mark.slow
def test_a_run_goes_on_in_one_place_at_a_time(tmp_path: Path) -> None:
    uri = storage_uri(str(tmp_path / "store"), "tiny")
    paths = RunPaths(tmp_path / "here" / "tiny")
    create_run(paths, study(), storage=uri)
    with subprocess.Popen(
        [sys.executable, "-c", ELSEWHERE, str(paths.root)], stdout=subprocess.PIPE
    ) as driver:
        assert driver.stdout is not None and driver.stdout.readline() == b"runs\n"
        there = RunPaths(take_up(uri, tmp_path / "there", trust=False))
        with pytest.raises(UsageError, match=f"is being run by process {driver.pid} on"):
            with mirrored(there):
                raise AssertionError("two processes drive one run")
        driver.kill()
    # It is dead, and so the run goes on there; where it was before it is out of date now.
    with mirrored(there) as cut_off:
        with mirrored(RunPaths(take_up(uri, tmp_path / "third", trust=False))):
            pass
        # A session that was cut off for a while, and then goes on.
        with pytest.raises(RunError, match="went on from another machine"):
            cut_off.finish()
    with pytest.raises(UsageError, match=r"is ahead of .*here/tiny: it went on from"):
        with mirrored(paths):
            raise AssertionError("two courses of one run")


METRIC = """
from gantune import extend

@extend.metric("kept_in_a_store", goal="maximize")
def kept_in_a_store(samples):
    return 0.5
"""


def test_code_from_a_store_wants_trust(tmp_path: Path) -> None:
    """Whoever can write to a bucket could have a study of it run what they like."""
    uri = storage_uri(str(tmp_path / "store"), "tiny")
    paths = RunPaths(tmp_path / "here" / "tiny")
    extension = tmp_path / "mine.py"
    extension.write_text(METRIC)
    tree = study().model_dump(mode="json", exclude_none=True) | {"extensions": [str(extension)]}
    file = tmp_path / "tiny.yaml"
    file.write_text(write_document(tree))
    create_run(paths, load_study(file), storage=uri)
    with mirrored(paths):
        pass
    with pytest.raises(UsageError, match="say --trust"):
        take_up(uri, tmp_path / "there", trust=False)
    assert not list((tmp_path / "there").glob("*"))
    assert take_up(uri, tmp_path / "there", trust=True).is_dir()


def test_only_names_that_files_of_a_run_have_are_taken(tmp_path: Path) -> None:
    """A store's own can be anything, and lead out of a folder."""
    uri = storage_uri(str(tmp_path / "store"), "tiny")
    paths, there = RunPaths(tmp_path / "here" / "tiny"), tmp_path / "store" / "tiny"
    create_run(paths, study(), storage=uri)
    with mirrored(paths):
        pass
    for name in (".bashrc", "a b", "epochs/-x.arrow", "x/.ssh/keys", "trials/0\n/x", "plain"):
        (there / name).parent.mkdir(parents=True, exist_ok=True)
        (there / name).write_bytes(b"planted")
    root = take_up(uri, tmp_path / "there", trust=False)
    taken = [path for path in root.rglob("*") if path.is_file() and path.read_bytes() == b"planted"]
    assert taken == [root / "plain"]


@pytest.mark.parametrize(
    ("mark", "message"),
    [(None, "is no run that gantune keeps"), (b"{", "mark.json is damaged"), (b"[]", "damaged")],
)
def test_what_is_no_run_is_not_taken_up(tmp_path: Path, mark: bytes | None, message: str) -> None:
    uri = storage_uri(str(tmp_path / "store"), "tiny")
    if mark is not None:
        (tmp_path / "store" / "tiny").mkdir(parents=True)
        (tmp_path / "store" / "tiny" / "mark.json").write_bytes(mark)
    with pytest.raises(UsageError, match=message):
        take_up(uri, tmp_path / "there", trust=False)


def test_a_run_of_the_same_name_is_not_taken_for_it(tmp_path: Path) -> None:
    """Neither one that another store keeps, nor one that none does."""
    for place, kept in (("alone", None), ("kept", storage_uri(str(tmp_path / "other"), "tiny"))):
        create_run(RunPaths(tmp_path / place / "tiny"), study(), storage=kept)
        with pytest.raises(UsageError, match=r"tiny is another run; .*--runs-dir DIR"):
            take_up(storage_uri(str(tmp_path / "store"), "tiny"), tmp_path / place, trust=False)


def test_what_prune_removes_is_removed_from_the_store(tmp_path: Path) -> None:
    plan, folder = study(), tmp_path / "runs"
    folder.mkdir()
    losses = Losses(random.Random(0), average=1e9)
    with losses.happening():
        run_through_losses(folder, plan, losses)
    root = last_machine(folder) / "tiny"
    there = folder / "store" / "tiny"
    before = {path for path in there.rglob("*.safetensors")}
    prune(RunPaths(root), plan, 1, keep_last=False)
    here = {path.relative_to(root) for path in root.rglob("*.safetensors")}
    after = {path.relative_to(there) for path in there.rglob("*.safetensors")}
    assert here == after and len(after) < len(before)
