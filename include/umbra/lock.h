/* A plain mutual-exclusion lock, for the rooms that may not name the thread library.
 * Lock order over the whole program: world, device, chardev, log. */
#ifndef UMBRA_LOCK_H
#define UMBRA_LOCK_H

#include <assert.h>
#include <pthread.h>

struct lock {
	pthread_mutex_t mutex;
};

/* Taking, dropping and ending a lock cannot fail unless the caller is wrong (taken twice, not
 * held); that is asserted.  Errors of lock_init: -ENOMEM, -EAGAIN. */
int lock_init(struct lock *lock);
void lock_end(struct lock *lock);
/* In line: each access of a device takes a lock. */
static inline void lock_take(struct lock *lock)
{
	int rc = pthread_mutex_lock(&lock->mutex);

	assert(rc == 0);
}
static inline void lock_drop(struct lock *lock)
{
	int rc = pthread_mutex_unlock(&lock->mutex);

	assert(rc == 0);
}

#endif
