/* Instruction emulation: decode and dispatch (emulate.h). */
#include "virt/emulate_impl.h"

#include <string.h>

static enum emu_result unknown(struct emu *e, const char *reason)
{
	e->reason = reason;
	return EMU_UNKNOWN;
}

size_t emu_cache_bytes(void)
{
	return sizeof(struct emu_cache);
}

static bool decode_bytes(const struct emu *e, struct emu_insn *in)
{
	ZydisDecoder d;
	ZydisMachineMode mode = e->bits == 64 ? ZYDIS_MACHINE_MODE_LONG_64 : e->bits == 32 ? ZYDIS_MACHINE_MODE_LEGACY_32 : ZYDIS_MACHINE_MODE_LEGACY_16;
	ZydisStackWidth stack = e->bits == 64 ? ZYDIS_STACK_WIDTH_64 : e->bits == 32 ? ZYDIS_STACK_WIDTH_32 : ZYDIS_STACK_WIDTH_16;
	return ZYAN_SUCCESS(ZydisDecoderInit(&d, mode, stack)) && ZYAN_SUCCESS(ZydisDecoderDecodeFull(&d, e->code, e->code_bytes, &in->z, in->op));
}

/* NULL: no instruction. What bytes mean depends on nothing but the code segment's mode, so that a cached one is never stale. */
static const struct emu_insn *decode(const struct emu *e, struct emu_insn *fresh)
{
	if (!e->cache)
		return decode_bytes(e, fresh) ? fresh : NULL;
	struct emu_cached *c = &e->cache->slots[(e->rip ^ e->rip >> 3) % EMU_CACHED];
	if (c->bits == e->bits && c->in.z.length <= e->code_bytes && memcmp(c->code, e->code, c->in.z.length) == 0)
		return &c->in;
	c->bits = 0;
	if (!decode_bytes(e, &c->in))
		return NULL;
	memcpy(c->code, e->code, c->in.z.length);
	c->bits = (uint8_t)e->bits;
	return &c->in;
}

static bool is_cr(ZydisRegister r)
{
	return r == ZYDIS_REGISTER_CR4 || r == ZYDIS_REGISTER_CR8;
}

/* MOV, MOVZX, MOVSX, MOVSXD, MOVNTI, MOVBE, and MOV to CR4 and CR8. */
static enum emu_result move(struct emu *e, const struct emu_insn *in)
{
	const ZydisDecodedOperand *to = &in->op[0], *from = &in->op[1];
	uint64_t value;
	if (emu_read(e, in, from, &value))
		return EMU_FAULT;
	if (to->type == ZYDIS_OPERAND_TYPE_REGISTER && is_cr(to->reg.value)) {
		if (!e->set_cr(e, to->reg.value == ZYDIS_REGISTER_CR8 ? 8 : 4, value))
			return emu_fault(e, X86_GP, true, 0), EMU_FAULT;
		return EMU_DONE;
	}
	if (in->z.mnemonic == ZYDIS_MNEMONIC_MOVSX || in->z.mnemonic == ZYDIS_MNEMONIC_MOVSXD)
		value = (uint64_t)((int64_t)(value << (64 - from->size)) >> (64 - from->size));
	if (in->z.mnemonic == ZYDIS_MNEMONIC_MOVBE)
		value = __builtin_bswap64(value) >> (64 - from->size);
	return emu_write(e, in, to, value & emu_mask(to->size / 8)) ? EMU_FAULT : EMU_DONE;
}

static bool writes_result(ZydisMnemonic m)
{
	return m != ZYDIS_MNEMONIC_CMP && m != ZYDIS_MNEMONIC_TEST;
}

static enum emu_result alu(struct emu *e, const struct emu_insn *in)
{
	const ZydisDecodedOperand *to = &in->op[0];
	unsigned size = to->size / 8;
	bool two = in->z.operand_count_visible > 1;
	uint64_t a, b = 0, r, flags = e->rflags;
	if (writes_result(in->z.mnemonic) && emu_check_write(e, in, to))
		return EMU_FAULT;
	if ((two && emu_read(e, in, &in->op[1], &b)) || emu_read(e, in, to, &a))
		return EMU_FAULT;
	if (!emu_alu(in->z.mnemonic, size, a, b & emu_mask(size), &r, &flags))
		return unknown(e, "an ALU form that is not emulated");
	if (writes_result(in->z.mnemonic) && emu_write(e, in, to, r))
		return EMU_FAULT;
	e->rflags = flags;
	return EMU_DONE;
}

