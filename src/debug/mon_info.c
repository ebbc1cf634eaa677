/* `monitor info`: the machine's parts as tables for a person. */
#include "monitor.h"
#include "stop.h"
#include "target.h"

#include "umbra/bus.h"

#include <errno.h>

static unsigned long long ll(uint64_t value)
{
	return value;
}

static int info_cpus(struct mon_call *call)
{
	struct debug_target *target = call->target;
	char why[TARGET_STOP_MAX];

	print_to(call->out,
		 "  cpu  activity        mode      ring  cs:ip                  linear\n");
	for (unsigned i = 0; i < world_vcpu_count(target->world); i++) {
		const struct x86_state *st = vcpu_state(
			target->world, i, X86_STATE_GPR | X86_STATE_SREG | X86_STATE_RUN);
		char mark = i == call->vcpu ? '*' : ' ';

		if (!st)
			print_to(call->out, "%c %3u  state not readable\n", mark, i);
		else
			print_to(call->out, "%c %3u  %-14s  %-8s  %4u  %04x:%016llx  %llx\n", mark,
				 i, monitor_activity_name(st->activity),
				 x86_mode_name(x86_mode_of(st)), x86_cpl_of(st),
				 st->seg[X86_CS].selector, ll(st->rip), ll(x86_linear_pc(st)));
	}
	target_describe_stop(target, why, sizeof(why));
	print_to(call->out, "last stop: %s\n", why);
	return 0;
}

static int info_exits(struct mon_call *call)
{
	for (unsigned i = 0; i < world_vcpu_count(call->target->world); i++) {
		print_to(call->out, "cpu %u\n", i);
		vcpu_show_exits(call->target->world, i, call->out);
	}
	return 0;
}

/* Memory and buses. */

static void show_size(const struct print_sink *out, uint64_t bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB"};
	unsigned unit = 0;

	while (unit < 3 && bytes && bytes % 1024 == 0) {
		bytes /= 1024;
		unit++;
	}
	print_to(out, "%6llu %-3s", ll(bytes), units[unit]);
}

/* What the back end answers by itself. */
static void show_own(const struct mon_call *call, enum bus_kind kind)
{
	const struct accel_ops *accel = vm_accel(call->target->vm);
	int digits = kind == BUS_PIO ? 4 : 16;

	for (unsigned i = 0; i < accel->region_count; i++) {
		const struct accel_region *region = &accel->region[i];

		if (region->kind == kind)
			print_to(call->out, "  %0*llx-%0*llx  %-16s inside -accel %s\n", digits,
				 ll(region->base), digits, ll(region->base + region->len - 1),
				 region->name, accel->name);
	}
}

static void show_bus(const struct print_sink *out, const struct bus *bus, enum bus_kind kind)
{
	unsigned digits = kind == BUS_PIO ? 4 : 16;
	struct bus_region_info info;

	for (unsigned i = 0; bus_region_at(bus, kind, i, &info); i++)
		print_to(out, "  %0*llx-%0*llx  %-16s %llu accesses\n", (int)digits, ll(info.base),
			 (int)digits, ll(info.base + info.len - 1), info.name,
			 ll(info.access_count));
	print_to(out, "  %-*s  %llu accesses\n", (int)(2 * digits + 18), "nobody's",
		 ll(bus_unclaimed_count(bus, kind)));
}

static int info_mtree(struct mon_call *call)
{
	const struct mem_space *mem = vm_mem(call->target->vm);
	const struct bus *bus = vm_bus(call->target->vm);
	const struct mem_region *region;

	print_to(call->out, "memory\n");
	for (unsigned i = 0; (region = mem_region_at(mem, i)) != NULL; i++) {
		print_to(call->out, "  %016llx-%016llx  %s", ll(region->gpa),
			 ll(region->gpa + region->len - 1),
			 region->kind == MEM_RAM ? "RAM" : "ROM");
		show_size(call->out, region->len);
		print_to(call->out, "  %s\n", region->name);
	}
	print_to(call->out, "memory-mapped I/O\n");
	show_bus(call->out, bus, BUS_MMIO);
	show_own(call, BUS_MMIO);
	print_to(call->out, "I/O ports\n");
	show_bus(call->out, bus, BUS_PIO);
	show_own(call, BUS_PIO);
	return 0;
}

static int info_irq(struct mon_call *call)
{
	return vm_show_irqs(call->target->vm, call->out);
}

/* Devices. */

static bool begins_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Show the devices whose names begin with @prefix. */
static unsigned show_devices(struct mon_call *call, const char *prefix)
{
	struct bus *bus = vm_bus(call->target->vm);
	unsigned shown = 0;
	const char *name;

	for (unsigned i = 0; (name = bus_device_name(bus, i)) != NULL; i++) {
		if (begins_with(name, prefix)) {
			bus_show_device(bus, i, call->out);
			shown++;
		}
	}
	return shown;
}

