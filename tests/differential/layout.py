"""What executor/layout.h says, for the generator: addresses, selectors and modes, the same in every mode; flags and the names of registers; and what several kinds of programs do."""

CODE, DATA, ABSENT, READ_ONLY, NO_EXECUTE, SUPERVISOR, STACK, STACK_TOP, WINDOW = (
    0x10000, 0x20000, 0x22000, 0x24000, 0x26000, 0x28000, 0x30000, 0x30f00, 0x40000)
SEL = {"code32": 0x08, "data32": 0x10, "code16": 0x18, "data16": 0x20, "stack16": 0x28, "code64": 0x30, "ucode32": 0x3b, "udata32": 0x43,
       "window": 0x50, "tss": 0x58, "absent": 0x78, "readonly": 0x80, "down": 0x88, "conforming": 0x90, "execonly": 0x98, "ldt": 0xa0, "tiny": 0xa8}
MODES = ["real", "prot16", "prot32", "paged32", "pae32", "user32", "long64", "compat32", "user64"]
BITS = {"real": 16, "prot16": 16, "long64": 64, "user64": 64}
PAGED = {"paged32", "pae32", "user32", "long64", "compat32", "user64"}
USER = {"user32", "user64"}
LONG = {"long64", "user64", "compat32"}
KERNEL = [m for m in MODES if m not in USER]
WINDOW_USED, NEEDS_HYPERVISOR, USES_APIC = 1, 2, 4
CF, PF, AF, ZF, SF, OF = 1, 4, 0x10, 0x40, 0x80, 0x800
ALL = CF | PF | AF | ZF | SF | OF
SUFFIX = {8: "b", 16: "w", 32: "l", 64: "q"}


def reg(name, size):
    """'a' and 32 -> '%eax'; 'r9' and 16 -> '%r9w'."""
    if name.startswith("r") and name[1:].isdigit():
        return f"%{name}" + {8: "b", 16: "w", 32: "d", 64: ""}[size]
    if name in "abcd":
        return "%" + {8: f"{name}l", 16: f"{name}x", 32: f"e{name}x", 64: f"r{name}x"}[size]
    return "%" + {8: f"{name}l", 16: name, 32: f"e{name}", 64: f"r{name}"}[size]


def self_ipi(vector):
    return ["mov $0x83f, %ecx", f"mov ${vector}, %eax", "mov $0, %edx", "wrmsr"]


def nmi_to_all():
    return ["mov $0x830, %ecx", "mov $0x80400, %eax", "mov $0, %edx", "wrmsr"]
