/* /dev/kvm: opening it with errors that tell the fix, and the capabilities that it announces.
 * A capability is trusted when it is absent and never when it is present: what works is measured
 * in probe.c.
 * Source: KVM api 4.1 (GET_API_VERSION), 4.4 (CHECK_EXTENSION), 8 (capabilities). */
#include "kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define KVM_NODE       "/dev/kvm"
#define KVM_API_WANTED 12 /* the only one there ever was; others are to be refused */
#define CPUINFO_MAX    16384
#define DEBUG_BITS_CLASSIC                                                                         \
	(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_SW_BP |                  \
	 KVM_GUESTDBG_USE_HW_BP)

/* What is lost without a capability, and since when Linux has it. */
struct cap_row {
	int cap;
	const char *name;
	bool is_required;
	const char *since;
	const char *use;
};

static const struct cap_row CAPS[] = {
	{KVM_CAP_USER_MEMORY, "USER_MEMORY", true, "2.6.25", "guest memory"},
	{KVM_CAP_SET_TSS_ADDR, "SET_TSS_ADDR", true, "2.6.25", "real mode on older processors"},
	{KVM_CAP_EXT_CPUID, "EXT_CPUID", true, "2.6.27", "CPUID"},
	{KVM_CAP_IRQCHIP, "IRQCHIP", true, "2.6.25", "interrupt controllers"},
	{KVM_CAP_PIT2, "PIT2", true, "2.6.35", "the interval timer"},
	{KVM_CAP_PIT_STATE2, "PIT_STATE2", true, "2.6.35", "resetting the interval timer"},
	{KVM_CAP_MP_STATE, "MP_STATE", true, "2.6.26", "halt and start-up states"},
	{KVM_CAP_VCPU_EVENTS, "VCPU_EVENTS", true, "2.6.33", "pending exceptions"},
	{KVM_CAP_DEBUGREGS, "DEBUGREGS", true, "2.6.35", "the guest's debug registers"},
	{KVM_CAP_IMMEDIATE_EXIT, "IMMEDIATE_EXIT", true, "4.11", "stopping a vCPU"},
	{KVM_CAP_SET_GUEST_DEBUG, "SET_GUEST_DEBUG", false, "2.6.26",
	 "steps, breakpoints and watchpoints"},
	{KVM_CAP_SET_GUEST_DEBUG2, "SET_GUEST_DEBUG2", false, "5.13",
	 "steps that keep interrupts out"},
	{KVM_CAP_READONLY_MEM, "READONLY_MEM", false, "3.8", "ROM that the guest cannot write"},
	{KVM_CAP_SYNC_REGS, "SYNC_REGS", false, "4.17", "registers without a system call per stop"},
	{KVM_CAP_XSAVE, "XSAVE", false, "2.6.36", "exact x87 and SSE state"},
	{KVM_CAP_EXCEPTION_PAYLOAD, "EXCEPTION_PAYLOAD", false, "5.0",
	 "DR6 of a debug exception handed back to the guest"},
	{KVM_CAP_SET_IDENTITY_MAP_ADDR, "SET_IDENTITY_MAP_ADDR", false, "2.6.32",
	 "256 KiB or more of ROM below 4 GiB"},
};

int kvm_ioctl(int fd, unsigned long request, void *arg)
{
	int result;

	do {
		result = ioctl(fd, request, arg);
	} while (result < 0 && errno == EINTR);
	return result < 0 ? -errno : result;
}

static int check_cap(const struct kvm_host *host, int cap)
{
	int result = ioctl(host->fd, KVM_CHECK_EXTENSION, cap);

	return result < 0 ? 0 : result;
}

/* Errors and their fixes. */

/* The processor's feature flags name the module; neither is there inside many virtual machines. */
static const char *module_fix(void)
{
	static const char hidden[] =
		"this processor shows neither vmx nor svm: turn on VT-x or AMD-V (SVM) in the "
		"firmware set-up; inside a virtual machine, turn on nested virtualisation on its "
		"host";
	char info[CPUINFO_MAX];
	FILE *file = fopen("/proc/cpuinfo", "re");
	size_t len;

	if (!file)
		return hidden;
	len = fread(info, 1, sizeof(info) - 1, file);
	fclose(file);
	info[len] = '\0';
	if (strstr(info, " vmx"))
		return "load the module: sudo modprobe kvm_intel (when that fails, turn on VT-x "
		       "in the firmware set-up)";
	if (strstr(info, " svm"))
		return "load the module: sudo modprobe kvm_amd (when that fails, turn on SVM in "
		       "the firmware set-up)";
	return hidden;
}

static int fail_absent(struct umbra_err *err)
{
	if (access("/sys/module/kvm", F_OK) == 0)
		return umbra_err_set(
			err, ENOENT,
			KVM_NODE " does not exist although the kernel has KVM\n"
				 "  fix: sudo mknod " KVM_NODE
				 " c 10 232   (a container: start it with --device " KVM_NODE ")");
	return umbra_err_set(err, ENOENT, KVM_NODE " does not exist\n  fix: %s", module_fix());
}

