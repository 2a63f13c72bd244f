/* The host's address space (docs/internals/memory.md). One page-table root for all cores; mappings are only added, never changed or removed. */
#ifndef HV_ARCH_LAYOUT_H
#define HV_ARCH_LAYOUT_H

#define HV_DIRECT_BASE 0xffff800000000000ul /* physical address 0; RAM only, RW NX (the image's text and constants read-only) */
#define HV_DIRECT_BYTES (64ul << 40)
#define HV_STACK_BASE 0xffffc00000000000ul /* stacks, each above an unmapped page */
#define HV_STACK_END 0xffffc10000000000ul
#define HV_MMIO_BASE 0xffffc80000000000ul /* device registers, uncached; firmware tables, read-only */
#define HV_MMIO_END 0xffffcc0000000000ul
#define HV_HEAP_BASE 0xffffd00000000000ul /* the C library's heap, mapped as it grows */
#define HV_HEAP_BYTES (1ul << 30)
#define HV_IMAGE_BASE 0xffffffff80000000ul

#endif
