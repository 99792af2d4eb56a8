// A board's top in Verilator, its serial line on a pseudo-terminal whose file descriptor is the
// first argument; the second is the length of a bit in cycles. Ends when the other side closes.
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <fcntl.h>
#include <unistd.h>

#include "Vtop.h"
#include "verilated.h"

int main(int argc, char** argv) {
    const int line = std::atoi(argv[1]);
    const int divisor = std::atoi(argv[2]);
    const int poll_cycles = 64;       // how often the line is looked at
    const int quiet_cycles = 1 << 20; // after so many without a byte, the simulation slows down
    fcntl(line, F_SETFL, fcntl(line, F_GETFL) | O_NONBLOCK);
    Vtop top;
    top.rx = 1;
    uint8_t input[256];
    int have = 0, at = 0;
    int sending = 0, send_wait = 0;     // bits left, cycles left of this one
    int receiving = 0, receive_wait = 0;
    unsigned shift = 0, received = 0;
    int64_t quiet = 0;
    for (uint64_t cycle = 0;; cycle++) {
        top.rst = cycle < 16;
        if (send_wait) {
            send_wait--;
        } else if (sending) {
            top.rx = shift & 1;
            shift >>= 1;
            sending--;
            send_wait = divisor - 1;
        } else if (at < have && cycle >= 32) {
            shift = (unsigned(input[at++]) << 1) | 0x200; // start bit, data, stop bit
            sending = 10;
            quiet = 0;
        } else if (at == have && cycle % poll_cycles == 0) {
            const ssize_t got = read(line, input, sizeof input);
            if (got > 0) { have = int(got); at = 0; }
            else if (got == 0 || (errno != EAGAIN && errno != EINTR)) return 0;
            else if ((quiet += poll_cycles) > quiet_cycles) usleep(1000);
        }
        top.clk = 0;
        top.eval();
        top.clk = 1;
        top.eval();
        if (receive_wait) {
            receive_wait--;
        } else if (receiving) {
            received |= unsigned(top.tx & 1) << (9 - receiving);
            if (--receiving == 0) { // the ninth sample is the stop bit
                const uint8_t byte = uint8_t(received);
                while (write(line, &byte, 1) < 0) {
                    if (errno != EAGAIN && errno != EINTR) return 0;
                    usleep(1000);
                }
                quiet = 0;
            }
            receive_wait = receiving ? divisor - 1 : 0;
        } else if (!top.tx) {
            receiving = 9;
            received = 0;
            receive_wait = divisor + divisor / 2 - 1;
        }
    }
}
