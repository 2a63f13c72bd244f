/*
 * The form of extended page table entries (SDM vol. 3, 29.3). Memory is write-back whatever the guest's PAT says (IPAT): no device is
 * passed through, and the host's view of the same memory is cached. The tables are built by virt/nested.c.
 */
#include "virt/vmx/vmx_impl.h"

#define RWX 0x07ull
#define W (1ull << 1)
#define D (1ull << 9) /* with EPTP_ACCESSED_DIRTY */
#define WB (6ull << 3)
#define IPAT (1ull << 6)
#define EPTP_WB 6ull
#define EPTP_LEVELS_4 (3ull << 3)
#define EPTP_ACCESSED_DIRTY (1ull << 6)

const struct nested_format vmx_ept_format = {.table = RWX, .leaf = RWX | WB | IPAT | NESTED_LARGE, .present = RWX, .write = W, .dirty = D};

uint64_t vmx_ept_pointer(const struct nested *n, bool accessed_dirty)
{
	return n->root_pa.v | EPTP_WB | EPTP_LEVELS_4 | (accessed_dirty ? EPTP_ACCESSED_DIRTY : 0);
}
