/* `monitor` words about a Linux guest: nothing here is needed to debug one, all of it saves typing.
 */
#include "monitor.h"
#include "target.h"

#include <errno.h>

int mon_kaslr(struct mon_call *call)
{
	gva_t linked = vm_linux_text(call->target->vm);
	gva_t text;

	if (!linked) {
		print_to(call->out,
			 "the image is no 64-bit Linux kernel (bzImage, or vmlinux with a PVH "
			 "note)\n");
		return ENOENT;
	}
	if (!target_linux_text(call->target, call->vcpu, &text)) {
		print_to(call->out,
			 "no cpu has a mapping of the kernel's text yet: let it run to the "
			 "kernel's own page tables\n");
		return EAGAIN;
	}
	print_to(call->out, "text 0x%llx, linked for 0x%llx: slide 0x%llx\n",
		 (unsigned long long)text, (unsigned long long)linked,
		 (unsigned long long)(text - linked));
	if (text != linked)
		print_to(call->out, "gdb takes it by: symbol-file -o 0x%llx VMLINUX\n",
			 (unsigned long long)(text - linked));
	return 0;
}
