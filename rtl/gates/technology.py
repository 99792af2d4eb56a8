"""Technology nodes of public libraries, which a Liberty file does not tell."""

from __future__ import annotations

from pilaster.rtl.gates.liberty import Library

__all__ = ["node_of"]

_NODES_NM = {
    "sg13": 130.0,
    "sky130": 130.0,
    "gf180": 180.0,
    "nangate": 45.0,
    "freepdk45": 45.0,
    "asap7": 7.0,
}
"""By how the library's name begins, as its own documentation has it: IHP-Open-PDK, SkyWater PDK,
GF180MCU PDK, Nangate's and OSU's FreePDK45 libraries, and ASAP7."""


def node_of(library: Library) -> float | None:
    """Technology node in nm of a library, by its name or a file's; None where it is not known."""
    names = [library.name.lower(), *(file.name.lower() for file in library.files)]
    return next(
        (node for name in names for start, node in _NODES_NM.items() if name.startswith(start)),
        None,
    )
