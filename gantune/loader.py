"""From a study file to a checked study, or to every problem that it has."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from gantune.checks import check_study, within_grid
from gantune.config import sections_at
from gantune.document import Document, Location, Value, parse_scalar, read_document
from gantune.errors import ConfigError, Problem, UsageError
from gantune.extensions import activate, read_extension
from gantune.ownership import refuse_of_others
from gantune.parts.base import FOREIGN
from gantune.parts.foreign import UNLOADED
from gantune.sources import forget_sources
from gantune.space import ParameterSpec
from gantune.study import Study


def load_study(path: str | Path, overrides: Sequence[str] = (), *, trust: bool = False) -> Study:
    """Reads and checks a study file.

    Args:
        path: The YAML file.
        overrides: ``PATH=VALUE`` texts, applied before anything is checked. A path is taken
            relative to ``trial`` unless it starts with another section of the study file; a path
            that is also searched is then fixed.
        trust: Whether extensions are run that are in another user's file or folder.

    Raises:
        ConfigError: The study is not valid; carries every problem with line, path and rule.
        UsageError: The file cannot be read, or it has extensions that are another user's.
    """
    document = read_document(Path(path))
    return study_from_document(_with_extensions(document, Path(path), trust), overrides)


def _with_extensions(document: Document, path: Path, trust: bool) -> Document:
    """Puts the files that a study names as extensions in the place of their names."""
    tree = document.value
    named = tree.get("extensions") if isinstance(tree, dict) else None
    if not isinstance(tree, dict) or not isinstance(named, list):
        return document
    if named and not trust:
        refuse_of_others(path)
    read: list[Value] = []
    for item in named:
        if isinstance(item, str):
            extension = read_extension(path.parent / item, trust=trust)
            # Overrides and checks ask which options a part has.
            activate(extension)
            read.append(extension.model_dump())
        else:
            read.append(item)
    return Document(document.source, {**tree, "extensions": read}, document.lines)


def load_run_study(path: Path, *, trust: bool = False) -> Study:
    """Reads and checks the study of a run, in order to go on with it; see :func:`load_study`.

    Raises:
        ConfigError: The study is not valid.
        UsageError: It has extensions that are another user's, or not within it.
    """
    tree = read_document(path).value
    named = tree.get("extensions") if isinstance(tree, dict) else None
    for item in named if isinstance(named, list) else ():
        if isinstance(item, str):
            raise UsageError(
                f"{path} names a file, {item}: a run holds its extensions' text itself"
            )
    return load_study(path, trust=trust)


def open_study(path: Path) -> Study:
    """Reads the study of a run, as it was resolved, in order to look at its results.

    Nothing of it is run or looked up: neither its extensions nor the files of its data.

    Raises:
        ConfigError: The file is damaged.
    """
    document = read_document(path)
    try:
        return Study.model_validate(document.value, context=UNLOADED)
    except ValidationError as error:
        problems = [_as_problem(details, document) for details in error.errors()]
        raise ConfigError(document.source, problems) from None


def study_from_document(document: Document, overrides: Sequence[str] = ()) -> Study:
    """Checks a parsed study file; see :func:`load_study`."""
    forget_sources()
    document = _with_overrides(document, overrides)
    problems: list[Problem] = []
    study = None
    try:
        study = Study.model_validate(document.value)
    except ValidationError as error:
        problems = [_as_problem(details, document) for details in error.errors()]
    problems += check_study(document, study)
    if problems:
        unique = {(p.path, p.message): p for p in problems}
        raise ConfigError(document.source, sorted(unique.values(), key=_by_line))
    assert study is not None
    return within_grid(study)


def _with_overrides(document: Document, overrides: Sequence[str]) -> Document:
    if not overrides or not isinstance(document.value, dict):
        return document
    tree, lines = dict(document.value), dict(document.lines)
    problems = []
    for text in overrides:
        path, equals, value = text.partition("=")
        words = path.strip().split(".")
        if not equals or not all(words):
            problems.append(Problem("--set", text, "write it as PATH=VALUE"))
            continue
        if words[0] not in Study.model_fields:
            words.insert(0, "trial")
        try:
            tree = _set_in(tree, words, parse_scalar(value))
            _leave_behind(tree, words)
        except ConfigError as error:
            problems += [Problem("--set", path, str(p.message)) for p in error.problems]
        search = tree.get("search")
        if words[0] == "trial" and isinstance(search, dict):
            fixed = ".".join(words[1:])
            tree["search"] = {
                key: spec
                for key, spec in search.items()
                if key != fixed and not key.startswith(f"{fixed}.")
            }
        lines[tuple(words)] = 0
    if problems:
        raise ConfigError(document.source, problems)
    return Document(document.source, tree, lines)


def _set_in(node: Value, words: Sequence[str], value: Value) -> dict[str, Value]:
    copy = dict(node) if isinstance(node, dict) else {}
    first, rest = words[0], words[1:]
    copy[first] = _set_in(copy.get(first), rest, value) if rest else value
    return copy


def _leave_behind(tree: dict[str, Value], words: Sequence[str]) -> None:
    """Drops what was said of a part that an override has just replaced."""
    *parents, last = words
    section: Value = tree
    for word in parents:
        section = section[word] if isinstance(section, dict) else None
    if not isinstance(section, dict):
        return
    if list(words) == ["objective", "metric"]:
        section.pop("goal", None)
    if last == "name":
        for part in sections_at(".".join(parents), Study):
            if part.model_fields["name"].default == section["name"]:
                for key in set(section) - set(part.model_fields):
                    del section[key]


def _by_line(problem: Problem) -> tuple[int, str]:
    number = problem.where.removeprefix("line ")
    return (int(number) if number.isdigit() else 0, problem.path)


def _as_problem(details: ErrorDetails, document: Document) -> Problem:
    location = _without_tags(details["loc"], document.value)
    path = ".".join(map(str, location))
    return Problem(document.where(location), path, _message(details, location))


def _without_tags(location: tuple[int | str, ...], value: Any) -> Location:
    """Drops what pydantic adds to a location for the chosen part of a union."""
    kept: list[str | int] = []
    for position, word in enumerate(location):
        is_last = position == len(location) - 1
        if isinstance(value, dict):
            if word in value:
                value = value[word]
            elif word == FOREIGN or (not is_last and isinstance(word, str)):
                continue
        elif isinstance(value, list) and isinstance(word, int) and word < len(value):
            value = value[word]
        elif not isinstance(word, int):
            continue
        kept.append(word)
    return tuple(kept)


_WANTED = {
    "model_type": "should be a mapping, {key: value}",
    "dict_type": "should be a mapping, {key: value}",
    "tuple_type": "should be a list, [value, value]",
    "list_type": "should be a list, [value, value]",
}
"""Where pydantic's words are those of Python, not of YAML."""


