/* DPDK includes this for functions that an operating system lacks; picolibc has them all. */
#ifndef BERTH_RTE_OS_SHIM_H
#define BERTH_RTE_OS_SHIM_H
#endif
