"""Generates guest programs from a seed: program number N of seed S is always the same, whatever else is generated.

A program is a list of steps in assembler, run by the executor (executor/main.c) in one processor mode. After a fault it goes on with the next
step. What the architecture leaves undefined is kept out of the comparison where it arises: flags by `undefined`, values by masks, each with the
reason beside it.
"""
import random

from layout import (ABSENT, BITS, CODE, DATA, KERNEL, LONG, MODES, NEEDS_HYPERVISOR, NO_EXECUTE, PAGED, READ_ONLY, SEL, SUFFIX, SUPERVISOR, USER, USES_APIC, WINDOW,
                    WINDOW_USED, nmi_to_all, reg, self_ipi)
from switches import make_modes

CF, PF, AF, ZF, SF, OF = 1, 4, 0x10, 0x40, 0x80, 0x800
ALL = CF | PF | AF | ZF | SF | OF


class Program:
    def __init__(self, seed, number):
        self.id, self.r = number, random.Random(f"{seed}/{number}")
        self.kind = self.r.choices(list(KINDS), [k[1] for k in KINDS.values()])[0]
        make, _, modes = KINDS[self.kind]
        self.mode = self.r.choice(modes)
        self.bits = BITS.get(self.mode, 32)
        self.user, self.paged = self.mode in USER, self.mode in PAGED
        self.options, self.undefined, self.hidden_regs = 0, 0, set()
        self.flags = self.r.getrandbits(12) & ALL
        self.data_seed = self.r.getrandbits(32)
        self.steps = []
        make(self)

    # ---- what steps are made of ----

    def step(self, *lines):
        self.steps.append("\n\t".join(lines))

    def number(self, size):
        kind = self.r.randrange(6)
        if kind == 0:
            return self.r.choice([0, 1, (1 << size) - 1, 1 << (size - 1), (1 << (size - 1)) - 1, 2])
        if kind == 1:
            return self.r.randrange(256)
        return self.r.getrandbits(size)

    def sizes(self):
        return [8, 16, 32, 64] if self.bits == 64 else [8, 16, 32]

    def data(self, offset):
        """An operand in the program's own memory."""
        return hex(offset) if self.bits == 16 else hex(DATA + offset)

    def address_size(self):
        return {16: [16, 16, 32], 32: [32, 32, 32, 16], 64: [64, 64, 32]}[self.bits][self.r.randrange({16: 3, 32: 4, 64: 3}[self.bits])]

    def memory(self, offset, flat_base=None):
        """(lines before, operand) of an address: FS with its base, or, with flat_base, the flat segments. Uses b, si, di, bp, r12 to r14."""
        size, r = self.address_size(), self.r
        flat = flat_base is not None and self.bits != 16 and size != 16 and r.random() < 0.5
        prefix, at = ("", flat_base + offset) if flat else ("%fs:", offset)
        if size == 16:
            base = r.choice(["bx", "si", "di", "bp"])
            index = r.choice(["", ",%si", ",%di"]) if base in ("bx", "bp") else ""
            part = r.randrange(at + 1)
            before = [f"movw ${part}, %{base}"]
            if index:
                more = r.randrange(at - part + 1)
                before.append(f"movw ${more}, {index[1:]}")
                part += more
            return before, f"{prefix}{at - part}(%{base}{index})"
        if r.random() < 0.2 and size != 64:
            return [], f"{prefix}{at}"
        bases = ["b", "si", "di", "bp"] + (["r12", "r13", "r14"] if self.bits == 64 else [])
        base = r.choice(bases)
        part = r.randrange(at + 1)
        before = [f"mov ${part}, {reg(base, size)}"]
        if r.random() < 0.5:
            return before, f"{prefix}{at - part}({reg(base, size)})"
        index, scale = r.choice([x for x in bases if x != base]), r.choice([1, 2, 4, 8])
        times = r.randrange(-4, 16)
        before.append(f"mov ${times}, {reg(index, size)}")
        return before, f"{prefix}{at - part - scale * times}({reg(base, size)},{reg(index, size)},{scale})"

    def defined(self, undefined, sets=ALL):
        self.undefined = (self.undefined & ~sets) | undefined

    def set_flags(self):
        """Known flags before an instruction that reads them."""
        self.defined(0)
        return [f"mov ${self.r.getrandbits(7)}, %al", "cmp $0x33, %al"]

    def assembler(self):
        out = [f"\t.code{self.bits}", f"p{self.id}:"]
        for i, s in enumerate(self.steps):
            out.append(f"p{self.id}_{i}:\n\t{s}")
        n = len(self.steps)
        out.append(f"p{self.id}_{n}:\n\tint $0xf0\np{self.id}_end:")
        out.append("\t.balign 2\n" + f"p{self.id}_steps: .short " + ", ".join(f"p{self.id}_{i} - p{self.id}" for i in range(1, n + 1)))
        return "\n".join(out)

    def table_row(self):
        regs = 0xffff
        for x in self.hidden_regs:
            regs &= ~(1 << x)
        return (f"\t.long {self.id}\n\t.short {MODES.index(self.mode)}, {self.options}\n\t.long p{self.id}\n\t.short p{self.id}_end - p{self.id}, {len(self.steps)}\n"
                f"\t.long p{self.id}_steps, {self.flags}, {ALL & ~self.undefined}, {regs}, {self.data_seed}")


