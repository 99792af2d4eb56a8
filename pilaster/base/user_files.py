"""YAML files of the user: reading and validation, with errors that name file and key."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Hashable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pilaster.base.errors import InputError

__all__ = ["read_text", "read_yaml", "validate"]

Model = TypeVar("Model", bound=BaseModel)


def read_text(path: Path, label: str) -> str:
    """Read a text file; the error says why it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{label}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{label}: is not a text file in UTF-8, must be YAML") from error


class _Loader(yaml.SafeLoader):
    """YAML in which a key that is given twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in keys:
                    raise yaml.MarkedYAMLError(
                        problem=f"the key {key.value!r} is given twice", problem_mark=key.start_mark
                    )
                keys.add(key.value)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path, label: str = "") -> object:
    """Read a YAML file; the error names the line that is not valid YAML.

    label : what errors call the file; its path by default
    """
    label = label or str(path)
    text = read_text(path, label)
    try:
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f"line {mark.line + 1}: " if mark else ""
        raise InputError(f"{label}: {line}not valid YAML: {error.problem}") from error
    except RecursionError as error:
        raise InputError(f"{label}: not valid YAML: nested too deeply") from error
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f"{label}: not valid YAML: {error}") from error
    except AttributeError as error:  # PyYAML's, at a date that is none
        raise InputError(f"{label}: not valid YAML: a value unlike its tag") from error


def validate(model: type[Model], data: object, path: Path) -> Model:
    """Validate `data` against `model`; the error names file, key, problem, and what is valid."""
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
    if detail["type"] in ("model_type", "dict_type"):
        return f"{key}: must hold keys and values, not {_shown(detail['input'])}"
    message = detail["msg"]
    return f"{key}: {message[0].lower()}{message[1:]}, not {_shown(detail['input'])}"


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "keys and values"
    if isinstance(value, list):
        return "a list"
    return reprlib.repr(value)


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
