"""Mode switches: a program walks at random over a graph of processor modes and back to the one it began in.

    real -- prot16 -- prot32 --+-- paged32 ---+
                               |              +-- vm86
                               +-- pae32 -----+
                               |
                               +-- compat32 --+-- long64
                                              +-- compat16

16-bit segments have the bases of the program's own, so a thing has the same linear address everywhere. vm86 is entered by IRET and left by INT n
through a gate of the walk's own. Paging goes off before it goes on with other tables.

Every edge can be interrupted by something that leaves the guest, in each state between the two modes (PE without a far jump, LME without PG,
a segment of the old mode in the new one); in each mode it does what the mode can do: device memory, ports, control registers, faults with error
codes, interrupts and NMIs through the mode's own gates, other tasks. What the registers CR0, CR4 and EFER say on the way is kept in the program's memory.

Not generated, because of QEMU's TCG: a guest with EFER.LME but without CR4.PAE and paging (it leaves such a guest without loading the host's
CR0, and the host is gone), CR0.PG in 64-bit code or without PE or, with LME, without PAE, which must be #GP (SDM vol. 3, 2.5 and 9.8.5).
"""
import collections

from layout import ABSENT, CODE, DATA, NEEDS_HYPERVISOR, PAGED, SEL, STACK, STACK_TOP, USES_APIC, WINDOW, WINDOW_USED, nmi_to_all, reg, self_ipi

BITS = {"real": 16, "prot16": 16, "prot32": 32, "paged32": 32, "pae32": 32, "compat32": 32, "compat16": 16, "long64": 64, "vm86": 16}
PAGING = {"paged32", "pae32", "compat32", "compat16", "long64", "vm86"}
LMA = {"compat32", "compat16", "long64"}
EFER, VM_IOPL3 = "0xc0000080", 0x23002
VECTOR_BACK, VECTOR_TASK = 0xf1, 0xf2  # leaves virtual-8086 mode; enters another task
TASK = 0xb0


