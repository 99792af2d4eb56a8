"""Boolean functions as a Liberty file writes them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pilaster.models.errors import InputError

__all__ = ["Function"]

_TOKEN = re.compile(r"\s*(?:([A-Za-z_][\w\[\]]*|[01])|([!'()&*|+^]))")
_BINARY = {"|": 0, "+": 0, "&": 1, "*": 1, "^": 2}
_LEVELS = 3
"""Or binds least, then and, then exclusive or."""


@dataclass(frozen=True)
class Function:
    """A function of pins: a pin or constant, or an operator with its operands.

    Attributes
    ----------
    operator : "|", "&", "^", "!", or "" for a pin, "0" or "1"
    """

    operator: str
    operands: tuple[Function, ...] = ()
    name: str = ""

    @classmethod
    def parse(cls, text: str) -> Function:
        """Read a function.

        Raises
        ------
        InputError
            If the text is none.
        """
        tokens, place = [], 0
        while place < len(text.rstrip()):
            found = _TOKEN.match(text, place)
            if found is None:
                raise InputError(f"{text!r} is no Boolean function")
            tokens.append(found[1] or found[2])
            place = found.end()
        parser = _Parser(text, tokens)
        function = parser.operation(0)
        if parser.tokens:
            raise InputError(f"{text!r} is no Boolean function")
        return function

    @cached_property
    def pins(self) -> tuple[str, ...]:
        """Pins that it depends on, each once."""
        if self.operands:
            names = [name for operand in self.operands for name in operand.pins]
            return tuple(dict.fromkeys(names))
        return () if self.name in ("0", "1") else (self.name,)

    def value(self, values: Mapping[str, Any]) -> Any:
        """Value where the pins have `values`: Booleans, or arrays of them."""
        match self.operator:
            case "!":
                return ~self.operands[0].value(values)
            case "&":
                return self.operands[0].value(values) & self.operands[1].value(values)
            case "|":
                return self.operands[0].value(values) | self.operands[1].value(values)
            case "^":
                return self.operands[0].value(values) ^ self.operands[1].value(values)
        return values[self.name]

    def verilog(self, names: Mapping[str, str]) -> str:
        """Write it in Verilog, with `names` for the pins."""
        match self.operator:
            case "!":
                return f"~{self.operands[0].verilog(names)}"
            case "":
                return f"1'b{self.name}" if self.name in ("0", "1") else names[self.name]
        left, right = (operand.verilog(names) for operand in self.operands)
        return f"({left} {self.operator} {right})"


class _Parser:
    def __init__(self, text: str, tokens: list[str]) -> None:
        self.text, self.tokens = text, tokens

    def operation(self, level: int) -> Function:
        if level == _LEVELS:
            return self.operand()
        left = self.operation(level + 1)
        while self.tokens and self._follows(level):
            if self.tokens[0] in _BINARY:  # two operands side by side are both wanted
                self.tokens.pop(0)
            left = Function("|&^"[level], (left, self.operation(level + 1)))
        return left

    def _follows(self, level: int) -> bool:
        token = self.tokens[0]
        if token in _BINARY:
            return _BINARY[token] == level
        return level == 1 and token != ")"

    def operand(self) -> Function:
        token = self.tokens.pop(0) if self.tokens else ""
        if token == "!":
            found = Function("!", (self.operand(),))
        elif token == "(":
            found = self.operation(0)
            if not self.tokens or self.tokens.pop(0) != ")":
                raise InputError(f"{self.text!r} is no Boolean function")
        elif token[:1].isalnum() or token[:1] == "_":
            found = Function("", name=token)
        else:
            raise InputError(f"{self.text!r} is no Boolean function")
        while self.tokens and self.tokens[0] == "'":
            self.tokens.pop(0)
            found = Function("!", (found,))
        return found
