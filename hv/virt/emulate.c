/* Instruction emulation: decode and dispatch (emulate.h). */
#include "virt/emulate_impl.h"

static enum emu_result unknown(struct emu *e, const char *reason)
{
	e->reason = reason;
	return EMU_UNKNOWN;
}

static bool decode(const struct emu *e, struct emu_insn *in)
{
	ZydisDecoder d;
	ZydisMachineMode mode = e->bits == 64 ? ZYDIS_MACHINE_MODE_LONG_64 : e->bits == 32 ? ZYDIS_MACHINE_MODE_LEGACY_32 : ZYDIS_MACHINE_MODE_LEGACY_16;
	ZydisStackWidth stack = e->bits == 64 ? ZYDIS_STACK_WIDTH_64 : e->bits == 32 ? ZYDIS_STACK_WIDTH_32 : ZYDIS_STACK_WIDTH_16;
	return ZYAN_SUCCESS(ZydisDecoderInit(&d, mode, stack)) && ZYAN_SUCCESS(ZydisDecoderDecodeFull(&d, e->code, e->code_bytes, &in->z, in->op));
}

/* MOV, MOVZX, MOVSX, MOVSXD, MOVNTI, MOVBE, and MOV to CR8. */
static enum emu_result move(struct emu *e, const struct emu_insn *in)
{
	const ZydisDecodedOperand *to = &in->op[0], *from = &in->op[1];
	uint64_t value;
	if (emu_read(e, in, from, &value))
		return EMU_FAULT;
	if (to->type == ZYDIS_OPERAND_TYPE_REGISTER && to->reg.value == ZYDIS_REGISTER_CR8) {
		if (value > 15)
			return emu_fault(e, X86_GP, true, 0), EMU_FAULT;
		e->set_cr8(e, value);
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
	default:
		return emu_is_string(in->z.mnemonic) ? emu_string(e, in) : unknown(e, "an instruction that is not emulated on device memory");
	}
}

/* General-register operands only; string instructions bring their own. */
static bool plain_operands(const struct emu_insn *in)
{
	for (unsigned i = 0; i < in->z.operand_count_visible; i++) {
		const ZydisDecodedOperand *op = &in->op[i];
		if (op->type == ZYDIS_OPERAND_TYPE_REGISTER && op->reg.value > ZYDIS_REGISTER_R15 && op->reg.value != ZYDIS_REGISTER_CR8)
			return false;
		if (op->type == ZYDIS_OPERAND_TYPE_MEMORY && (op->size > 64 || op->size < 8))
			return false;
	}
	return true;
}

enum emu_result emulate(struct emu *e)
{
	struct emu_insn in;
	if (!decode(e, &in))
		return unknown(e, "bytes that are no instruction");
	if (!plain_operands(&in))
		return unknown(e, "a vector or system register used with device memory");
	enum emu_result r = execute(e, &in);
	if (r == EMU_DONE) {
		e->rip += in.z.length;
		if (e->bits != 64)
			e->rip &= 0xffffffff;
	}
	return r;
}
