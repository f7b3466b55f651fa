"""Parts that extensions add: found by name beside the built-in ones of a section.

Opening results never runs an extension: where one is not loaded, and the reader says so through
the validation context, its parts are kept as they are written.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from pydantic import (
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationInfo,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from gantune.parts.base import Options

KINDS = ("data", "generator", "discriminator", "loss", "penalty")
UNLOADED = {"extensions": "unloaded"}
"""Validation context of who only reads."""


class Extra(NamedTuple):
    """A part of an extension.

    Attributes:
        options: Its typed options; the default of their ``name`` is the part's name.
        make: What the engine calls with the options.
        source: Hash of the extension's text.
    """

    options: type[Options]
    make: Callable[..., Any]
    source: str


class ExtraMetric(NamedTuple):
    """A metric of an extension: (n, ...) samples in [-1, 1] -> a number."""

    goal: Literal["minimize", "maximize"]
    score: Callable[[Any], float]
    source: str


EXTRAS: dict[str, dict[str, Extra]] = {kind: {} for kind in KINDS}
EXTRA_METRICS: dict[str, ExtraMetric] = {}


class Unloaded:
    """Marks options of a part whose extension is not loaded: they are as they were written."""


class ForeignPart:
    """Annotates the member of a section's union that stands for extensions' parts."""

    def __init__(self, kind: str, base: type[Options], built_in: tuple[str, ...]) -> None:
        self.kind, self._base, self.built_in = kind, base, built_in
        self._unloaded: type[Options] | None = None

    def options(self) -> list[type[Options]]:
        """The options that loaded extensions add."""
        return [extra.options for extra in EXTRAS[self.kind].values()]

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Validates by the options of whichever extension has the name."""
        return core_schema.with_info_plain_validator_function(
            self._validate,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda part: part.model_dump(), when_used="always"
            ),
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """An object with a name: editors cannot know an extension's options."""
        return {"type": "object", "properties": {"name": {"type": "string"}}}

    def _validate(self, value: Any, info: ValidationInfo) -> Options:
        if isinstance(value, Options):
            return value
        name = value.get("name") if isinstance(value, dict) else None
        extra = EXTRAS[self.kind].get(name) if isinstance(name, str) else None
        if extra is not None:
            return extra.options.model_validate(value, context=info.context)
        if info.context == UNLOADED:
            return self._as_written().model_validate(value)
        known = ", ".join(f"'{known}'" for known in (*self.built_in, *EXTRAS[self.kind]))
        context = {"kind": self.kind, "tag": str(name), "expected_tags": known}
        raise PydanticCustomError("unknown_part", "unknown {kind}", context)

    def _as_written(self) -> type[Options]:
        if self._unloaded is None:
            config = ConfigDict(extra="allow")
            self._unloaded = type("Foreign", (self._base, Unloaded), {"model_config": config})
        return self._unloaded
