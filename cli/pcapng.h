/* Captured frames in files: pcapng written, pcapng and pcap read. */
#ifndef CLI_PCAPNG_H
#define CLI_PCAPNG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define PCAPNG_INTERFACES 80

/* A file that is being written: an interface for each port, so that tshark and Wireshark show whose frame it is. */
struct pcapng {
	FILE *file;
	unsigned count;
	char names[PCAPNG_INTERFACES][80];
};

struct pcapng_frame {
	const char *port;
	bool out;         /* the frame went to the port; else it came from there */
	uint64_t time_ns; /* since 1970 */
	uint32_t frame_bytes, len;
	const uint8_t *bytes;
	uint64_t missed; /* frames that were lost before this one */
};

/* Writes the file's beginning. False: it cannot be written (errno). */
bool pcapng_begin(struct pcapng *p, FILE *file, const char *application);
bool pcapng_write(struct pcapng *p, const struct pcapng_frame *frame);

/*
 * Reads frame number `number` (from 1) of a pcap or pcapng file of Ethernet frames into bytes. Returns NULL, or what is wrong. *len: its
 * bytes in the file; *frame_bytes: its length when it was captured.
 */
const char *capture_file_read(FILE *file, unsigned number, uint8_t *bytes, uint32_t size, uint32_t *len, uint32_t *frame_bytes);

#endif
