/*
 * Nested page tables: guest-physical to host-physical, all RAM of a VM, built once; 1 GiB entries where guest memory is one aligned piece
 * of host memory, else 2 MiB. What is not mapped is device space: an access there leaves the guest, and the I/O bus answers. Both vendors'
 * tables have the same shape (four levels of 512 entries, address in bits 51:12, bit 7 marks a large page) and differ in their attribute
 * bits.
 */
#ifndef HV_VIRT_NESTED_H
#define HV_VIRT_NESTED_H

#include "virt/gmem.h"

#define NESTED_LARGE (1ull << 7)

/* A vendor's attribute bits. */
struct nested_format {
	uint64_t table;   /* of an entry that points to a table */
	uint64_t leaf;    /* of one that maps a large page, NESTED_LARGE among them */
	uint64_t present; /* an entry is in use when one of these is set */
};

/* Constant while the VM runs. */
struct nested {
	const struct nested_format *format;
	uint64_t *root;
	hpa_t root_pa;
};

/* Maps all of m's RAM. gib_pages: the machine has 1 GiB entries. -ENOMEM: nothing is left behind. Loop context. */
int nested_create(struct nested *n, const struct nested_format *format, const struct gmem *m, bool gib_pages) HV_MUST_CHECK;
/* One more page, which is no RAM of m. -ENOMEM. Loop context, before a guest runs. */
int nested_map_page(struct nested *n, gpa_t gpa, hpa_t hpa) HV_MUST_CHECK;
/* @pre no core runs the guest. A zeroed *n is allowed. Loop context. */
void nested_destroy(struct nested *n);

#endif
