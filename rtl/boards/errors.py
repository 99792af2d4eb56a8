"""Errors of a bitstream build."""

from __future__ import annotations

__all__ = ["BuildError", "DoesNotFitError", "TimingError", "ToolError"]


class BuildError(Exception):
    """A valid build request that fails; the message is one line."""


class DoesNotFitError(BuildError):
    """The machine does not fit the FPGA; the message names the resource and the amounts."""


class TimingError(BuildError):
    """The design does not meet the clock; the message gives the critical path by stage."""


class ToolError(BuildError):
    """A tool failed. `said` is its whole output."""

    def __init__(self, tool: str, said: str) -> None:
        self.said = said
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith(("ERROR", "Error"))]
        super().__init__(f"{tool} failed: {(errors or lines or ['it said nothing'])[-1]}")
