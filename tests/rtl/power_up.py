"""A machine as it comes up in silicon: registers, and memories that are written, hold anything."""

import random
import re
from dataclasses import replace

REGISTER = re.compile(r"(\breg (?:signed )?(?:\[\d+:0\] )?\S+ = )(\d+)'(s?h)[0-9a-fx]+;")
WORD = re.compile(r"^(\s*(\S+)\[\d+\] = )(\d+)'h[0-9a-f]+;", re.MULTILINE)
WRITTEN = re.compile(r"^\s*(?:if \(.*\)\s*)?(\S+?)\[[^=;]*\] <=", re.MULTILINE)


def powered_up(design, seed=1):
    """Give every register and every word of memories that are written a random first value."""
    rng = random.Random(seed)

    def register(found):
        return f"{found[1]}{found[2]}'{found[3]}{rng.getrandbits(int(found[2])):x};"

    def module(text):
        written = set(WRITTEN.findall(text))

        def word(found):
            if found[2] not in written:
                return found[0]
            return f"{found[1]}{found[3]}'h{rng.getrandbits(int(found[3])):x};"

        return WORD.sub(word, REGISTER.sub(register, text))

    modules = re.split(r"(?=^module )", design.verilog, flags=re.MULTILINE)
    return replace(design, verilog="".join(map(module, modules)))
