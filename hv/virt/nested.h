/*
 * Nested page tables: guest-physical to host-physical, all RAM of a VM, built once; 1 GiB entries where guest memory is one aligned piece
 * of host memory, else 2 MiB. What is not mapped is device space: an access there leaves the guest, and the I/O bus answers. Both vendors'
 * tables have the same shape (four levels of 512 entries, address in bits 51:12, bit 7 marks a large page) and differ in their attribute
 * bits.
 */
#ifndef HV_VIRT_NESTED_H
#define HV_VIRT_NESTED_H

#include "virt/gmem.h"

#include <stdatomic.h>

#define NESTED_LARGE (1ull << 7)

/* A vendor's attribute bits. */
struct nested_format {
	uint64_t table;   /* of an entry that points to a table */
	uint64_t leaf;    /* of one that maps a large page, NESTED_LARGE among them */
	uint64_t present; /* an entry is in use when one of these is set */
	uint64_t write;   /* a leaf may be written */
	uint64_t dirty;   /* a leaf has been written */
};

/* Constant while the VM runs, but for what the dirty log changes (dirty.c): generation, logging, and the leaves. */
struct nested {
	const struct nested_format *format;
	uint64_t *root;
	hpa_t root_pa;
	bool machine_logs;           /* the machine logs first writes to pages while `logging` (the vendor sets it before a guest runs) */
	_Atomic bool logging;        /* vendors look at it when a time slice begins */
	_Atomic uint32_t generation; /* raised when rights were taken away: a vCPU that ran under another must not find them in a TLB */
};

/* Maps all of m's RAM. gib_pages: the machine has 1 GiB entries. -ENOMEM: nothing is left behind. Loop context. */
int nested_create(struct nested *n, const struct nested_format *format, const struct gmem *m, bool gib_pages) HV_MUST_CHECK;
/* One more page, which is no RAM of m. -ENOMEM. Loop context, before a guest runs. */
int nested_map_page(struct nested *n, gpa_t gpa, hpa_t hpa) HV_MUST_CHECK;
/* The entry of the 2 MiB at gpa, one of 1 GiB split for it; NULL: no memory. @pre gpa is RAM. Loop context. */
uint64_t *nested_unit_entry(struct nested *n, gpa_t gpa);
/* @pre no core runs the guest. A zeroed *n is allowed. Loop context. */
void nested_destroy(struct nested *n);

#endif
