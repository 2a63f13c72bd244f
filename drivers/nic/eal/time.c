/* Time for drivers. Delays of device set-up spin: a driver may hold a lock of its own meanwhile, so its fiber must not yield. */
#include <hv/core.h>
#include <rte_cycles.h>
#include <unistd.h>

#include <eal_private.h>

/* Asked when CPUID does not tell: calibrated by hv at boot. */
uint64_t get_tsc_freq(void)
{
	return hv_tsc_hz();
}

void rte_delay_us_sleep(unsigned int us)
{
	rte_delay_us_block(us);
}

int usleep(useconds_t us)
{
	rte_delay_us_block(us);
	return 0;
}
