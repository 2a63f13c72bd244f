"""Programs about what a processor says of itself and what its registers take: CPUID, MSRs, debug registers, control registers, segments."""
from layout import CODE, DATA, NEEDS_HYPERVISOR, SEL, reg


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
