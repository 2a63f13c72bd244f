/* Operands of emulated instructions: registers, effective addresses, segmentation, paging, and then RAM or a device. */
#include "virt/emulate_impl.h"

#include <errno.h>
#include <string.h>

uint64_t emu_mask(unsigned size)
{
	return size >= 8 ? ~0ull : (1ull << (8 * size)) - 1;
}

/* AL CL DL BL AH CH DH BH SPL BPL SIL DIL R8B.. in Zydis' order: register and shift. */
static unsigned byte_register(ZydisRegister reg, unsigned *shift)
{
	unsigned i = (unsigned)(reg - ZYDIS_REGISTER_AL);
	*shift = i >= 4 && i < 8 ? 8 : 0;
	return i < 4 ? i : i - 4;
}

uint64_t emu_reg_read(const struct emu *e, ZydisRegister reg)
{
	if (reg >= ZYDIS_REGISTER_RAX && reg <= ZYDIS_REGISTER_R15)
		return e->regs[reg - ZYDIS_REGISTER_RAX];
	if (reg >= ZYDIS_REGISTER_EAX && reg <= ZYDIS_REGISTER_R15D)
		return (uint32_t)e->regs[reg - ZYDIS_REGISTER_EAX];
	if (reg >= ZYDIS_REGISTER_AX && reg <= ZYDIS_REGISTER_R15W)
		return (uint16_t)e->regs[reg - ZYDIS_REGISTER_AX];
	if (reg >= ZYDIS_REGISTER_AL && reg <= ZYDIS_REGISTER_R15B) {
		unsigned shift, i = byte_register(reg, &shift);
		return e->regs[i] >> shift & 0xff;
	}
	return 0;
}

void emu_reg_write(struct emu *e, ZydisRegister reg, uint64_t value)
{
	if (reg >= ZYDIS_REGISTER_RAX && reg <= ZYDIS_REGISTER_R15) {
		e->regs[reg - ZYDIS_REGISTER_RAX] = value;
	} else if (reg >= ZYDIS_REGISTER_EAX && reg <= ZYDIS_REGISTER_R15D) {
		e->regs[reg - ZYDIS_REGISTER_EAX] = (uint32_t)value;
	} else if (reg >= ZYDIS_REGISTER_AX && reg <= ZYDIS_REGISTER_R15W) {
		uint64_t *r = &e->regs[reg - ZYDIS_REGISTER_AX];
		*r = (*r & ~0xffffull) | (value & 0xffff);
	} else if (reg >= ZYDIS_REGISTER_AL && reg <= ZYDIS_REGISTER_R15B) {
		unsigned shift;
		uint64_t *r = &e->regs[byte_register(reg, &shift)];
		*r = (*r & ~(0xffull << shift)) | (value & 0xff) << shift;
	}
}

uint64_t emu_offset(const struct emu *e, const struct emu_insn *in, const ZydisDecodedOperand *op)
{
	uint64_t at = (uint64_t)op->mem.disp.value;
	if (op->mem.base == ZYDIS_REGISTER_RIP || op->mem.base == ZYDIS_REGISTER_EIP)
		at += e->rip + in->z.length;
	else if (op->mem.base != ZYDIS_REGISTER_NONE)
		at += emu_reg_read(e, op->mem.base);
	if (op->mem.index != ZYDIS_REGISTER_NONE)
		at += emu_reg_read(e, op->mem.index) * op->mem.scale;
	return at & emu_mask(in->z.address_width / 8);
}

int emu_fault(struct emu *e, uint8_t vector, bool has_error, uint32_t error)
{
	e->vector = vector;
	e->has_error = has_error;
	e->error = error;
	return -EFAULT;
}

static enum virt_seg_id seg_id(ZydisRegister segment)
{
	switch (segment) {
	case ZYDIS_REGISTER_ES:
		return VSEG_ES;
	case ZYDIS_REGISTER_CS:
		return VSEG_CS;
	case ZYDIS_REGISTER_SS:
		return VSEG_SS;
	case ZYDIS_REGISTER_FS:
		return VSEG_FS;
	case ZYDIS_REGISTER_GS:
		return VSEG_GS;
	default:
		return VSEG_DS;
	}
}

/* Segment limit (SDM vol. 3, 5.3): expand-down data segments have their valid offsets above it. */
static bool within(const struct virt_seg *s, uint64_t offset, unsigned size)
{
	uint64_t last = offset + size - 1;
	bool data = (s->attr & (SEG_S | 8)) == SEG_S;
	if (data && s->attr & 4)
		return offset > s->limit && last <= (s->attr & SEG_DB ? 0xffffffffull : 0xffff);
	return last <= s->limit;
}

