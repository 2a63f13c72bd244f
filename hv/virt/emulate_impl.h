/* The emulator's own parts (emulate.h). Helpers return 0, or -EFAULT after setting the fault in struct emu. */
#ifndef HV_VIRT_EMULATE_IMPL_H
#define HV_VIRT_EMULATE_IMPL_H

#include "virt/emulate.h"
#include "virt/x86.h"
#include <Zydis/Decoder.h>

struct emu_insn {
	ZydisDecodedInstruction z;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
};

struct emu_cached {
	uint8_t bits; /* of the code segment; 0: empty */
	uint8_t code[ZYDIS_MAX_INSTRUCTION_LENGTH];
	struct emu_insn in;
};
#define EMU_CACHED 8
struct emu_cache {
	struct emu_cached slots[EMU_CACHED];
};

/* ---- emulate_memory.c ---- */
uint64_t emu_mask(unsigned size);
uint64_t emu_reg_read(const struct emu *e, ZydisRegister reg);
void emu_reg_write(struct emu *e, ZydisRegister reg, uint64_t value);
/* Effective address of a memory operand, truncated to the address size. */
uint64_t emu_offset(const struct emu *e, const struct emu_insn *in, const ZydisDecodedOperand *op);
int emu_fault(struct emu *e, uint8_t vector, bool has_error, uint32_t error);
/* Reads or writes `size` bytes at segment:offset; `touch` only checks that the access would not fault. */
enum emu_touch { EMU_READ, EMU_WRITE, EMU_CHECK_WRITE };
int emu_memory(struct emu *e, ZydisRegister segment, uint64_t offset, unsigned size, enum emu_touch how, uint64_t *value);
/* An operand's value: register, immediate or memory. */
int emu_read(struct emu *e, const struct emu_insn *in, const ZydisDecodedOperand *op, uint64_t *value);
int emu_write(struct emu *e, const struct emu_insn *in, const ZydisDecodedOperand *op, uint64_t value);
int emu_check_write(struct emu *e, const struct emu_insn *in, const ZydisDecodedOperand *op);

/* ---- emulate_alu.c ---- */
/* The result of a two-operand ALU operation of `size` bytes; *flags gets the status flags of SDM vol. 1, 3.4.3.1. False: not one of ours. */
bool emu_alu(ZydisMnemonic m, unsigned size, uint64_t a, uint64_t b, uint64_t *result, uint64_t *flags);
/* Shifts and rotates by `count`; a count that masks to 0 changes nothing. False: not one of ours. */
bool emu_shift(ZydisMnemonic m, unsigned size, uint64_t a, unsigned count, uint64_t *result, uint64_t *flags);
/* a * b, twice as wide; CF and OF say whether the upper half means anything. */
void emu_multiply(bool is_signed, unsigned size, uint64_t a, uint64_t b, uint64_t *low, uint64_t *high, uint64_t *flags);
/* The condition of Jcc, SETcc and CMOVcc: the opcode's low four bits. */
bool emu_condition(unsigned condition, uint64_t flags);

/* ---- emulate_string.c ---- */
bool emu_is_string(ZydisMnemonic m);
enum emu_result emu_string(struct emu *e, const struct emu_insn *in);

#endif
