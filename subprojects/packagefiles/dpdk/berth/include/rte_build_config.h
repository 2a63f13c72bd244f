/*
 * What DPDK's own build would have detected, for Berth's image: x86-64-v2, one NUMA node, no operating system (RTE_EXEC_ENV is none of
 * Linux, FreeBSD and Windows, so code that is special to one is left out).
 */
#ifndef BERTH_RTE_BUILD_CONFIG_H
#define BERTH_RTE_BUILD_CONFIG_H

#define RTE_ARCH "x86_64"
#define RTE_ARCH_64 1
#define RTE_ARCH_X86 1
#define RTE_ARCH_X86_64 1
#define RTE_CACHE_LINE_SIZE 64
#define RTE_MACHINE "x86-64-v2"
#define RTE_TOOLCHAIN "gcc"
#define RTE_TOOLCHAIN_GCC 1
/* Checked by rte_cpu_is_supported(): exactly what -march=x86-64-v2 lets the compiler use. */
#define RTE_COMPILE_TIME_CPUFLAGS RTE_CPUFLAG_SSE, RTE_CPUFLAG_SSE2, RTE_CPUFLAG_SSE3, RTE_CPUFLAG_SSSE3, RTE_CPUFLAG_SSE4_1, RTE_CPUFLAG_SSE4_2

#define RTE_ENV_LINUX 1
#define RTE_ENV_FREEBSD 2
#define RTE_ENV_WINDOWS 3
#define RTE_ENV_NONE 4
#define RTE_EXEC_ENV RTE_ENV_NONE
#define RTE_EXEC_ENV_IS_LINUX 0
#define RTE_EXEC_ENV_IS_FREEBSD 0
#define RTE_EXEC_ENV_IS_WINDOWS 0

#define RTE_MAX_LCORE 64 /* = HV_MAX_CORES */
#define RTE_MAX_NUMA_NODES 8
#define RTE_MAX_ETHPORTS 32
#define RTE_MAX_VFIO_GROUPS 64
#define RTE_MAX_MEM_MB 524288
#define RTE_EAL_PMD_PATH ""

/* Buffers are addressed by physical address (drivers/nic/eal/memory.c), and mempools are shared between cores. */
#define RTE_IOVA_AS_PA 1
#define RTE_IOVA_IN_MBUF 1
#define RTE_MBUF_REFCNT_ATOMIC 1

#define RTE_LIB_HASH 1
#define RTE_VER_YEAR 22
#define RTE_VER_MONTH 11
#define RTE_VER_MINOR 11
#define RTE_VER_SUFFIX ""
#define RTE_VER_RELEASE 99

#endif
