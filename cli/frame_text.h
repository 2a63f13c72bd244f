/* A frame from a description in words. */
#ifndef CLI_FRAME_TEXT_H
#define CLI_FRAME_TEXT_H

#include <stdint.h>

/*
 * "src=MAC dst=MAC vlan=N type=0xHEX ip=A.B.C.D>A.B.C.D proto=tcp|udp|icmp|N sport=N dport=N len=N" in any order, into frame (zeroed).
 * Only what is named differs from a broadcast of 60 bytes. Returns NULL, or what is wrong with `*at`. *head: bytes that are not zero at the
 * end.
 */
const char *frame_describe(const char *text, uint8_t *frame, uint32_t size, uint32_t *len, uint32_t *head, char at[64]);

#endif
