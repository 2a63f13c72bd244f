/* A frame from a description in words: for `berth trace --describe`. Headers are correct, checksums too; the payload is zeros. */
#include "frame_text.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct description {
	uint8_t source[6], target[6];
	long vlan; /* -1: no tag */
	unsigned type;
	bool has_ip;
	uint8_t ip_source[4], ip_target[4];
	unsigned protocol, source_port, target_port;
	unsigned len;
};

static bool read_mac(const char *text, uint8_t mac[6])
{
	char more;
	return sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%c", &mac[0], &mac[1], &mac[2], &mac[3], &mac[4], &mac[5], &more) == 6;
}

static bool read_addresses(const char *text, struct description *d)
{
	uint8_t *s = d->ip_source, *t = d->ip_target;
	char more;
	d->has_ip = true;
	return sscanf(text, "%3hhu.%3hhu.%3hhu.%3hhu>%3hhu.%3hhu.%3hhu.%3hhu%c", &s[0], &s[1], &s[2], &s[3], &t[0], &t[1], &t[2], &t[3],
		       &more) == 8;
}

static bool read_number(const char *text, unsigned long max, unsigned *out)
{
	char *end;
	unsigned long value = strtoul(text, &end, 0);
	*out = (unsigned)value;
	return text[0] >= '0' && text[0] <= '9' && !*end && value <= max;
}

static bool read_protocol(const char *text, unsigned *out)
{
	static const struct {
		const char *name;
		unsigned number;
	} names[] = {{"icmp", 1}, {"tcp", 6}, {"udp", 17}};
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcmp(names[i].name, text)) {
			*out = names[i].number;
			return true;
		}
	}
	return read_number(text, 255, out);
}

static bool read_word(struct description *d, const char *key, const char *value)
{
	unsigned vlan;
	if (!strcmp(key, "src"))
		return read_mac(value, d->source);
	if (!strcmp(key, "dst"))
		return read_mac(value, d->target);
	if (!strcmp(key, "ip"))
		return read_addresses(value, d);
	if (!strcmp(key, "proto"))
		return read_protocol(value, &d->protocol);
	if (!strcmp(key, "type"))
		return read_number(value, 0xffff, &d->type);
	if (!strcmp(key, "sport"))
		return read_number(value, 0xffff, &d->source_port);
	if (!strcmp(key, "dport"))
		return read_number(value, 0xffff, &d->target_port);
	if (!strcmp(key, "len"))
		return read_number(value, 0xffff, &d->len) && d->len >= 14;
	if (strcmp(key, "vlan") != 0 || !read_number(value, 4095, &vlan))
		return false;
	d->vlan = (long)vlan;
	return true;
}

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static unsigned sum16(const uint8_t *p, unsigned len, unsigned sum)
{
	for (unsigned i = 0; i < len; i++)
		sum += i & 1 ? p[i] : (unsigned)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* An IPv4 packet of `len` bytes at ip. Returns how many of them are not zero. */
static unsigned put_ip(const struct description *d, uint8_t *ip, unsigned len)
{
	unsigned l4 = d->protocol == 6 ? 20 : 8, field = d->protocol == 6 ? 16 : d->protocol == 17 ? 6 : 2, sum;
	ip[0] = 0x45;
	put16(ip + 2, len);
	ip[8] = 64;
	ip[9] = (uint8_t)d->protocol;
	memcpy(ip + 12, d->ip_source, 4);
	memcpy(ip + 16, d->ip_target, 4);
	put16(ip + 10, ~sum16(ip, 20, 0));
	if ((d->protocol != 6 && d->protocol != 17 && d->protocol != 1) || len < 20 + l4)
		return 20;
	if (d->protocol == 1) {
		ip[20] = 8; /* echo request */
	} else {
		put16(ip + 20, d->source_port);
		put16(ip + 22, d->target_port);
	}
	if (d->protocol == 17)
		put16(ip + 24, len - 20);
	if (d->protocol == 6) {
		ip[32] = 0x50;
		ip[33] = 0x02; /* SYN */
	}
	sum = d->protocol == 1 ? 0 : sum16(ip + 12, 8, d->protocol + len - 20);
	put16(ip + 20 + field, ~sum16(ip + 20, len - 20, sum));
	return 20 + l4;
}

const char *frame_describe(const char *text, uint8_t *frame, uint32_t size, uint32_t *len, uint32_t *head, char at[64])
{
	struct description d = {.source = {2, 0, 0, 0, 0, 1}, .vlan = -1, .type = 0x0800, .len = 60};
	memset(d.target, 0xff, sizeof(d.target));
	while (*(text += strspn(text, " "))) {
		size_t n = strcspn(text, " ");
		char *value;
		snprintf(at, 64, "%.*s", (int)n, text);
		value = strchr(at, '=');
		if (value)
			*value++ = 0;
		if (!value || !read_word(&d, at, value)) {
			if (value)
				value[-1] = '=';
			return "is none of src=MAC dst=MAC vlan=N type=0xHEX ip=A.B.C.D>A.B.C.D proto=tcp|udp|icmp|N sport=N dport=N len=N";
		}
		text += n;
	}
	uint32_t l2 = d.vlan >= 0 ? 18 : 14;
	snprintf(at, 64, "len=%u", d.len);
	if (d.len > size || d.len < l2 + (d.has_ip ? 20 : 0))
		return d.len > size ? "is too long" : "is too short for its headers";
	memcpy(frame, d.target, 6);
	memcpy(frame + 6, d.source, 6);
	if (d.vlan >= 0) {
		put16(frame + 12, 0x8100);
		put16(frame + 14, (unsigned)d.vlan);
	}
	put16(frame + l2 - 2, d.type);
	*len = d.len;
	*head = l2 + (d.has_ip ? put_ip(&d, frame + l2, d.len - l2) : 0);
	return NULL;
}
