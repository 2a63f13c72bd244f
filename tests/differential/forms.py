"""Instruction forms on device memory: single instructions of all operand sizes and addressing modes, and strings."""
from layout import SUFFIX, WINDOW, WINDOW_USED, ALL, CF, PF, AF, ZF, SF, OF, reg


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
