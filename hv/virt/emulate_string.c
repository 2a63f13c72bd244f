/*
 * String instructions (SDM vol. 1, 7.3.9): one iteration at a time, registers updated after each, so that a fault or an interrupt in the middle
 * of REP finds the architecture's state. A REP does a bounded number of iterations in one exit and is then resumed (EMU_AGAIN).
 */
#include "virt/emulate_impl.h"

#define ITERATIONS_MAX 1024

bool emu_is_string(ZydisMnemonic m)
{
	switch (m) {
	case ZYDIS_MNEMONIC_MOVSB: case ZYDIS_MNEMONIC_MOVSW: case ZYDIS_MNEMONIC_MOVSD: case ZYDIS_MNEMONIC_MOVSQ:
	case ZYDIS_MNEMONIC_STOSB: case ZYDIS_MNEMONIC_STOSW: case ZYDIS_MNEMONIC_STOSD: case ZYDIS_MNEMONIC_STOSQ:
	case ZYDIS_MNEMONIC_LODSB: case ZYDIS_MNEMONIC_LODSW: case ZYDIS_MNEMONIC_LODSD: case ZYDIS_MNEMONIC_LODSQ:
	case ZYDIS_MNEMONIC_CMPSB: case ZYDIS_MNEMONIC_CMPSW: case ZYDIS_MNEMONIC_CMPSD: case ZYDIS_MNEMONIC_CMPSQ:
	case ZYDIS_MNEMONIC_SCASB: case ZYDIS_MNEMONIC_SCASW: case ZYDIS_MNEMONIC_SCASD: case ZYDIS_MNEMONIC_SCASQ:
	case ZYDIS_MNEMONIC_INSB: case ZYDIS_MNEMONIC_INSW: case ZYDIS_MNEMONIC_INSD:
	case ZYDIS_MNEMONIC_OUTSB: case ZYDIS_MNEMONIC_OUTSW: case ZYDIS_MNEMONIC_OUTSD:
		return true;
	default:
		return false;
	}
}

static uint64_t reg_of_width(const struct emu *e, unsigned reg, unsigned bits)
{
	return e->regs[reg] & emu_mask(bits / 8);
}

/* A register of the address size: 32-bit writes clear the upper half only in 64-bit mode, where no upper half is visible otherwise. */
static void set_reg_of_width(struct emu *e, unsigned reg, unsigned bits, uint64_t value)
{
	if (bits == 16)
		e->regs[reg] = (e->regs[reg] & ~0xffffull) | (value & 0xffff);
	else
		e->regs[reg] = value & emu_mask(bits / 8);
}

static void advance(struct emu *e, unsigned reg, unsigned bits, unsigned size)
{
	uint64_t at = reg_of_width(e, reg, bits);
	set_reg_of_width(e, reg, bits, e->rflags & FLAGS_DF ? at - size : at + size);
}

static ZydisRegister source_segment(const struct emu_insn *in)
{
	for (unsigned i = 0; i < in->z.operand_count; i++)
		if (in->op[i].type == ZYDIS_OPERAND_TYPE_MEMORY && in->op[i].mem.segment != ZYDIS_REGISTER_ES)
			return in->op[i].mem.segment;
	return in->z.attributes & ZYDIS_ATTRIB_HAS_SEGMENT_ES ? ZYDIS_REGISTER_ES : ZYDIS_REGISTER_DS;
}

enum { SRC_MEMORY = 1, SRC_AX = 2, SRC_PORT = 4, DST_MEMORY = 8, DST_AX = 16, DST_PORT = 32, COMPARE = 64 /* with ES:DI */ };

