/*
 * Instruction emulation: one instruction that touched device memory (or a port, by a string instruction), decoded by Zydis and executed in
 * software with the guest's segmentation, paging and flags. It knows neither vCPU nor vendor: a context in, registers or a fault out, so that
 * it is tested natively on byte streams.
 *
 *   emulate.c        decode, dispatch: moves, ALU, bit and exchange forms
 *   emulate_alu.c    arithmetic and flags (pure)
 *   emulate_memory.c operands: registers, effective addresses, translation, RAM or device
 *   emulate_string.c MOVS STOS LODS CMPS SCAS INS OUTS with REP, resumable
 */
#ifndef HV_VIRT_EMULATE_H
#define HV_VIRT_EMULATE_H

#include "virt/virt.h"
#include "virt/walk.h"

enum emu_result {
	EMU_DONE,    /* registers, rip and rflags are the instruction's result */
	EMU_AGAIN,   /* a REP string did a bounded part: registers are right, rip still at the instruction */
	EMU_FAULT,   /* vector, error, cr2 say which; registers as before (a string: as before the failed iteration) */
	EMU_UNKNOWN, /* not an instruction we emulate: `reason` */
};

/* Decoded instructions, found again by their bytes: a driver's few instructions on device registers are decoded once. One vCPU's. */
struct emu_cache;
/* What an empty one takes; all zeros. */
size_t emu_cache_bytes(void);

struct emu {
	/* In and out. */
	uint64_t *regs; /* VREG_COUNT */
	uint64_t rip, rflags;
	/* In. */
	struct virt_seg seg[6]; /* by enum virt_seg_id: ES to GS */
	unsigned bits;          /* code segment: 16, 32, 64 */
	struct walk walk;
	const uint8_t *code;
	unsigned code_bytes;
	struct emu_cache *cache; /* NULL: none */
	/* Device memory and ports; size 1, 2, 4, 8. */
	void (*device)(struct emu *e, gpa_t gpa, unsigned size, bool write, uint64_t *value);
	void (*port)(struct emu *e, uint16_t port, unsigned size, bool write, uint64_t *value);
	bool (*set_cr)(struct emu *e, unsigned cr, uint64_t value); /* CR4, CR8; false: #GP */
	void *arg;
	/* Out. */
	uint8_t vector;
	bool has_error;
	uint32_t error;
	uint64_t cr2;
	const char *reason;
};

enum emu_result emulate(struct emu *e);

#endif
