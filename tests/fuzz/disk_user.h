/* What the fuzzers of storage protocols share: the input, which says what becomes of a server's answers, and a disk's user meanwhile. */
#ifndef FUZZ_DISK_USER_H
#define FUZZ_DISK_USER_H

#include <hv/blk.h>
#include <stddef.h>
#include <stdint.h>

/* Begins an input; no request is on its way. */
void fuzz_input_begin(const uint8_t *data, size_t size);
/* Its next byte; 0 behind its end. */
uint8_t fuzz_input_take(void);
/* Takes a byte, by whose low bits up to three bytes of the answer change. Returns the other bits: what else becomes of it. */
unsigned fuzz_answer_mangle(uint8_t *answer, size_t bytes);

/* Steps core, server and time, in this order, again and again. */
void fuzz_turns(unsigned count, void (*server_step)(void));

/* Reads, writes (one with FUA), a flush; one has a deadline. What the disk refuses at once is not waited for. */
void fuzz_disk_submit(struct blk_dev *disk);
/* Aborts unless each request has ended, exactly once, with what an end may say, and a read's data stayed in its buffer. */
void fuzz_disk_check(void);

#endif
