/*
 * Guest page walk (walk.h). One loop over levels for all three paging modes; entries are read once; accessed and dirty bits are set by
 * compare-and-swap in guest memory, and the walk starts again when the guest changed the entry meanwhile.
 */
#include "virt/walk.h"

#include "virt/x86.h"
#include <errno.h>

#define PTE_P (1ull << 0)
#define PTE_W (1ull << 1)
#define PTE_U (1ull << 2)
#define PTE_A (1ull << 5)
#define PTE_D (1ull << 6)
#define PTE_PS (1ull << 7)
#define PTE_NX (1ull << 63)
#define WALK_RETRIES 8

struct mode {
	unsigned levels, index_bits, entry_bytes;
	uint64_t root;
};

static struct mode paging_mode(const struct walk *w)
{
	if (w->efer & EFER_LMA)
		return (struct mode){
			.levels = w->cr4 & CR4_LA57 ? 5 : 4, .index_bits = 9, .entry_bytes = 8, .root = w->cr3 & 0x000ffffffffff000ull};
	if (w->cr4 & CR4_PAE)
		return (struct mode){.levels = 3, .index_bits = 9, .entry_bytes = 8, .root = w->cr3 & 0xffffffe0ull};
	return (struct mode){.levels = 2, .index_bits = 10, .entry_bytes = 4, .root = w->cr3 & 0xfffff000ull};
}

static int read_entry(const struct walk *w, uint64_t at, unsigned bytes, uint64_t *entry)
{
	*entry = 0;
	return gmem_read(w->gmem, GPA(at), entry, bytes) ? -ENXIO : 0;
}

/* Sets bits in the entry if it is still `old`. */
static bool set_bits(const struct walk *w, uint64_t at, unsigned bytes, uint64_t old, uint64_t bits)
{
	if ((old & bits) == bits)
		return true;
	void *p = gmem_ptr(w->gmem, GPA(at), bytes, true);
	if (!p)
		return false;
	uint32_t expected32 = (uint32_t)old;
	uint64_t expected = old;
	bool done = bytes == 4
			    ? __atomic_compare_exchange_n(
				      (uint32_t *)p, &expected32, (uint32_t)(old | bits), false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)
			    : __atomic_compare_exchange_n((uint64_t *)p, &expected, old | bits, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	gmem_mark(w->gmem, GPA(at), bytes);
	return done;
}

static bool is_user(const struct walk *w, unsigned access)
{
	return w->cpl == 3 && !(access & WALK_IMPLICIT);
}

static uint32_t error_code(const struct walk *w, unsigned access)
{
	uint32_t e = is_user(w, access) ? PF_USER : 0;
	if (access & WALK_WRITE)
		e |= PF_WRITE;
	if ((access & WALK_FETCH) && ((w->efer & EFER_NXE && w->cr4 & CR4_PAE) || w->cr4 & CR4_SMEP))
		e |= PF_FETCH;
	return e;
}

/* SDM vol. 3, 4.6.1: rights accumulated over all levels (`all`: and of the entries, with NX or-ed into `nx`). */
static bool allowed(const struct walk *w, unsigned access, uint64_t all, bool nx)
{
	bool user_page = all & PTE_U, user = is_user(w, access);
	if (user && !user_page)
		return false;
	if (access & WALK_FETCH)
		return !nx && !(!user && user_page && w->cr4 & CR4_SMEP);
	if (!user && user_page && w->cr4 & CR4_SMAP && (access & WALK_IMPLICIT || !(w->rflags & FLAGS_AC)))
		return false;
	return !(access & WALK_WRITE) || all & PTE_W || (!user && !(w->cr0 & CR0_WP));
}

/* Reserved bits of an entry that maps (leaf) or points on. */
static bool reserved(const struct walk *w, const struct mode *m, unsigned level, uint64_t entry, bool leaf)
{
	if (m->entry_bytes == 4)
		return leaf && level == 2 && entry & 1ull << 21; /* bits 20:13 are address bits 39:32 (PSE-36) */
	unsigned phys_bits = w->phys_bits ? w->phys_bits : 52;
	uint64_t bad = 0x000fffffffffffffull & ~((1ull << phys_bits) - 1);
	if (!(w->efer & EFER_NXE))
		bad |= PTE_NX;
	if (leaf && level > 1)
		bad |= ((1ull << (12 + 9 * (level - 1))) - 1) & ~0x1fffull;
	if (!leaf && level >= 4)
		bad |= PTE_PS;
	return entry & bad;
}

static uint64_t leaf_address(const struct mode *m, unsigned level, uint64_t entry, uint64_t gva)
{
	uint64_t offset_mask = (1ull << (12 + m->index_bits * (level - 1))) - 1;
	if (m->entry_bytes == 4 && level == 2)
		return (entry & 0xffc00000) | (entry >> 13 & 0xff) << 32 | (gva & offset_mask);
	return (entry & 0x000ffffffffff000ull & ~offset_mask) | (gva & offset_mask);
}

/* One walk; -EAGAIN when the guest changed an entry under it. */
static int walk_once(const struct walk *w, const struct mode *m, uint64_t gva, unsigned access, gpa_t *gpa, uint32_t *error)
{
	uint64_t table = m->root, all = PTE_U | PTE_W;
	bool nx = false;
	*error = error_code(w, access);
	for (unsigned level = m->levels;; level--) {
		unsigned shift = 12 + m->index_bits * (level - 1);
		uint64_t at = table + (gva >> shift & ((1u << m->index_bits) - 1)) * m->entry_bytes, entry;
		if (m->levels == 3 && level == 3)
			at = table + (gva >> 30 & 3) * 8;
		if (read_entry(w, at, m->entry_bytes, &entry))
			return -ENXIO;
		if (!(entry & PTE_P))
			return -EFAULT;
		bool pdpte = m->levels == 3 && level == 3; /* PAE: four pointers without rights */
		bool leaf = level == 1 || (entry & PTE_PS && !pdpte && (m->entry_bytes == 8 ? level <= 3 : w->cr4 & CR4_PSE));
		if (!pdpte && reserved(w, m, level, entry, leaf)) {
			*error |= PF_RESERVED | PF_PRESENT;
			return -EFAULT;
		}
		if (!pdpte) {
			all &= entry;
			nx |= m->entry_bytes == 8 && entry & PTE_NX;
		}
		if (!leaf) {
			if (!pdpte && !set_bits(w, at, m->entry_bytes, entry, PTE_A))
				return -EAGAIN;
			table = entry & (m->entry_bytes == 8 ? 0x000ffffffffff000ull : 0xfffff000ull);
			continue;
		}
		if (!allowed(w, access, all, nx)) {
			*error |= PF_PRESENT;
			return -EFAULT;
		}
		if (!set_bits(w, at, m->entry_bytes, entry, PTE_A | (access & WALK_WRITE ? PTE_D : 0)))
			return -EAGAIN;
		*gpa = GPA(leaf_address(m, level, entry, gva));
		return 0;
	}
}

int walk_translate(const struct walk *w, uint64_t gva, unsigned access, gpa_t *gpa, uint32_t *error)
{
	if (!(w->cr0 & CR0_PG)) {
		*gpa = GPA(gva & 0xffffffffull);
		return 0;
	}
	struct mode m = paging_mode(w);
	int ret = -EAGAIN;
	for (unsigned i = 0; i < WALK_RETRIES && ret == -EAGAIN; i++)
		ret = walk_once(w, &m, gva, access, gpa, error);
	return ret == -EAGAIN ? -ENXIO : ret;
}
