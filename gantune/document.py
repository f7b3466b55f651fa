"""Reads a YAML document by the rules of YAML 1.2 and remembers on which line each value stands.

PyYAML follows YAML 1.1: ``1e-4`` is a string there, ``off`` a boolean, ``017`` fifteen, ``1:30``
ninety, and of two equal keys the last one wins without a word. A study file deserves better.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from gantune.errors import ConfigError, Problem, UsageError

MAX_BYTES = 1_000_000
MAX_DEPTH = 20
MAX_NODES = 20_000

Location = tuple[str | int, ...]
Value = None | bool | int | float | str | list["Value"] | dict[str, "Value"]

# Of libyaml where there is one: PyYAML's own takes 4 s for a list of 19,000 numbers.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# What PyYAML resolves plain values to; what they mean is decided below.
_KNOWN_TAGS = {"map", "seq", "str", "int", "float", "bool", "null", "timestamp", "value", "merge"}

_NULL = re.compile(r"~|null|Null|NULL|")
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]+")
_BASED_INT = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"([-+]?)\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


@dataclass(frozen=True)
class Document:
    """A parsed YAML document.

    Attributes:
        source: Name of the file, for messages.
        value: Plain Python data: dicts, lists and scalars.
        lines: Line of each value (of its key, inside mappings), counted from 1.
    """

    source: str
    value: Value
    lines: dict[Location, int] = field(default_factory=dict)

    def where(self, location: Location) -> str:
        """Names the line of a location, or of the nearest parent that has one."""
        for end in range(len(location), -1, -1):
            line = self.lines.get(location[:end])
            if line is not None:
                return f"line {line}" if line else "--set"
        return ""


def read_document(path: Path) -> Document:
    """Reads a YAML file.

    Raises:
        UsageError: The file is missing, a directory, unreadable, too large or not text.
        ConfigError: The text is not YAML, or breaks one of the bounds; with line numbers.
    """
    try:
        if path.is_dir():
            raise UsageError(f"{path} is a directory; name a study file inside it")
        with open(path, "rb") as file:
            # Not by the size that it is said to have: a device has none.
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise UsageError(f"{path} is larger than {MAX_BYTES:,} bytes; that is no study file")
        text = data.decode()
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None
    return parse_document(text, source=str(path))


def parse_document(text: str, *, source: str) -> Document:
    """Parses YAML text. Raises ConfigError with every problem found."""
    try:
        _check_bounds(text, source)
        node = yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}" if mark else ""
        problem = f"not YAML: {_explain(error, text)}"
        raise ConfigError(source, [Problem(where, "", problem)]) from None
    except yaml.YAMLError as error:
        raise ConfigError(source, [Problem("", "", f"not YAML: {error}")]) from None
    if node is None:
        raise ConfigError(source, [Problem("", "", "the file is empty")])
    builder = _Builder()
    value = builder.build(node, ())
    if builder.problems:
        raise ConfigError(source, builder.problems)
    return Document(source, value, builder.lines)


def parse_scalar(text: str) -> Value:
    """Parses one value as a study file would: ``1e-4``, ``[1, 2]``, ``adam``, ``{a: 1}``."""
    return parse_document(text or "''", source=f"value {text!r}").value


class _Dumper(yaml.SafeDumper):
    """Quotes what a reader of YAML 1.2 would take for something else than text."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    plain = yaml.ScalarNode("tag:yaml.org,2002:str", text)
    style = None if _scalar(plain) == text else "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def write_document(tree: Mapping[str, Any]) -> str:
    """Plain data as YAML that :func:`parse_document` reads back as it was."""
    return str(yaml.dump(dict(tree), Dumper=_Dumper, sort_keys=False, allow_unicode=True))


def _explain(error: yaml.MarkedYAMLError, text: str) -> str:
    problem, mark = error.problem or error.context or "cannot be parsed", error.problem_mark
    line = text.split("\n")[mark.line : mark.line + 1] if mark else []
    if mark and line and line[0][mark.column : mark.column + 1] == "\t":
        return "indentation must be spaces, here is a tab"
    return problem


def _check_bounds(text: str, source: str) -> None:
    # Composing recurses; the flat event stream shows depth, aliases and size before it can hurt.
    depth = nodes = 0
    for event in yaml.parse(text, Loader=_LOADER):
        problem = None
        if isinstance(event, yaml.AliasEvent):
            problem = "aliases (*name) are not allowed in a study file; write the value out"
        elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            depth += 1
            if depth > MAX_DEPTH:
                problem = f"nested deeper than {MAX_DEPTH} levels"
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            depth -= 1
        nodes += 1
        if nodes > MAX_NODES:
            problem = f"more than {MAX_NODES:,} values"
        if problem:
            line = event.start_mark.line + 1 if event.start_mark else 0
            raise ConfigError(source, [Problem(f"line {line}", "", problem)])


class _Builder:
    """Turns PyYAML's node tree into plain data and notes lines and problems on the way."""

    def __init__(self) -> None:
        self.lines: dict[Location, int] = {}
        self.problems: list[Problem] = []

    def build(self, node: yaml.Node, location: Location) -> Value:
        self.lines.setdefault(location, node.start_mark.line + 1)
        if node.tag.removeprefix("tag:yaml.org,2002:") not in _KNOWN_TAGS:
            self._problem(node, location, f"the tag {node.tag} is not allowed in a study file")
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, location)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(child, (*location, i)) for i, child in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)
        return _scalar(node)

    def _mapping(self, node: yaml.MappingNode, location: Location) -> dict[str, Value]:
        result: dict[str, Value] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._problem(key_node, location, "a key must be a plain word")
                continue
            key = key_node.value
            here = (*location, key)
            if key in result:
                first = self.lines[here]
                self._problem(key_node, here, f"the key stands twice (first on line {first})")
                continue
            self.lines[here] = key_node.start_mark.line + 1
            result[key] = self.build(value_node, here)
        return result

    def _problem(self, node: yaml.Node, location: Location, message: str) -> None:
        path = ".".join(map(str, location))
        self.problems.append(Problem(f"line {node.start_mark.line + 1}", path, message))


def _scalar(node: yaml.ScalarNode) -> Value:
    text: str = node.value
    if node.style:  # quoted or a block: text, whatever it looks like
        return text
    if _NULL.fullmatch(text):
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _INT.fullmatch(text):
        return int(text) if len(text) < 30 else float(text)
    if _BASED_INT.fullmatch(text) and len(text) < 30:
        return int(text, base=0)
    if _FLOAT.fullmatch(text):
        return float(text)
    if match := _NOT_FINITE.fullmatch(text):
        return float("nan") if match[3] else float(f"{match[1]}inf")
    return text


def dotted(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The leaves of nested mappings by dotted path; lists are leaves."""
    found: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            found |= dotted(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found
