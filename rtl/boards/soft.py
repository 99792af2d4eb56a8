"""Multipliers of LUTs: the parts of a machine that leave the DSP blocks to others.

Yosys gives every multiplication of two bits or more a DSP block. Address arithmetic never deserves
one; lanes and requantizers that find no block left get LUTs too.
"""

from __future__ import annotations

__all__ = ["SOFT_FILE", "SOFT_MULTIPLIER", "soft_script"]

SOFT_MULTIPLIER = """\
attribute \\blackbox 1
attribute \\dynports 1
module $__soft_mul
  parameter \\A_SIGNED 0
  parameter \\B_SIGNED 0
  parameter \\A_WIDTH 1
  parameter \\B_WIDTH 1
  parameter \\Y_WIDTH 1
  wire width 1 input 1 \\A
  wire width 1 input 2 \\B
  wire width 1 output 3 \\Y
end
"""
"""The cell's ports, for Yosys's check of the hierarchy."""


SOFT_FILE = "soft_mul.il"


def soft_script(soft: frozenset[str]) -> str:
    """Commands for Yosys, before its synthesis script.

    Only multiplications in a stage's lanes and requantizers may take DSP blocks, and of these none
    of a stage and part named in `soft`, such as ``conv1.lanes`` or ``fc4.requantizers``.
    """
    lines = [
        f"read_rtlil {SOFT_FILE}",
        "select -set hard */t:$mul",
        "select -set kept *.lanes/t:$mul *.requantizer*/t:$mul",
        "select -set soft @hard @kept %d",
    ]
    for part in sorted(soft):
        stage, kind = part.split(".")
        pattern = "lanes" if kind == "lanes" else "*requantizer*"
        lines.append(f"select -set soft @soft *.{stage}.{pattern}/t:$mul %u")
    # The name that the DSP mapping gives to what is too small for it, until it has passed.
    lines.append("chtype -set $__soft_mul @soft")
    return "\n".join(lines)