static int info_uart(struct mon_call *call)
{
	if (show_devices(call, "uart") + show_devices(call, "serial") == 0)
		print_to(call->out, "this machine has no serial port\n");
	return 0;
}

static int info_devices(struct mon_call *call)
{
	if (show_devices(call, call->argc ? call->argv[0] : "") > 0)
		return 0;
	print_to(call->out, "no device is called that; `info mtree` has their names\n");
	return ENODEV;
}

static int info_chardev(struct mon_call *call)
{
	vm_show_chardevs(call->target->vm, call->out);
	return 0;
}

/* Debugging. */

static const char *bp_kind_name(enum bp_kind kind)
{
	switch (kind) {
	case BP_SOFT:
		return "break";
	case BP_HARD:
		return "hbreak";
	case BP_WATCH_WRITE:
		return "watch";
	case BP_WATCH_READ:
		return "rwatch";
	case BP_WATCH_ACCESS:
		return "awatch";
	case BP_WATCH_EXEC:
		return "xwatch";
	case BP_KIND_COUNT:
		break;
	}
	return "?";
}

static const char *bp_backing_name(enum bp_backing backing)
{
	switch (backing) {
	case BP_BACKING_NONE:
		return "armed at the next resume";
	case BP_BACKING_HW:
		return "debug register";
	case BP_BACKING_MATCH:
		return "address match";
	case BP_BACKING_PATCH:
		return "planted byte";
	case BP_BACKING_PENDING:
		return "pending: its address is not mapped";
	case BP_BACKING_IMPOSSIBLE:
		return "not possible in this cpu mode";
	}
	return "?";
}

static const char *bp_name(const struct bp_info *info)
{
	switch (info->purpose) {
	case BP_FOR_TRACE:
		return "trace";
	case BP_FOR_NEWS:
		return "module";
	case BP_FOR_CLIENT:
		break;
	}
	return bp_kind_name(info->kind);
}

static int info_bp(struct mon_call *call)
{
	struct bp_info info;
	unsigned count = 0;

	while (bp_at(call->target->world, count, &info)) {
		if (count++ == 0)
			print_to(call->out,
				 "kind    address           length  hits      backing\n");
		print_to(call->out, "%-6s  %016llx  %6llu  %8llu  %s%s%s\n", bp_name(&info),
			 ll(info.addr), ll(info.len), ll(info.hits), bp_backing_name(info.backing),
			 info.is_physical ? ", physical" : "",
			 info.has_agent && info.purpose == BP_FOR_CLIENT ? ", conditional" : "");
	}
	if (count == 0)
		print_to(call->out,
			 "No breakpoint is set.  gdb takes its own out at each stop; "
			 "it leaves them in after\n`set breakpoint always-inserted on`.\n");
	return 0;
}

static int info_stats(struct mon_call *call)
{
	struct rsp_stats stats = rsp_session_stats(call->target->session);

	print_to(call->out, "packets  %llu in, %llu out\n", ll(stats.packets_in),
		 ll(stats.packets_out));
	print_to(call->out, "bytes    %llu in, %llu out\n", ll(stats.bytes_in),
		 ll(stats.bytes_out));
	print_to(call->out, "refused  %llu bad checksums, %llu too long, %llu stray bytes\n",
		 ll(stats.bad_checksums), ll(stats.oversized), ll(stats.junk_bytes));
	return 0;
}

/* The table. */

static const struct mon_word INFO_WORDS[] = {
	{"cpus", "", "each cpu's mode and place, and why the machine stopped", 0, info_cpus},
	{"regs", "[CPU]", "all of a cpu, hidden parts too; without CPU: that of gdb's thread", 1,
	 mon_info_regs},
	{"registers", "", "those of gdb's thread, as QEMU shows them; `info regs` has more", 0,
	 mon_info_registers},
	{"exits", "", "how often each cpu left the guest, by reason", 0, info_exits},
	{"mtree", "", "memory, memory-mapped I/O and ports", 0, info_mtree},
	{"irq", "", "interrupt lines: their level, where they lead, who raises them", 0, info_irq},
	{"mem", "", "what is mapped, as QEMU shows it; `mmu map` has more", 0, mon_info_mem},
	{"tlb", "", "each page that is mapped, as QEMU shows it", 0, mon_info_tlb},
	{"uart", "", "the serial ports' registers and queues", 0, info_uart},
	{"devices", "[NAME]", "the state of every device, or of those called NAME...", 1,
	 info_devices},
	{"chardev", "", "where each port's output goes", 0, info_chardev},
	{"bp", "", "breakpoints and how each one is done", 0, info_bp},
	{"stats", "", "the debug connection's counters", 0, info_stats},
};

const struct mon_word *monitor_info_words(size_t *out_count)
{
	*out_count = UMBRA_ARRAY_SIZE(INFO_WORDS);
	return INFO_WORDS;
}
