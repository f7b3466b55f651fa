"""What each round of a kill loop did: noted by its test, a table from the XML that pytest leaves.

python tests/faults/rounds.py build/test-long-1.xml > docs/kill_rounds.md
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from xml.etree import ElementTree

Note = Callable[[str, object], None]
"""pytest's ``record_property``."""


@dataclass
class Round:
    """One study that went through faults.

    Attributes:
        number: From 0; also the seed of what is random in it.
        slots: Trials at a time.
        epochs: Of all its trials, once it is whole.
        killed_at: How many epochs were on disk at each kill.
        lost: Trials that a kill took and that went on from their own checkpoint, where counted.
        seconds: From its beginning to its end.
        is_equal: Its tables are those of an undisturbed run; None where they need not be.
    """

    number: int
    slots: int
    epochs: int = 0
    killed_at: list[int] = field(default_factory=list)
    lost: int | None = None
    seconds: float = 0.0
    is_equal: bool | None = None
    _began: float = field(default_factory=time.monotonic, repr=False)

    def ends(self, note: Note) -> None:
        """Notes a round that was found whole."""
        self.seconds = time.monotonic() - self._began
        known = asdict(self)
        del known["_began"]
        note("round", json.dumps(known))


def read_rounds(xml: Path) -> dict[str, list[Round]]:
    """The rounds in a file of pytest's, by their test's name.

    Raises:
        ValueError: A test that notes rounds did not pass: what it left is no result.
    """
    found: dict[str, list[Round]] = {}
    for case in ElementTree.parse(xml).iter("testcase"):
        texts = [
            each.attrib["value"] for each in case.iter("property") if each.get("name") == "round"
        ]
        if not texts:
            continue
        name = case.attrib["name"]
        if case.find("failure") is not None or case.find("error") is not None:
            raise ValueError(f"{name} did not pass")
        found[name] = [Round(**json.loads(text)) for text in texts]
    return found


HEAD = """\
| round | slots | epochs on disk at each kill, of all | trials lost, gone on | tables | s |
|---|---|---|---|---|---|"""

EQUAL = {True: "whole, equal to the undisturbed run's", None: "whole"}


def as_row(each: Round) -> str:
    killed = ", ".join(map(str, each.killed_at)) or "none"
    lost = "" if each.lost is None else each.lost
    cells = (each.number, each.slots, f"{killed} of {each.epochs}", lost, EQUAL[each.is_equal])
    return f"| {' | '.join(map(str, cells))} | {each.seconds:.0f} |"


def as_markdown(name: str, rounds: list[Round]) -> str:
    kills = sum(len(each.killed_at) for each in rounds)
    seconds = sum(each.seconds for each in rounds)
    total = f"{len(rounds)} rounds, {kills} kills, {seconds:.0f} s; every round is whole."
    return "\n".join([f"## `{name}`", "", total, "", HEAD, *map(as_row, rounds)])


INTRODUCTION = """\
# Every round of the kill loops

What `make test-long` left, written by `tests/faults/rounds.py`. A round is a study of 12 trials
whose driver, workers or nodes are killed without grace at random moments, and which is gone on with
until it is done. Whole: no trial lost or doubled, no epoch missing or twice, Optuna's journal
agrees with the tables; equal: in everything but times.
[reliability.md](reliability.md#test-long) says on which machine, and when."""


if __name__ == "__main__":
    xml, page = map(Path, sys.argv[1:])
    found = [as_markdown(name, rounds) for name, rounds in read_rounds(xml).items()]
    page.write_text("\n\n".join([INTRODUCTION, *found]) + "\n")
