"""Libraries of standard cells: one Liberty file, or several that make up one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from pathlib import Path

from pilaster.base.errors import InputError
from pilaster.rtl.gates.cells import Cell
from pilaster.rtl.gates.liberty_cells import read_cell
from pilaster.rtl.gates.liberty_tables import Units
from pilaster.rtl.gates.liberty_text import library_text, read_groups

__all__ = ["Library", "library_files"]

_SUFFIXES = ("*.lib", "*.lib.gz")

_LEAST_NAME = 4
"""Letters that the names of several files must share to name the library."""


def library_files(names: Sequence[Path]) -> tuple[Path, ...]:
    """Find the files that are meant: by name, by a pattern, or all Liberty files of a folder.

    Raises
    ------
    InputError
        If a pattern or a folder has none.
    """
    found: list[Path] = []
    for name in names:
        files = [name]
        if name.is_dir():
            files = sorted(file for suffix in _SUFFIXES for file in name.glob(suffix))
            if not files:
                raise InputError(f"{name}: the folder has no Liberty file (*.lib or *.lib.gz)")
        elif not name.exists() and any(mark in str(name) for mark in "*?["):
            pattern = name.relative_to(name.anchor) if name.anchor else name
            files = sorted(Path(name.anchor).glob(str(pattern)))
            if not files:
                raise InputError(f"{name}: no file has such a name")
        found += files
    return tuple(dict.fromkeys(found))


@dataclass(frozen=True, eq=False)
class Library:
    """The cells of one or several Liberty files, in the order of their names.

    Attributes
    ----------
    voltage : that of the default operating conditions, or else the nominal one
    """

    files: tuple[Path, ...]
    name: str
    voltage: float
    cells: Mapping[str, Cell]

    @classmethod
    def read(cls, *files: Path) -> Library:
        """Read the Liberty files of a library of standard cells, plain or packed by gzip.

        Raises
        ------
        InputError
            If one is no Liberty file, if they are not of one supply or have a cell in common, or if
            none has flip-flops.
        """
        parts = sorted((cls._read(file) for file in files), key=lambda part: part.name)
        first, cells = parts[0], {}
        for part in parts:
            if part.voltage != first.voltage:
                raise InputError(
                    f"{part.path}: is at {part.voltage:g} V and {first.path} at "
                    f"{first.voltage:g} V; name files of one corner"
                )
            for name, cell in part.cells.items():
                if name in cells:
                    raise InputError(f"{part.path}: cell {name} is in another file, too")
                cells[name] = cell
        library = cls(
            files=tuple(part.path for part in parts),
            name=_common_name([part.name for part in parts]),
            voltage=first.voltage,
            cells={name: cells[name] for name in sorted(cells)},
        )
        if not any(cell.is_register for cell in cells.values()):
            raise InputError(
                f"{library.path}: library {library.name} has no flip-flop of a rising clock, which "
                f"a machine is made of; name a library of standard cells"
            )
        return library

    @classmethod
    def _read(cls, path: Path) -> Library:
        """Read one file."""
        top = read_groups(path)
        try:
            model = top.word("delay_model", "table_lookup")
            if model != "table_lookup":
                raise InputError(f"library {top.name}: delay_model {model!r} is not table_lookup")
            units = Units.of(top)
            cells: dict[str, Cell] = {}
            for group in top.of("cell"):
                if group.name in cells:
                    raise InputError(f"cell {group.name} is there twice")
                cells[group.name] = read_cell(group, top, units)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        return cls((path,), top.name, units.voltage, cells)

    @property
    def path(self) -> Path:
        """Its first file, to name it by in what a user is told."""
        return self.files[0]

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """Its files, unpacked."""
        return tuple(library_text(file) for file in self.files)

    @property
    def clock_gate(self) -> Cell | None:
        """The smallest cell that gates a clock of rising edges; None where there is none."""
        gates = [cell for cell in self.cells.values() if cell.clock_gate is not None]
        without_test = [c for c in gates if c.clock_gate is not None and not c.clock_gate.test]
        return min(without_test or gates, key=lambda cell: (cell.area, cell.name), default=None)


def _common_name(names: Sequence[str]) -> str:
    """Name of a library whose files have some names."""
    first, last = min(names), max(names)
    alike = takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    common = "".join(letter for letter, _ in alike).rstrip("_-.")
    if len(names) == 1:
        return first
    if len(common) >= _LEAST_NAME:
        return common
    return f"{names[0]} and {len(names) - 1} more"
