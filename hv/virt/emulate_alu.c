/* Arithmetic and logic of emulated instructions with their status flags (SDM vol. 1, 3.4.3.1 and the instructions' pages). Pure. */
#include "virt/emulate_impl.h"

#define ARITHMETIC (FLAGS_CF | FLAGS_PF | FLAGS_AF | FLAGS_ZF | FLAGS_SF | FLAGS_OF)

/* SF, ZF, PF of a result. */
static uint64_t result_flags(uint64_t r, unsigned size)
{
	uint64_t f = r == 0 ? FLAGS_ZF : 0;
	if (r >> (8 * size - 1) & 1)
		f |= FLAGS_SF;
	if (!__builtin_parity((unsigned)(r & 0xff)))
		f |= FLAGS_PF;
	return f;
}

static uint64_t add(uint64_t a, uint64_t b, unsigned carry, unsigned size, uint64_t *flags)
{
	uint64_t mask = emu_mask(size), r = (a + b + carry) & mask, top = 1ull << (8 * size - 1);
	uint64_t f = result_flags(r, size);
	if (r < (a & mask) || (carry && r == (a & mask)))
		f |= FLAGS_CF;
	if ((a ^ r) & (b ^ r) & top)
		f |= FLAGS_OF;
	f |= (a ^ b ^ r) & FLAGS_AF;
	*flags = (*flags & ~ARITHMETIC) | f;
	return r;
}

static uint64_t sub(uint64_t a, uint64_t b, unsigned borrow, unsigned size, uint64_t *flags)
{
	uint64_t mask = emu_mask(size), r = (a - b - borrow) & mask, top = 1ull << (8 * size - 1);
	uint64_t f = result_flags(r, size);
	if ((a & mask) < (b & mask) || (borrow && (a & mask) == (b & mask)))
		f |= FLAGS_CF;
	if ((a ^ b) & (a ^ r) & top)
		f |= FLAGS_OF;
	f |= (a ^ b ^ r) & FLAGS_AF;
	*flags = (*flags & ~ARITHMETIC) | f;
	return r;
}

static uint64_t logic(uint64_t r, unsigned size, uint64_t *flags)
{
	r &= emu_mask(size);
	*flags = (*flags & ~ARITHMETIC) | result_flags(r, size);
	return r;
}

/* INC and DEC leave CF alone. */
static uint64_t keep_carry(uint64_t flags, uint64_t before)
{
	return (flags & ~FLAGS_CF) | (before & FLAGS_CF);
}

bool emu_alu(ZydisMnemonic m, unsigned size, uint64_t a, uint64_t b, uint64_t *result, uint64_t *flags)
{
	uint64_t before = *flags;
	unsigned carry = before & FLAGS_CF ? 1 : 0;
	switch (m) {
	case ZYDIS_MNEMONIC_ADD:
	case ZYDIS_MNEMONIC_XADD:
		*result = add(a, b, 0, size, flags);
		return true;
	case ZYDIS_MNEMONIC_ADC:
		*result = add(a, b, carry, size, flags);
		return true;
	case ZYDIS_MNEMONIC_SUB:
	case ZYDIS_MNEMONIC_CMP:
	case ZYDIS_MNEMONIC_CMPXCHG:
		*result = sub(a, b, 0, size, flags);
		return true;
	case ZYDIS_MNEMONIC_SBB:
		*result = sub(a, b, carry, size, flags);
		return true;
	case ZYDIS_MNEMONIC_AND:
	case ZYDIS_MNEMONIC_TEST:
		*result = logic(a & b, size, flags);
		return true;
	case ZYDIS_MNEMONIC_OR:
		*result = logic(a | b, size, flags);
		return true;
	case ZYDIS_MNEMONIC_XOR:
		*result = logic(a ^ b, size, flags);
		return true;
	case ZYDIS_MNEMONIC_INC:
		*result = add(a, 1, 0, size, flags);
		*flags = keep_carry(*flags, before);
		return true;
	case ZYDIS_MNEMONIC_DEC:
		*result = sub(a, 1, 0, size, flags);
		*flags = keep_carry(*flags, before);
		return true;
	case ZYDIS_MNEMONIC_NEG:
		*result = sub(0, a, 0, size, flags);
		return true;
	case ZYDIS_MNEMONIC_NOT:
		*result = ~a & emu_mask(size);
		return true;
	default:
		return false;
	}
}
