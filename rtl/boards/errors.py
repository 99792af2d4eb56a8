"""Why there is no bitstream."""

from __future__ import annotations

__all__ = ["BuildError", "DoesNotFitError", "TimingError", "ToolError"]


class BuildError(Exception):
    """A build that was asked for rightly and cannot be; the message is one line."""


class DoesNotFitError(BuildError):
    """The FPGA holds less than the machine needs; the message tells of what, and how much."""


class TimingError(BuildError):
    """The clock is too fast; the message tells the critical path by stage."""


class ToolError(BuildError):
    """A tool has failed. `said` is all that it said."""

    def __init__(self, tool: str, said: str) -> None:
        self.said = said
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith(("ERROR", "Error"))]
        super().__init__(f"{tool} failed: {(errors or lines or ['it said nothing'])[-1]}")
