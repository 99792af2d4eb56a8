"""The program of a pooling stage: what each input column is used for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pilaster.sim.stages import PoolStage

__all__ = ["PoolRun", "pool_runs"]


@dataclass(frozen=True)
class PoolRun:
    """What a column is used for: to reduce it (`reads`), or to send a column that waits."""

    idle: int
    reads: int
    completes: int
    last_in_column: int
    complete_slot: int
    columns: int
    active: int
    fresh: int
    banks: tuple[int, ...]


def pool_runs(stage: PoolStage) -> tuple[PoolRun, ...]:
    """Write the runs of every input column."""
    slots = max(1, max(map(len, stage.touched)))
    pending = max(1, stage.pending_columns)
    seen: set[int] = set()
    runs = []
    rest = (0,) * slots
    for column, touched in enumerate(stage.touched):
        done = stage.completed(column)
        if not touched:
            runs.append(PoolRun(1, 0, 0, 1, 0, 0, 0, 0, rest))
            continue
        banks = tuple(q % pending for q in touched) + rest[len(touched) :]
        fresh = sum(1 << i for i, q in enumerate(touched) if q not in seen)
        seen.update(touched)
        turns: Sequence[int | None] = done or (None,)
        for index, q in enumerate(turns):
            slot = 0 if q is None else touched.index(q)
            reads = index == 0
            runs.append(
                PoolRun(
                    idle=0,
                    reads=int(reads),
                    completes=int(q is not None),
                    last_in_column=int(index == len(turns) - 1),
                    complete_slot=slot,
                    columns=0 if q is None else sum(q in t for t in stage.touched),
                    active=(1 << len(touched)) - 1 if reads else 1 << slot,
                    fresh=fresh if reads else 0,
                    banks=banks,
                )
            )
    return tuple(runs)
