/*
 * hv_snprintf: C's snprintf (C17 7.21.6.5) for integers, characters, strings and pointers. No FPU, no allocation, no libc: callable in an exit.
 */
#include <hv/log.h>

struct out {
	char *buf;
	size_t size, len; /* len counts what does not fit, too */
};

struct spec {
	bool left, zero, upper;
	int width, precision; /* precision -1: none */
	int length;           /* -2 hh, -1 h, 0, 1 l, 2 ll and z */
};

static void put(struct out *o, char c)
{
	if (o->len + 1 < o->size)
		o->buf[o->len] = c;
	o->len++;
}

static void fill(struct out *o, char c, int n)
{
	for (; n > 0; n--)
		put(o, c);
}

static void put_text(struct out *o, const struct spec *s, const char *text)
{
	int len = 0;

	if (!text)
		text = "(null)";
	while ((s->precision < 0 || len < s->precision) && text[len])
		len++;
	if (!s->left)
		fill(o, ' ', s->width - len);
	for (int i = 0; i < len; i++)
		put(o, text[i]);
	if (s->left)
		fill(o, ' ', s->width - len);
}

static void put_number(struct out *o, const struct spec *s, uint64_t value, unsigned base, bool negative, const char *prefix)
{
	char digits[24];
	int n = 0, extra = negative, zeros;

	for (; value; value /= base)
		digits[n++] = (s->upper ? "0123456789ABCDEF" : "0123456789abcdef")[value % base];
	for (const char *p = prefix; *p; p++)
		extra++;
	zeros = s->precision < 0 ? !n : HV_MAX(s->precision - n, 0);
	if (s->zero && !s->left && s->precision < 0)
		zeros = HV_MAX(zeros, s->width - n - extra);
	if (!s->left)
		fill(o, ' ', s->width - n - zeros - extra);
	if (negative)
		put(o, '-');
	for (const char *p = prefix; *p; p++)
		put(o, *p);
	fill(o, '0', zeros);
	for (int i = n; i-- > 0;)
		put(o, digits[i]);
	if (s->left)
		fill(o, ' ', s->width - n - zeros - extra);
}

static uint64_t take_unsigned(int length, va_list *ap)
{
	if (length > 0)
		return va_arg(*ap, uint64_t);
	if (length == -2)
		return (unsigned char)va_arg(*ap, unsigned);
	if (length == -1)
		return (unsigned short)va_arg(*ap, unsigned);
	return va_arg(*ap, unsigned);
}

static int64_t take_signed(int length, va_list *ap)
{
	if (length > 0)
		return va_arg(*ap, int64_t);
	if (length == -2)
		return (signed char)va_arg(*ap, int);
	if (length == -1)
		return (short)va_arg(*ap, int);
	return va_arg(*ap, int);
}

/* A width or precision: digits or '*'. Bounded, so that a bad format cannot overflow it. */
static const char *take_count(const char *f, int *count, va_list *ap)
{
	if (*f == '*') {
		*count = va_arg(*ap, int);
		return f + 1;
	}
	for (*count = 0; *f >= '0' && *f <= '9'; f++)
		if (*count < 4096)
			*count = *count * 10 + (*f - '0');
	return f;
}

static const char *parse(const char *f, struct spec *s, va_list *ap)
{
	*s = (struct spec){.precision = -1};
	for (;; f++) {
		if (*f == '-')
			s->left = true;
		else if (*f == '0')
			s->zero = true;
		else
			break;
	}
	f = take_count(f, &s->width, ap);
	if (s->width < 0) {
		s->left = true;
		s->width = s->width < -4096 ? 4096 : -s->width;
	}
	if (*f == '.')
		f = take_count(f + 1, &s->precision, ap);
	for (;; f++) {
		if (*f == 'l' || *f == 'z')
			s->length += *f == 'z' ? 2 : 1;
		else if (*f == 'h')
			s->length--;
		else
			break;
	}
	return f;
}

static void convert(struct out *o, struct spec *s, char conversion, va_list *ap)
{
	int64_t n;

	switch (conversion) {
	case 'd':
	case 'i':
		n = take_signed(s->length, ap);
		put_number(o, s, n < 0 ? 0 - (uint64_t)n : (uint64_t)n, 10, n < 0, "");
		break;
	case 'u':
		put_number(o, s, take_unsigned(s->length, ap), 10, false, "");
		break;
	case 'X':
		s->upper = true;
		put_number(o, s, take_unsigned(s->length, ap), 16, false, "");
		break;
	case 'x':
		put_number(o, s, take_unsigned(s->length, ap), 16, false, "");
		break;
	case 'p':
		put_number(o, s, (uintptr_t)va_arg(*ap, void *), 16, false, "0x");
		break;
	case 'c':
		s->precision = 1;
		put_text(o, s, (char[]){(char)va_arg(*ap, int), '\0'});
		break;
	case 's':
		put_text(o, s, va_arg(*ap, const char *));
		break;
	default: /* not one of ours: shown as it is */
		put(o, '%');
		put(o, conversion);
	}
}

int hv_vsnprintf(char *buf, size_t size, const char *fmt, va_list args)
{
	struct out o = {buf, size, 0};
	struct spec s;
	va_list ap;

	va_copy(ap, args);
	while (*fmt) {
		if (*fmt != '%') {
			put(&o, *fmt++);
			continue;
		}
		fmt++;
		if (*fmt == '%') {
			put(&o, *fmt++);
			continue;
		}
		fmt = parse(fmt, &s, &ap);
		if (!*fmt)
			break;
		convert(&o, &s, *fmt++, &ap);
	}
	va_end(ap);
	if (size)
		buf[HV_MIN(o.len, size - 1)] = '\0';
	return (int)o.len;
}

int hv_snprintf(char *buf, size_t size, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = hv_vsnprintf(buf, size, fmt, ap);
	va_end(ap);
	return n;
}
