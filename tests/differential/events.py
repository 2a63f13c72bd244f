"""Exceptions with their error codes, interrupts and NMIs with the shadows that hold them off."""
from layout import ABSENT, LONG, NEEDS_HYPERVISOR, NO_EXECUTE, READ_ONLY, SEL, SUPERVISOR, USES_APIC, nmi_to_all, reg, self_ipi


# ---- exceptions ----

def make_exceptions(p):
    r = p.r
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
    flat = {16: SEL["data16"], 32: SEL["data32"], 64: SEL["data32"]}[p.bits] if not p.user else SEL["udata32"]
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
        if "%ds" in c:  # the next step may write
            p.step(f"mov ${flat}, %eax", "mov %eax, %ds")
    p.defined(0)
    if p.mode != "real":
        p.step(f"mov ${flat}, %eax", "mov %eax, %ds", "mov %eax, %es")


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