# ---- instruction forms on device memory ----

def operand(p, size):
    """An address in the window, not over its end."""
    return p.memory(p.r.randrange(0xf0 - size // 8), WINDOW if p.paged else None)


def form_move(p, size, before, m):
    d, s = reg(p.r.choice("acd"), size), SUFFIX[size]
    kind = p.r.randrange(4)
    if kind == 0:
        p.step(*before, f"mov {m}, {d}")
    elif kind == 1:
        p.step(*before, f"mov {d}, {m}")
    elif kind == 2:
        p.step(*before, f"mov{s} ${p.number(min(size, 31))}, {m}")
    else:
        to = p.r.choice([x for x in p.sizes() if x > size] or [0])
        if not to:
            return form_move(p, 8, before, m)
        name = p.r.choice(["movz", "movs"])
        if size == 32:
            p.step(*before, f"movslq {m}, {reg(p.r.choice('acd'), 64)}")
        else:
            p.step(*before, f"{name}{s}{SUFFIX[to]} {m}, {reg(p.r.choice('acd'), to)}")


def form_alu(p, size, before, m):
    op = p.r.choice(["add", "or", "adc", "sbb", "and", "sub", "xor", "cmp"])
    d, s = reg(p.r.choice("acd"), size), SUFFIX[size]
    carry = [p.r.choice(["stc", "clc"])]
    kind = p.r.randrange(3)
    lock = "lock " if kind != 1 and op != "cmp" and p.r.random() < 0.2 else ""
    body = [f"{lock}{op} {d}, {m}", f"{op} {m}, {d}", f"{lock}{op}{s} ${p.number(min(size, 31))}, {m}"][kind]
    p.step(*before, *carry, body)
    p.defined(AF if op in ("or", "and", "xor") else 0)  # AF of logic: SDM vol. 2, "AND"


def form_one(p, size, before, m):
    op = p.r.choice(["inc", "dec", "neg", "not"])
    lock = "lock " if p.r.random() < 0.2 else ""
    p.step(*before, f"{lock}{op}{SUFFIX[size]} {m}")
    if op != "not":
        p.defined(0, ALL & ~CF if op in ("inc", "dec") else ALL)


def form_test(p, size, before, m):
    if p.r.random() < 0.5:
        p.step(*before, f"test {reg(p.r.choice('acd'), size)}, {m}")
    else:
        p.step(*before, f"test{SUFFIX[size]} ${p.number(min(size, 31))}, {m}")
    p.defined(AF)


def form_exchange(p, size, before, m):
    op = p.r.choice(["xchg", "xadd", "lock xadd", "cmpxchg", "lock cmpxchg"])
    if "cmpxchg" in op and p.r.random() < 0.5:
        before = before + [f"mov {m}, {reg('a', size)}"]
    p.step(*before, f"{op} {reg(p.r.choice('cd'), size)}, {m}")
    if op != "xchg":
        p.defined(0)


def form_bit(p, size, before, m):
    size = max(size, 16)
    op = p.r.choice(["bt", "bts", "btr", "btc"])
    lock = "lock " if op != "bt" and p.r.random() < 0.2 else ""
    if p.r.random() < 0.5:
        p.step(*before, f"{lock}{op}{SUFFIX[size]} ${p.r.randrange(64)}, {m}")
    else:
        p.step(*before, f"mov ${p.r.randrange(64)}, {reg('c', size)}", f"{lock}{op} {reg('c', size)}, {m}")
    p.defined(p.undefined & ZF | OF | SF | AF | PF, CF | OF | SF | AF | PF)  # SDM vol. 2, "BT"


CONDITIONS = ["o", "no", "b", "ae", "e", "ne", "be", "a", "s", "ns", "p", "np", "l", "ge", "le", "g"]


def form_condition(p, size, before, m):
    flags = p.set_flags() + ["pushf", "popf"]  # TCG loses flags it has not yet computed when SETcc faults
    if p.r.random() < 0.5:
        p.step(*before, *flags, f"set{p.r.choice(CONDITIONS)} {m}")
    else:
        size = max(size, 16)
        p.step(*before, *flags, f"cmov{p.r.choice(CONDITIONS)} {m}, {reg(p.r.choice('acd'), size)}")


def form_shift(p, size, before, m):
    op = p.r.choice(["shl", "shr", "sar", "rol", "ror", "rcl", "rcr"])
    count = p.r.choice([1, 1, p.r.randrange(size)])
    flags = p.set_flags() + ["pushf", "popf"] * (op[:2] == "rc")  # TCG loses flags it has not yet computed when RCL or RCR faults
    if p.r.random() < 0.5 or count == 0:
        p.step(*before, f"mov ${count}, %cl", *flags, f"{op}{SUFFIX[size]} %cl, {m}")
    else:
        p.step(*before, *flags, f"{op}{SUFFIX[size]} ${count}, {m}")
    if count:  # SDM vol. 2, "SAL/SAR/SHL/SHR" and "RCL/RCR/ROL/ROR": OF only for a count of 1, AF undefined after shifts
        p.defined((OF if count != 1 else 0) | (AF if op[0] == "s" else 0), OF | AF)


def form_stack(p, size, before, m):
    size = 64 if p.bits == 64 else p.r.choice([16, 32])
    if p.r.random() < 0.5:
        p.step(*before, f"push{SUFFIX[size]} {m}", f"pop {reg('a', size)}")
    else:
        p.step(*before, f"push {reg('c', size)}", f"pop{SUFFIX[size]} {m}")


def form_multiply(p, size, before, m):
    size = max(size, 16)
    op = p.r.choice(["imul", "imul3", "mul", "imul1"])
    if op == "imul":
        p.step(*before, f"imul {m}, {reg(p.r.choice('acd'), size)}")
    elif op == "imul3":
        p.step(*before, f"imul ${p.number(15)}, {m}, {reg(p.r.choice('acd'), size)}")
    else:
        p.step(*before, f"{op[:4].rstrip('1')}{SUFFIX[size]} {m}")
    p.defined(SF | ZF | AF | PF)  # SDM vol. 2, "MUL", "IMUL"


def form_store(p, size, before, m):
    """MOVNTI and MOVBE; the latter not in 16-bit code, where TCG takes 66h for 16 bits and none for 32 (vol. 2, "MOVBE")."""
    if p.r.random() < 0.5 or p.bits == 16:
        p.step(*before, f"movnti {reg(p.r.choice('acd'), 64 if size == 64 else 32)}, {m}")
        return
    d = reg(p.r.choice("acd"), max(size, 16))
    p.step(*before, f"movbe {m}, {d}" if p.r.random() < 0.5 else f"movbe {d}, {m}")


FORMS = [(form_move, 6), (form_alu, 5), (form_one, 2), (form_test, 2), (form_exchange, 3), (form_bit, 2), (form_condition, 1), (form_shift, 2),
         (form_stack, 1), (form_multiply, 1), (form_store, 1)]


def make_forms(p):
    p.options |= WINDOW_USED
    for _ in range(p.r.randrange(2, 6)):
        size = p.r.choice(p.sizes())
        form = p.r.choices([f for f, _ in FORMS], [w for _, w in FORMS])[0]
        before, m = operand(p, size)
        form(p, size, before, m)


def make_device_strings(p):
    """MOVS, STOS, LODS, SCAS, CMPS between the window and memory, with and without REP, both directions. ES has the window where it can."""
    p.options |= WINDOW_USED
    wide = p.bits
    for _ in range(p.r.randrange(1, 4)):
        size = p.r.choice(p.sizes())
        s, n, down = SUFFIX[size], p.r.randrange(0, 9), p.r.random() < 0.3
        at, other = 0x60, 0x100 + 8 * p.r.randrange(16)
        from_window = p.r.random() < 0.5 or not p.paged
        op = p.r.choice(["movs", "lods", "movs", "cmps"] if from_window else ["movs", "stos", "scas", "cmps"])
        rep = p.r.choice(["", "rep "]) if op in ("movs", "stos", "lods") else p.r.choice(["", "repe ", "repne "])
        source = (f"${at}", "%fs:") if from_window else (f"${p.data(other)}", "")
        target = f"${p.data(other)}" if from_window or p.bits == 16 else f"${WINDOW + at}"
        flags = p.set_flags()
        p.step("std" if down else "cld", f"mov {source[0]}, {reg('si', wide)}", f"mov {target}, {reg('di', wide)}", f"mov ${n}, {reg('c', wide)}",
               *flags, f"{rep}{op}{s} {source[1]}({reg('si', wide)}), %es:({reg('di', wide)})" if op in ("movs",) else
               f"{rep}{op}{s} %es:({reg('di', wide)}), {source[1]}({reg('si', wide)})" if op == "cmps" else
               f"{rep}lods{s} {source[1]}({reg('si', wide)})" if op == "lods" else f"{rep}{op}{s}", "cld")


# ---- CPUID, MSRs ----

def only(*bits):
    return sum(1 << b for b in bits)


FULL = (0xffffffff,) * 4
# Leaf -> the bits that Berth decides. The others are the machine's (vendor, model, instruction sets), and the two machines differ there.
CPUID_COMPARED = {
    0: (0, 0, 0, 0),
    1: (0, 0xffff0000, 0xffffffff & ~only(0, 1, 9, 12, 13, 17, 19, 20, 22, 23, 25, 26, 28, 29, 30),
        0xffffffff & ~only(0, 1, 2, 3, 4, 5, 6, 8, 11, 13, 15, 16, 17, 19, 23, 24, 25, 26)),
    7: (0xffffffff, 0xffffffff & ~only(0, 3, 5, 7, 8, 9, 10, 18, 19, 20, 23, 24, 29), 0xffffffff & ~only(2, 3, 9, 10, 22), 0xffffffff & ~only(4)),
    0xd: (0, 0, 0, 0xffffffff),
    0x80000000: (0xffffffff, 0, 0, 0),
    0x80000001: (0, 0, 0xffffffff & ~only(0, 4, 5, 6, 7, 8), 0xffffffff & ~only(0, 1, 2, 3, 4, 5, 6, 8, 11, 13, 15, 16, 17, 20, 22, 23, 24, 25, 26, 27, 29)),
    0x80000002: (0, 0, 0, 0), 0x80000003: (0, 0, 0, 0), 0x80000004: (0, 0, 0, 0), 0x80000005: (0, 0, 0, 0), 0x80000006: (0, 0, 0, 0),
    0x80000008: (0xffff0000, 0xffffffff, 0xffffffff, 0xffffffff),
}
LEAVES = [0, 1, 2, 4, 5, 6, 7, 8, 0xa, 0xb, 0xc, 0xd, 0xe, 0x10, 0x14, 0x1f, 0x40000000, 0x40000001, 0x40000002, 0x40000100, 0x40000101, 0x40010000,
          0x80000000, 0x80000001, 0x80000002, 0x80000005, 0x80000006, 0x80000007, 0x80000008, 0x80000009, 0x8000000a, 0x8000001f, 0xc0000000, 0xffffffff]


def store(p, offset, registers, masks=FULL):
    """Keeps registers masked in memory, then puts constants there."""
    lines = []
    for i, (x, m) in enumerate(zip(registers, masks)):
        lines += [f"and ${m}, {reg(x, 32)}", f"mov {reg(x, 32)}, {p.data(offset + 4 * i)}"]
    return lines + [f"mov $0, {reg(x, 32)}" for x in registers] + ["cmp %eax, %eax"]


def make_cpuid(p):
    p.options |= NEEDS_HYPERVISOR
    for i in range(p.r.randrange(1, 5)):
        leaf = p.r.choice(LEAVES) if p.r.random() < 0.9 else p.r.getrandbits(32)
        sub = p.r.choice([0, 0, 1, 2, 3, 9, 63, 0xffffffff])
        prefix = p.r.choice(["", "", ".byte 0x66", ".byte 0xf2", ".byte 0x2e"])
        masks = FULL if leaf == 0xd and sub not in (0, 1, 2, 9) else CPUID_COMPARED.get(leaf, FULL)
        p.step(f"mov ${leaf}, %eax", f"mov ${sub}, %ecx", *([prefix] if prefix else []), "cpuid", *store(p, 0x200 + 16 * i, "abcd", masks))
        p.defined(0)


MSRS = [0x17, 0x1b, 0x8b, 0xfe, 0x174, 0x175, 0x176, 0x179, 0x17a, 0x1a0, 0x1d9, 0x200, 0x201, 0x20f, 0x250, 0x258, 0x259, 0x268, 0x26f, 0x277, 0x2ff,
        0x6e0, 0x802, 0x803, 0x808, 0x80a, 0x80d, 0x80f, 0x810, 0x820, 0x828, 0x832, 0x835, 0x83e, 0x840, 0x8ff, 0x4b564d00, 0x4b564d01, 0x4b564d04,
        0xc0000080, 0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, 0xc0000102, 0xc0000103, 0xc0000104, 0xc0010010, 0xc0010015, 0xc001001f, 0xc0010055,
        0xc0010114, 0xc0010117, 0xc0010140, 0xc0011029, 0x48, 0x49, 0x3a, 0x480, 0x10a, 0x345, 0x38f, 0xda0]
# Not written: what would take the executor's APIC or clock away, or start something that outlives the program.
MSRS_READ_ONLY = {0x1b, 0x6e0, 0x80f, 0x832, 0x835, 0x4b564d00, 0x4b564d01, 0x4b564d04, 0x83e}
MSR_VALUES = [0, 1, 0xd01, 0x500, 0xffffffff, 0x100000000, 0x0007040600070406, 0x0606060606060606, 0x0202020202020202, 0xffff800000000000, 0x00007fffffffffff,
              0x0000800000000000, 0xffffffffffffffff, 0x123456789abcdef0]
EFER = 0xc0000080


def make_msr(p):
    p.options |= NEEDS_HYPERVISOR
    for i in range(p.r.randrange(1, 4)):
        msr = p.r.choice(MSRS) if p.r.random() < 0.9 else p.r.choice([p.r.getrandbits(32), p.r.getrandbits(13), 0xc0000000 + p.r.getrandbits(13)])
        value = p.r.choice(MSR_VALUES) if p.r.random() < 0.8 else p.r.getrandbits(64)
        if 0x800 <= msr < 0x900 and msr not in (0x802, 0x803, 0x808, 0x80a, 0x80d, 0x810, 0x820, 0x828):
            continue  # interrupts to nowhere
        if msr == 0x174:
            value &= 0xffff  # TCG keeps 16 bits of SYSENTER_CS, Bochs 32: what is used is a selector
        if msr in (0x175, 0x176, 0xc0000082, 0xc0000083, 0xc0000102):
            value &= 0x7fffffffffff  # TCG accepts what is not canonical where the guest writes without an exit (vol. 2, "WRMSR")
        if msr == 0xc0000084:
            value &= 0xffffffff  # SFMASK: reserved above (vol. 4, table 2-2); TCG keeps them
        if msr == EFER:
            value &= ~(1 << 14)  # FFXSR: only one of the machines has it
        read = [f"mov ${msr}, %ecx", "rdmsr"]
        p.step(*read, *store(p, 0x300 + 32 * i, "ad"))
        if msr in MSRS_READ_ONLY or msr in (0x10,):
            continue
        # The old value is written back: programs do not see each other.
        p.step(*read, "mov %eax, %esi", "mov %edx, %edi", f"mov ${value & 0xffffffff}, %eax", f"mov ${value >> 32}, %edx", "wrmsr", "rdmsr",
               "mov %eax, %ebx", "mov %edx, %ebp", "mov %esi, %eax", "mov %edi, %edx", "wrmsr",
               f"mov %ebx, {p.data(0x310 + 32 * i)}", f"mov %ebp, {p.data(0x314 + 32 * i)}")


# ---- exceptions ----

def make_exceptions(p):
    r = p.r
    word = {16: "w", 32: "l", 64: "q"}[p.bits]
    # Not generated, because QEMU's TCG does not do what the SDM says: segment limits (vol. 3, 5.3), writes to read-only segments (5.5), LOCK before
    # what takes none (vol. 2, "LOCK"), the error code of INT n in long mode (vol. 3, 6.13: TCG says 16 for a vector, not 8), a locked access reported
    # as a read, a reserved bit of a page table reported as absent (4.7), #SS for a stack address that is not canonical (6.15), the upper half of an
    # LDT's descriptor in long mode (8.2.1), CR0.NW without CD and CR8 above 15 (2.5). DR7.GD (17.2.4) is missing there.
    choices = ["mov $0, %cl\n\tdivb %cl", "ud2", "int3", "int $0x80", "int $0x90", ".byte 0xf1", "mov $7, %eax\n\tmov $0, %edx\n\tdiv %edx",
               "mov $0x80000000, %eax\n\tcltd\n\tmov $-1, %ecx\n\tidiv %ecx", ".byte 0x0f, 0x0b", ".byte 0x0f, 0xff", "rdpmc",
               "hlt_or_gp", "mov $0xffffffff, %ecx\n\trdpmc", "mov $0, %ecx\n\tmov $0, %edx\n\tmov $0x20000, %eax\n\t.byte 0x0f, 0x01, 0xc8", "mov $0, %ecx\n\t.byte 0x0f, 0x01, 0xc9", ".byte 0x0f, 0xaa", "invd", "wbinvd"]
    if p.mode not in LONG:
        choices += ["int $0xa0", "int $0x20"]
    if p.bits != 64:
        choices += ["mov $1, %al\n\tadd $127, %al\n\tinto", f"mov $5, {reg('c', p.bits)}\n\tbound {reg('c', p.bits)}, {p.data(0x400)}", "aam $0"]
    if p.paged:
        at = {"absent": ABSENT, "read-only": READ_ONLY, "no-execute": NO_EXECUTE, "supervisor": SUPERVISOR}
        if p.mode == "pae32":
            del at["no-execute"]  # a reserved bit there
        for address in at.values():
            choices += [f"mov {address + r.randrange(0x1000)}, %al", f"movb $1, {address + r.randrange(0x1000)}",
                        f"mov $0xc3c3c3c3, %eax\n\tmov %eax, {address}\n\tmov ${address}, {reg('b', p.bits)}\n\tcall *{reg('b', p.bits)}"]
        choices += [f"mov {ABSENT - 2}, %eax", f"mov %eax, {ABSENT - 1}", f"mov {READ_ONLY - 3}, %eax"]
    if p.mode != "real":
        for name in ("absent", "tss", "ldt", "execonly", "readonly", "code32", "data32"):
            s = SEL[name] | r.choice([0, 0, 3])
            # The read-only segment begins at the data and has a limit.
            choices += [f"mov ${s}, %eax\n\tmov %eax, %es", f"mov ${s}, %eax\n\tmov %eax, %ds\n\tmovb {0x408 if name == 'readonly' else p.data(0x408)}, %al", *([] if name == "ldt" and p.mode in LONG else [  # an LDT's rights in long mode: Bochs refuses, table 3-51 of vol. 2 "LAR" does not
                            f"mov ${s}, %eax\n\tlar %ax, %ecx\n\tand $0xf0ff00, %ecx", f"mov ${s}, %eax\n\tlsl %ax, %ecx"]),  # bits 19:16 are undefined
                        f"mov ${s}, %eax\n\tverr %ax", f"mov ${s}, %eax\n\tverw %ax", f"mov ${s}, %eax\n\tltr %ax", *([] if name == "ldt" and p.mode in LONG else [f"mov ${s}, %eax\n\tlldt %ax"])]
            if name != "data32":
                choices.append(f"mov ${s}, %eax\n\tmov %eax, %ss")
        choices += ["mov $0xfff8, %eax\n\tmov %eax, %es", "xor %eax, %eax\n\tmov %eax, %ss", "mov $4, %eax\n\tmov %eax, %ds"]
    if p.bits == 64:
        choices += ["mov $0x800000000000, %rbx\n\tmov (%rbx), %al", "mov $0x800000000000, %rbx\n\tjmp *%rbx", "mov $0x900000000000, %rbx\n\tpush (%rbx)",
                    "mov $0x7fffffffffff, %rbx\n\tmov (%rbx), %al", "syscall_absent"]
    for _ in range(r.randrange(1, 5)):
        c = r.choice(choices)
        if c == "hlt_or_gp":
            c = "hlt" if p.user else "nop"
        if c == "syscall_absent":
            c = "sysexit" if p.user else "nop"
        if "%es" in c or "%ds" in c:
            c += "\n\tcmp %eax, %eax"
        # Division leaves all flags undefined, LAR and LSL all but ZF; a fault in either leaves them as they were, TCG's may not.
        p.step(c, "cmp %ecx, %ecx")
    p.defined(0)
    if p.mode != "real":
        back = {16: (SEL["data16"],), 32: (SEL["data32"],), 64: (SEL["data32"],)}[p.bits][0]
        if p.user:
            back = SEL["udata32"]
        p.step(f"mov ${back}, %eax", "mov %eax, %ds", "mov %eax, %es")


# ---- interrupts and NMIs ----

def exiting(p):
    """Instructions that leave the guest, and some that do not. They change nothing that is compared but by being executed."""
    return p.r.choice(["nop", "inc %esi", "mov $0, %eax\n\tcpuid\n\tmov $0, %eax\n\tmov $0, %ebx\n\tmov $0, %ecx\n\tmov $0, %edx", "in $0xe0, %al", "out %al, $0xe1",
                       "mov $0x802, %ecx\n\trdmsr", "push %ss\n\tpop %ss" if p.bits != 64 else "mov %ss, %eax\n\tmov %eax, %ss", "mov %ss, %eax\n\tmov %eax, %ss", "wbinvd", "sti", "cli\n\tsti",
                       f"mov %cr0, {reg('a', max(p.bits, 32))}\n\tmov {reg('a', max(p.bits, 32))}, %cr0", "mov %dr7, " + reg("a", max(p.bits, 32)), "pushf\n\tpopf", "%fs:incl 8".replace("%fs:incl", "incl %fs:")])


def make_interrupts(p):
    p.options |= NEEDS_HYPERVISOR | USES_APIC
    r = p.r
    for _ in range(r.randrange(1, 4)):
        kind = r.randrange(6)
        vectors = r.sample(range(0x40, 0x80), r.randrange(1, 3))
        lines = ["cli"]
        for v in vectors:
            lines += self_ipi(v)
        if kind == 0:
            lines += ["sti", exiting(p), "nop"]
        elif kind == 1:
            lines += ["sti", "hlt"]
        elif kind == 2:
            lines += ["pushf", {16: "pop %ax\n\tor $0x200, %ax\n\tpush %ax", 32: "orl $0x200, (%esp)", 64: "orl $0x200, (%rsp)"}[p.bits], "popf", exiting(p)]
        elif kind == 3:
            lines += nmi_to_all() + [exiting(p), "sti", exiting(p)]
        elif kind == 4:
            lines += ["mov $0x808, %ecx", f"mov ${r.choice([0x30, 0x40, 0x50, 0x60, 0x70])}, %eax", "mov $0, %edx", "wrmsr", "sti", exiting(p), "mov $0x808, %ecx", "mov $0, %eax", "mov $0, %edx",
                      "wrmsr", exiting(p)]
        elif p.bits == 64:
            lines += [f"mov ${r.randrange(16)}, %eax", "mov %rax, %cr8", "sti", exiting(p), "mov $0, %eax", "mov %rax, %cr8", exiting(p)]
        else:
            lines += ["sti", exiting(p), exiting(p)]
        p.step(*lines, "nop", "nop", "cli", "mov $0, %eax", "mov $0, %edx", "mov $0, %ecx", "cmp %eax, %eax")
    p.defined(0)


def make_nmi(p):
    p.options |= NEEDS_HYPERVISOR | USES_APIC
    for _ in range(p.r.randrange(1, 4)):
        p.step("cli", *nmi_to_all(), exiting(p), "mov $0, %eax", "mov $0, %edx", "mov $0, %ecx", "cmp %eax, %eax")
    p.defined(0)


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


# ---- debug registers and single steps ----

def make_debug(p):
    r = p.r
    w = 64 if p.bits == 64 else 32
    a = reg("a", w)
    p.options |= NEEDS_HYPERVISOR
    off = "and $0xfeff, %ax"
    pop_flags = {16: [f"pushf\n\tpop %ax\n\t{off}\n\tpush %ax\n\tpopf"], 32: ["pushf\n\tandl $~0x100, (%esp)\n\tpopf"], 64: ["pushf\n\tandl $~0x100, (%rsp)\n\tpopf"]}[p.bits]
    set_flags = {16: "pushf\n\tpop %ax\n\tor $0x100, %ax\n\tpush %ax\n\tpopf", 32: "pushf\n\torl $0x100, (%esp)\n\tpopf", 64: "pushf\n\torl $0x100, (%rsp)\n\tpopf"}[p.bits]
    for _ in range(r.randrange(1, 3)):
        kind = r.choice([0, 1, 3, 4])
        if kind == 0:
            p.step(set_flags, exiting_once(p), *pop_flags, "nop", "mov $0, %eax")
        elif kind == 1 and not p.user:
            size, length = r.choice([(1, 0), (2, 1), (4, 3)])
            offset = 0x500 + 4 * r.randrange(4)
            kindbits = r.choice([1, 3])
            n = r.randrange(4)
            value = 1 << (2 * n) | (kindbits | length << 2) << (16 + 4 * n) | 0x400
            access = r.choice([f"mov {p.data(offset)}, %cl", f"movb $1, {p.data(offset)}", f"incl {p.data(offset)}", f"movb $1, {p.data(offset + size)}", f"mov {p.data(offset)}, %ecx"])
            p.step(f"mov ${DATA + offset}, {a}", f"mov {a}, %dr{n}", f"mov ${value}, {a}", f"mov {a}, %dr7", access, "nop", "mov $0x400, %eax", f"mov {a}, %dr7", f"mov $0, {a}", "cmp %eax, %eax")
        elif kind == 3:
            n = r.randrange(4)
            p.step(f"mov ${r.getrandbits(31)}, {a}", f"mov {a}, %dr{n}", f"mov %dr{n}, {reg('c', w)}", f"mov $0, {a}", f"mov {a}, %dr{n}")
        else:
            p.step(".byte 0xf1" if r.random() < 0.3 else "int3", "nop")
    p.defined(0)
    p.step("cmp %eax, %eax")


def exiting_once(p):
    return p.r.choice(["nop\n\tnop", "in $0xe0, %al", "out %al, $0xe1", "mov %ss, %eax\n\tmov %eax, %ss\n\tnop", "push %ss\n\tpop %ss\n\tnop" if p.bits != 64 else "nop",
                       "mov $1, %ecx\n\tcld\n\tmov $0xe0, %edx", "rdmsr_or_nop".replace("rdmsr_or_nop", "nop" if p.user else "mov $0x802, %ecx\n\trdmsr"),
                       "mov $0, %eax\n\tcpuid\n\tmov $0, %eax\n\tmov $0, %ebx\n\tmov $0, %ecx\n\tmov $0, %edx", "int3", "nop" if p.user else "wbinvd"])  # no PAUSE: TCG loses the trap after it


# ---- control registers, segments, modes ----

def make_control(p):
    r = p.r
    w = 64 if p.bits == 64 else 32
    a, c = reg("a", w), reg("c", w)
    for i in range(r.randrange(1, 4)):
        kind = r.randrange(7)
        if kind == 0:
            # CR0 values that cannot be, or that change nothing which the executor needs: PE and PG stay.
            bits = r.choice([1 << 30, 1 << 3, 1 << 1, 1 << 2, 1 << 16, 1 << 18, 1 << 30 | 1 << 29, 1 << 18])  # not above bit 31: TCG accepts it (vol. 3, 2.5)
            p.step(f"mov %cr0, {a}", f"mov {a}, {reg('si', w)}", f"mov ${bits}, {c}", f"xor {c}, {a}", f"mov {a}, %cr0", f"mov %cr0, {a}", f"mov {a}, {p.data(0x600 + 16 * i)}", f"mov {reg('si', w)}, %cr0")
        elif kind == 1:
            bits = r.choice([1 << 2, 1 << 3, 1 << 9, 1 << 10, 1 << 7, 1 << 0, 1 << 1, 1 << 8, 1 << 13, 1 << 14, 1 << 19, 1 << 12, 1 << 24, 1 << 31])
            if bits in (1 << 12, 1 << 24) or (bits == 1 << 19):
                continue  # LA57 and what newer processors add: one machine has it
            p.step(f"mov %cr4, {a}", f"mov {a}, {reg('si', w)}", f"mov ${bits}, {c}", f"xor {c}, {a}", f"mov {a}, %cr4", f"mov %cr4, {a}", f"mov {a}, {p.data(0x600 + 16 * i)}", f"mov {reg('si', w)}, %cr4")
        elif kind == 2:
            p.step("smsw %ax", "mov %eax, %ecx", f"mov %ax, {p.data(0x608 + 16 * i)}", r.choice(["or $8, %ax", "or $2, %ax", "and $0xfffe, %ax"]), "lmsw %ax", f"smsw {reg('d', w)}", "clts", "lmsw %cx", "mov $0, %eax", f"mov $0, {reg('d', w)}", f"mov $0, {c}")
        elif kind == 3:
            p.step(f"mov %cr2, {a}", f"mov $0x12345678, {a}", f"mov {a}, %cr2", f"mov %cr2, {c}")
        elif kind == 4 and p.bits == 64:
            p.step(f"mov ${r.choice([0, 3, 15])}, %rax", "mov %rax, %cr8", "mov %cr8, %rcx", "mov $0, %eax", "mov %rax, %cr8")
        elif kind == 5:
            p.step(f"mov %cr3, {a}", f"mov {a}, %cr3", f"mov $0, {a}")
        else:
            p.step("mov $0, %ecx", ".byte 0x0f, 0x01, 0xd0" if r.random() < 0.5 else "mov $1, %eax\n\tmov $0, %edx\n\t.byte 0x0f, 0x01, 0xd1", "mov $0, %eax", "mov $0, %edx")
    p.step("mov $0, %eax", "mov $0, %ecx", "mov $0, %esi", "cmp %eax, %eax")
    p.defined(0)


def make_segments(p):
    r = p.r
    for i in range(r.randrange(1, 4)):
        kind = r.randrange(6)
        if kind == 0:
            p.step(f"str %ax", f"mov %ax, {p.data(0x700 + 16 * i)}", f"sldt %cx", f"mov %cx, {p.data(0x702 + 16 * i)}")
        elif kind == 1 and p.mode != "real" and p.bits != 64:  # TCG adds an ES override's base in 64-bit mode (vol. 3, 3.4.4)
            name = r.choice(["down", "tiny", "readonly", "conforming"])
            where = r.choice([0x800, 0xffe]) if name == "down" else r.choice([0, 0xe, 0xf])  # within limits
            back = SEL["udata32"] if p.user else SEL["data16"] if p.bits == 16 else SEL["data32"]
            p.step(f"mov ${SEL[name]}, %eax", "mov %eax, %es", f"mov ${where}, %ebx", *([f"movb $7, %es:({reg('b', p.bits)})"] if r.random() < 0.5 and name in ("down", "tiny") else [f"mov %es:({reg('b', p.bits)}), %dl"]))
            p.step(f"mov ${back}, %eax", "mov %eax, %es")
        elif kind == 2 and p.bits == 32 and not p.user:
            p.step(f"push ${SEL['code32']}", f"push $1f - p{p.id} + {CODE}", "lret", "1: nop")
        elif kind == 3 and p.bits == 64 and not p.user:
            # To compatibility mode and back.
            p.step(f"push ${SEL['code32']}", f"push $1f - p{p.id} + {CODE}", "lretq", ".code32", "1: mov %esp, %ebx", "inc %esi", f"ljmp ${SEL['code64']}, $1f - p{p.id} + {CODE}", ".code64", "1: nop", "mov $0, %ebx")
            p.step("mov $0, %esi")
        elif kind == 4 and p.mode == "prot32":
            # To 16-bit code and back.
            p.step(f"ljmp ${SEL['code16']}, $1f - p{p.id}", ".code16", "1: mov $0x1234, %bx", "inc %esi", f"ljmpl ${SEL['code32']}, $1f - p{p.id} + {CODE}", ".code32", "1: nop")
        elif kind == 5 and p.mode == "prot32":
            # Paging off and on would need tables; protection off and on again in 16-bit code.
            p.step(f"ljmp ${SEL['code16']}, $1f - p{p.id}", ".code16", "1: mov %cr0, %eax", "and $0xfe, %al", "mov %eax, %cr0", f"ljmp ${CODE >> 4}, $2f - p{p.id}",
                   "2: mov %ds, %ecx", "inc %esi", "mov %cr0, %eax", "or $1, %al", "mov %eax, %cr0", f"ljmpl ${SEL['code32']}, $1f - p{p.id} + {CODE}", ".code32", "1: mov $0, %eax")
        else:
            s = r.choice([0, 3, SEL["data32"], SEL["readonly"], SEL["window"]])
            if p.mode != "real":
                p.step(f"mov ${s}, %eax", "mov %eax, %gs", "mov %gs, %ecx")
            else:
                p.step("mov $0x1234, %eax", "mov %eax, %gs", "mov %gs, %ecx")
    p.defined(0)
    p.step("cmp %eax, %eax")


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


def assembler(programs):
    code = "\n".join(p.assembler() for p in programs)
    table = "\n".join(p.table_row() for p in programs)
    return (f"\t.section .rodata\n{code}\n\t.balign 8\n\t.globl programs, program_count\nprograms:\n{table}\nprogram_count: .long {len(programs)}\n"
            "\t.section .note.GNU-stack, \"\", @progbits\n")
