"""Test support: files with parts cut off, bytes changed and numbers replaced."""

from __future__ import annotations

import numpy as np

__all__ = ["mutated"]

NUMBERS = (0, 1, 3, 1000, 1 << 16, (1 << 31) - 1, 1 << 31, (1 << 32) - 1)
"""What lengths, offsets and sizes are replaced with."""


def mutated(content: bytes, seed: int) -> bytes:
    """Give `content` with a mutation that `seed` chooses."""
    rng = np.random.default_rng([2023, seed])
    data = bytearray(content)
    kind = seed % 4
    if kind == 0:
        return bytes(data[: rng.integers(len(data))])
    if kind == 1:
        for place in rng.integers(len(data), size=rng.integers(1, 20)):
            data[place] = rng.integers(256)
    elif kind == 2:
        for place in rng.integers(len(data) // 4, size=rng.integers(1, 4)) * 4:
            data[place : place + 4] = int(rng.choice(NUMBERS)).to_bytes(4, "little")
    else:
        start, length = rng.integers(len(data)), rng.integers(1, 64)
        piece = data[start : start + length]
        place = rng.integers(len(data))
        data[place : place + len(piece) * rng.integers(2)] = piece
    return bytes(data)
