/*
 * Guest memory (gmem.h): a table of host pointers, one for each 2 MiB unit of guest RAM, low range first. The table is written while the VM
 * is made and constant afterwards, so that lookups need no lock. Adjacent units are joined to extents, for data paths. Whole gigabytes are
 * taken from the host in one piece when it has one (nested paging then maps them with one entry).
 */
#include "virt/gmem_impl.h"

#include <errno.h>
#include <hv/core.h>
#include <hv/mem.h>
#include <stdatomic.h>
#include <string.h>

#define UNITS_PER_GIB 512
#define YIELD_UNITS 16 /* zeroed between two turns of the core's loop */

struct gmem {
	uint64_t low_bytes, high_bytes;
	size_t units;
	size_t table_bytes;
	void **unit;                 /* [units] */
	struct gmem_extent *extents; /* all of it, by address */
	size_t extent_count, extents_bytes;
	/* Dirty log: bits stay allocated from the first start on, because other cores may be setting some when it is stopped. */
	_Atomic uint64_t *log;
	size_t log_bytes;
	_Atomic bool logging;
	uint8_t giant[(GMEM_MAX_BYTES >> 30) / 8]; /* bit n: units of the table's n-th gigabyte are one piece of host memory */
};

static bool is_giant(const struct gmem *m, size_t gib)
{
	return (m->giant[gib / 8] >> (gib % 8) & 1) != 0;
}

/* Fills the table from unit i: one gigabyte in one piece or one unit. Returns how many units, 0 when there is no memory. */
static size_t fill(struct gmem *m, size_t i)
{
	if (i % UNITS_PER_GIB == 0 && m->units - i >= UNITS_PER_GIB) {
		char *p = hv_pages_alloc(HV_ORDER_1G);
		if (p) {
			for (size_t k = 0; k < UNITS_PER_GIB; k++)
				m->unit[i + k] = p + k * GMEM_UNIT;
			m->giant[i / UNITS_PER_GIB / 8] |= (uint8_t)(1u << (i / UNITS_PER_GIB % 8));
			return UNITS_PER_GIB;
		}
	}
	m->unit[i] = hv_pages_alloc(HV_ORDER_2M);
	return m->unit[i] ? 1 : 0;
}

/* Is the unit in another extent than the one before it? */
static bool starts_extent(const struct gmem *m, size_t i)
{
	return i == 0 || i == m->low_bytes >> GMEM_UNIT_SHIFT || (char *)m->unit[i] != (char *)m->unit[i - 1] + GMEM_UNIT;
}

static int join_units(struct gmem *m)
{
	for (size_t i = 0; i < m->units; i++)
		m->extent_count += starts_extent(m, i);
	m->extents_bytes = m->extent_count * sizeof(*m->extents);
	m->extents = hv_contig_alloc(m->extents_bytes, HV_PAGE_SIZE);
	if (!m->extents)
		return -ENOMEM;
	struct gmem_extent *e = m->extents - 1;
	for (size_t i = 0; i < m->units; i++) {
		uint64_t offset = (uint64_t)i << GMEM_UNIT_SHIFT;
		if (starts_extent(m, i))
			*++e = (struct gmem_extent){
				.gpa = offset < m->low_bytes ? offset : GMEM_HIGH + (offset - m->low_bytes), .host = m->unit[i]};
		e->bytes += GMEM_UNIT;
	}
	return 0;
}

