/*
 * The image's memory and string functions (C17 7.24), general registers only: hv/ calls them with a guest's FPU state live. They replace the C
 * library's in the link. NO_SELF_CALL keeps
 * the compiler from turning their loops into calls of themselves.
 */
#include <stddef.h>
#include <stdint.h>

#define NO_SELF_CALL __attribute__((optimize("no-tree-loop-distribute-patterns")))

void *memcpy(void *restrict dst, const void *restrict src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
void *memchr(const void *s, int c, size_t n);
size_t strlen(const char *s);
size_t strnlen(const char *s, size_t max);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);

typedef uint64_t __attribute__((aligned(1), may_alias)) word;
typedef uint32_t __attribute__((aligned(1), may_alias)) half;

/* Up to 16 bytes: first and last word may overlap; both are read before either is written. */
static inline void copy_small(char *d, const char *s, size_t n)
{
	if (n >= 8) {
		uint64_t a = *(const word *)s, b = *(const word *)(s + n - 8);

		*(word *)d = a;
		*(word *)(d + n - 8) = b;
	} else if (n >= 4) {
		uint32_t a = *(const half *)s, b = *(const half *)(s + n - 4);

		*(half *)d = a;
		*(half *)(d + n - 4) = b;
	} else if (n) {
		char a = s[0], m = s[n / 2], z = s[n - 1];

		d[0] = a;
		d[n / 2] = m;
		d[n - 1] = z;
	}
}

/* String instructions take some 30 cycles to start: up to this size a loop is faster. */
#define LOOP_BYTES 256u

/* More than 8 bytes upwards, word by word; the last word, read first, covers the rest. Right also when dst is at least a word below src. */
NO_SELF_CALL static void copy_up(char *d, const char *s, size_t n)
{
	uint64_t last = *(const word *)(s + n - 8);
	char *end = d + n - 8;
	size_t words = n / 8;

	if (n > LOOP_BYTES)
		__asm__ volatile("rep movsq" : "+D"(d), "+S"(s), "+c"(words) : : "memory");
	else
		for (; words; words--, d += 8, s += 8)
			*(word *)d = *(const word *)s;
	*(word *)end = last;
}

void *memcpy(void *restrict dst, const void *restrict src, size_t n)
{
	if (n <= 16)
		copy_small(dst, src, n);
	else
		copy_up(dst, src, n);
	return dst;
}

NO_SELF_CALL void *memmove(void *dst, const void *src, size_t n)
{
	char *d = dst;
	const char *s = src;

	if (n <= 16) {
		copy_small(d, s, n);
	} else if ((uintptr_t)d - (uintptr_t)s >= n && (uintptr_t)s - (uintptr_t)d >= 8) {
		copy_up(d, s, n);
	} else if ((uintptr_t)d - (uintptr_t)s >= n) {
		__asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n) : : "memory");
	} else {
		/* Overlap with dst above src: from the end, whole words, then what is left at the start. */
		while (n >= 8) {
			n -= 8;
			*(word *)(d + n) = *(const word *)(s + n);
		}
		copy_small(d, s, n);
	}
	return dst;
}

NO_SELF_CALL void *memset(void *dst, int c, size_t n)
{
	char *d = dst;
	uint64_t pattern = (uint8_t)c * 0x0101010101010101ull;
	size_t words = n / 8;

	if (n >= 8 && n <= LOOP_BYTES) {
		for (; words; words--, d += 8)
			*(word *)d = pattern;
		*(word *)((char *)dst + n - 8) = pattern;
		return dst;
	}
	if (n >= 8) {
		__asm__ volatile("rep stosq" : "+D"(d), "+c"(words) : "a"(pattern) : "memory");
		*(word *)((char *)dst + n - 8) = pattern;
		return dst;
	}
	__asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(pattern) : "memory");
	return dst;
}

NO_SELF_CALL int memcmp(const void *a, const void *b, size_t n)
{
	const unsigned char *p = a, *q = b;

	for (; n >= 8 && *(const word *)p == *(const word *)q; n -= 8) {
		p += 8;
		q += 8;
	}
	for (; n; n--, p++, q++)
		if (*p != *q)
			return *p - *q;
	return 0;
}

NO_SELF_CALL void *memchr(const void *s, int c, size_t n)
{
	for (const unsigned char *p = s; n; n--, p++)
		if (*p == (unsigned char)c)
			return (void *)(uintptr_t)p;
	return NULL;
}

NO_SELF_CALL size_t strlen(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}

NO_SELF_CALL size_t strnlen(const char *s, size_t max)
{
	size_t n = 0;

	while (n < max && s[n])
		n++;
	return n;
}

NO_SELF_CALL int strcmp(const char *a, const char *b)
{
	for (; *a && *a == *b; a++)
		b++;
	return (unsigned char)*a - (unsigned char)*b;
}

NO_SELF_CALL int strncmp(const char *a, const char *b, size_t n)
{
	for (; n && *a && *a == *b; n--, a++)
		b++;
	return n ? (unsigned char)*a - (unsigned char)*b : 0;
}

NO_SELF_CALL char *strchr(const char *s, int c)
{
	for (;; s++) {
		if (*s == (char)c)
			return (char *)(uintptr_t)s;
		if (!*s)
			return NULL;
	}
}
