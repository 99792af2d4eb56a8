"""Output folder of a build: bitstream, report, machine, and the files for the host."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from pilaster.base.errors import InputError
from pilaster.base.output_files import check_own, write_files
from pilaster.rtl.boards.bitstream import Bitstream
from pilaster.rtl.boards.catalog import Family
from pilaster.rtl.boards.report import RESOURCE_NAMES, Resources
from pilaster.rtl.host.protocol import PROTOCOL_VERSION
from pilaster.sim.machine_file import machine_yaml

__all__ = ["DESCRIPTION", "FILES", "BuildDescription", "read_build", "write_build"]

DESCRIPTION = "build.json"
MACHINE = "machine.yaml"
FILES = ("README.md", DESCRIPTION, MACHINE, "report.json")
"""What every build has beside its bitstream."""

_PAGE = """\
# {network} on the {title}

| | |
| --- | --- |
| bitstream | {file} |
| machine | {machine}: machine.yaml |
| FPGA | {device} |
| clock | {clock:g} MHz; closes at {fmax:.1f} MHz |
| serial line | {baud} baud, 8N1 |

## Flash

Connect {uart}. Then

```
{flash}
```

loads the bitstream until power is off, and `{keep}` keeps it.

## Ask

```
pilaster host . --port PORT --images 10
pilaster host . --simulate --images 10
```

sends images to the board, or to its top in Verilator, and prints the answers.{loading}

## Resources

{resources}

A LUT that two stages share counts for one of them. {packed:,} of {cells:,} logic cells are used
after packing. {made}

{critical}.

## Pins

| pad | signal |
| --- | --- |
{pins}

Made with {tools}.
"""


_LOADING = """\
 The host first loads {kilobytes:,.1f} kB of weights into SPRAM, which is empty after power-on:
{names}."""


@dataclass(frozen=True)
class BuildDescription:
    """What a host has to know of a build.

    Attributes
    ----------
    design : identity that the device tells
    loaded : names of the memories that the host loads
    counters : whether the device counts actions
    """

    network: str
    board: str
    machine: Path
    clock_hz: int
    baud: int
    design: int
    loaded: frozenset[str]
    counters: bool


def write_build(found: Bitstream, directory: Path) -> tuple[Path, ...]:
    """Write a build; all files or none.

    Raises
    ------
    InputError
        If the directory cannot be written, or has files and none of a build.
    """
    check_own(directory, DESCRIPTION, "bitstream")
    description = {
        "pilaster": version("pilaster"),
        "network": found.network.name,
        "board": found.board.name,
        "clock_hz": round(found.clock_hz),
        "baud": found.baud,
        "design": found.design,
        "protocol": PROTOCOL_VERSION,
        "loaded": sorted(found.loaded),
        "counters": found.counters,
    }
    report = {name: value for name, value in found.as_dict().items() if name != "seconds"}
    contents = {
        found.file: found.content,
        "README.md": _page(found).encode(),
        DESCRIPTION: (json.dumps(description, indent=2) + "\n").encode(),
        MACHINE: machine_yaml(found.machine).encode(),
        "report.json": (json.dumps(report, indent=2) + "\n").encode(),
    }
    return write_files(directory, contents, "bitstream", _earlier(directory))


def _earlier(directory: Path) -> set[str]:
    """Name of the bitstream that an earlier build left."""
    try:
        entry = json.loads((directory / DESCRIPTION).read_text(encoding="utf-8"))
        name = f"{entry['network']}"
    except (OSError, ValueError, KeyError, TypeError):
        return set()
    return {f"{name}.bit", f"{name}.bin"} if Path(name).name == name else set()


def read_build(directory: Path) -> BuildDescription:
    """Read what a host has to know of a build.

    Raises
    ------
    InputError
        If the folder is none of a build, or one of another version of Pilaster.
    """
    path = directory / DESCRIPTION
    try:
        entry = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read; give a folder that `pilaster bitstream` has written"
        ) from error
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error}); build the bitstream anew") from error
    if not isinstance(entry, dict) or entry.get("pilaster") != version("pilaster"):
        made_by = entry.get("pilaster", "none") if isinstance(entry, dict) else "none"
        raise InputError(
            f"{path}: was written by Pilaster {made_by}, this is {version('pilaster')}; "
            f"build the bitstream anew"
        )
    if entry.get("protocol") != PROTOCOL_VERSION:
        raise InputError(
            f"{path}: the bitstream speaks version {entry.get('protocol', 1)} of the host link, "
            f"this Pilaster version {PROTOCOL_VERSION}; build the bitstream anew"
        )
    for key, kind in _KEYS.items():
        if not isinstance(entry.get(key), kind) or (entry[key] in ("", 0) and kind is not bool):
            raise InputError(f"{path}: {key}: must be {_KINDS[kind]}; build the bitstream anew")
    loaded = entry.get("loaded")
    if not isinstance(loaded, list) or not all(isinstance(name, str) for name in loaded):
        raise InputError(f"{path}: loaded: must be a list of names; build the bitstream anew")
    return BuildDescription(
        **{key: entry[key] for key in _KEYS},
        machine=directory / MACHINE,
        loaded=frozenset(loaded),
    )


_KEYS = {
    "network": str,
    "board": str,
    "clock_hz": int,
    "baud": int,
    "design": int,
    "counters": bool,
}
_KINDS = {str: "a name", int: "a whole number from 1", bool: "true or false"}


def _page(found: Bitstream) -> str:
    device = found.board.device
    soft, paired = (", ".join(sorted(names)) for names in (found.made.soft, found.made.paired))
    made = f"Multipliers made of LUTs: {soft}." if soft else "All multipliers are DSP blocks."
    if paired:
        made += f" Two products in a block: {paired}."
    return _PAGE.format(
        network=found.network.name,
        title=found.board.title,
        file=found.file,
        machine=found.machine.name,
        device=device.name,
        clock=found.clock_hz / 1e6,
        fmax=found.timing.fmax_mhz,
        baud=found.baud,
        uart=found.board.uart_pins,
        flash=found.board.flash.format(bitstream=found.file),
        keep=found.board.keep.format(bitstream=found.file),
        resources=resource_table(found),
        packed=found.logic_cells[0],
        cells=found.logic_cells[1],
        made=made,
        loading=_LOADING.format(
            names=", ".join(sorted(found.loaded)), kilobytes=found.load_bytes / 1000
        )
        if found.loaded
        else "",
        critical=found.timing.describe().capitalize(),
        pins="\n".join(f"| {pad} | {signal} |" for pad, signal in sorted(found.pins.items())),
        tools=", ".join(f"{name} {number}" for name, number in found.versions.items()),
    )


def resource_table(found: Bitstream) -> str:
    """Resources by stage, as a table in Markdown."""
    kinds = [name for name in vars(Resources()) if _shown(found, name)]
    lines = ["| stage | " + " | ".join(RESOURCE_NAMES[kind] for kind in kinds) + " |"]
    lines.append("| --- |" + " ---: |" * len(kinds))
    for stage, used in found.resources.items():
        numbers = (f"{getattr(used, kind):,}" for kind in kinds)
        lines.append(f"| {stage} | " + " | ".join(numbers) + " |")
    device = found.board.device
    there = {**vars(device), "flip_flops": device.luts}
    numbers = (f"{there[kind]:,}" for kind in kinds)
    lines.append(f"| *{device.name}* | " + " | ".join(numbers) + " |")
    return "\n".join(lines)


def _shown(found: Bitstream, kind: str) -> bool:
    return kind != "sprams" or found.board.device.family is Family.ICE40
