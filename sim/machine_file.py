"""Machines as YAML files: read with errors that name file and key, written so as to read back."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field

from pilaster.base.arguments import LARGEST
from pilaster.base.errors import InputError
from pilaster.base.user_files import read_yaml, validate
from pilaster.sim.machine import Fold, LoopOrder, Machine, Schedule, StageSpec
from pilaster.sim.timing import COLUMN_BUFFERS

__all__ = [
    "load_machine",
    "machine_entry",
    "machine_names",
    "machine_path",
    "machine_yaml",
    "read_machine",
]

MACHINES = Path(__file__).parent / "machines"

Count = Annotated[int, Field(ge=1, le=LARGEST, strict=True)]
ArmColumns = Annotated[int, Field(ge=COLUMN_BUFFERS, le=LARGEST, strict=True)]
Flag = Annotated[bool, Field(strict=True)]


Entry = int | str | bool | list[int]
"""A value of a stage in a file."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _StageEntry(_Strict):
    taps: Count = 1
    in_channels: Count = 1
    out_channels: Count = 1
    kernel_columns: Count = 1
    requantizers: Count = 1
    loop_order: LoopOrder = LoopOrder.WEIGHTS_HELD
    schedule: Schedule | None = None
    dram_bits_per_cycle: Annotated[int, Field(ge=0, le=LARGEST, strict=True)] = 0
    arm_columns: tuple[ArmColumns, ...] = ()
    row_sums: Flag | None = None

    def stage(self, schedule: Schedule, row_sums: bool) -> StageSpec:
        fold = Fold(
            taps=self.taps,
            in_channels=self.in_channels,
            out_channels=self.out_channels,
            kernel_columns=self.kernel_columns,
            requantizers=self.requantizers,
            loop_order=self.loop_order,
        )
        return StageSpec(
            fold,
            self.schedule or schedule,
            self.dram_bits_per_cycle,
            self.arm_columns,
            row_sums if self.row_sums is None else self.row_sums,
        )


class _MachineEntry(_Strict):
    name: str
    network: str
    column_interval: Count
    schedule: Schedule = Schedule.SCATTER
    row_sums: Flag = False
    weight_memory_bits: Count | None = None
    stages: dict[str, _StageEntry]


def machine_names() -> tuple[str, ...]:
    """Names of the machines that come with Pilaster."""
    return tuple(sorted(path.stem for path in MACHINES.glob("*.yaml")))


def machine_path(name_or_path: str | Path) -> Path:
    """Give the file of a machine that comes with Pilaster, by name, or the path itself.

    Raises
    ------
    InputError
        If it is neither a known machine nor a file.
    """
    names = machine_names()
    if str(name_or_path) in names:
        return MACHINES / f"{name_or_path}.yaml"
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml") or path.exists():
        return path
    close = difflib.get_close_matches(str(name_or_path), names, 1)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(names)}"
    raise InputError(f"machine {name_or_path}: neither a file nor a known machine; {hint}")


def load_machine(name_or_path: str | Path) -> Machine:
    """Load a machine that comes with Pilaster, by name, or one from a YAML file."""
    return read_machine(machine_path(name_or_path))


def read_machine(path: Path) -> Machine:
    """Read a machine from a YAML file.

    Raises
    ------
    InputError
        If the file cannot be read or does not describe a machine: names the file and the key.
    """
    entry = validate(_MachineEntry, read_yaml(path), path)
    stages = {}
    for name, stage in entry.stages.items():
        try:
            stages[name] = stage.stage(entry.schedule, entry.row_sums)
        except InputError as error:
            raise InputError(f"{path}: stages.{name}.{error}") from error
    return Machine(
        entry.name, entry.network, entry.column_interval, stages, entry.weight_memory_bits
    )


def machine_yaml(machine: Machine) -> str:
    """Write a machine as the text of a YAML file that `read_machine` reads back."""
    entry = machine_entry(machine)
    stages, schedule = entry.pop("stages"), entry.pop("schedule")
    lines = []
    for key, value in entry.items():
        remark = "  # cycles between two columns at the input" if key == "column_interval" else ""
        lines.append(f"{key}: {_text(value) if isinstance(value, str) else _plain(value)}{remark}")
    lines += [f"schedule: {schedule}", "stages:"]
    lines += [f"  {_text(name)}: {{{_entry_text(stage)}}}" for name, stage in stages.items()]
    return "\n".join(lines) + "\n"


def machine_entry(machine: Machine) -> dict[str, Any]:
    """Give a machine as the plain values of its file: as JSON, `read_machine` reads them back."""
    entry: dict[str, Any] = {
        "name": machine.name,
        "network": machine.network,
        "column_interval": machine.column_interval,
    }
    if machine.weight_memory_bits is not None:
        entry["weight_memory_bits"] = machine.weight_memory_bits
    schedules = {spec.schedule for spec in machine.stages.values()}
    common = schedules.pop() if len(schedules) == 1 else Schedule.SCATTER
    entry["schedule"] = str(common)
    row_sums = bool(machine.stages) and all(spec.row_sums for spec in machine.stages.values())
    if row_sums:
        entry["row_sums"] = True
    entry["stages"] = {
        name: _stage_entry(spec, common, row_sums) for name, spec in machine.stages.items()
    }
    return entry


def _stage_entry(spec: StageSpec, common: Schedule, row_sums: bool) -> dict[str, Entry]:
    """Give a stage's values, without what is as by default or in common."""
    entry: dict[str, Entry] = {**spec.fold.entry}
    if spec.schedule is not common:
        entry["schedule"] = str(spec.schedule)
    if spec.dram_bits_per_cycle:
        entry["dram_bits_per_cycle"] = spec.dram_bits_per_cycle
    if spec.arm_columns:
        entry["arm_columns"] = list(spec.arm_columns)
    if spec.row_sums != row_sums:
        entry["row_sums"] = spec.row_sums
    return entry


def _entry_text(entry: Mapping[str, Entry]) -> str:
    return ", ".join(f"{key}: {_plain(value)}" for key, value in entry.items())


def _plain(value: Entry) -> str:
    """Write a value that needs no quotes."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _text(text: str) -> str:
    """Write a text so that YAML reads it as that text: plain where it can be."""
    if re.fullmatch(r"[A-Za-z][\w-]*( [\w-]+)*", text, re.ASCII) and yaml.safe_load(text) == text:
        return text
    quoted: str = yaml.safe_dump(text, default_style='"', width=float("inf"))
    return quoted.strip()
