/* The filters in their order. Owner: the switch's core. */
#include "filter.h"

#include "gro.h"
#include "mirror.h"

struct filter {
	uint16_t bit; /* in vsw_port.filters_in or filters_out */
	vsw_filter_fn run;
	vsw_filter_fn traced; /* instead, while a frame is traced: says what it would do, and changes nothing that outlives the trace */
};

/* The end of each list: a bit of no filter. */
static const struct filter filters_in[] = {
	{VSW_FILTER_MIRROR, vsw_mirror_in, vsw_mirror_in_traced},
	{VSW_FILTER_STORM, vsw_storm_in, vsw_storm_in_traced},
	{VSW_FILTER_GUARD, vsw_guard_in, vsw_guard_in_traced},
	{VSW_FILTER_SHAPE, vsw_shape_in, vsw_shape_in_traced},
	{0, NULL, NULL},
};
static const struct filter filters_out[] = {
	{VSW_FILTER_GUARD, vsw_guard_out, vsw_guard_out_traced},
	{VSW_FILTER_SHAPE, vsw_shape_out, vsw_shape_out_traced},
	{VSW_FILTER_MIRROR, vsw_mirror_out, vsw_mirror_out_traced},
	{VSW_FILTER_GRO, vsw_gro_filter, vsw_gro_filter},
	{0, NULL, NULL},
};

static unsigned run(const struct filter *f, uint16_t on, struct vsw_port *p, struct rte_mbuf **frames, unsigned n)
{
	for (; f->bit && n; f++) {
		if (on & f->bit)
			n = (HV_UNLIKELY(p->sw->v->trace != NULL) ? f->traced : f->run)(p, frames, n);
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

static const struct filter *behind(const struct filter *f, uint16_t bit)
{
	while (f->bit && f->bit != bit)
		f++;
	return f->bit ? f + 1 : f;
}

unsigned vsw_filters_in_after(struct vsw_port *p, uint16_t after, struct rte_mbuf **frames, unsigned n)
{
	return run(behind(filters_in, after), p->filters_in, p, frames, n);
}

unsigned vsw_filters_out_after(struct vsw_port *p, uint16_t after, struct rte_mbuf **frames, unsigned n)
{
	return run(behind(filters_out, after), p->filters_out, p, frames, n);
}

void vsw_filters_apply(struct vsw_port *p)
{
	vsw_storm_apply(p, p->own.has_storm ? &p->own.storm : &p->portgroup->config->storm);
	vsw_guard_apply(p);
	vsw_shape_apply(p);
}

void vsw_filters_tick(struct vsw_port *p)
{
	if (p->filters_in & VSW_FILTER_STORM)
		vsw_storm_tick(p);
}
