"""Boolean functions as a Liberty file writes them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pilaster.base.errors import InputError

__all__ = ["Function"]

_TOKEN = re.compile(r"""\s*(?:([A-Za-z_][\w\[\]]*|[01]\b|"[^"]+")|([!~'()&*|+^]))""")
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
            tokens.append(found[1] or found[2].replace("~", "!"))
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

    @cached_property
    def signature(self) -> tuple[tuple[str, ...], int]:
        """Its pins in order, and its values for all of theirs as bits of a number.

        Two texts of one function have one signature, but for pins that do not matter.
        """
        pins = tuple(sorted(self.pins))
        found = np.broadcast_to(self.value(_all_values(pins)), 1 << len(pins))
        return pins, sum(1 << int(state) for state in np.flatnonzero(found))

    def sense(self, pin: str) -> str:
        """How an edge of a pin turns out, in the words of Liberty's timing senses."""
        pins = tuple(name for name in sorted(self.pins) if name != pin)
        values = _all_values(pins)
        low = self.value({**values, pin: np.False_}) & np.ones(1 << len(pins), bool)
        high = self.value({**values, pin: np.True_}) & np.ones(1 << len(pins), bool)
        rises, falls = bool((high & ~low).any()), bool((low & ~high).any())
        if rises == falls:
            return "non_unate"
        return "positive_unate" if rises else "negative_unate"

    def liberty(self) -> str:
        """Write it as Liberty does, in one way however it was written: a sum of products."""
        pins, states = self.signature
        if states == 0 or not pins:
            return str(int(states > 0))
        products = [
            " & ".join(name if state >> i & 1 else f"!{name}" for i, name in enumerate(pins))
            for state in range(1 << len(pins))
            if states >> state & 1
        ]
        if len(products) == 1 << len(pins):
            return "1"
        return products[0] if len(products) == 1 else " | ".join(f"({one})" for one in products)

    def verilog(self, names: Mapping[str, str]) -> str:
        """Write it in Verilog, with `names` for the pins."""
        match self.operator:
            case "!":
                return f"~{self.operands[0].verilog(names)}"
            case "":
                return f"1'b{self.name}" if self.name in ("0", "1") else names[self.name]
        left, right = (operand.verilog(names) for operand in self.operands)
        return f"({left} {self.operator} {right})"


def _all_values(pins: Sequence[str]) -> dict[str, NDArray[np.bool_] | np.bool_]:
    """Values of pins, and of constants, in all states that they can have together."""
    states = np.arange(1 << len(pins))
    values = {name: (states >> i) & 1 == 1 for i, name in enumerate(pins)}
    return {"0": np.False_, "1": np.True_, **values}


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
        elif token[:1].isalnum() or token[:1] in ("_", '"'):
            found = Function("", name=token.strip('"'))
        else:
            raise InputError(f"{self.text!r} is no Boolean function")
        while self.tokens and self.tokens[0] == "'":
            self.tokens.pop(0)
            found = Function("!", (found,))
        return found
