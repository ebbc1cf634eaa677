/* `monitor` words about the guest's memory as a whole. */
#include "monitor.h"
#include "target.h"

int mon_hash(struct mon_call *call)
{
	uint64_t pages;
	uint64_t hash = mem_hash(vm_mem(call->target->vm), &pages);

	print_to(call->out, "memory %016llx over %llu pages that are not zero\n",
		 (unsigned long long)hash, (unsigned long long)pages);
	return 0;
}
