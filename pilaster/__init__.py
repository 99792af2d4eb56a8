"""Pilaster: a simulator, RTL generator and energy lab for column-wise CNN accelerators."""

from pilaster.api import default_machine, load, load_machine, simulate, verify, write_rtl
from pilaster.models.errors import InputError

__all__ = [
    "InputError",
    "default_machine",
    "load",
    "load_machine",
    "simulate",
    "verify",
    "write_rtl",
]
