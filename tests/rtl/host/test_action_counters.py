"""Law: totals are the sums of the events since the reset, however many counters there are."""

import numpy as np
import pytest
from amaranth.hdl import Module, ResetInserter, Signal
from amaranth.sim import Simulator

from pilaster.rtl.host.action_counters import ActionCounters

BUSY, REST = 700, 40


@pytest.mark.parametrize(
    "most", [(1,), (5, 1), (1, 300, 2), tuple(range(1, 40)), (1, 1, 1000, 1, 1, 1)], ids=len
)
@pytest.mark.parametrize("share", [0.5, 1.0], ids=["some", "all"])
def test_totals_are_sums(most, share):
    m, clear = Module(), Signal()
    counters = ActionCounters(most)
    m.submodules.counters = ResetInserter(clear)(counters)
    rng = np.random.default_rng(len(most))
    sums = np.zeros(len(most), int)
    held = []

    async def happen(ctx):
        for _ in range(BUSY):
            count = rng.integers(np.array(most) + 1) if share < 1 else np.array(most)
            for k, each in enumerate(count.tolist()):
                ctx.set(getattr(counters, f"event{k}"), each)
            sums[:] += count
            await ctx.tick()
        for k in range(len(most)):
            ctx.set(getattr(counters, f"event{k}"), 0)
        await ctx.tick().repeat(REST)

    async def pulse(ctx, signal):
        ctx.set(signal, 1)
        await ctx.tick()
        ctx.set(signal, 0)

    async def totals(ctx, number):
        await pulse(ctx, counters.ask)
        found = []
        for index in range(number):
            while not ctx.get(counters.due):
                await ctx.tick()
            await ctx.tick().repeat(1 + index % 3)
            assert ctx.get(counters.index) == index
            found.append(ctx.get(counters.count))
            await pulse(ctx, counters.told)
        return found

    async def drive(ctx):
        for round_ in range(3):
            await happen(ctx)
            await totals(ctx, len(most) // 2)  # asked again before all have been told
            held.append(await totals(ctx, len(most)) == sums.tolist())
            await ctx.tick().repeat(REST)
            assert not ctx.get(counters.due)
            if round_ == 1:
                await pulse(ctx, clear)
                sums[:] = 0

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.run()
    assert held == [True] * 3