static enum emu_result exchange(struct emu *e, const struct emu_insn *in)
{
	const ZydisDecodedOperand *x = &in->op[0], *y = &in->op[1];
	const ZydisDecodedOperand *memory = y->type == ZYDIS_OPERAND_TYPE_MEMORY ? y : x, *reg = memory == y ? x : y;
	uint64_t a, b, r, flags = e->rflags;
	if (emu_check_write(e, in, memory) || emu_read(e, in, memory, &a) || emu_read(e, in, reg, &b))
		return EMU_FAULT;
	r = b;
	if (in->z.mnemonic == ZYDIS_MNEMONIC_XADD)
		emu_alu(in->z.mnemonic, memory->size / 8, a, b, &r, &flags);
	if (emu_write(e, in, memory, r))
		return EMU_FAULT;
	e->rflags = flags;
	return emu_write(e, in, reg, a) ? EMU_FAULT : EMU_DONE;
}

static enum emu_result compare_exchange(struct emu *e, const struct emu_insn *in)
{
	static const ZydisRegister ax[9] = {[1] = ZYDIS_REGISTER_AL, [2] = ZYDIS_REGISTER_AX, [4] = ZYDIS_REGISTER_EAX, [8] = ZYDIS_REGISTER_RAX};
	unsigned size = in->op[0].size / 8;
	uint64_t old, new, expected = emu_reg_read(e, ax[size]), difference, flags = e->rflags;
	if (emu_check_write(e, in, &in->op[0]) || emu_read(e, in, &in->op[0], &old) || emu_read(e, in, &in->op[1], &new))
		return EMU_FAULT;
	emu_alu(ZYDIS_MNEMONIC_CMPXCHG, size, expected, old, &difference, &flags);
	if (emu_write(e, in, &in->op[0], difference == 0 ? new : old))
		return EMU_FAULT;
	if (difference != 0)
		emu_reg_write(e, ax[size], old);
	e->rflags = flags;
	return EMU_DONE;
}

/* BT, BTS, BTR, BTC: a register bit offset may point outside of the operand (SDM vol. 2, "BT"). */
static enum emu_result bit_test(struct emu *e, const struct emu_insn *in)
{
	const ZydisDecodedOperand *to = &in->op[0];
	unsigned size = to->size / 8, bits = to->size;
	uint64_t index, value, offset = emu_offset(e, in, to);
	if (to->type != ZYDIS_OPERAND_TYPE_MEMORY)
		return unknown(e, "a bit test of a register");
	if (emu_read(e, in, &in->op[1], &index))
		return EMU_FAULT;
	if (in->op[1].type == ZYDIS_OPERAND_TYPE_REGISTER) {
		int64_t at = (int64_t)(index << (64 - bits)) >> (64 - bits);
		offset = (offset + (uint64_t)((at >> (bits == 64 ? 6 : bits == 32 ? 5 : 4)) * (int64_t)size)) & emu_mask(in->z.address_width / 8);
	}
	bool write = in->z.mnemonic != ZYDIS_MNEMONIC_BT;
	if (write && emu_memory(e, to->mem.segment, offset, size, EMU_CHECK_WRITE, NULL))
		return EMU_FAULT;
	if (emu_memory(e, to->mem.segment, offset, size, EMU_READ, &value))
		return EMU_FAULT;
	uint64_t bit = 1ull << (index & (bits - 1)), flags = (e->rflags & ~FLAGS_CF) | (value & bit ? FLAGS_CF : 0);
	value = in->z.mnemonic == ZYDIS_MNEMONIC_BTS ? value | bit : in->z.mnemonic == ZYDIS_MNEMONIC_BTR ? value & ~bit : value ^ bit;
	if (write && emu_memory(e, to->mem.segment, offset, size, EMU_WRITE, &value))
		return EMU_FAULT;
	e->rflags = flags;
	return EMU_DONE;
}

