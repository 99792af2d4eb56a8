"""Files that a user writes: YAML read and validated, with one line that names file and key."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pilaster.models.errors import InputError

__all__ = ["read_text", "read_yaml", "validate"]

Model = TypeVar("Model", bound=BaseModel)


def read_text(path: Path) -> str:
    """Read a text file, with an error that says why it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not a text file (byte {error.start})") from error


def read_yaml(path: Path) -> object:
    """Read a YAML file, with an error that names the line where it is not YAML."""
    try:
        return yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not YAML"
        raise InputError(f"{path}{line}: {problem}") from error


def validate(model: type[Model], data: object, path: Path) -> Model:
    """Check `data` against `model`; the error names file, key, what is wrong and what would do."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        details = error.errors(include_url=False)
        # An unknown key explains more than the missing one it was meant to be.
        first = min(details, key=lambda detail: detail["type"] != "extra_forbidden")
        raise InputError(f"{path}: {_explain(model, first)}") from error


def _explain(model: type[BaseModel], detail: ErrorDetails) -> str:
    key = ".".join(str(part) for part in detail["loc"]) or "the file"
    if detail["type"] == "extra_forbidden":
        known = _keys_at(model, detail["loc"][:-1])
        close = difflib.get_close_matches(str(detail["loc"][-1]), known, 1)
        hint = f"; did you mean {close[0]}?" if close else f"; known keys: {', '.join(known)}"
        return f"{key}: unknown key{hint}"
    if detail["type"] == "missing":
        return f"{key}: this key is needed"
    message = detail["msg"]
    message = message[0].lower() + message[1:]
    found = detail["input"]
    shown = f", not {found!r}" if isinstance(found, str | int | float | bool | None) else ""
    return f"{key}: {message}{shown}"


def _keys_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Keys that are known at a place in a file."""
    schema = model.model_json_schema()
    node = schema
    for part in location:
        if "properties" in node and part in node["properties"]:
            node = node["properties"][part]
        else:
            node = node.get("additionalProperties") or node.get("items") or {}
        reference = node.get("$ref")
        if reference:
            node = schema["$defs"][reference.rsplit("/", 1)[-1]]
    return list(node.get("properties", {}))
