"""Drivers: what stands at a component's inputs in a simulation, cycle by cycle.

A driver gives the inputs of a cycle, then sees every port as it was at the cycle's end. All that is
random comes from a generator with a seed. Ports and fields of their layouts go by name, as in
``steps.payload.first``; values are raw bits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

__all__ = ["Awaited", "Credits", "Driver", "Pulses", "Script", "Sink", "Source", "hesitations"]

LONGEST_GAP = 7
"""Idle cycles, unless told otherwise."""


def hesitations(rng: np.random.Generator, count: int, longest: int = LONGEST_GAP) -> list[int]:
    """Draw idle cycles before each of `count` events: none, some at times, or nearly always."""
    often = rng.choice([0.0, 0.3, 0.9])
    gaps = rng.integers(1, longest + 1, count)
    return np.where(rng.random(count) < often, gaps, 0).tolist()


class Driver:
    """Drives some inputs of a component."""

    done = True
    """Whether there is nothing left to do."""

    def drive(self) -> Mapping[str, int]:
        """Give inputs of this cycle by name; what no driver names is 0."""
        return {}

    def watch(self, seen: Mapping[str, int]) -> None:
        """See all ports at the end of the cycle."""


class Script(Driver):
    """Plain inputs, written down for every cycle."""

    def __init__(self, inputs: Mapping[str, Sequence[int]]) -> None:
        self._inputs = inputs
        self._cycle = 0

    @property
    def done(self) -> bool:
        return self._cycle >= max(map(len, self._inputs.values()))

    def drive(self) -> Mapping[str, int]:
        at = self._cycle
        return {name: cycles[at] for name, cycles in self._inputs.items() if at < len(cycles)}

    def watch(self, seen: Mapping[str, int]) -> None:
        self._cycle += 1


class Awaited(Driver):
    """Drives nothing; is done when a port has been high in `count` cycles."""

    def __init__(self, port: str, count: int) -> None:
        self._port, self._left = port, count

    @property
    def done(self) -> bool:
        return self._left <= 0

    def watch(self, seen: Mapping[str, int]) -> None:
        self._left -= seen[self._port]


class Credits:
    """What a driver may do: `first` times, and once more for every `per` of some event.

    The event is that all of the named ports are high.
    """

    def __init__(self, first: int, event: Sequence[str] = (), per: int = 1) -> None:
        self.left = first
        self._event, self._per, self._count = tuple(event), per, 0

    def watch(self, seen: Mapping[str, int]) -> None:
        if self._event and all(seen[name] for name in self._event):
            self._count += 1
            if self._count == self._per:
                self._count = 0
                self.left += 1


class Source(Driver):
    """Offers beats on a stream, each after a hesitation, and holds it until it is taken.

    While it offers none, the payload is noise. With `allowance`, every `per_credit` beats need one.
    """

    def __init__(
        self,
        stream: str,
        beats: Sequence[int],
        bits: int,
        rng: np.random.Generator,
        allowance: Credits | None = None,
        per_credit: int = 1,
    ) -> None:
        self._stream, self._beats = stream, list(beats)
        self._gaps = hesitations(rng, len(beats))
        self._noise = [int.from_bytes(rng.bytes(bits // 8 + 1), "little") for _ in beats]
        self._allowance, self._per_credit = allowance, per_credit
        self._sent, self._waited = 0, 0

    @property
    def done(self) -> bool:
        return self._sent == len(self._beats)

    def _offers(self) -> bool:
        if self.done or self._waited < self._gaps[self._sent]:
            return False
        begins = self._sent % self._per_credit == 0
        return self._allowance is None or not begins or self._allowance.left > 0

    def drive(self) -> Mapping[str, int]:
        offers = self._offers()
        payload = (self._beats if offers else self._noise)[self._sent % len(self._beats)]
        return {f"{self._stream}.valid": int(offers), f"{self._stream}.payload": payload}

    def watch(self, seen: Mapping[str, int]) -> None:
        if self._offers() and seen[f"{self._stream}.ready"]:
            if self._allowance is not None and self._sent % self._per_credit == 0:
                self._allowance.left -= 1
            self._sent += 1
            self._waited = 0
        else:
            self._waited += 1
        if self._allowance is not None:
            self._allowance.watch(seen)


class Sink(Driver):
    """Takes `count` beats of a stream, each after a hesitation.

    It is ready then, whether a beat is there or not.
    """

    def __init__(self, stream: str, count: int, rng: np.random.Generator) -> None:
        self._stream, self._count = stream, count
        self._gaps = hesitations(rng, count)
        self._taken, self._waited = 0, 0

    @property
    def done(self) -> bool:
        return self._taken == self._count

    def _takes(self) -> bool:
        return not self.done and self._waited >= self._gaps[self._taken]

    def drive(self) -> Mapping[str, int]:
        return {f"{self._stream}.ready": int(self._takes())}

    def watch(self, seen: Mapping[str, int]) -> None:
        if self._takes() and seen[f"{self._stream}.valid"]:
            self._taken += 1
            self._waited = 0
        else:
            self._waited += 1


class Pulses(Driver):
    """Raises a port `count` times, each after a hesitation, as far as its allowance goes."""

    def __init__(
        self,
        port: str,
        count: int,
        allowance: Credits,
        rng: np.random.Generator,
        longest: int = LONGEST_GAP,
    ) -> None:
        self._port, self._allowance = port, allowance
        self._gaps = hesitations(rng, count, longest)
        self._waited = 0

    @property
    def done(self) -> bool:
        return not self._gaps

    def _raises(self) -> bool:
        return bool(self._gaps) and self._allowance.left > 0 and self._waited >= self._gaps[0]

    def drive(self) -> Mapping[str, int]:
        return {self._port: int(self._raises())}

    def watch(self, seen: Mapping[str, int]) -> None:
        if self._raises():
            self._allowance.left -= 1
            self._gaps.pop(0)
            self._waited = 0
        elif self._allowance.left:
            self._waited += 1
        self._allowance.watch(seen)