/* segment:offset to a linear address. */
static int linearize(struct emu *e, ZydisRegister segment, uint64_t offset, unsigned size, bool write, uint64_t *linear)
{
	enum virt_seg_id id = seg_id(segment);
	const struct virt_seg *s = &e->seg[id];
	uint8_t vector = id == VSEG_SS ? X86_SS : X86_GP;
	if (e->bits == 64) {
		*linear = offset + (id == VSEG_FS || id == VSEG_GS ? s->base : 0);
		if ((int64_t)(*linear << 16) >> 16 != (int64_t)*linear)
			return emu_fault(e, vector, true, 0);
		return 0;
	}
	bool protected_mode = e->walk.cr0 & CR0_PE && !(e->rflags & FLAGS_VM), code = s->attr & 8;
	if (protected_mode && (!(s->attr & SEG_P) || (write && (code || !(s->attr & 2))) || (!write && code && !(s->attr & 2))))
		return emu_fault(e, vector, true, 0);
	if (!within(s, offset, size))
		return emu_fault(e, vector, true, 0);
	*linear = (uint32_t)(s->base + offset);
	return 0;
}

static int translate(struct emu *e, uint64_t linear, bool write, gpa_t *gpa)
{
	uint32_t error;
	int ret = walk_translate(&e->walk, linear, write ? WALK_WRITE : WALK_READ, gpa, &error);
	if (ret == -EFAULT) {
		e->cr2 = linear;
		return emu_fault(e, X86_PF, true, error);
	}
	if (ret)
		return emu_fault(e, X86_GP, true, 0); /* a page table outside of RAM */
	return 0;
}

/* One piece that lies in one page. Device accesses are powers of two; an odd piece goes byte by byte. */
static void transfer(struct emu *e, gpa_t gpa, unsigned size, bool write, uint64_t *value)
{
	int ret = write ? gmem_write(e->walk.gmem, gpa, value, size) : gmem_read(e->walk.gmem, gpa, value, size);
	if (ret == 0)
		return;
	if ((size & (size - 1)) == 0) {
		e->device(e, gpa, size, write, value);
		return;
	}
	uint64_t all = 0;
	for (unsigned i = 0; i < size; i++) {
		uint64_t byte = *value >> (8 * i) & 0xff;
		e->device(e, GPA(gpa.v + i), 1, write, &byte);
		all |= (byte & 0xff) << (8 * i);
	}
	if (!write)
		*value = all;
}

int emu_memory(struct emu *e, ZydisRegister segment, uint64_t offset, unsigned size, enum emu_touch how, uint64_t *value)
{
	uint64_t linear;
	bool write = how != EMU_READ;
	gpa_t gpa, gpa2 = GPA(0);
	if (linearize(e, segment, offset, size, write, &linear) || translate(e, linear, write, &gpa))
		return -EFAULT;
	unsigned first = (unsigned)HV_MIN((uint64_t)size, HV_PAGE_SIZE - (linear & (HV_PAGE_SIZE - 1)));
	if (first < size && translate(e, linear + first, write, &gpa2))
		return -EFAULT;
	if (how == EMU_CHECK_WRITE)
		return 0;
	uint64_t low = write ? *value & emu_mask(first) : 0, high = write && first < size ? *value >> (8 * first) : 0;
	transfer(e, gpa, first, write, &low);
	if (first < size)
		transfer(e, gpa2, size - first, write, &high);
	if (!write)
		*value = (low & emu_mask(first)) | (first < size ? (high & emu_mask(size - first)) << (8 * first) : 0);
	return 0;
}

int emu_read(struct emu *e, const struct emu_insn *in, const ZydisDecodedOperand *op, uint64_t *value)
{
	unsigned size = op->size / 8;
	switch (op->type) {
	case ZYDIS_OPERAND_TYPE_REGISTER:
		*value = emu_reg_read(e, op->reg.value);
		return 0;
	case ZYDIS_OPERAND_TYPE_IMMEDIATE:
		*value = op->imm.value.u;
		return 0;
	case ZYDIS_OPERAND_TYPE_MEMORY:
		return emu_memory(e, op->mem.segment, emu_offset(e, in, op), size, EMU_READ, value);
	default:
		return emu_fault(e, X86_UD, false, 0);
	}
}

int emu_write(struct emu *e, const struct emu_insn *in, const ZydisDecodedOperand *op, uint64_t value)
{
	if (op->type == ZYDIS_OPERAND_TYPE_REGISTER) {
		emu_reg_write(e, op->reg.value, value);
		return 0;
	}
	if (op->type != ZYDIS_OPERAND_TYPE_MEMORY)
		return emu_fault(e, X86_UD, false, 0);
	return emu_memory(e, op->mem.segment, emu_offset(e, in, op), op->size / 8, EMU_WRITE, &value);
}

int emu_check_write(struct emu *e, const struct emu_insn *in, const ZydisDecodedOperand *op)
{
	if (op->type != ZYDIS_OPERAND_TYPE_MEMORY)
		return 0;
	return emu_memory(e, op->mem.segment, emu_offset(e, in, op), op->size / 8, EMU_CHECK_WRITE, NULL);
}
