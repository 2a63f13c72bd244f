/*
 * The part of POSIX <pthread.h> that libiscsi names, for the image build. It takes one mutex around its random seed; both libraries live on
 * one core and in one context, so a mutex can never be contended: the inline functions only keep count.
 */
#ifndef NET_POSIX_PTHREAD_H
#define NET_POSIX_PTHREAD_H

/* Named by DPDK's public headers, which a file of net/ may include too; nothing makes one. */
typedef unsigned long pthread_t;
typedef struct {
	int unused;
} pthread_attr_t;

typedef struct {
	int held;
} pthread_mutex_t;

#define PTHREAD_MUTEX_INITIALIZER                                                                                                          \
	{                                                                                                                                  \
		0                                                                                                                          \
	}

static inline int pthread_mutex_lock(pthread_mutex_t *mutex)
{
	mutex->held++;
	return 0;
}

static inline int pthread_mutex_unlock(pthread_mutex_t *mutex)
{
	mutex->held--;
	return 0;
}

#endif
