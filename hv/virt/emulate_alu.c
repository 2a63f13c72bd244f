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

/* SDM vol. 2, "SAL/SAR/SHL/SHR" and "RCL/RCR/ROL/ROR". OF is defined for one position; for more it is what one more position would make it. */
bool emu_shift(ZydisMnemonic m, unsigned size, uint64_t a, unsigned count, uint64_t *result, uint64_t *flags)
{
	unsigned bits = 8 * size;
	uint64_t mask = emu_mask(size), top = 1ull << (bits - 1), r = a & mask, f = *flags;
	bool carry = f & FLAGS_CF, shift = false, left = false;
	count &= size == 8 ? 63 : 31;
	*result = r;
	if (count == 0)
		return true;
	for (unsigned i = 0; i < count; i++) {
		bool out_left = r & top, out_right = r & 1;
		switch (m) {
		case ZYDIS_MNEMONIC_SHL:
			r = r << 1 & mask;
			break;
		case ZYDIS_MNEMONIC_SHR:
			r >>= 1;
			break;
		case ZYDIS_MNEMONIC_SAR:
			r = r >> 1 | (r & top);
			break;
		case ZYDIS_MNEMONIC_ROL:
			r = (r << 1 & mask) | out_left;
			break;
		case ZYDIS_MNEMONIC_ROR:
			r = r >> 1 | (out_right ? top : 0);
			break;
		case ZYDIS_MNEMONIC_RCL:
			r = (r << 1 & mask) | carry;
			break;
		case ZYDIS_MNEMONIC_RCR:
			r = r >> 1 | (carry ? top : 0);
			break;
		default:
			return false;
		}
		left = m == ZYDIS_MNEMONIC_SHL || m == ZYDIS_MNEMONIC_ROL || m == ZYDIS_MNEMONIC_RCL;
		shift = m == ZYDIS_MNEMONIC_SHL || m == ZYDIS_MNEMONIC_SHR || m == ZYDIS_MNEMONIC_SAR;
		carry = left ? out_left : out_right;
	}
	bool overflow = left ? (bool)(r & top) != carry : m == ZYDIS_MNEMONIC_SAR ? false : m == ZYDIS_MNEMONIC_SHR ? a & top : (r ^ r << 1) & top;
	f = (f & ~(FLAGS_CF | FLAGS_OF)) | (carry ? FLAGS_CF : 0) | (overflow ? FLAGS_OF : 0);
	if (shift)
		f = (f & ~(FLAGS_SF | FLAGS_ZF | FLAGS_PF)) | result_flags(r, size);
	*result = r;
	*flags = f;
	return true;
}

void emu_multiply(bool is_signed, unsigned size, uint64_t a, uint64_t b, uint64_t *low, uint64_t *high, uint64_t *flags)
{
	unsigned unused = 64 - 8 * size;
	unsigned __int128 r;
	if (is_signed)
		r = (unsigned __int128)((__int128)((int64_t)(a << unused) >> unused) * ((int64_t)(b << unused) >> unused));
	else
		r = (unsigned __int128)(a & emu_mask(size)) * (b & emu_mask(size));
	*low = (uint64_t)r & emu_mask(size);
	*high = (uint64_t)(r >> 8 * size) & emu_mask(size);
	bool wide = is_signed ? *high != (*low >> (8 * size - 1) ? emu_mask(size) : 0) : *high != 0;
	*flags = (*flags & ~(FLAGS_CF | FLAGS_OF)) | (wide ? FLAGS_CF | FLAGS_OF : 0);
}

bool emu_condition(unsigned condition, uint64_t f)
{
	bool less = !(f & FLAGS_SF) != !(f & FLAGS_OF), is[8] = {f & FLAGS_OF, f & FLAGS_CF, f & FLAGS_ZF, f & (FLAGS_CF | FLAGS_ZF), f & FLAGS_SF,
							f & FLAGS_PF, less, less || f & FLAGS_ZF};
	return is[condition >> 1 & 7] != (condition & 1);
}
