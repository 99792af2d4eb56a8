"""Records of checks that held, kept so that later runs can say so.

A record knows the file, the network that was imported from it and Pilaster's version: when any of
these is another, it is no record of what is run. One that is damaged counts for none, and the next
check writes it anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import numpy as np

from pilaster.base.errors import InputError
from pilaster.base.output_files import write_files
from pilaster.models.check.result import Check
from pilaster.models.judges import judge_name
from pilaster.models.network import Network

__all__ = ["recall", "record"]


def record(path: Path, network: Network, check: Check) -> None:
    """Keep a check that held, and forget an earlier one where it did not.

    Where the cache cannot be written nothing is kept.
    """
    kept = _place(path, network)
    if not check.holds:
        with suppress(OSError):
            kept.unlink(missing_ok=True)
        return
    told = {"runtime": check.runtime, "images": check.images, "data": check.data}
    with suppress(InputError, OSError):
        write_files(kept.parent, {kept.name: json.dumps(told).encode()}, "record of the check")


def recall(path: Path, network: Network) -> str:
    """Say whether a network, imported from a file, was checked; and how to, where it was not."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        told = json.loads(_place(path, network).read_bytes())
        runtime, images, data = str(told["runtime"]), int(told["images"]), str(told["data"])
        return f"checked against {runtime} on {images} images ({data})"
    again = shlex.join(["pilaster", "check", str(path)])
    return f"not checked against {judge_name(path)}: {again}"


def _place(path: Path, network: Network) -> Path:
    return _folder() / f"{_key(path, network)}.json"


def _folder() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "pilaster" / "checks"


def _key(path: Path, network: Network) -> str:
    """Give what file, network and version are known by."""
    digest = hashlib.sha256(path.read_bytes())
    for part in (
        version("pilaster"),
        network.graph,
        sorted(network.tensors.items()),
        sorted(network.joins.items()),
        network.byte_scale,
        network.columns,
    ):
        digest.update(repr(part).encode())
    for name in sorted(network.parameters):
        found = network.parameters[name]
        digest.update(f"{name} {found.rounding} {found.weight.dtype}".encode())
        for array in (found.weight, found.bias, found.multiplier, found.shift):
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
