"""Damage: bytes of real files changed, values of real trees replaced."""

import copy
import pathlib
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from gantune.records import TableWriter, segments

Path = tuple[Any, ...]

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["", "adam", "1e-4", "../..", "\x00", "\ud7ff", "NaN", "name", "mlp", "r1"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)

_EDITS = st.sampled_from(["flip", "cut", "drop", "twice", "noise"])


@st.composite
def damaged_bytes(draw: st.DrawFn, data: bytes) -> bytes:
    """One to three edits: a bit flipped, the end cut off, bytes lost, repeated, or overwritten."""
    for _ in range(draw(st.integers(1, 3))):
        if not data:
            break
        edit = draw(_EDITS)
        at = draw(st.integers(0, len(data) - 1))
        until = at + draw(st.integers(1, 64))
        if edit == "flip":
            byte = data[at] ^ (1 << draw(st.integers(0, 7)))
            data = data[:at] + bytes([byte]) + data[at + 1 :]
        elif edit == "cut":
            data = data[:at]
        elif edit == "drop":
            data = data[:at] + data[until:]
        elif edit == "twice":
            data = data[:until] + data[at:]
        else:
            noise = draw(st.binary(min_size=1, max_size=16))
            data = data[:at] + noise + data[at + len(noise) :]
    return data


def places(tree: Any, path: Path = ()) -> Iterator[Path]:
    """Every place of a tree of plain data."""
    yield path
    if not isinstance(tree, dict | list):
        return
    for key, child in tree.items() if isinstance(tree, dict) else enumerate(tree):
        yield from places(child, (*path, key))


@st.composite
def damaged_tree(draw: st.DrawFn, tree: Any) -> Any:
    """One to three values replaced, removed, renamed or moved."""
    tree = copy.deepcopy(tree)
    for _ in range(draw(st.integers(1, 3))):
        found = list(places(tree))
        path = draw(st.sampled_from(found))
        if not path:
            continue
        *parents, last = path
        node = tree
        for key in parents:
            node = node[key]
        edit = draw(st.sampled_from(["replace", "remove", "rename", "move"]))
        if edit == "remove":
            del node[last]
        elif edit == "rename" and isinstance(node, dict):
            node[draw(st.text(max_size=8))] = node.pop(last)
        elif edit == "move":
            source: Any = tree
            for key in draw(st.sampled_from(found)):
                try:
                    source = source[key]
                except (KeyError, IndexError, TypeError):
                    break
            node[last] = copy.deepcopy(source)
        else:
            node[last] = draw(VALUES)
    return tree


def rewritten(folder: pathlib.Path, rows: list[Any]) -> None:
    """Replaces a table's rows, with checksums that fit, as whoever wrote them would."""
    for path in segments(folder):
        path.unlink()
    writer = TableWriter(folder)
    writer.append(rows)
    writer.close()
