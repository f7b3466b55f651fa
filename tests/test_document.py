"""YAML by the rules of 1.2, bounded, with lines."""

import time
from pathlib import Path

import pytest

from gantune.document import parse_document, parse_scalar, read_document
from gantune.errors import ConfigError, UsageError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),  # PyYAML: a string
        ("1E-4", 1e-4),
        ("1e4", 1e4),
        (".5", 0.5),
        ("2.", 2.0),
        ("017", 17),  # PyYAML: 15
        ("0o17", 15),
        ("0x1F", 31),
        ("1:30", "1:30"),  # PyYAML: 90
        ("off", "off"),  # PyYAML: False
        ("no", "no"),
        ("yes", "yes"),
        ("true", True),
        ("~", None),
        ("'1'", "1"),
        ("2024-01-01", "2024-01-01"),  # PyYAML: a date
        ("1_000", "1_000"),  # PyYAML: 1000
        (".inf", float("inf")),
        ("-.inf", float("-inf")),
        ("[1, {a: 2.5}]", [1, {"a": 2.5}]),
        ("", ""),
    ],
)
def test_scalars_follow_yaml_1_2(text: str, value: object) -> None:
    parsed = parse_scalar(text)
    assert parsed == value
    assert type(parsed) is type(value)


def test_nan_is_read_as_nan() -> None:
    value = parse_scalar(".nan")
    assert isinstance(value, float) and value != value


def test_lines_are_those_of_the_keys() -> None:
    document = parse_document("a: 1\nb:\n  c: [1,\n      2]\n", source="x")
    assert document.lines[("a",)] == 1
    assert document.lines[("b", "c")] == 3
    assert document.where(("b", "c", 1)) == "line 4"
    assert document.where(("b", "missing")) == "line 2"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3: a: the key stands twice (first on line 1)"),
        ("a: &x 1\nb: *x\n", "line 2: aliases"),
        ("a:\n\tb: 1\n", "a tab"),
        ("a: [1\nb: 2", "not YAML"),
        ("", "the file is empty"),
        ("# only a comment\n", "the file is empty"),
        ("a: !!python/object/apply:os.system [id]\n", "the tag"),
        ("a: !custom 1\n", "the tag"),
        ("? [a, b]\n: 1\n", "a key must be a plain word"),
        ("a: \x00", "not YAML"),
        ("[" * 2000, "nest"),  # newer versions of libyaml count brackets, too, in their own words
        ("{a: " * 50, "nested deeper than"),
        ("- 1\n" * 30_000, "more than 20,000 values"),
    ],
)
def test_what_is_refused(text: str, message: str) -> None:
    began = time.perf_counter()
    with pytest.raises(ConfigError) as caught:
        parse_document(text, source="x")
    assert message in str(caught.value)
    assert time.perf_counter() - began < 1


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        read_document(tmp_path / "missing.yaml")
    with pytest.raises(UsageError, match="is a directory"):
        read_document(tmp_path)
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x80")
    with pytest.raises(UsageError, match="cannot be read"):
        read_document(binary)
    huge = tmp_path / "huge.yaml"
    with open(huge, "wb") as file:
        file.truncate(100 * 2**20)
    with pytest.raises(UsageError, match="larger than"):
        read_document(huge)
