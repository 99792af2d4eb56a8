"""DRAM traffic of the stages whose weights are in DRAM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pilaster.models.energy.actions import Action
from pilaster.sim.actions import ActionCounts
from pilaster.sim.stages import Stage
from pilaster.sim.stages.kinds import kind_of

__all__ = ["NO_RTL", "DramTraffic", "dram_traffic", "gigabytes_per_second"]

NO_RTL = "a machine with weights in DRAM is a model, for which no RTL is generated"


@dataclass(frozen=True)
class DramTraffic:
    """Bits of weights that come from DRAM, with images back to back.

    Attributes
    ----------
    stages : names of those whose weights are in DRAM
    peak_bits_per_cycle : where all of these stages fetch at once; no stage waits for another
    mean_bits_per_cycle : over the time of an image
    bits_per_image : read
    """

    stages: tuple[str, ...]
    peak_bits_per_cycle: int
    mean_bits_per_cycle: float
    bits_per_image: int

    def describe(self, clock_mhz: float | None) -> str:
        """Say what is asked of the DRAM, in a line."""
        peak, mean = f"{self.peak_bits_per_cycle:,}", f"{self.mean_bits_per_cycle:,.1f}"
        rate = ""
        if clock_mhz is not None:
            bits = (self.peak_bits_per_cycle, self.mean_bits_per_cycle)
            most, usual = (gigabytes_per_second(each, clock_mhz) for each in bits)
            rate = f" ({most:,.3g} and {usual:,.3g} GB/s at {clock_mhz:g} MHz)"
        return (
            f"weights of {', '.join(self.stages)} come from DRAM: {peak} bits a cycle at the peak, "
            f"{mean} in the mean{rate}; {NO_RTL}"
        )

    def as_dict(self, clock_mhz: float | None) -> dict[str, object]:
        """Give plain values, for JSON, with GB/s (10^9 bytes) where the clock is known."""
        bits = (self.peak_bits_per_cycle, self.mean_bits_per_cycle)
        peak, mean = (
            None if clock_mhz is None else gigabytes_per_second(each, clock_mhz) for each in bits
        )
        return {
            **vars(self),
            "stages": list(self.stages),
            "peak_gb_per_s": peak,
            "mean_gb_per_s": mean,
        }


def dram_traffic(
    stages: Sequence[Stage], counts: Sequence[ActionCounts], images: int, cycles_per_image: int
) -> DramTraffic | None:
    """Find what a machine asks of DRAM; None where all weights are on chip.

    Parameters
    ----------
    counts : of every stage, over `images` images
    """
    bits = sum(
        count * attributes.bits
        for actions in counts
        for (action, attributes), count in actions.counts.items()
        if action is Action.DRAM_READ
    )
    fetching = {s.name: most for s in stages if (most := kind_of(s).fetch_bits(s))}
    if not fetching:
        return None
    per_image = bits // images
    return DramTraffic(
        stages=tuple(fetching),
        peak_bits_per_cycle=sum(fetching.values()),
        mean_bits_per_cycle=per_image / cycles_per_image,
        bits_per_image=per_image,
    )


def gigabytes_per_second(bits_per_cycle: float, clock_mhz: float) -> float:
    """Turn bits a cycle into GB/s (10^9 bytes)."""
    return bits_per_cycle * clock_mhz / 8e3
