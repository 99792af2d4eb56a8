// Clocks a testbench until it is done, and one cycle more. A clock edge is at every second step.
#include <memory>

#include "Vtop.h"
#include "verilated.h"
#if VM_TRACE_SAIF
#include "verilated_saif_c.h"
using Trace = VerilatedSaifC;
const char* const trace_file = "dump.saif";
#elif VM_TRACE_VCD
#include "verilated_vcd_c.h"
using Trace = VerilatedVcdC;
const char* const trace_file = "dump.vcd";
#endif

int main() {
    const std::unique_ptr<VerilatedContext> context{new VerilatedContext};
    const std::unique_ptr<Vtop> top{new Vtop{context.get(), ""}};
#if VM_TRACE
    context->traceEverOn(true);
    Trace trace;
    top->trace(&trace, 99);
    trace.open(trace_file);
#endif
    top->clk = 0;
    top->eval();
    for (bool last = false;; last = top->done) {
        for (const int level : {1, 0}) {
            top->clk = level;
            top->eval();
#if VM_TRACE
            trace.dump(context->time());
#endif
            context->timeInc(1);
        }
        if (last || context->gotFinish()) break;
    }
    top->final();
#if VM_TRACE
    trace.close();
#endif
    return context->errorCount() != 0;
}