static enum emu_result shift(struct emu *e, const struct emu_insn *in)
{
	const ZydisDecodedOperand *to = &in->op[0];
	uint64_t a, count, r, flags = e->rflags;
	if (emu_check_write(e, in, to) || emu_read(e, in, &in->op[1], &count) || emu_read(e, in, to, &a))
		return EMU_FAULT;
	if (!emu_shift(in->z.mnemonic, to->size / 8, a, (unsigned)count, &r, &flags))
		return unknown(e, "a shift that is not emulated");
	if (emu_write(e, in, to, r))
		return EMU_FAULT;
	e->rflags = flags;
	return EMU_DONE;
}

/* SETcc and CMOVcc; the latter reads its source and clears the upper half of a 32-bit destination whatever the condition says. */
static enum emu_result conditional(struct emu *e, const struct emu_insn *in)
{
	bool holds = emu_condition(in->z.opcode & 15, e->rflags);
	uint64_t value = holds;
	if ((in->z.opcode & 0xf0) == 0x40) {
		uint64_t old;
		if (emu_read(e, in, &in->op[1], &value) || emu_read(e, in, &in->op[0], &old))
			return EMU_FAULT;
		value = holds ? value : old;
	}
	return emu_write(e, in, &in->op[0], value) ? EMU_FAULT : EMU_DONE;
}

/* MUL, and IMUL with one, two and three operands. */
static enum emu_result multiply(struct emu *e, const struct emu_insn *in)
{
	static const ZydisRegister ax[9] = {[1] = ZYDIS_REGISTER_AL, [2] = ZYDIS_REGISTER_AX, [4] = ZYDIS_REGISTER_EAX, [8] = ZYDIS_REGISTER_RAX};
	static const ZydisRegister dx[9] = {[1] = ZYDIS_REGISTER_AH, [2] = ZYDIS_REGISTER_DX, [4] = ZYDIS_REGISTER_EDX, [8] = ZYDIS_REGISTER_RDX};
	unsigned operands = in->z.operand_count_visible, size = in->op[0].size / 8;
	uint64_t a, b, low, high;
	if (operands == 1) {
		a = emu_reg_read(e, ax[size]);
		if (emu_read(e, in, &in->op[0], &b))
			return EMU_FAULT;
	} else if (emu_read(e, in, &in->op[operands - 2], &a) || emu_read(e, in, &in->op[operands - 1], &b)) {
		return EMU_FAULT;
	}
	emu_multiply(in->z.mnemonic == ZYDIS_MNEMONIC_IMUL, size, a, b, &low, &high, &e->rflags);
	emu_reg_write(e, operands == 1 ? ax[size] : in->op[0].reg.value, low);
	if (operands == 1)
		emu_reg_write(e, dx[size], high);
	return EMU_DONE;
}

/* The stack pointer as wide as the stack segment says. */
static void set_stack(struct emu *e, uint64_t mask, uint64_t value)
{
	e->regs[VREG_RSP] = mask == 0xffff ? (e->regs[VREG_RSP] & ~mask) | (value & mask) : value & mask;
}

/* PUSH and POP of memory. POP's address is taken with the stack pointer already moved (SDM vol. 2, "POP"). */
static enum emu_result stack(struct emu *e, const struct emu_insn *in)
{
	const ZydisDecodedOperand *op = &in->op[0];
	unsigned size = op->size / 8;
	uint64_t mask = e->bits == 64 ? ~0ull : e->seg[VSEG_SS].attr & SEG_DB ? 0xffffffff : 0xffff, before = e->regs[VREG_RSP], value;
	if (in->z.mnemonic == ZYDIS_MNEMONIC_PUSH) {
		uint64_t to = (before - size) & mask;
		if (emu_memory(e, ZYDIS_REGISTER_SS, to, size, EMU_CHECK_WRITE, NULL) || emu_read(e, in, op, &value) ||
			emu_memory(e, ZYDIS_REGISTER_SS, to, size, EMU_WRITE, &value))
			return EMU_FAULT;
		set_stack(e, mask, to);
		return EMU_DONE;
	}
	if (emu_memory(e, ZYDIS_REGISTER_SS, before & mask, size, EMU_READ, &value))
		return EMU_FAULT;
	set_stack(e, mask, before + size);
	if (emu_write(e, in, op, value)) {
		e->regs[VREG_RSP] = before;
		return EMU_FAULT;
	}
	return EMU_DONE;
}

