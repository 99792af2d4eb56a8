"""A serial port as a link."""

from __future__ import annotations

from pilaster.base.errors import InputError
from pilaster.rtl.host.client import LinkError

__all__ = ["SerialLink"]


class SerialLink:
    """A serial port, a pseudo-terminal included.

    Raises
    ------
    InputError
        If there is no such port, it cannot be opened, or pyserial is missing.
    """

    def __init__(self, port: str, baud: int) -> None:
        try:
            import serial
            from serial.tools import list_ports
        except ImportError as error:
            raise InputError("pyserial is missing: pip install 'pilaster[fpga]'") from error
        try:
            self._port = serial.Serial(port, baud, timeout=0)
        except (OSError, ValueError) as error:
            there = ", ".join(sorted(found.device for found in list_ports.comports())) or "none"
            raise InputError(
                f"--port {port}: cannot be opened: {_reason(error)}; serial ports here: {there}"
            ) from error
        self._failure = OSError, serial.SerialException

    def write(self, data: bytes) -> None:
        """Send bytes."""
        try:
            self._port.write(data)
        except self._failure as error:
            raise LinkError(f"the port has gone: {_reason(error)}") from error

    def read(self, seconds: float) -> bytes:
        """Give the bytes that have come, waiting for one at most so long."""
        try:
            self._port.timeout = seconds
            found = self._port.read(1)
            self._port.timeout = 0
            return bytes(found + self._port.read(4096)) if found else b""
        except self._failure as error:
            raise LinkError(f"the port has gone: {_reason(error)}") from error

    def close(self) -> None:
        """Close the port."""
        self._port.close()


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
