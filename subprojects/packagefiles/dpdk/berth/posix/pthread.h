/*
 * The part of POSIX <pthread.h> that DPDK names, for the image build. There are no threads: a "thread" is a core. The ethdev library takes a
 * mutex around rte_flow calls only; holders never yield, so spinning is bounded.
 */
#ifndef BERTH_PTHREAD_H
#define BERTH_PTHREAD_H

typedef unsigned long pthread_t;
typedef struct {
	int unused;
} pthread_attr_t;
typedef struct {
	int unused;
} pthread_mutexattr_t;
typedef struct {
	int held;
} pthread_mutex_t;

#define PTHREAD_MUTEX_INITIALIZER { 0 }

static inline int pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attr)
{
	(void)attr; /* the default kind is the only one */
	mutex->held = 0;
	return 0;
}

static inline int pthread_mutex_destroy(pthread_mutex_t *mutex)
{
	mutex->held = 0;
	return 0;
}

static inline int pthread_mutex_lock(pthread_mutex_t *mutex)
{
	while (__atomic_exchange_n(&mutex->held, 1, __ATOMIC_ACQUIRE))
		__builtin_ia32_pause();
	return 0;
}

static inline int pthread_mutex_unlock(pthread_mutex_t *mutex)
{
	__atomic_store_n(&mutex->held, 0, __ATOMIC_RELEASE);
	return 0;
}

#endif
