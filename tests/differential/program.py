"""One program: what its steps are made of, and its form for the executor (executor/main.c)."""
import random

from layout import BITS, DATA, MODES, PAGED, USER, ALL, reg


class Program:
    def __init__(self, seed, number, kinds):
        """`kinds`: kind -> (what makes it, how often, in which modes)."""
        self.id, self.r = number, random.Random(f"{seed}/{number}")
        self.kind = self.r.choices(list(kinds), [k[1] for k in kinds.values()])[0]
        make, _, modes = kinds[self.kind]
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
