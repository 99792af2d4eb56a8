"""A bench: components in one simulation, each with drivers, a monitor and a scoreboard.

A test draws cases from seeds. A case is a component, its drivers, and the judgement of what was
seen by a model in plain Python. All cases of a test are built as one design, beside copies that
have a fault, which must be found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from amaranth.back import verilog
from amaranth.hdl import Cat, Fragment, Module, Shape, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In
from numpy.typing import NDArray

from pilaster.rtl.components.memory import ROM_VERILOG, RomFiles
from pilaster.rtl.toolchain.verilator import build
from tests.rtl.drivers import Driver
from tests.rtl.player import Part, main_cpp, play

__all__ = ["Case", "Scoreboard", "Trace", "encode", "following", "hold"]

MOST_CYCLES = 4000

TOP = "cases"

Patch = Callable[[], AbstractContextManager[None]]


def encode(shape: Any, value: Any) -> int:
    """Bits of a value: an integer, a list for an array, a dictionary for a structure."""
    if isinstance(shape, data.ArrayLayout):
        parts = [
            (index * bits_of(shape.elem_shape), shape.elem_shape, v)
            for index, v in enumerate(value)
        ]
    elif isinstance(shape, data.StructLayout):
        parts = [(shape[name].offset, shape[name].shape, v) for name, v in value.items()]
    else:
        return int(value) & ((1 << bits_of(shape)) - 1)
    return sum(encode(inner, v) << offset for offset, inner, v in parts)


def decode(shape: Any, bits: int) -> Any:
    """Value of bits, as of `encode`."""
    if isinstance(shape, data.Layout):
        found = {k: decode(f.shape, bits >> f.offset & ((1 << f.width) - 1)) for k, f in shape}
        return list(found.values()) if isinstance(shape, data.ArrayLayout) else found
    plain = Shape.cast(shape)
    return bits - (1 << plain.width) if plain.signed and bits >> (plain.width - 1) else bits


def bits_of(shape: Any) -> int:
    """Width of a shape."""
    return Shape.cast(shape).width


def _fields(name: str, shape: Any, first: int) -> Iterator[tuple[str, int, Any]]:
    """(name, first bit, shape) of a port and of all in its layout."""
    yield name, first, shape
    if isinstance(shape, data.Layout):
        for key, inner in shape:
            yield from _fields(f"{name}.{key}", inner.shape, first + inner.offset)


def following(valid: NDArray[np.bool_], cycles: int) -> list[int]:
    """By cycle, in which of the last `cycles` something was valid; bit 0 is the cycle itself."""
    found: list[int] = np.convolve(valid, 1 << np.arange(cycles)).tolist()
    return found


class Trace:
    """What was seen of a component: every port, cycle by cycle; its monitor."""

    def __init__(
        self, fields: Mapping[str, tuple[bool, int, Any]], cycles: Sequence[tuple[int, int]]
    ) -> None:
        self._fields, self._cycles = fields, cycles
        self.cycles = range(len(cycles))

    def __getitem__(self, name: str) -> list[Any]:
        """Values of a port, or of a field of one, by cycle."""
        out, first, shape = self._fields[name]
        mask = (1 << bits_of(shape)) - 1
        return [decode(shape, words[out] >> first & mask) for words in self._cycles]

    def events(self, name: str) -> list[int]:
        """Cycles in which a port is high."""
        return [cycle for cycle, value in enumerate(self[name]) if value]

    def beats(self, stream: str) -> list[tuple[int, Any]]:
        """(cycle, payload) of every beat taken."""
        ports = [self[f"{stream}.{port}"] for port in ("valid", "ready", "payload")]
        return [(t, p) for t, (v, r, p) in enumerate(zip(*ports, strict=True)) if v and r]


class Scoreboard:
    """Differences between what is expected and what was seen."""

    def __init__(self) -> None:
        self.differences: list[str] = []
        self.compared = 0

    def compare(self, what: str, expected: Any, found: Any, where: str = "") -> None:
        """Compare two values."""
        self.compared += 1
        if expected != found:
            place = f", {where}" if where else ""
            self.differences.append(f"{what}{place}: expected {expected}, found {found}")

    def series(self, what: str, expected: Sequence[Any], found: Sequence[Any]) -> None:
        """Compare two series, in order; none may have more than the other."""
        for index, (mine, seen) in enumerate(zip(expected, found, strict=False)):
            self.compare(what, mine, seen, f"number {index}")
        self.compare(f"count of {what}", len(expected), len(found))

    def stream(self, trace: Trace, stream: str) -> None:
        """Hold a stream to its rule: valid and payload stay until the beat is taken."""
        ports = [trace[f"{stream}.{port}"] for port in ("valid", "ready", "payload")]
        waits = None
        for cycle, (valid, ready, payload) in enumerate(zip(*ports, strict=True)):
            if waits is not None:
                self.compare(f"{stream} waits", waits, (valid, payload), f"cycle {cycle}")
            waits = (1, payload) if valid and not ready else None


class Case:
    """A component with its drivers, and the model that judges it.

    Attributes
    ----------
    rng : generator of all that is random in the case
    component : what is simulated
    drivers : what stands at its inputs
    files : contents of its memories
    """

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.files = RomFiles()
        self.component: wiring.Component
        self.drivers: list[Driver] = []

    def judge(self, trace: Trace, board: Scoreboard) -> None:
        """Compare what was seen with the model."""
        raise NotImplementedError


class _Slot:
    """A case in a design: its ports, side by side in one word of inputs and one of outputs."""

    def __init__(self, draw: Callable[[int], Case], seed: int, patch: Patch) -> None:
        with patch():
            self.case = case = draw(seed)
            self.fragment = Fragment.get(case.component, None)
        self.fields: dict[str, tuple[bool, int, Any]] = {}
        self.ports: tuple[list[Value], list[Value]] = ([], [])
        widths = [0, 0]
        for path, member, value in case.component.signature.flatten(case.component):
            out = member.flow is not In
            for name, first, shape in _fields(".".join(map(str, path)), member.shape, widths[out]):
                self.fields[name] = (out, first, shape)
            widths[out] += bits_of(member.shape)
            self.ports[out].append(Value.cast(value))
        self.widths = [max(1, width) for width in widths]

    def part(self, waited_for: bool) -> Part:
        sides: tuple[dict[str, tuple[int, int]], ...] = ({}, {})
        for name, (out, first, shape) in self.fields.items():
            sides[out][name] = (first, bits_of(shape))
        return Part(self.case.drivers, tuple(self.widths), *sides, waited_for)


def _design(slots: Sequence[_Slot]) -> str:
    """Verilog of all components, with words that Python reads and writes."""
    m, ports = Module(), []
    for index, slot in enumerate(slots):
        m.submodules[f"case{index}"] = slot.fragment
        word = [
            Signal(width, name=f"{side}{index}")
            for side, width in zip(("in", "out"), slot.widths, strict=True)
        ]
        first = 0
        for port in slot.ports[0]:
            m.d.comb += port.eq(word[0][first : first + len(port)])
            first += len(port)
        m.d.comb += word[1].eq(Cat(*slot.ports[1]))
        ports += word
    text = verilog.convert(m, name=TOP, ports=ports, emit_src=False, strip_internal_attrs=True)
    return f"{text}\n{ROM_VERILOG}"


def _play(folder: Path, slots: Sequence[_Slot], sound: int, most_cycles: int) -> list[Scoreboard]:
    (folder / "bench.v").write_text(_design(slots), encoding="ascii")
    for slot in slots:
        for name, text in slot.case.files.contents.items():
            file = folder / name
            assert not file.exists() or file.read_text(encoding="ascii") == text, f"two {name}"
            file.write_text(text, encoding="ascii")
    parts = [slot.part(index < sound) for index, slot in enumerate(slots)]
    program = build(["bench.v"], TOP, main_cpp(parts), folder, optimize=False)
    play(program, folder, parts, most_cycles)
    boards = []
    for slot, part in zip(slots, parts, strict=True):
        board = Scoreboard()
        slot.case.judge(Trace(slot.fields, part.cycles), board)
        boards.append(board)
    return boards


def hold(
    folder: Path,
    draw: Callable[[int], Case],
    seeds: Iterable[int],
    faults: Mapping[str, tuple[Patch, int]],
    most_cycles: int = MOST_CYCLES,
) -> None:
    """Hold cases to their models, and find the faults.

    Parameters
    ----------
    draw : makes the case of a seed
    seeds : of the cases that must agree with their models
    faults : by name, a change of the generator, and the seed of a case that must then disagree
    """
    seeds = list(seeds)
    cases = [(seed, nullcontext) for seed in seeds]
    cases += [(seed, patch) for patch, seed in faults.values()]
    slots = [_Slot(draw, int(seed), patch) for seed, patch in cases]
    boards = _play(folder, slots, len(seeds), most_cycles)
    for seed, board in zip(seeds, boards, strict=False):
        assert not board.differences, f"seed {seed}: " + "\n".join(board.differences[:5])
        assert board.compared, f"seed {seed}: nothing was compared"
    for name, board in zip(faults, boards[len(seeds) :], strict=True):
        assert board.differences, f"the fault {name} is not found"