int gmem_create(uint64_t bytes, struct gmem **out)
{
	if (bytes == 0 || bytes % GMEM_UNIT || bytes > GMEM_MAX_BYTES)
		return -EINVAL;
	struct gmem *m = hv_contig_alloc(sizeof(*m), HV_PAGE_SIZE);
	if (!m)
		return -ENOMEM;
	memset(m, 0, sizeof(*m));
	m->low_bytes = HV_MIN(bytes, GMEM_LOW_MAX);
	m->high_bytes = bytes - m->low_bytes;
	m->units = bytes >> GMEM_UNIT_SHIFT;
	m->table_bytes = m->units * sizeof(void *);
	m->unit = hv_contig_alloc(m->table_bytes, HV_PAGE_SIZE);
	if (!m->unit) {
		gmem_destroy(m);
		return -ENOMEM;
	}
	memset(m->unit, 0, m->table_bytes);
	for (size_t i = 0, n; i < m->units; i += n) {
		n = fill(m, i);
		if (n == 0) {
			gmem_destroy(m);
			return -ENOMEM;
		}
		if (hv_fiber_self() && (n > 1 || i % YIELD_UNITS == 0))
			hv_fiber_yield();
	}
	if (join_units(m) < 0) {
		gmem_destroy(m);
		return -ENOMEM;
	}
	*out = m;
	return 0;
}

void gmem_destroy(struct gmem *m)
{
	if (!m)
		return;
	for (size_t i = 0; m->unit && i < m->units; i++) {
		if (!is_giant(m, i / UNITS_PER_GIB)) {
			if (m->unit[i])
				hv_pages_free(m->unit[i], HV_ORDER_2M);
		} else if (i % UNITS_PER_GIB == 0) {
			hv_pages_free(m->unit[i], HV_ORDER_1G);
		}
	}
	if (m->log)
		hv_contig_free((void *)m->log, m->log_bytes);
	if (m->extents)
		hv_contig_free(m->extents, m->extents_bytes);
	if (m->unit)
		hv_contig_free(m->unit, m->table_bytes);
	hv_contig_free(m, sizeof(*m));
}

uint64_t gmem_bytes(const struct gmem *m)
{
	return m->low_bytes + m->high_bytes;
}

/* Where gpa lies in guest memory without its hole; false when not RAM. */
static bool find(const struct gmem *m, uint64_t gpa, uint64_t *offset)
{
	if (gpa < m->low_bytes)
		*offset = gpa;
	else if (gpa - GMEM_HIGH < m->high_bytes) /* wraps to a huge value below 4 GiB */
		*offset = m->low_bytes + (gpa - GMEM_HIGH);
	else
		return false;
	return true;
}

/* Host address of gpa; *left = bytes to the end of its unit. NULL when not RAM. */
static char *lookup(const struct gmem *m, uint64_t gpa, uint64_t *left)
{
	uint64_t offset;
	if (!find(m, gpa, &offset))
		return NULL;
	uint64_t in_unit = offset & (GMEM_UNIT - 1);
	*left = GMEM_UNIT - in_unit;
	return (char *)m->unit[offset >> GMEM_UNIT_SHIFT] + in_unit;
}

void *gmem_unit(const struct gmem *m, gpa_t gpa)
{
	uint64_t left;
	return lookup(m, gpa.v, &left);
}

int gmem_read(const struct gmem *m, gpa_t gpa, void *buf, size_t len)
{
	for (char *to = buf; len > 0;) {
		uint64_t left;
		const char *p = lookup(m, gpa.v, &left);
		if (!p)
			return -EFAULT;
		size_t n = HV_MIN(len, left);
		memcpy(to, p, n);
		to += n;
		gpa.v += n;
		len -= n;
	}
	return 0;
}

int gmem_write(struct gmem *m, gpa_t gpa, const void *buf, size_t len)
{
	for (const char *from = buf; len > 0;) {
		uint64_t left;
		char *p = lookup(m, gpa.v, &left);
		if (!p)
			return -EFAULT;
		size_t n = HV_MIN(len, left);
		memcpy(p, from, n);
		gmem_mark(m, gpa, n);
		from += n;
		gpa.v += n;
		len -= n;
	}
	return 0;
}

void *gmem_ptr(struct gmem *m, gpa_t gpa, size_t len, bool write)
{
	uint64_t left;
	char *start = lookup(m, gpa.v, &left);
	if (!start)
		return NULL;
	for (uint64_t have = left; have < len; have += left) {
		if (gpa.v + have < have || lookup(m, gpa.v + have, &left) != start + have)
			return NULL;
	}
	return start;
}