static enum emu_result execute(struct emu *e, const struct emu_insn *in)
{
	switch (in->z.mnemonic) {
	case ZYDIS_MNEMONIC_MOV: case ZYDIS_MNEMONIC_MOVZX: case ZYDIS_MNEMONIC_MOVSX: case ZYDIS_MNEMONIC_MOVSXD: case ZYDIS_MNEMONIC_MOVNTI:
	case ZYDIS_MNEMONIC_MOVBE:
		return move(e, in);
	case ZYDIS_MNEMONIC_ADD: case ZYDIS_MNEMONIC_ADC: case ZYDIS_MNEMONIC_SUB: case ZYDIS_MNEMONIC_SBB: case ZYDIS_MNEMONIC_CMP:
	case ZYDIS_MNEMONIC_AND: case ZYDIS_MNEMONIC_OR: case ZYDIS_MNEMONIC_XOR: case ZYDIS_MNEMONIC_TEST: case ZYDIS_MNEMONIC_INC:
	case ZYDIS_MNEMONIC_DEC: case ZYDIS_MNEMONIC_NEG: case ZYDIS_MNEMONIC_NOT:
		return alu(e, in);
	case ZYDIS_MNEMONIC_XCHG: case ZYDIS_MNEMONIC_XADD:
		return exchange(e, in);
	case ZYDIS_MNEMONIC_CMPXCHG:
		return compare_exchange(e, in);
	case ZYDIS_MNEMONIC_BT: case ZYDIS_MNEMONIC_BTS: case ZYDIS_MNEMONIC_BTR: case ZYDIS_MNEMONIC_BTC:
		return bit_test(e, in);
	case ZYDIS_MNEMONIC_SHL: case ZYDIS_MNEMONIC_SHR: case ZYDIS_MNEMONIC_SAR: case ZYDIS_MNEMONIC_ROL: case ZYDIS_MNEMONIC_ROR:
	case ZYDIS_MNEMONIC_RCL: case ZYDIS_MNEMONIC_RCR:
		return shift(e, in);
	case ZYDIS_MNEMONIC_MUL: case ZYDIS_MNEMONIC_IMUL:
		return multiply(e, in);
	case ZYDIS_MNEMONIC_PUSH: case ZYDIS_MNEMONIC_POP:
		return stack(e, in);
	default:
		if (in->z.opcode_map == ZYDIS_OPCODE_MAP_0F && ((in->z.opcode & 0xf0) == 0x90 || (in->z.opcode & 0xf0) == 0x40))
			return conditional(e, in);
		return emu_is_string(in->z.mnemonic) ? emu_string(e, in) : unknown(e, "an instruction that is not emulated on device memory");
	}
}

/* General-register operands only; string instructions bring their own. */
static bool plain_operands(const struct emu_insn *in)
{
	for (unsigned i = 0; i < in->z.operand_count_visible; i++) {
		const ZydisDecodedOperand *op = &in->op[i];
		if (op->type == ZYDIS_OPERAND_TYPE_REGISTER && op->reg.value > ZYDIS_REGISTER_R15 && !is_cr(op->reg.value))
			return false;
		if (op->type == ZYDIS_OPERAND_TYPE_MEMORY && (op->size > 64 || op->size < 8))
			return false;
	}
	return true;
}

enum emu_result emulate(struct emu *e)
{
	struct emu_insn fresh;
	const struct emu_insn *in = decode(e, &fresh);
	if (!in)
		return unknown(e, "bytes that are no instruction");
	if (!plain_operands(in))
		return unknown(e, "a vector or system register used with device memory");
	enum emu_result r = execute(e, in);
	if (r == EMU_DONE) {
		e->rip += in->z.length;
		if (e->bits != 64)
			e->rip &= 0xffffffff;
	}
	return r;
}
