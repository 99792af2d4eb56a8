"""A flat netlist: gates of a library and memories, joined by numbered nets."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["HIGH", "LOW", "Gate", "Memory", "Netlist", "Port", "ReadPort", "WritePort"]

LOW, HIGH = 0, 1
"""Nets that never change."""


@dataclass(frozen=True)
class Port:
    """A port of the whole machine. `nets` begins with the lowest bit."""

    name: str
    direction: str
    nets: tuple[int, ...]


@dataclass(frozen=True)
class Gate:
    """A cell of the library in its place.

    Attributes
    ----------
    path : modules that it stands in, the outermost first
    nets : by pin
    """

    path: tuple[str, ...]
    cell: str
    nets: Mapping[str, int]


@dataclass(frozen=True)
class ReadPort:
    """A port that is read, at the clock unless `clocked` is false.

    `transparent` tells whether it gives what is written in the same cycle.
    """

    clocked: bool
    enable: int
    address: tuple[int, ...]
    data: tuple[int, ...]
    transparent: bool


@dataclass(frozen=True)
class WritePort:
    """A port that is written. `enables` has a net for every bit of `data`."""

    enables: tuple[int, ...]
    address: tuple[int, ...]
    data: tuple[int, ...]


@dataclass(frozen=True)
class Memory:
    """A memory that is no gates.

    Attributes
    ----------
    name : of the memory in its module
    contents : words that it holds from the start; None where it holds none
    """

    path: tuple[str, ...]
    name: str
    width: int
    depth: int
    reads: tuple[ReadPort, ...]
    writes: tuple[WritePort, ...]
    contents: tuple[int, ...] | None

    @property
    def bits(self) -> int:
        """Bits that it holds."""
        return self.width * self.depth


@dataclass(frozen=True)
class Netlist:
    """A machine in gates and memories. Nets are numbered below `nets`."""

    nets: int
    ports: tuple[Port, ...]
    gates: tuple[Gate, ...]
    memories: tuple[Memory, ...]

    @classmethod
    def from_json(cls, design: Mapping[str, Any], top: str) -> Netlist:
        """Read what Yosys writes of a flat design whose module is `top`."""
        module = design["modules"][top]
        largest = HIGH
        gates, memories = [], []
        for name, cell in module["cells"].items():
            nets = {pin: _nets(bits) for pin, bits in cell["connections"].items()}
            largest = max(largest, max((max(n, default=0) for n in nets.values()), default=0))
            if cell["type"] == "$mem_v2":
                memories.append(_memory(name, cell["parameters"], nets))
            elif not cell["type"].startswith("$"):
                single = {pin: found[0] for pin, found in nets.items() if found}
                gates.append(Gate(_path(name), cell["type"], single))
        ports = tuple(
            Port(name, port["direction"], _nets(port["bits"]))
            for name, port in module["ports"].items()
        )
        largest = max(largest, max(max(port.nets, default=0) for port in ports))
        return cls(largest + 1, ports, tuple(gates), tuple(memories))

    def port(self, name: str) -> Port:
        """Port of a name."""
        return next(port for port in self.ports if port.name == name)


def _nets(bits: Sequence[int | str]) -> tuple[int, ...]:
    return tuple(bit if isinstance(bit, int) else HIGH if bit == "1" else LOW for bit in bits)


def _path(name: str) -> tuple[str, ...]:
    r"""Modules of a cell that flattening named `$flatten\stage.\part.name` or the like."""
    path = []
    for part in name.removeprefix("$flatten").split("."):
        found = re.fullmatch(r"\\?([A-Za-z_]\w*)(\$\d+)?", part)  # Amaranth numbers some names
        if found is None:
            break
        path.append(found[1])
    return tuple(path)


def _memory(
    name: str, parameters: Mapping[str, str], nets: Mapping[str, tuple[int, ...]]
) -> Memory:
    def number(key: str) -> int:
        return int(parameters[key], 2)

    def flag(key: str, index: int) -> bool:
        return parameters[key][-1 - index] == "1"

    width, depth, address = number("WIDTH"), number("SIZE"), number("ABITS")
    reads, writes = [], []
    for index in range(number("RD_PORTS")):
        bits = slice(index * width, (index + 1) * width)
        reads.append(
            ReadPort(
                clocked=flag("RD_CLK_ENABLE", index),
                enable=nets["RD_EN"][index],
                address=nets["RD_ADDR"][index * address : (index + 1) * address],
                data=nets["RD_DATA"][bits],
                transparent="1" in parameters["RD_TRANSPARENCY_MASK"],
            )
        )
    for index in range(number("WR_PORTS")):
        bits = slice(index * width, (index + 1) * width)
        writes.append(
            WritePort(
                enables=nets["WR_EN"][bits],
                address=nets["WR_ADDR"][index * address : (index + 1) * address],
                data=nets["WR_DATA"][bits],
            )
        )
    init = parameters["INIT"]
    contents = None
    if not writes:
        padded = init.replace("x", "0").rjust(width * depth, "0")
        words = [
            padded[len(padded) - (i + 1) * width : len(padded) - i * width] for i in range(depth)
        ]
        contents = tuple(int(word, 2) for word in words)
    path = _path(name)
    return Memory(path[:-1], path[-1], width, depth, tuple(reads), tuple(writes), contents)
