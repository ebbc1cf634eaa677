/* The lock wrapper.  Errors that only a mistake of ours can cause are asserted, so that a wrong
 * unlock shows at once and not as a race. */
#include "umbra/lock.h"

#include <assert.h>

int lock_init(struct lock *lock)
{
	return -pthread_mutex_init(&lock->mutex, NULL);
}

void lock_end(struct lock *lock)
{
	int rc = pthread_mutex_destroy(&lock->mutex);

	assert(rc == 0);
}
