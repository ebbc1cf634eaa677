/* The self-test's result for a person: the table of `monitor kvm` and `check-host`, and what each
 * thing missing means. */
#include "kvm.h"

#include <sys/utsname.h>

static const char *yes_no(bool is_yes)
{
	return is_yes ? "yes" : "-";
}

static const char *trap_name(const struct accel_mode_caps *caps)
{
	switch (caps->trap) {
	case ACCEL_TRAP_DEBUG:
		return "debug";
	case ACCEL_TRAP_EMULFAIL:
		return caps->trap_byte == 0xcc ? "fail-cc" : "fail-f1";
	case ACCEL_TRAP_NONE:
		break;
	}
	return "-";
}

static const char *iret_name(const struct kvm_mode_quirks *quirk)
{
	if (!quirk->has_iret)
		return "-";
	return quirk->iret_steps_two ? "two" : "yes";
}

static void show_mode(const struct kvm_probe *probe, enum accel_mode mode,
		      const struct print_sink *sink)
{
	const struct accel_mode_caps *caps = &probe->caps.mode[mode];
	const struct kvm_mode_quirks *quirk = &probe->quirk[mode];

	if (!caps->can_run) {
		print_to(sink, "%-14s -\n", accel_mode_name(mode));
		return;
	}
	print_to(sink, "%-14s %-5s%-6s%-9s%-9s%-4s%-9s%-10s%-6s", accel_mode_name(mode), "yes",
		 yes_no(caps->can_step), trap_name(caps), yes_no(caps->has_hw_break),
		 yes_no(quirk->rf_holds), yes_no(caps->has_watch_write),
		 yes_no(caps->has_watch_access), iret_name(quirk));
	if (probe->depth == KVM_PROBE_FULL)
		print_to(sink, "%-6s%s", yes_no(quirk->has_int_n), yes_no(quirk->has_fpu));
	print_to(sink, "\n");
}

void kvm_probe_show(const struct kvm_probe *probe, const struct print_sink *sink)
{
	struct utsname host;
	unsigned mode;

	print_to(sink, "kvm on Linux %s: %u cases in %llu us of CPU time\n",
		 uname(&host) == 0 ? host.release : "(unknown)", probe->case_count,
		 (unsigned long long)(probe->cpu_ns / 1000));
	print_to(sink, "%-14s %-5s%-6s%-9s%-9s%-4s%-9s%-10s%-6s%s\n", "mode", "runs", "step",
		 "trap", "hw-break", "rf", "watch-w", "watch-rw", "iret",
		 probe->depth == KVM_PROBE_FULL ? "int-n fpu" : "");
	for (mode = 0; mode < ACCEL_MODE_COUNT; mode++)
		show_mode(probe, (enum accel_mode)mode, sink);
	if (probe->depth == KVM_PROBE_FULL)
		print_to(sink, "%-14s %s\n", "track-trap", yes_no(probe->trap.works));
}

/* What is missing. */

/* One column of the table, and what its absence means in the modes that run. */
struct missing_row {
	const char *name;
	bool (*is_there)(const struct accel_mode_caps *caps, const struct kvm_mode_quirks *quirk);
	const char *meaning;
};

static bool has_step(const struct accel_mode_caps *caps, const struct kvm_mode_quirks *quirk)
{
	(void)quirk;
	return caps->can_step;
}

static bool has_trap(const struct accel_mode_caps *caps, const struct kvm_mode_quirks *quirk)
{
	(void)quirk;
	return caps->trap != ACCEL_TRAP_NONE;
}

static bool has_hw_break(const struct accel_mode_caps *caps, const struct kvm_mode_quirks *quirk)
{
	(void)quirk;
	return caps->has_hw_break;
}

static bool has_watch(const struct accel_mode_caps *caps, const struct kvm_mode_quirks *quirk)
{
	(void)quirk;
	return caps->has_watch_write && caps->has_watch_access;
}

static bool has_int_n(const struct accel_mode_caps *caps, const struct kvm_mode_quirks *quirk)
{
	(void)caps;
	return quirk->has_int_n;
}

static bool has_fpu(const struct accel_mode_caps *caps, const struct kvm_mode_quirks *quirk)
{
	(void)caps;
	return quirk->has_fpu;
}

static const struct missing_row MISSING[] = {
	{"step", has_step, "such code cannot be stepped; break on code that can"},
	{"trap", has_trap, "planted breakpoints do not stop; hbreak works where hw-break is yes"},
	{"hw-break", has_hw_break, "hbreak does not stop; break works where trap is not -"},
	{"watch", has_watch,
	 "in gdb, `set can-use-hw-watchpoints 0'; its own watchpoints step and are slow"},
	{"int-n", has_int_n, "INT n ends the run with a stop that names the instruction"},
	{"fpu", has_fpu, "x87 and SSE arithmetic ends the run with a stop that names it"},
};

static bool show_missing_column(const struct kvm_probe *probe, const struct missing_row *row,
				const struct print_sink *sink)
{
	bool is_any = false;
	unsigned mode;

	for (mode = 0; mode < ACCEL_MODE_COUNT; mode++) {
		const struct accel_mode_caps *caps = &probe->caps.mode[mode];

		if (!caps->can_run || row->is_there(caps, &probe->quirk[mode]))
			continue;
		if (!is_any)
			print_to(sink, "  %s in", row->name);
		print_to(sink, " %s", accel_mode_name((enum accel_mode)mode));
		is_any = true;
	}
	if (is_any)
		print_to(sink, ": %s\n", row->meaning);
	return is_any;
}

unsigned kvm_probe_show_missing(const struct kvm_probe *probe, const struct print_sink *sink)
{
	unsigned count = 0;
	unsigned mode, i;

	for (mode = 0; mode < ACCEL_MODE_COUNT; mode++) {
		if (probe->caps.mode[mode].can_run)
			continue;
		print_to(sink, "  %s: guests that enter this mode end there\n",
			 accel_mode_name((enum accel_mode)mode));
		count++;
	}
	for (i = 0; i < UMBRA_ARRAY_SIZE(MISSING); i++)
		count += show_missing_column(probe, &MISSING[i], sink);
	if (!probe->trap.works) {
		print_to(sink, "  track-trap: `monitor mmu track trap' is refused: %s\n",
			 probe->trap.why);
		count++;
	}
	if (count)
		print_to(sink, "  These are limits of this KVM, not of its settings.  A host whose "
			       "/proc/cpuinfo shows vmx or svm\n"
			       "  and that has kvm_intel or kvm_amd loaded does not have them.\n");
	return count;
}
