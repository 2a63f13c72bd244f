"""Generates guest programs from a seed: program number N of seed S is always the same, whatever else is generated.

A program is a list of steps in assembler, run by the executor (executor/main.c) in one processor mode. After a fault it goes on with the next
step. What the architecture leaves undefined is kept out of the comparison where it arises: flags by `undefined`, values by masks, each with the
reason beside it.
"""
from events import make_exceptions, make_interrupts, make_nmi
from forms import make_device_strings, make_forms
from layout import DATA, KERNEL, MODES, NEEDS_HYPERVISOR, SUFFIX, reg
from program import Program
from registers import make_control, make_cpuid, make_debug, make_msr, make_segments
from switches import make_modes


# ---- ports ----

def make_ports(p):
    p.options |= NEEDS_HYPERVISOR
    for _ in range(p.r.randrange(1, 6)):
        size = p.r.choice([8, 16, 32])
        a, port = reg("a", size), p.r.choice([0xe0, 0xe0, 0xe1, 0xe2, 0x80, 0xe8])
        lines = [p.r.choice([f"in ${port}, {a}", f"out {a}, ${port}", f"mov ${port}, %edx\n\tin %dx, {a}", f"mov ${port}, %edx\n\tout {a}, %dx"])]
        p.step(*lines)


def make_port_strings(p):
    p.options |= NEEDS_HYPERVISOR
    r = p.r
    for _ in range(r.randrange(1, 4)):
        size, wide = r.choice([8, 16, 32]), r.choice({16: [16, 32], 32: [32, 32, 16], 64: [64, 64, 32]}[p.bits])
        if p.bits == 32 and wide == 16:
            wide = 32  # flat segments: offsets of 16 bits reach no memory of the program
        s, n = SUFFIX[size], r.choice([0, 1, 2, 7, 33, 300])
        down, rep = r.random() < 0.3, r.choice(["rep ", "rep ", ""])
        offset = r.choice([0x800, 0xff0, 0xffd, 0x1000, 0x1ffe if p.paged else 0x1800])
        at = offset if p.bits == 16 else DATA + offset
        flags = p.set_flags()
        body = f"{rep}outs{s} {r.choice(['', '', '%es:'])}({reg('si', wide)}), %dx" if r.random() < 0.5 else f"{rep}ins{s} %dx, %es:({reg('di', wide)})"
        p.step(*flags, "std" if down else "cld", f"mov ${at}, {reg('si', max(wide, 32))}", f"mov ${at}, {reg('di', max(wide, 32))}", f"mov ${n}, {reg('c', max(wide, 32))}", "mov $0xe0, %edx", body, "cld")
    p.step("cld")


# ---- nothing else ----

def make_plain(p):
    """Instructions that leave the guest and do nothing else, and a little arithmetic between them."""
    p.options |= NEEDS_HYPERVISOR
    for _ in range(p.r.randrange(2, 7)):
        c = p.r.choice(["pause", "nop", "wbinvd", "invd", ".byte 0x0f, 0x01, 0xf9\n\tmov $0, %eax\n\tmov $0, %edx\n\tmov $0, %ecx", "rdtsc\n\tmov $0, %eax\n\tmov $0, %edx",
                        f"add ${p.number(31)}, {reg(p.r.choice('abcd'), 32)}", f"sub ${p.number(31)}, {reg(p.r.choice('abcd'), 32)}", "out %al, $0x80", "clflush_or_nop",
                        "invlpg_or_nop", "lfence", "mfence", "xgetbv_ud", "swapgs_or_nop"])
        c = {"clflush_or_nop": f"clflush {p.data(0x40)}", "invlpg_or_nop": f"invlpg {p.data(0x40)}", "xgetbv_ud": "mov $0, %ecx\n\t.byte 0x0f, 0x01, 0xd0",
             "swapgs_or_nop": "swapgs\n\tswapgs" if p.bits == 64 else "nop"}.get(c, c)
        p.step(c)
    p.step("cmp %eax, %eax")
    p.defined(0)


# Kind -> what makes it, how often, in which modes.
KINDS = {
    "forms": (make_forms, 30, MODES),
    "device-strings": (make_device_strings, 8, MODES),
    "cpuid": (make_cpuid, 6, MODES),
    "msr": (make_msr, 10, MODES),
    "exceptions": (make_exceptions, 12, MODES),
    "interrupts": (make_interrupts, 8, KERNEL),
    "nmi": (make_nmi, 3, KERNEL),
    "ports": (make_ports, 4, MODES),
    "port-strings": (make_port_strings, 7, KERNEL),
    "debug": (make_debug, 7, MODES),
    "control": (make_control, 6, KERNEL),
    "segments": (make_segments, 5, MODES),
    "plain": (make_plain, 4, MODES),
    "modes": (make_modes, 10, KERNEL),
}


def program(seed, number):
    return Program(seed, number, KINDS)


def assembler(programs):
    code = "\n".join(p.assembler() for p in programs)
    table = "\n".join(p.table_row() for p in programs)
    return (f"\t.section .rodata\n{code}\n\t.balign 8\n\t.globl programs, program_count\nprograms:\n{table}\nprogram_count: .long {len(programs)}\n"
            "\t.section .note.GNU-stack, \"\", @progbits\n")
