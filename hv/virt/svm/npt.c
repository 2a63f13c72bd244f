/*
 * The form of AMD-V's nested page table entries (APM vol. 2, 15.25): those of long mode. The nested walk is a user access (15.25.5), so
 * every entry has U; memory is executable, as a guest's RAM is. The tables are built by virt/nested.c.
 */
#include "virt/svm/svm_impl.h"

#define P (1ull << 0)
#define W (1ull << 1)
#define U (1ull << 2)
#define A (1ull << 5)
#define D (1ull << 6)

const struct nested_format svm_npt_format = {.table = P | W | U, .leaf = P | W | U | A | D | NESTED_LARGE, .present = P, .write = W, .dirty = D};
