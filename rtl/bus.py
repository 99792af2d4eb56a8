"""Port types of an exported machine."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Bus"]


class Bus(StrEnum):
    """The ports of an export."""

    STREAM = "stream"
    """Valid and ready, clk and rst."""
    AXI4_STREAM = "axi4-stream"

    @property
    def clock(self) -> str:
        """Name of the clock's port."""
        return "clk" if self is Bus.STREAM else "aclk"