/* The node's group helps only where it is one of its own and may write. */
static int fail_access(struct umbra_err *err)
{
	const struct group *group;
	struct stat st;
	bool has_group;

	if (stat(KVM_NODE, &st) != 0)
		return umbra_err_set(err, EACCES, KVM_NODE ": %s", strerror(EACCES));
	group = getgrgid(st.st_gid);
	has_group = group && st.st_gid != 0 && (st.st_mode & 060) == 060;
	return umbra_err_set(
		err, EACCES,
		"no permission for " KVM_NODE " (owner %u, group %u %s, mode %04o; "
		"this is user %u)\n"
		"  fix: %ssudo usermod -aG %s $USER   (then log in again)\n"
		"  or, until the next boot: sudo chown $USER " KVM_NODE,
		(unsigned)st.st_uid, (unsigned)st.st_gid, group ? group->gr_name : "(unnamed)",
		(unsigned)st.st_mode & 07777, (unsigned)geteuid(),
		has_group ? "" : "sudo chgrp kvm " KVM_NODE " && sudo chmod 0660 " KVM_NODE " && ",
		has_group ? group->gr_name : "kvm");
}

static int fail_open(int code, struct umbra_err *err)
{
	switch (code) {
	case ENOENT:
		return fail_absent(err);
	case EACCES:
	case EPERM:
		return fail_access(err);
	case ENXIO:
	case ENODEV:
		return umbra_err_set(err, ENOENT,
				     KVM_NODE " exists but no driver is behind it\n  fix: %s",
				     module_fix());
	default:
		return umbra_err_set(err, code, KVM_NODE ": %s", strerror(code));
	}
}

int kvm_host_create_vm(const struct kvm_host *host, int *out_fd, struct umbra_err *err)
{
	int fd = kvm_ioctl(host->fd, KVM_CREATE_VM, NULL);

	if (fd == -EBUSY)
		return umbra_err_set(err, EBUSY,
				     "KVM_CREATE_VM: another hypervisor (VirtualBox, VMware) holds "
				     "the processor; end its virtual machines");
	if (fd < 0)
		return umbra_err_set(err, -fd, "KVM_CREATE_VM: %s%s", strerror(-fd),
				     fd == -ENOMEM ? "; the host is short of memory" : "");
	*out_fd = fd;
	return 0;
}

/* Opening. */

static int check_version(const struct kvm_host *host, struct umbra_err *err)
{
	int version = kvm_ioctl(host->fd, KVM_GET_API_VERSION, NULL);

	if (version != KVM_API_WANTED)
		return umbra_err_set(err, ENOTSUP,
				     KVM_NODE " speaks API version %d, %d is expected; use the "
					      "KVM of a current Linux kernel",
				     version, KVM_API_WANTED);
	return 0;
}

static int check_required(const struct kvm_host *host, struct umbra_err *err)
{
	unsigned i;

	for (i = 0; i < UMBRA_ARRAY_SIZE(CAPS); i++) {
		const struct cap_row *row = &CAPS[i];

		if (!row->is_required || check_cap(host, row->cap) > 0)
			continue;
		return umbra_err_set(err, ENOTSUP,
				     "this KVM has no KVM_CAP_%s (%s); it needs Linux %s or newer",
				     row->name, row->use, row->since);
	}
	return 0;
}

static int read_features(struct kvm_host *host, struct umbra_err *err)
{
	int run_bytes = kvm_ioctl(host->fd, KVM_GET_VCPU_MMAP_SIZE, NULL);

	if (run_bytes < (int)sizeof(struct kvm_run))
		return umbra_err_set(err, ENOTSUP,
				     "KVM_GET_VCPU_MMAP_SIZE gives %d, at least %zu is expected",
				     run_bytes, sizeof(struct kvm_run));
	host->run_bytes = (size_t)run_bytes;
	host->sync_mask = (unsigned)check_cap(host, KVM_CAP_SYNC_REGS) & KVM_SYNC_X86_VALID_FIELDS;
	host->debug_bits = (unsigned)check_cap(host, KVM_CAP_SET_GUEST_DEBUG2);
	if (!host->debug_bits && check_cap(host, KVM_CAP_SET_GUEST_DEBUG) > 0)
		host->debug_bits = DEBUG_BITS_CLASSIC;
	host->ring_page = (unsigned)check_cap(host, KVM_CAP_COALESCED_MMIO);
	host->has_pio_ring = check_cap(host, KVM_CAP_COALESCED_PIO) > 0;
	host->has_xsave = check_cap(host, KVM_CAP_XSAVE) > 0;
	host->has_xcrs = check_cap(host, KVM_CAP_XCRS) > 0;
	host->has_payload = check_cap(host, KVM_CAP_EXCEPTION_PAYLOAD) > 0;
	host->has_tsc_deadline = check_cap(host, KVM_CAP_TSC_DEADLINE_TIMER) > 0;
	return 0;
}

int kvm_host_open(struct kvm_host *host, struct umbra_err *err)
{
	int result;

	memset(host, 0, sizeof(*host));
	host->fd = open(KVM_NODE, O_RDWR | O_CLOEXEC);
	if (host->fd < 0)
		return fail_open(errno, err);
	result = check_version(host, err);
	if (!result)
		result = check_required(host, err);
	if (!result)
		result = read_features(host, err);
	if (result)
		kvm_host_close(host);
	return result;
}

void kvm_host_close(struct kvm_host *host)
{
	close(host->fd);
	host->fd = -1;
}

unsigned kvm_host_show_missing(const struct kvm_host *host, const struct print_sink *sink)
{
	unsigned count = 0;
	unsigned i;

	for (i = 0; i < UMBRA_ARRAY_SIZE(CAPS); i++) {
		if (check_cap(host, CAPS[i].cap) > 0)
			continue;
		print_to(sink, "  KVM_CAP_%s: no %s; needs Linux %s or newer\n", CAPS[i].name,
			 CAPS[i].use, CAPS[i].since);
		count++;
	}
	return count;
}
