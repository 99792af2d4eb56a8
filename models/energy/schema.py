"""The file format of an energy table, as the models that validate it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from difflib import get_close_matches
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveInt,
    StringConstraints,
    model_validator,
)
from pydantic_core import PydanticCustomError

from pilaster.models.energy.actions import Attributes
from pilaster.models.energy.kinds import KINDS
from pilaster.models.energy.scaling import RULES
from pilaster.models.energy.technology import CONVERSIONS
from pilaster.models.energy.units import RELATIVE_UNIT, UNITS, Quantity

__all__ = ["ConvertedFrom", "Entry", "Point", "PointAttributes", "TableFile", "closest"]


def closest(word: str, known: Iterable[str]) -> str:
    """Return a hint that names the known word nearest to `word`, or nothing."""
    by_lower = {str(name).lower(): str(name) for name in known}
    matches = get_close_matches(word.lower(), list(by_lower), n=1)
    return f"; did you mean {by_lower[matches[0]]!r}?" if matches else ""


def _one_of(what: str, known: Iterable[str]) -> Callable[[str], str]:
    names = tuple(str(name) for name in known)

    def check(value: str) -> str:
        if value not in names:
            raise _refusal(
                f"{value!r} is not {what}: use {', '.join(names)}{closest(value, names)}"
            )
        return value

    return check


def _refusal(message: str) -> PydanticCustomError:
    return PydanticCustomError("pilaster", "{message}", {"message": message})


_Node = Annotated[float, Field(gt=0, le=10_000)]
_Voltage = Annotated[float, Field(gt=0, le=100)]
_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class ConvertedFrom(_Strict):
    """Where a value holds as published, when that is not the table's node and voltage."""

    node_nm: _Node
    voltage_v: _Voltage
    rule: Annotated[str, AfterValidator(_one_of("a conversion", CONVERSIONS))]


class PointAttributes(_Strict):
    """The attributes at which a value holds. See `Attributes` for what each is."""

    bits: PositiveInt | None = None
    depth: PositiveInt | None = None
    activation_bits: PositiveInt | None = None
    weight_bits: PositiveInt | None = None
    accumulator_bits: PositiveInt | None = None
    scale_bits: PositiveInt | None = None

    @property
    def named(self) -> dict[str, int]:
        """The attributes that are given."""
        values = {name: getattr(self, name) for name in PointAttributes.model_fields}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def attributes(self) -> Attributes:
        """The same as the attributes of an action."""
        return Attributes(**self.named)


class Point(PointAttributes):
    """One value of an entry that has several; its own source where that differs."""

    value: NonNegativeFloat
    source: _Text | None = None


class Entry(_Strict):
    """One line of the table: what is priced, how much, where that holds, and who says so."""

    name: Annotated[str, AfterValidator(_one_of("an entry", KINDS))]
    unit: Annotated[str, AfterValidator(_one_of("a unit", UNITS))]
    scaling: Annotated[str, AfterValidator(_one_of("a scaling rule", RULES))]
    source: _Text
    value: NonNegativeFloat | None = None
    at: PointAttributes | None = None
    points: Annotated[tuple[Point, ...], Field(strict=False, min_length=1)] | None = None
    converted_from: ConvertedFrom | None = None

    @property
    def published(self) -> tuple[Point, ...]:
        """The values as the file states them, in its unit."""
        if self.points is not None:
            return self.points
        at = self.at.named if self.at is not None else {}
        return (Point.model_validate({"value": self.value, **at}),)

    @model_validator(mode="after")
    def _check(self) -> Entry:
        self._check_form()
        kind, unit = KINDS[self.name], UNITS[self.unit]
        if unit.quantity != kind.quantity:
            right = ", ".join(name for name, u in UNITS.items() if u.quantity == kind.quantity)
            raise _refusal(
                f"unit: {self.unit!r} is no unit of {kind.quantity}, which {self.name} is: "
                f"use {right}"
            )
        if self.scaling not in kind.rules:
            raise _refusal(
                f"scaling: {self.scaling!r} does not apply to {self.name}: use "
                f"{' or '.join(kind.rules)}"
            )
        if self.converted_from is not None:
            self._check_conversion(unit.quantity, self.converted_from.rule)
        self._check_points()
        return self

    def _check_conversion(self, quantity: Quantity, rule: str) -> None:
        if quantity == "power" or self.unit == RELATIVE_UNIT:
            raise _refusal(
                "converted_from: only an energy in joules is converted; give the value at the "
                "table's own node and voltage"
            )
        right = [name for name, conversion in CONVERSIONS.items() if conversion[0] == quantity]
        if rule not in right:
            raise _refusal(
                f"converted_from: rule: {rule!r} does not convert an {quantity}: use "
                f"{' or '.join(right)}"
            )

    def _check_form(self) -> None:
        if (self.value is None) == (self.points is None):
            raise _refusal(
                "value: give either a value (with the attributes it holds at under 'at') or points"
            )
        if self.points is not None and self.at is not None:
            raise _refusal("at: goes with a value; each of the points has attributes of its own")

    def _check_points(self) -> None:
        kind = KINDS[self.name]
        key = "at" if self.points is None else "points"
        seen: dict[object, float] = {}
        for point in self.published:
            unknown = [name for name in point.named if name not in kind.attributes]
            if unknown:
                raise _refusal(
                    f"{key}: {unknown[0]} is no attribute of {self.name}, which takes "
                    f"{', '.join(kind.attributes) or 'none'}"
                )
            attributes = self.attributes_of(point)
            missing = [name for name in kind.needed(self.scaling) if not self._given(point, name)]
            if missing:
                raise _refusal(
                    f"{key}: {missing[0]} is missing; {self.scaling} needs to know at which "
                    f"{' and '.join(kind.needed(self.scaling))} the value {point.value:g} holds"
                )
            where: object
            if self.scaling in ("word-depth", "macro-area"):
                where = (attributes.bits, attributes.depth)
                if point.value == 0:
                    raise _refusal(f"{key}: value: must be above 0 to be scaled by {self.scaling}")
            else:
                where = kind.coordinate(self.scaling, attributes)
            if seen.setdefault(where, point.value) != point.value:
                raise _refusal(
                    f"{key}: {seen[where]:g} and {point.value:g} are given for the same "
                    f"{' x '.join(kind.needed(self.scaling)) or 'thing'}; keep one"
                )

    def attributes_of(self, point: Point) -> Attributes:
        """Attributes at which a point holds. A value per bit is of one bit unless it says."""
        attributes = point.attributes
        if UNITS[self.unit].per_bit and point.bits is None:
            return replace(attributes, bits=1)
        return attributes

    def _given(self, point: Point, name: str) -> bool:
        return name in point.named or (name == "bits" and UNITS[self.unit].per_bit)


class PricedAt(_Strict):
    """Technology node and supply at which some prices of a table hold, as they are."""

    node_nm: _Node
    voltage_v: _Voltage


class TableFile(_Strict):
    """A whole energy table.

    Parameters
    ----------
    name : str
        One word; how reports call the table.
    title : str
        One line for a listing.
    node_nm, voltage_v : float
        Technology node and supply that all prices hold at.
    memories : PricedAt, optional
        Where the prices of memories hold, if that is elsewhere: they are taken over from another
        table and not converted.
    entries : sequence of Entry
        What is priced; each name once.
    """

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
    title: _Text
    node_nm: _Node
    voltage_v: _Voltage
    memories: PricedAt | None = None
    entries: Annotated[tuple[Entry, ...], Field(strict=False, min_length=1)]