int gmem_segs(struct gmem *m, gpa_t gpa, uint32_t len, bool write, struct hv_seg *segs, unsigned max)
{
	unsigned n = 0;
	while (len > 0) {
		uint64_t left;
		char *p = lookup(m, gpa.v, &left);
		if (!p)
			return -EFAULT;
		uint32_t take = (uint32_t)HV_MIN((uint64_t)len, left);
		if (n > 0 && (char *)segs[n - 1].base + segs[n - 1].len == p) {
			segs[n - 1].len += take;
		} else {
			if (n == max)
				return -E2BIG;
			segs[n++] = (struct hv_seg){.base = p, .len = take};
		}
		gpa.v += take;
		len -= take;
	}
	return (int)n;
}

bool gmem_extent_of(const struct gmem *m, gpa_t gpa, struct gmem_extent *out)
{
	size_t from = 0, to = m->extent_count;
	while (from < to) { /* binary: those below `from` end before gpa, those from `to` on begin behind it */
		size_t middle = from + (to - from) / 2;
		const struct gmem_extent *e = &m->extents[middle];
		if (gpa.v < e->gpa) {
			to = middle;
		} else if (gpa.v - e->gpa >= e->bytes) {
			from = middle + 1;
		} else {
			*out = *e;
			return true;
		}
	}
	return false;
}

unsigned gmem_ranges(const struct gmem *m, struct gmem_range *out, unsigned max)
{
	unsigned n = 0;
	if (n < max)
		out[n++] = (struct gmem_range){GPA(0), m->low_bytes};
	if (m->high_bytes && n < max)
		out[n++] = (struct gmem_range){GPA(GMEM_HIGH), m->high_bytes};
	return n;
}

/* ---- dirty log ---- */

bool gmem_page(const struct gmem *m, gpa_t gpa, uint64_t *page)
{
	uint64_t offset;
	if (!find(m, gpa.v, &offset))
		return false;
	*page = offset / HV_PAGE_SIZE;
	return true;
}

gpa_t gmem_page_gpa(const struct gmem *m, uint64_t page)
{
	uint64_t offset = page * HV_PAGE_SIZE;
	return GPA(offset < m->low_bytes ? offset : GMEM_HIGH + (offset - m->low_bytes));
}

int gmem_log_start(struct gmem *m)
{
	if (!m->log) {
		m->log_bytes = HV_ALIGN_UP(m->units * (GMEM_UNIT / HV_PAGE_SIZE) / 8, sizeof(uint64_t));
		m->log = hv_contig_alloc(m->log_bytes, HV_PAGE_SIZE);
		if (!m->log)
			return -ENOMEM;
	}
	for (size_t i = 0; i < m->log_bytes / sizeof(uint64_t); i++)
		atomic_store_explicit(&m->log[i], 0, memory_order_relaxed);
	atomic_store(&m->logging, true);
	return 0;
}

void gmem_log_stop(struct gmem *m)
{
	atomic_store(&m->logging, false);
}

uint64_t gmem_log_take(struct gmem *m, size_t word)
{
	return atomic_load_explicit(&m->log[word], memory_order_relaxed) ? atomic_exchange(&m->log[word], 0) : 0;
}

bool gmem_is_logged(const struct gmem *m)
{
	return atomic_load_explicit(&m->logging, memory_order_acquire);
}

void gmem_mark(struct gmem *m, gpa_t gpa, size_t len)
{
	if (!gmem_is_logged(m) || len == 0)
		return;
	uint64_t end = gpa.v + len < gpa.v ? UINT64_MAX : gpa.v + len, page;
	for (uint64_t at = gpa.v & ~(HV_PAGE_SIZE - 1); at < end; at += HV_PAGE_SIZE) {
		if (gmem_page(m, GPA(at), &page))
			atomic_fetch_or(&m->log[page / 64], 1ull << (page % 64));
		if (at > UINT64_MAX - HV_PAGE_SIZE)
			break;
	}
}
