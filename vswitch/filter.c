/* The filters in their order. Owner: the switch's core. */
#include "filter.h"

#include "gro.h"
#include "mirror.h"

struct filter {
	uint16_t bit; /* in vsw_port.filters_in or filters_out */
	vsw_filter_fn run;
};

/* The end of each list: a bit of no filter. */
static const struct filter filters_in[] = {{VSW_FILTER_MIRROR, vsw_mirror_in}, {0, NULL}};
static const struct filter filters_out[] = {{VSW_FILTER_MIRROR, vsw_mirror_out}, {VSW_FILTER_GRO, vsw_gro_filter}, {0, NULL}};

static unsigned run(const struct filter *f, uint16_t on, struct vsw_port *p, struct rte_mbuf **frames, unsigned n)
{
	for (; f->bit && n; f++) {
		if (on & f->bit)
			n = f->run(p, frames, n);
	}
	return n;
}

unsigned vsw_filters_in(struct vsw_port *p, struct rte_mbuf **frames, unsigned n)
{
	return run(filters_in, p->filters_in, p, frames, n);
}

unsigned vsw_filters_out(struct vsw_port *p, struct rte_mbuf **frames, unsigned n)
{
	return run(filters_out, p->filters_out, p, frames, n);
}
