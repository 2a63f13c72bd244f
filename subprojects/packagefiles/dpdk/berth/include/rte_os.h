/* DPDK's window on the operating system, for Berth's image: list macros (picolibc's sys/queue.h) and a CPU set. */
#ifndef BERTH_RTE_OS_H
#define BERTH_RTE_OS_H

#include <stdint.h>
#include <sched.h>
#include <sys/queue.h>
#include <sys/types.h>

#define RTE_TAILQ_HEAD(name, type) TAILQ_HEAD(name, type)
#define RTE_TAILQ_ENTRY(type) TAILQ_ENTRY(type)
#define RTE_TAILQ_FOREACH(var, head, field) TAILQ_FOREACH(var, head, field)
#define RTE_TAILQ_FIRST(head) TAILQ_FIRST(head)
#define RTE_TAILQ_NEXT(elem, field) TAILQ_NEXT(elem, field)
#define RTE_STAILQ_HEAD(name, type) STAILQ_HEAD(name, type)
#define RTE_STAILQ_ENTRY(type) STAILQ_ENTRY(type)

/* One bit a core; DPDK only stores these here (cores are never moved). */
#undef CPU_SETSIZE
#define CPU_SETSIZE RTE_MAX_LCORE
typedef struct {
	uint64_t bits;
} rte_cpuset_t;
_Static_assert(CPU_SETSIZE <= 64, "rte_cpuset_t holds 64 cores");
#define RTE_HAS_CPUSET

#undef CPU_ZERO
#undef CPU_SET
#undef CPU_CLR
#undef CPU_ISSET
#undef CPU_COUNT
#define CPU_ZERO(set) ((set)->bits = 0)
#define CPU_SET(cpu, set) ((set)->bits |= UINT64_C(1) << (cpu))
#define CPU_CLR(cpu, set) ((set)->bits &= ~(UINT64_C(1) << (cpu)))
#define CPU_ISSET(cpu, set) (((set)->bits >> (cpu)) & 1)
#define CPU_COUNT(set) __builtin_popcountll((set)->bits)
#define RTE_CPU_AND(dst, a, b) ((dst)->bits = (a)->bits & (b)->bits)
#define RTE_CPU_OR(dst, a, b) ((dst)->bits = (a)->bits | (b)->bits)
#define RTE_CPU_FILL(set) ((set)->bits = ~UINT64_C(0))
#define RTE_CPU_NOT(dst, src) ((dst)->bits = ~(src)->bits)

#endif