static unsigned kind(ZydisMnemonic m, unsigned *size)
{
	switch (m) {
	case ZYDIS_MNEMONIC_MOVSB: case ZYDIS_MNEMONIC_STOSB: case ZYDIS_MNEMONIC_LODSB: case ZYDIS_MNEMONIC_INSB: case ZYDIS_MNEMONIC_OUTSB:
	case ZYDIS_MNEMONIC_CMPSB: case ZYDIS_MNEMONIC_SCASB:
		*size = 1;
		break;
	case ZYDIS_MNEMONIC_MOVSW: case ZYDIS_MNEMONIC_STOSW: case ZYDIS_MNEMONIC_LODSW: case ZYDIS_MNEMONIC_INSW: case ZYDIS_MNEMONIC_OUTSW:
	case ZYDIS_MNEMONIC_CMPSW: case ZYDIS_MNEMONIC_SCASW:
		*size = 2;
		break;
	case ZYDIS_MNEMONIC_MOVSQ: case ZYDIS_MNEMONIC_STOSQ: case ZYDIS_MNEMONIC_LODSQ: case ZYDIS_MNEMONIC_CMPSQ: case ZYDIS_MNEMONIC_SCASQ:
		*size = 8;
		break;
	default:
		*size = 4;
		break;
	}
	switch (m) {
	case ZYDIS_MNEMONIC_MOVSB: case ZYDIS_MNEMONIC_MOVSW: case ZYDIS_MNEMONIC_MOVSD: case ZYDIS_MNEMONIC_MOVSQ:
		return SRC_MEMORY | DST_MEMORY;
	case ZYDIS_MNEMONIC_STOSB: case ZYDIS_MNEMONIC_STOSW: case ZYDIS_MNEMONIC_STOSD: case ZYDIS_MNEMONIC_STOSQ:
		return SRC_AX | DST_MEMORY;
	case ZYDIS_MNEMONIC_LODSB: case ZYDIS_MNEMONIC_LODSW: case ZYDIS_MNEMONIC_LODSD: case ZYDIS_MNEMONIC_LODSQ:
		return SRC_MEMORY | DST_AX;
	case ZYDIS_MNEMONIC_INSB: case ZYDIS_MNEMONIC_INSW: case ZYDIS_MNEMONIC_INSD:
		return SRC_PORT | DST_MEMORY;
	case ZYDIS_MNEMONIC_CMPSB: case ZYDIS_MNEMONIC_CMPSW: case ZYDIS_MNEMONIC_CMPSD: case ZYDIS_MNEMONIC_CMPSQ:
		return SRC_MEMORY | COMPARE;
	case ZYDIS_MNEMONIC_SCASB: case ZYDIS_MNEMONIC_SCASW: case ZYDIS_MNEMONIC_SCASD: case ZYDIS_MNEMONIC_SCASQ:
		return SRC_AX | COMPARE;
	default:
		return SRC_MEMORY | DST_PORT;
	}
}

static void set_ax(struct emu *e, unsigned size, uint64_t value)
{
	static const ZydisRegister ax[9] = {[1] = ZYDIS_REGISTER_AL, [2] = ZYDIS_REGISTER_AX, [4] = ZYDIS_REGISTER_EAX, [8] = ZYDIS_REGISTER_RAX};
	emu_reg_write(e, ax[size], value);
}

static int iterate(struct emu *e, const struct emu_insn *in, unsigned what, unsigned size)
{
	unsigned bits = in->z.address_width;
	uint16_t port = (uint16_t)e->regs[VREG_RDX];
	uint64_t value = e->regs[VREG_RAX] & emu_mask(size), other, difference;
	/* The destination is checked before a source with side effects is read. */
	if (what & DST_MEMORY && emu_memory(e, ZYDIS_REGISTER_ES, reg_of_width(e, VREG_RDI, bits), size, EMU_CHECK_WRITE, NULL))
		return -1;
	if (what & SRC_MEMORY && emu_memory(e, source_segment(in), reg_of_width(e, VREG_RSI, bits), size, EMU_READ, &value))
		return -1;
	if (what & COMPARE) {
		if (emu_memory(e, ZYDIS_REGISTER_ES, reg_of_width(e, VREG_RDI, bits), size, EMU_READ, &other))
			return -1;
		emu_alu(ZYDIS_MNEMONIC_CMP, size, value, other, &difference, &e->rflags);
	}
	if (what & SRC_PORT)
		e->port(e, port, size, false, &value);
	if (what & DST_MEMORY && emu_memory(e, ZYDIS_REGISTER_ES, reg_of_width(e, VREG_RDI, bits), size, EMU_WRITE, &value))
		return -1;
	if (what & DST_PORT)
		e->port(e, port, size, true, &value);
	if (what & DST_AX)
		set_ax(e, size, value);
	if (what & SRC_MEMORY)
		advance(e, VREG_RSI, bits, size);
	if (what & (DST_MEMORY | COMPARE))
		advance(e, VREG_RDI, bits, size);
	return 0;
}

enum emu_result emu_string(struct emu *e, const struct emu_insn *in)
{
	unsigned size, what = kind(in->z.mnemonic, &size), bits = in->z.address_width;
	if (!(in->z.attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE)))
		return iterate(e, in, what, size) ? EMU_FAULT : EMU_DONE;
	for (unsigned i = 0; i < ITERATIONS_MAX; i++) {
		uint64_t left = reg_of_width(e, VREG_RCX, bits);
		if (left == 0)
			return EMU_DONE;
		if (iterate(e, in, what, size))
			return EMU_FAULT;
		set_reg_of_width(e, VREG_RCX, bits, left - 1);
		if (left == 1 || (what & COMPARE && !(e->rflags & FLAGS_ZF) != !(in->z.attributes & ZYDIS_ATTRIB_HAS_REPE)))
			return EMU_DONE;
	}
	return EMU_AGAIN;
}