class Walk:
    def __init__(self, p):
        self.p, self.r = p, p.r
        self.mode, self.paging, self.lines, self.records = p.mode, p.mode in PAGING, [], 0
        self.bits, self.fs, self.came_from = BITS[self.mode], True, None

    # ---- pieces ----

    def add(self, *lines):
        self.lines += lines

    def end_step(self):
        if self.lines:
            self.p.step(*self.lines)
        self.lines = []

    def near(self, label):
        """A label as an offset in 16-bit code segments."""
        return f"{label} - p{self.p.id}"

    def flat(self, label):
        return f"{label} - p{self.p.id} + {CODE}"

    def here(self, bits):
        """The target of a jump: from here on in code of another size."""
        self.bits = bits
        self.add(f".code{bits}", "1:")

    def data(self, offset):
        return hex(offset) if self.bits == 16 else hex(DATA + offset)

    def keep(self, register="%eax"):
        """A register's value goes to the program's memory."""
        self.add(f"mov {register}, {self.data(0x900 + 4 * (self.records % 64))}")
        self.records += 1

    def eax(self):
        """The register that goes to and from control registers."""
        return "%rax" if self.bits == 64 else "%eax"

    def control(self, n):
        return f"mov %cr{n}, {self.eax()}"

    def set_control(self, n):
        return f"mov {self.eax()}, %cr{n}"

    def window(self):
        """FS is loaded once: with the device's physical address, or that of the page which is it."""
        return self.fs and (self.paging or self.p.mode not in PAGED)

    def halfway(self):
        """In any state, also between two modes: nothing, or something that leaves the guest. EAX to EDX are lost."""
        wide = "r" if self.bits == 64 else "e"
        choices = ["nop", "mov $0x40000100, %eax\n\tcpuid", f"push %{wide}cx\n\tpop %{wide}cx"]
        if self.mode != "vm86":
            choices += ["wbinvd", "in $0xe0, %al", "out %al, $0xe1", "out %eax, $0xe0", f"mov ${EFER}, %ecx\n\trdmsr", f"{self.control(4)}\n\t{self.set_control(4)}"]
        if not self.paging:
            choices.append(f"{self.control(3)}\n\t{self.set_control(3)}")
        if self.window():
            at = f"%fs:{self.r.randrange(0xe0)}"
            choices += [f"mov {at}, %eax", f"incl {at}", f"movb $0x5a, {at}", f"movzbl {at}, %edx", f"mov %ecx, {at}\n\tmov {at}, %cx",
                        f"mov $7, %ebx\n\txchg %ebx, {at}", f"lock addw $3, {at}", f"movnti %eax, {at}"]
        self.add(self.r.choice(choices))

    def load(self, registers, selector):
        self.add(f"mov ${selector}, %ecx", *(f"mov %ecx, %{x}" for x in registers))

    def gates(self, table):
        """The mode's interrupt gates."""
        entry = {"real": ".short 0x3ff\n\t.long 0", "32": ".short 0x7ff\n\t.long idt32", "64": ".short 0xfff\n\t.long idt64, 0"}[table]
        place = f"%cs:{self.near('1b')}" if self.bits == 16 else self.flat("1b")
        self.add("jmp 2f", "1:", entry, "2:", f"lidt{'l' if self.bits == 16 else ''} {place}")

    # ---- edges: each leaves the walk in the new mode with its segments, stack and gates ----

    def set_pe(self, on):
        if on and self.r.random() < 0.3:
            self.add("smsw %si", "or $1, %si", "lmsw %si")
        else:
            self.add("mov %cr0, %esi", "or $1, %si" if on else "and $0xfffe, %si", "mov %esi, %cr0")

    def set_pg(self, on):
        self.add("mov %cr0, %esi", "or $0x80000000, %esi" if on else "and $0x7fffffff, %esi", "mov %esi, %cr0")
        self.paging = on
        self.halfway()

    def segments_16(self, data, stack):
        self.halfway()
        self.load(["ds", "es"], data)
        self.halfway()
        self.load(["ss"], stack)
        self.add(f"mov ${STACK_TOP - STACK}, %esp")

    def segments_flat(self):
        self.halfway()
        self.load(["ds", "es"], SEL["data32"])
        self.halfway()
        self.load(["ss"], SEL["data32"])
        self.add(f"mov ${STACK_TOP}, %esp")

    def real_prot16(self):
        self.set_pe(True)
        self.halfway()
        self.add(f"ljmp ${SEL['code16']}, ${self.near('1f')}")
        self.here(16)
        self.segments_16(SEL["data16"], SEL["stack16"])
        self.gates("32")

    def prot16_real(self):
        big = self.r.random() < 0.3
        if big:
            self.load(["es"], SEL["data32"])
        self.set_pe(False)
        self.halfway()
        self.add(f"ljmp ${CODE >> 4}, ${self.near('1f')}")
        self.here(16)
        self.halfway()
        if big:  # a segment without a limit in real mode
            self.add(f"mov ${DATA + 0xa00 + 4 * self.r.randrange(16)}, %edi", self.r.choice(["mov %es:(%edi), %dl", "movb $7, %es:(%edi)", "incw %es:(%edi)"]))
        self.segments_16(DATA >> 4, STACK >> 4)
        self.gates("real")

    def prot16_prot32(self):
        self.add(f"ljmpl ${SEL['code32']}, ${self.flat('1f')}")
        self.here(32)
        self.segments_flat()

    def prot32_prot16(self):
        self.add(f"ljmp ${SEL['code16']}, ${self.near('1f')}")
        self.here(16)
        self.segments_16(SEL["data16"], SEL["stack16"])

    def paging_on(self, table, cr4):
        steps = [[f"mov ${table}, %eax", "mov %eax, %cr3"], [f"mov ${cr4}, %eax", "mov %eax, %cr4"]]
        self.r.shuffle(steps)
        for s in steps:
            self.add(*s)
            self.halfway()

    def prot32_paged32(self):
        self.paging_on("pd", self.r.choice([0x10, 0x90]))
        self.set_pg(True)

    def prot32_pae32(self):
        self.paging_on("pae", self.r.choice([0x30, 0x20, 0xb0]))
        self.set_pg(True)

    def paging_off(self):
        self.set_pg(False)

    def prot32_compat32(self):
        self.paging_on("pml4", self.r.choice([0x30, 0x20, 0xb0]))
        self.add(f"mov ${EFER}, %ecx", "rdmsr", f"or ${self.r.choice([0x100, 0x901, 0x900])}, %eax", "wrmsr")
        self.halfway()
        self.set_pg(True)
        self.gates("64")

    def compat32_prot32(self):
        self.set_pg(False)
        self.add(f"mov ${EFER}, %ecx", "rdmsr")
        self.keep()
        self.add("and $~0x901, %eax", "wrmsr")
        self.halfway()
        self.gates("32")

    def compat32_long64(self):
        self.add(*self.r.choice([
            [f"ljmp ${SEL['code64']}, ${self.flat('1f')}"],
            [f"push ${SEL['code64']}", f"push ${self.flat('1f')}", "lret"],
            ["pushf", f"push ${SEL['code64']}", f"push ${self.flat('1f')}", "iret"],
            ["jmp 2f", "3:", f".long {self.flat('1f')}", f".short {SEL['code64']}", "2:", f"ljmp *{self.flat('3b')}"]]))
        self.here(64)
        self.halfway()

    def long64_compat32(self):
        self.add(*self.r.choice([
            [f"push ${SEL['code32']}", f"push ${self.flat('1f')}", "lretq"],
            [f"push ${SEL['data32']}", f"push ${STACK_TOP}", "pushf", f"push ${SEL['code32']}", f"push ${self.flat('1f')}", "iretq"],
            ["jmp 2f", "3:", f".long {self.flat('1f')}", f".short {SEL['code32']}", "2:", f"ljmpl *{self.flat('3b')}"]]))
        self.here(32)
        self.halfway()

    def compat32_compat16(self):
        self.prot32_prot16()

    def compat16_compat32(self):
        self.prot16_prot32()

    def paged_vm86(self):
        """By IRET with EFLAGS.VM and IOPL 3; the way back is a gate to this program."""
        self.came_from = self.mode
        gate = f"idt32 + {8 * VECTOR_BACK}"
        self.add(f"mov ${SEL['code32'] << 16} + {self.near('4f')}, %eax", f"mov %eax, {gate}", f"movl ${CODE + 0xee00}, {gate} + 4",
                 *(f"push ${x}" for x in (WINDOW >> 4, WINDOW >> 4, DATA >> 4, DATA >> 4, STACK >> 4, STACK_TOP - STACK, VM_IOPL3, CODE >> 4)), f"push ${self.near('1f')}", "iret")
        self.here(16)

    def vm86_paged(self):
        self.add(f"int ${VECTOR_BACK}", ".code32", "4:")
        self.bits, self.fs, self.mode = 32, False, self.came_from
        self.segments_flat()
        self.load(["fs", "gs"], SEL["window"])
        self.fs = True
        self.add("push $2", "popf")

    EDGES = {
        "real": {"prot16": real_prot16},
        "prot16": {"real": prot16_real, "prot32": prot16_prot32},
        "prot32": {"prot16": prot32_prot16, "paged32": prot32_paged32, "pae32": prot32_pae32, "compat32": prot32_compat32},
        "paged32": {"prot32": paging_off, "vm86": paged_vm86},
        "pae32": {"prot32": paging_off, "vm86": paged_vm86},
        "compat32": {"prot32": compat32_prot32, "long64": compat32_long64, "compat16": compat32_compat16},
        "compat16": {"compat32": compat16_compat32},
        "long64": {"compat32": long64_compat32},
        "vm86": {"paged32": vm86_paged, "pae32": vm86_paged},
    }

    # ---- in a mode ----

    def blink(self):
        """Half a switch and back, without new segments."""
        if self.mode == "prot16" or (self.mode == "prot32" and self.r.random() < 0.5):  # code stays of 16 or 32 bits until a far jump
            self.set_pe(False)
            self.halfway()
            self.set_pe(True)
            self.halfway()
        elif self.mode == "prot32":
            self.add("mov %cr4, %eax", "or $0x20, %eax", "mov %eax, %cr4", f"mov ${EFER}, %ecx", "rdmsr", f"or ${self.r.choice([0x100, 0x101, 0x900])}, %eax", "wrmsr")
            self.halfway()
            self.add(f"mov ${EFER}, %ecx", "rdmsr")
            self.keep()
            self.add("and $~0x901, %eax", "wrmsr")
        elif self.mode in ("paged32", "pae32", "compat32"):
            self.set_pg(False)
            if self.r.random() < 0.5:
                self.add("mov %cr3, %eax", "mov %eax, %cr3")
            self.set_pg(True)
            self.add(f"mov ${EFER}, %ecx", "rdmsr")
            self.keep()

    def registers(self):
        for lines in ([self.control(0)], [self.control(4)], [f"mov ${EFER}, %ecx", "rdmsr"]):
            self.add(*lines)
            self.keep()

    def machine_status(self):
        """LMSW sets PE, MP, EM and TS, never clears PE; CLTS."""
        change = self.r.choice(["or $8, %ax", "or $2, %ax", "or $0xe, %ax", "xor $0xfff0, %ax"] + (["and $0xfff0, %ax"] if self.mode != "real" else []))
        self.add("smsw %ax", "mov %eax, %ebx", change, "lmsw %ax", f"smsw {reg('d', max(self.bits, 16))}", "mov %edx, %eax")
        if self.bits == 16:
            self.add("and $0xffff, %eax")
        self.keep()
        if self.r.random() < 0.6:
            self.add("clts", self.control(0))
            self.keep()
        self.add("mov %ebx, %eax", "lmsw %ax" if self.r.random() < 0.5 else "nop", self.control(0), f"and $~0xe, {self.eax()}", self.set_control(0))

    def toggle_cr4(self):
        bit = self.r.choice([0, 1, 2, 3, 7, 9, 10])  # VME, PVI, TSD, DE, PGE, OSFXSR, OSXMMEXCPT
        toggle = [self.control(4), f"xor ${1 << bit}, {self.eax()}", self.set_control(4)]
        self.add(*toggle, self.control(4))
        self.keep()
        self.halfway()
        self.add(*toggle)

    def fault(self):
        toggle_lme = f"mov ${EFER}, %ecx\n\trdmsr\n\txor $0x100, %eax\n\twrmsr"
        choices = ["ud2", "int3", "mov $0, %cl\n\tdivb %cl", "mov $0x12345678, %ecx\n\trdmsr"]
        if self.mode == "vm86":
            choices += ["hlt", "wbinvd", "lmsw %ax", "smsw %ax", self.control(0), toggle_lme]
        elif self.mode != "real":
            choices += ["mov $0xfff8, %eax\n\tmov %eax, %gs", f"mov ${SEL['absent']}, %eax\n\tmov %eax, %gs", "int $0x80"]
        if self.paging:
            at = self.data(ABSENT - DATA)
            choices += [f"mov {at}, %al", f"movb $1, {at}", toggle_lme]  # not INC: TCG reports a read
        if self.mode in LMA:
            choices.append(f"{self.control(4)}\n\tand $~0x20, {self.eax()}\n\t{self.set_control(4)}")
        self.add(self.r.choice(choices))
        self.end_step()
        self.add("cmp %eax, %eax")  # a division leaves the flags undefined

    def interrupt(self):
        if self.r.random() < 0.5:
            self.add(*nmi_to_all())
        else:
            self.add(*self_ipi(self.r.randrange(0x40, 0x80)), "sti", "nop", "nop", "cli")
        self.add("cmp %eax, %eax")

    def strings(self):
        n, size, at = self.r.randrange(0, 5), self.r.choice("bwl"), self.data(0xb00)
        self.add("cld", *(f"mov ${x}, {reg(y, max(self.bits, 32))}" for x, y in ((at, "si"), (at, "di"), (n, "c"), (0xe0, "d"))))
        self.add(self.r.choice([f"rep outs{size} ({reg('si', self.bits)}), %dx", f"rep ins{size} %dx, %es:({reg('di', self.bits)})"]))

    # ---- tasks ----

    def task(self):
        """To another task and back, by JMP, CALL, task gates; what the processor has done to TSSs, descriptors, CR0.TS and NT is kept.

        Not compared: other flags; TCG takes the last comparison's operand for them, which therefore is 0. Not generated: a 16-bit TSS (TCG saves the
        old task in the form of the new one's).
        """
        how = self.r.choice(["call", "jmp", "gate", "int", "fault"])
        go = {"call": f"lcall ${TASK}, $0", "jmp": f"ljmp ${TASK}, $0", "gate": f"lcall ${TASK + 8}, $0", "int": f"int ${VECTOR_TASK}",
              "fault": "mov $0xfff8, %ecx\n\tmov %ecx, %gs"}[how]
        gate = {"int": f"idt32 + {8 * VECTOR_TASK}", "fault": f"idt32 + {8 * 13}"}.get(how)
        self.add("mov %cr3, %eax", *(f"mov %eax, {x} + 28" for x in ("tss32", "tss64", "tss_task")))
        state = {32: self.flat("5f"), 36: 2, 56: STACK_TOP - 0x100, 72: SEL["data32"], 76: SEL["code32"], 80: SEL["data32"], 84: SEL["data32"],
                 88: SEL["window"], 92: SEL["window"], 96: 0}
        self.add(*(f"movl ${x}, tss_task + {at}" for at, x in state.items()))
        if gate:
            self.add(f"pushl {gate}", f"pushl {gate} + 4", f"movl ${TASK << 16}, {gate}", f"movl $0xe500, {gate} + 4")
        self.add("mov $0, %eax", "cmp %eax, %eax", "mov $0x11223344, %ebx", "mov $0x55667788, %ebp", go, "jmp 6f", "5:")
        kept = ["mov %cr0, %eax", "pushf\n\tpop %eax\n\tand $0x4000, %eax", "str %eax"]
        for what in (["nop", "pop %eax"] if how == "fault" else ["nop"]) + kept:
            self.add(what)
            self.keep()
        self.add("clts")
        self.halfway()
        if how == "fault":  # the old task goes on behind the instruction
            self.add(*(f"movl ${self.flat('6f')}, {x} + 32" for x in ("tss32", "tss64")))
        self.add(f"ljmp ${SEL['tss']}, $0" if how == "jmp" else "iret", "6: cld")
        for what in ("mov %ebx, %eax", "mov %ebp, %eax", *kept, "movzwl tss_task, %eax", "movzbl gdt + 0xb5, %eax", "movzbl gdt + 0x5d, %eax"):
            self.add(what)
            self.keep()
        if gate:
            self.add(f"popl {gate} + 4", f"popl {gate}")
        # Long mode's IST 1 lies where this mode keeps EFLAGS and EAX.
        self.add("clts", *(f"movl ${x}, {tss} + {at}" for tss in ("tss32", "tss64") for at, x in ((36, "stack_tss"), (40, 0))))

    def visit(self):
        do = [self.fault, self.halfway] if self.mode == "vm86" else [
            self.registers, self.machine_status, self.toggle_cr4, self.fault, self.interrupt, self.strings, self.blink, self.halfway]
        if self.mode in ("prot32", "paged32", "pae32"):
            do += [self.task, self.task]
        for _ in range(self.r.randrange(0, 3)):
            self.r.choice(do)()
            self.end_step()

    def next(self):
        return [self.came_from] if self.mode == "vm86" else list(self.EDGES[self.mode])

    def go(self, to):
        self.EDGES[self.mode][to](self)
        self.mode = to
        self.end_step()

    def home(self):
        """The shortest way back to the program's mode, one edge of it."""
        if self.mode == "vm86":
            return self.came_from
        queue, seen = collections.deque((n, n) for n in self.EDGES[self.mode]), {self.mode}
        while queue:
            at, first = queue.popleft()
            if at == self.p.mode:
                return first
            seen.add(at)
            queue += [(n, first) for n in self.EDGES[at] if n not in seen]
        raise ValueError(f"no way from {self.mode} to {self.p.mode}")


def make_modes(p):
    p.options |= NEEDS_HYPERVISOR | USES_APIC | WINDOW_USED
    walk = Walk(p)
    for _ in range(p.r.randrange(1, 7)):
        walk.visit()
        walk.go(p.r.choice(walk.next()))
    walk.visit()
    while walk.mode != p.mode:
        walk.go(walk.home())
    walk.visit()
    # Of registers, what the way did to them is not compared; of segments, control registers, memory and device it is.
    p.step(*(f"mov $0, {reg(x, 32)}" for x in ("a", "b", "c", "d", "si", "di")), "cmp %eax, %eax")
    p.defined(0)