def _message(details: ErrorDetails, location: Location) -> str:
    kind, value = details["type"], details.get("input")
    if kind == "extra_forbidden":
        return f"unknown key{_nearest(location)}"
    if kind in ("union_tag_invalid", "unknown_part"):
        context = details.get("ctx", {})
        tag, expected = context.get("tag"), context.get("expected_tags")
        if not isinstance(value, dict):
            return f"write it as {{name: ...}}; known names: {expected}"
        return f"unknown name {tag}; known names: {expected}".replace("''", "'")
    if kind == "value_error":
        return details["msg"].removeprefix("Value error, ")
    shown = repr(value)
    says = _WANTED.get(kind, details["msg"])
    return f"{says}, has {shown if len(shown) < 80 else shown[:77] + '...'}"


def _nearest(location: Location) -> str:
    words = [str(word) for word in location]
    if words[0] == "trial":
        parts = sections_at(".".join(words[1:-1]))
    elif words[0] == "search" and len(words) > 2:
        parts = [ParameterSpec]
    else:
        parts = sections_at(".".join(words[:-1]), Study)
    known = sorted({field for part in parts for field in part.model_fields})
    match = difflib.get_close_matches(words[-1], known, n=1, cutoff=0.5)
    return f"; did you mean {match[0]!r}?" if match else f"; known keys: {', '.join(known)}"
