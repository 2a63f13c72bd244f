/* Where a program finds its things: the same guest-physical and linear addresses in every mode. generate.py knows them, too. */
#ifndef LAYOUT_H
#define LAYOUT_H

#define REAL_STUBS 0x8000 /* real-mode interrupt stubs, copied there */
#define REAL_DATA 0x9000
#define CODE 0x10000 /* the program, 4 KiB; the base of the 16-bit code segments */
#define CODE_BYTES 4096
#define DATA 0x20000 /* 8 KiB of random bytes; the base of the 16-bit data segments */
#define DATA_BYTES 0x2000
#define ABSENT 0x22000 /* not present where paging is on */
#define READ_ONLY 0x24000
#define NO_EXECUTE 0x26000
#define SUPERVISOR 0x28000
#define STACK 0x30000
#define STACK_TOP 0x30f00
#define WINDOW 0x40000 /* where paging is on: device memory, or RAM_DEVICE; FS has its base in every mode */
#define RAM_DEVICE 0x48000
#define DEVICE 0xfed80000
#define LOW_PAGES 0x50000 /* below: pages of their own for programs */

/* GDT selectors. */
#define CODE32 0x08
#define DATA32 0x10
#define CODE16 0x18
#define DATA16 0x20
#define STACK16 0x28
#define CODE64 0x30
#define USER_CODE32 0x3b
#define USER_DATA32 0x43
#define USER_CODE64 0x4b
#define WINDOW_SEG 0x50
#define TSS 0x58 /* two slots */
#define REAL_CODE 0x68
#define REAL_SEG 0x70
#define TASK 0xb0         /* another task's TSS; the slot behind it: a task gate to it */
#define ODD_SEGMENTS 0x78 /* programs load these: not present, read-only, expand-down, conforming, system, null limits */
#define GDT_SLOTS 24

#define VECTOR_FINISH 0xf0

#define MODE_REAL 0
#define MODE_PROT16 1
#define MODE_PROT32 2
#define MODE_PAGED32 3
#define MODE_PAE32 4
#define MODE_USER32 5
#define MODE_LONG64 6
#define MODE_COMPAT32 7
#define MODE_USER64 8
#define MODES 9

#endif
