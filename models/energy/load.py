"""Reading a table file, and saying in one line what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from pilaster.base.arguments import as_path
from pilaster.base.errors import InputError
from pilaster.base.user_files import read_yaml
from pilaster.models.energy.kinds import KINDS
from pilaster.models.energy.schema import (
    ConvertedFrom,
    Entry,
    Point,
    PointAttributes,
    TableFile,
    closest,
)

__all__ = ["read_table", "table_names", "table_path"]

_TABLES = Path(__file__).parent / "tables"
_SUFFIXES = (".yaml", ".yml")


def table_names() -> tuple[str, ...]:
    """Names of the shipped tables."""
    return tuple(sorted(path.stem for path in _TABLES.glob("*.yaml")))


def table_path(name_or_path: str | Path) -> Path:
    """Path of a shipped table, or the path itself.

    A plain word is a shipped table; whatever has a folder or ends in .yaml or .yml is a path.

    Raises
    ------
    InputError
        If the word is no shipped table.
    """
    path = as_path("energy table", name_or_path)
    if isinstance(name_or_path, Path) or path.suffix in _SUFFIXES or len(path.parts) > 1:
        return path
    if name_or_path not in table_names():
        raise InputError(
            f"energy table {name_or_path!r} is not shipped: use {', '.join(table_names())}, or "
            f"the path of a .yaml file{closest(name_or_path, table_names())}"
        )
    return _TABLES / f"{name_or_path}.yaml"


def read_table(path: Path, label: str) -> TableFile:
    """Read and validate the file at `path`, which messages call `label`.

    Raises
    ------
    InputError
        If the file cannot be read, is not YAML, or is not a table.
    """
    if not path.exists():
        raise InputError(f"{label}: no such file; shipped tables are {', '.join(table_names())}")
    document = read_yaml(path, label)
    if not isinstance(document, dict):
        raise InputError(
            f"{label}: holds {_shown(document)}, must hold an energy table: keys "
            f"{', '.join(TableFile.model_fields)}"
        )
    try:
        table = TableFile.model_validate(document)
    except ValidationError as error:
        raise InputError(f"{label}: {_line(error.errors()[0], document)}") from None
    names = [entry.name for entry in table.entries]
    for name in names:
        if names.count(name) > 1:
            raise InputError(
                f"{label}: entry {name}: is given {names.count(name)} times; keep one, with "
                "several values under its points"
            )
    return table


def _line(error: ErrorDetails, document: dict[str, Any]) -> str:
    """Where an error is, in the file's own words, and what would be right."""
    location = list(error["loc"])
    where: list[str] = []
    known: Iterable[str] = TableFile.model_fields
    if location[:1] == ["entries"] and len(location) > 1:
        where.append(f"entry {_entry_name(document, location[1])}")
        location, known = location[2:], Entry.model_fields
        if location[:1] == ["points"] and len(location) > 1:
            where.append(f"point {int(location[1]) + 1}")
            location, known = location[2:], Point.model_fields
        elif location[:1] in (["at"], ["converted_from"]) and len(location) > 1:
            inside_at = location[0] == "at"
            known = PointAttributes.model_fields if inside_at else ConvertedFrom.model_fields
            where.append(str(location[0]))
            location = location[1:]
    where += [str(part) for part in location]
    key = str(location[-1]) if location else ""
    return ": ".join([*where, _wording(error, key, tuple(known))])


def _wording(error: ErrorDetails, key: str, known: tuple[str, ...]) -> str:
    given = _shown(error["input"])
    match error["type"]:
        case "missing":
            hint = "; name the publication that the value comes from" if key == "source" else ""
            return f"is missing{hint}"
        case "extra_forbidden":
            return f"unknown key; the keys here are {', '.join(known)}{closest(key, known)}"
        case "string_too_short":
            hint = "name the publication" if key == "source" else "write a few words"
            return f"is empty; {hint}"
        case "string_type":
            return f"must be text, not {given}"
        case "string_pattern_mismatch":
            return f"must be one word of letters, digits, '_', '-' and '.', not {given}"
        case "float_type" | "int_type" | "int_from_float":
            whole = "a whole number" if error["type"].startswith("int") else "a number"
            hint = " (in YAML an exponent needs a point and a sign: 1.0e-3)"
            text = isinstance(error["input"], str) and "e" in error["input"].lower()
            return f"must be {whole}, not {given}{hint if text else ''}"
        case "finite_number":
            return f"must be a finite number, not {given}"
        case "greater_than" | "greater_than_equal":
            least = "above 0" if error["type"] == "greater_than" else "0 or more"
            return f"must be {least}, not {given}"
        case "less_than_equal":
            return f"must be at most {error['ctx']['le']:g}, not {given}"
        case "too_short":
            return "is empty; give at least one"
        case "tuple_type":
            return f"must be a list, not {given}"
        case "model_type" | "model_attributes_type":
            return f"must hold keys and values, not {given}"
        case "invalid_key":
            return "keys must be text"
        case _:
            return error["msg"]


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "keys and values"
    if isinstance(value, list):
        return "a list"
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _entry_name(document: dict[str, Any], index: object) -> str:
    entry = document["entries"][index]
    name = entry.get("name") if isinstance(entry, dict) else None
    if isinstance(name, str) and name in KINDS:
        return name
    position = f"number {int(str(index)) + 1}"
    return position if name is None else f"{position} ({_shown(name)})"
