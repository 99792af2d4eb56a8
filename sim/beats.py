"""Streaming of columns from one stage to the next, beat by beat."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Beats"]


@dataclass(frozen=True)
class Beats:
    """Beats of a stream: tile by tile, in each tile row by row.

    Attributes
    ----------
    channels : that a beat has room for
    tiles : (first channel, channels) of every beat that makes up a row, in order
    """

    channels: int
    tiles: tuple[tuple[int, int], ...]

    @property
    def per_row(self) -> int:
        """Beats that make up a row."""
        return len(self.tiles)

    @classmethod
    def whole(cls, channels: int) -> Beats:
        """All channels of a row in one beat."""
        return cls(channels, ((0, channels),))

    @classmethod
    def of_groups(cls, groups: int, per_group: int, step: int) -> Beats:
        """Channels in `groups` of `per_group`, each in beats of `step`; the last may be smaller."""
        return cls(
            step,
            tuple(
                (group * per_group + first, min(step, per_group - first))
                for group in range(groups)
                for first in range(0, per_group, step)
            ),
        )
