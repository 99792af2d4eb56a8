"""Partial sums: what waits for more kernel columns, and what leaves."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Array, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from pilaster.models.quantization import ConvParameters
from pilaster.rtl.components.contents import bias_words, memory_names
from pilaster.rtl.components.memory import LoadSignature, Rom, RomFiles
from pilaster.rtl.components.sequencer import StepFormat, StepSignature
from pilaster.rtl.components.shapes import index_shape
from pilaster.sim.machine import LoopOrder, Schedule
from pilaster.sim.stages import ConvStage

__all__ = ["PartialSums"]


class PartialSums(wiring.Component):
    """Adds the lanes' sums to the partial sums of each slot, and keeps them or lets them go.

    Where weights are held, a row's partial sums are read and written in every pass; where sums are
    held they stand in an accumulator for as long as a row takes. Where a stage keeps row sums, they
    stand in a memory of a word for each row between the passes of a run on an output tile, and only
    what the run adds goes to those that wait.

    Members
    -------
    ahead, at : the step whose sums come in the next cycle, and the one whose sums are here
    sums : (slots * outputs), sums of the lanes for `at`
    leaving, tile, row : sums leave in this cycle; of which output tile and row
    total : (outputs), the sums that leave
    reads, writes : by slot, whether a partial sum is read or written in this cycle
    row_reads, row_writes : likewise of row sums, where the stage keeps these
    load : fills the bias memory, where it is loaded

    Attributes
    ----------
    is_loaded : whether there is a memory to be filled
    """

    def __init__(
        self, stage: ConvStage, parameters: ConvParameters, form: StepFormat, files: RomFiles
    ) -> None:
        self._stage, self._parameters, self._form, self._files = stage, parameters, form, files
        self._held = stage.fold.loop_order is LoopOrder.PSUMS_HELD
        self._by_run = self._held or stage.keeps_row_sums
        self._scatter = stage.spec.schedule is Schedule.SCATTER
        self._banks = stage.fold.kernel_columns if self._scatter else 1
        outputs, bits = stage.fold.out_channels, stage.widths.accumulator
        self._word = data.ArrayLayout(signed(bits), outputs)
        members = {
            "ahead": In(StepSignature(form)),
            "at": In(StepSignature(form)),
            "sums": In(data.ArrayLayout(signed(bits), form.slots * outputs)),
            "leaving": Out(1),
            "tile": Out(index_shape(stage.tile_shape[1])),
            "row": Out(form.row),
            "total": Out(self._word),
            "reads": Out(form.slots),
            "writes": Out(form.slots),
        }
        if stage.row_sum_words:
            members |= {"row_reads": Out(form.slots), "row_writes": Out(form.slots)}
        _, self._memory = memory_names(stage)
        self.is_loaded = self._memory in files.loaded
        if self.is_loaded:
            members["load"] = In(LoadSignature(files.load_bits))
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        """Bias memory, banks of partial sums, and an adder for each slot and output."""
        m = Module()
        stage, ahead, at = self._stage, self.ahead, self.at
        words = bias_words(stage, self._parameters)
        width = self._word.size
        m.submodules.bias = bias = Rom(self._memory, width, words, self._files)
        if self.is_loaded:
            wiring.connect(m, wiring.flipped(self.load), bias.load)
        starts = ahead.valid & ahead.step.first
        m.d.comb += [bias.addr.eq(ahead.step.out_tile), bias.en.eq(starts)]
        banks = self._memories(m)
        totals = [self._slot(m, slot, bias.data, banks) for slot in range(self._form.slots)]
        emits = Signal()
        m.d.comb += emits.eq(at.valid & at.step.emits)
        chosen = totals[0].as_value()
        if len(totals) > 1:
            chosen = Array([t.as_value() for t in totals])[at.step.complete_slot]
        with m.If(emits):
            m.d.sync += [
                self.total.as_value().eq(chosen),
                self.tile.eq(at.step.out_tile),
                self.row.eq(at.row),
            ]
        m.d.sync += self.leaving.eq(emits)
        return m

    def _memories(self, m: Module) -> list[tuple[Any, Any]]:
        """Give read and write ports by bank; none where no sum ever waits."""
        stage = self._stage
        if not stage.pending_columns:
            return []
        places = -(-stage.pending_columns // self._banks)
        tiles = stage.tile_shape[1] if self._scatter else 1
        depth = max(2, places * stage.geometry.rows_out * tiles)
        ports = []
        for bank in range(self._banks):
            memory = Memory(shape=self._word, depth=depth, init=[])
            m.submodules[f"psums{bank}"] = memory
            write = memory.write_port()
            read = memory.read_port(transparent_for=(write,))
            m.d.comb += read.en.eq(0)
            ports.append((read, write))
        return ports

    def _row_sums(self, m: Module, slot: int, total: Value) -> Value:
        """Keep the sums of a slot from pass to pass; gives those of the row that is here."""
        ahead, at = self.ahead, self.at
        depth = max(2, self._stage.row_sum_words)
        m.submodules[f"row_sums{slot}"] = memory = Memory(shape=self._word, depth=depth, init=[])
        write = memory.write_port()
        read = memory.read_port(transparent_for=(write,))
        reads = ahead.valid & ahead.step.slots[slot].active & ~ahead.step.first
        m.d.comb += [
            self.row_reads[slot].eq(reads),
            self.row_writes[slot].eq(at.valid & at.step.slots[slot].active & ~at.step.last),
            read.addr.eq(ahead.row),
            read.en.eq(self.row_reads[slot]),
            write.addr.eq(at.row),
            write.data.eq(total),
            write.en.eq(self.row_writes[slot]),
        ]
        kept: Value = read.data
        return kept

    def _address(self, of: Any, slot: int) -> Value:
        step, row = of.step, of.row
        if not self._scatter:
            return row
        tile = step.slots[slot].column * self._stage.tile_shape[1] + step.out_tile
        return tile * self._stage.geometry.rows_out + row

    def _slot(self, m: Module, slot: int, bias: Value, banks: list[tuple[Any, Any]]) -> Signal:
        """Give the new sums of a slot; they are kept where they do not leave."""
        ahead, at, held = self.ahead, self.at, self._held
        before, now = ahead.step.slots[slot], at.step.slots[slot]
        base = Signal(self._word, name=f"base{slot}")
        total = Signal(self._word, name=f"total{slot}")
        accumulator = Signal(self._word, name=f"accumulator{slot}", reset_less=True)
        m.d.comb += base.eq(bias)
        if banks:
            fresh = at.step.fresh[slot] & at.step.first
            found = Array([read.data.as_value() for read, _ in banks])[now.bank]
            with m.If(~fresh):
                m.d.comb += base.eq(found)
            fresh_ahead = ahead.step.fresh[slot] & ahead.step.first
            reads = ahead.valid & before.active & ~fresh_ahead
            if self._by_run:
                reads = reads & ahead.step.first
            m.d.comb += self.reads[slot].eq(reads)
            for bank, (read, _) in enumerate(banks):
                with m.If(self.reads[slot] & (before.bank == bank)):
                    m.d.comb += [read.addr.eq(self._address(ahead, slot)), read.en.eq(1)]
        outputs = self._stage.fold.out_channels
        kept = accumulator if held else None
        if self._stage.row_sum_words:
            kept = self._row_sums(m, slot, total)
        for o in range(outputs):
            start = base[o] if kept is None else Mux(at.step.first, base[o], kept[o])
            m.d.comb += total[o].eq(start + self.sums[slot * outputs + o])
        active = at.valid & now.active
        if held:
            with m.If(active & ~at.step.last):
                m.d.sync += accumulator.eq(total)
        leaves = at.step.emits & (at.step.complete_slot == slot)
        stores = active & ~leaves
        if self._by_run:
            stores = stores & at.step.last
        m.d.comb += self.writes[slot].eq(stores)
        for bank, (_, write) in enumerate(banks):
            with m.If(self.writes[slot] & (now.bank == bank)):
                m.d.comb += [
                    write.addr.eq(self._address(at, slot)),
                    write.data.eq(total),
                    write.en.eq(1),
                ]
        return total
