"""What every section of a trial is made of: strict, frozen, typed options.

A field marked ``LANE`` may differ between trials that train fused in one process; all others are
static, and :func:`gantune.config.static_hash` of them names the group that can share a model.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Discriminator, Field


class Lane:
    """Marks a field that may differ between fused trials."""


LANE = Lane()


class Options(BaseModel):
    """Base of every section: unknown keys are errors, types are strict, instances are frozen."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def as_written(options: BaseModel) -> dict[str, Any]:
    """Options as a file has them: plain data, null only where a field left out would not be."""
    tree: dict[str, Any] = _as_written(options, options.model_dump(mode="json"))
    return tree


def _said(options: BaseModel, tree: Mapping[str, Any]) -> Iterator[str]:
    fields = type(options).model_fields
    for name, value in tree.items():
        if value is not None or name not in fields or fields[name].default is not None:
            yield name


def _as_written(value: Any, tree: Any) -> Any:
    if isinstance(value, BaseModel) and isinstance(tree, dict):
        return {name: _as_written(getattr(value, name), tree[name]) for name in _said(value, tree)}
    if isinstance(value, Mapping) and isinstance(tree, dict):
        return {key: _as_written(value[key], tree[key]) for key in tree}
    return tree


FOREIGN = "foreign"
"""Tag of the member of a union that stands for extensions' parts."""


def by_name(default: str, *names: str) -> Discriminator:
    """Chooses among the parts of a section by ``name``; a section without one is ``default``.

    Args:
        default: The name of a section that has none.
        names: Of the built-in parts, where any other name may be an extension's.
    """

    def chosen(value: Any) -> str:
        if isinstance(value, Options):
            name: Any = getattr(value, "name", None)
        else:
            name = value.get("name", default) if isinstance(value, dict) else None
        if not isinstance(name, str):
            return repr(value)
        return FOREIGN if names and name not in names else name

    return Discriminator(chosen)


Rate = Annotated[float, Field(gt=0, le=10), LANE]
Beta = Annotated[float, Field(ge=0, lt=1), LANE]
Width = Annotated[int, Field(ge=1, le=65_536)]
Widths = Annotated[tuple[Width, ...], Field(min_length=1, max_length=64, strict=False)]
Fraction = Annotated[float, Field(ge=0, le=0.5)]
