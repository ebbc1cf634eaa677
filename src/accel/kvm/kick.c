/* Making KVM_RUN return: a signal to the vCPU's thread, whose handler sets that thread's own
 * immediate_exit.  The cases, with run.c's "clear, then read the request, then enter":
 *   1. The kick comes before the clear: the request was set before, so the read sees it.
 *   2. It comes between clear and entry: the handler sets immediate_exit, KVM_RUN returns at once.
 *   3. It comes inside KVM_RUN: the signal ends it.
 * The signal is process-wide state that no struct can hold; its handler stays installed. */
#include "kvm.h"

#include <errno.h>
#include <signal.h>

/* Where a kick of this thread goes.  Written by the thread, read by its own signal handler. */
static _Thread_local struct kvm_run *volatile kick_target;

int kvm_kick_signal(void)
{
	return SIGRTMIN;
}

static void on_kick(int signal_number)
{
	volatile struct kvm_run *run = kick_target;

	(void)signal_number;
	if (run)
		run->immediate_exit = 1;
}

int kvm_kick_install(struct umbra_err *err)
{
	struct sigaction action = {.sa_handler = on_kick}; /* no SA_RESTART: KVM_RUN is to end */

	sigemptyset(&action.sa_mask);
	if (sigaction(kvm_kick_signal(), &action, NULL) != 0)
		return umbra_err_set(err, errno, "sigaction of the vCPU kick signal %d: %s",
				     kvm_kick_signal(), strerror(errno));
	return 0;
}

void kvm_kick_aim(struct kvm_run *run)
{
	sigset_t kick;

	kick_target = run;
	sigemptyset(&kick);
	sigaddset(&kick, kvm_kick_signal());
	pthread_sigmask(SIG_UNBLOCK, &kick, NULL); /* the parent may have blocked it */
}
