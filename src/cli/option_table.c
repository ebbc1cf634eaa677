/* THE table of options, and what each of them does.  Words are QEMU's where QEMU has them. */
#include "options.h"
#include "values.h"

#include "umbra/calendar.h"

#include <errno.h>

/* What is loaded. */

static int set_kernel(struct cli_options *o, const char *value, struct umbra_err *err)
{
	(void)err;
	o->vm.load.kernel = value;
	o->vm.has_kernel = true;
	return 0;
}

static int set_bios(struct cli_options *o, const char *value, struct umbra_err *err)
{
	(void)err;
	o->vm.load.bios = value;
	return 0;
}

static int set_append(struct cli_options *o, const char *value, struct umbra_err *err)
{
	(void)err;
	o->vm.load.cmdline = value;
	return 0;
}

static int set_initrd(struct cli_options *o, const char *value, struct umbra_err *err)
{
	(void)err;
	o->vm.load.initrd = value;
	return 0;
}

static int set_load_addr(struct cli_options *o, const char *value, struct umbra_err *err)
{
	o->vm.load.has_load_addr = true;
	return value_number(value, 0, UINT64_MAX, &o->vm.load.load_addr, err);
}

static int set_mode(struct cli_options *o, const char *value, struct umbra_err *err)
{
	static const char *const words[] = {
		[LOAD_MODE_REAL] = "real",
		[LOAD_MODE_PROT32] = "prot32",
		[LOAD_MODE_LONG] = "long",
	};
	unsigned index = 0;
	int rc = value_choice(value, words, UMBRA_ARRAY_SIZE(words), &index, err);

	o->vm.load.has_mode = true;
	o->vm.load.mode = (enum load_mode)index;
	return rc;
}

/* The loader knows the registers' names. */
static int set_reg(struct cli_options *o, const char *value, struct umbra_err *err)
{
	struct load_config *load = &o->vm.load;
	struct load_reg *reg = &load->reg[load->reg_count];
	const char *equals = strchr(value, '=');
	size_t len = equals ? (size_t)(equals - value) : 0;

	if (load->reg_count == LOAD_MAX_REGS)
		return umbra_err_set(err, EINVAL, "at most %d registers can be given",
				     LOAD_MAX_REGS);
	if (len == 0 || len >= sizeof(reg->name))
		return umbra_err_set(err, EINVAL, "expected NAME=VALUE, as in rax=2");
	memcpy(reg->name, value, len);
	reg->name[len] = '\0';
	load->reg_count++;
	return value_number(equals + 1, 0, UINT64_MAX, &reg->value, err);
}

/* The machine. */

static int set_memory(struct cli_options *o, const char *value, struct umbra_err *err)
{
	const char *size = value_after_key(value, "size");

	return value_size(size ? size : value, VM_MIN_MEM_BYTES, VM_MAX_MEM_BYTES, &o->vm.mem_bytes,
			  err);
}

static int set_smp(struct cli_options *o, const char *value, struct umbra_err *err)
{
	const char *cpus = value_after_key(value, "cpus");
	uint64_t number = 0;
	int rc = value_number(cpus ? cpus : value, 1, ACCEL_MAX_VCPUS, &number, err);

	o->vm.vcpus = (unsigned)number;
	return rc;
}

static int set_accel(struct cli_options *o, const char *value, struct umbra_err *err)
{
	static const struct {
		enum cli_accel accel;
		bool is_parallel;
	} meaning[] = {{CLI_ACCEL_KVM, false},
		       {CLI_ACCEL_SOFT, false},
		       {CLI_ACCEL_KVM_OR_SOFT, false},
		       {CLI_ACCEL_SOFT, true}};
	static const char *const words[] = {"kvm", "soft", "kvm:soft", "soft,parallel"};
	unsigned index;
	int rc = value_choice(value, words, UMBRA_ARRAY_SIZE(words), &index, err);

	if (rc < 0)
		return rc;
	o->accel = meaning[index].accel;
	o->vm.is_parallel = meaning[index].is_parallel;
	return 0;
}

static int set_cpu(struct cli_options *o, const char *value, struct umbra_err *err)
{
	static const char *const words[] = {"x86-64-v2", "x86-64-v2,+la57"};
	unsigned index;
	int rc = value_choice(value, words, UMBRA_ARRAY_SIZE(words), &index, err);

	if (rc == 0)
		o->vm.has_la57 = index == 1;
	return rc;
}

static int set_paranoid(struct cli_options *o, const char *value, struct umbra_err *err)
{
	(void)value;
	(void)err;
	o->vm.is_paranoid = true;
	return 0;
}

static int set_serial(struct cli_options *o, const char *value, struct umbra_err *err)
{
	if (o->serial_count == VM_MAX_SERIAL)
		return umbra_err_set(err, EINVAL, "there are %d serial ports", VM_MAX_SERIAL);
	o->vm.serial[o->serial_count++] = value;
	return 0;
}

static int set_debugcon(struct cli_options *o, const char *value, struct umbra_err *err)
{
	(void)err;
	o->vm.debugcon = value;
	return 0;
}

static int set_global(struct cli_options *o, const char *value, struct umbra_err *err)
{
	const char *port = value_after_key(value, "isa-debugcon.iobase");
	uint64_t number = 0;
	int rc;

	if (!port)
		return umbra_err_set(err, EINVAL,
				     "expected isa-debugcon.iobase=PORT; no other property can be "
				     "set");
	rc = value_number(port, 1, UINT16_MAX, &number, err);
	o->vm.debugcon_iobase = (uint16_t)number;
	return rc;
}

static int set_debugexit_property(struct cli_options *o, const char *text, struct umbra_err *err)
{
	const char *value;
	uint64_t number = 0;
	int rc;

	if ((value = value_after_key(text, "iobase"))) {
		rc = value_number(value, 0, UINT16_MAX, &number, err);
		o->vm.debugexit_iobase = (uint16_t)number;
	} else if ((value = value_after_key(text, "iosize"))) {
		rc = value_number(value, 1, 4, &number, err);
		o->vm.debugexit_iosize = (unsigned)number;
	} else {
		rc = umbra_err_set(err, EINVAL,
				   "isa-debug-exit has no property '%s'; it has iobase=PORT and "
				   "iosize=BYTES",
				   text);
	}
	return rc;
}

static int set_debugexit(struct cli_options *o, char *properties, struct umbra_err *err)
{
	int rc = 0;

	o->vm.has_debugexit = true;
	o->vm.debugexit_iobase = 0x501; /* QEMU's defaults */
	o->vm.debugexit_iosize = 2;
	while (properties && rc == 0)
		rc = set_debugexit_property(o, strsep(&properties, ","), err);
	if (rc == 0 && o->vm.debugexit_iobase + o->vm.debugexit_iosize > UINT16_MAX + 1u)
		rc = umbra_err_set(err, EINVAL, "iobase and iosize reach past port 0xffff");
	return rc;
}

static int set_testdev(struct cli_options *o, const char *properties, struct umbra_err *err)
{
	if (properties)
		return umbra_err_set(err, EINVAL, "pc-testdev has no property '%s'; it has none",
				     properties);
	o->vm.has_testdev = true;
	return 0;
}

static int set_loader(struct cli_options *o, const char *path, struct umbra_err *err)
{
	if (!path[0] || strchr(path, ','))
		return umbra_err_set(err, EINVAL,
				     "loader has file=ELF and nothing else; the file says where it "
				     "belongs");
	o->vm.load.loader = path;
	return 0;
}

static int set_device(struct cli_options *o, const char *value, struct umbra_err *err)
{
	char text[128];
	char *rest = text;
	const char *name;

	if (value_after_key(value, "loader,file"))
		return set_loader(o, value_after_key(value, "loader,file"), err);
	if (strlen(value) >= sizeof(text))
		return umbra_err_set(err, EINVAL, "more than %zu bytes", sizeof(text) - 1);
	memcpy(text, value, strlen(value) + 1);
	name = strsep(&rest, ",");
	if (strcmp(name, "isa-debug-exit") == 0)
		return set_debugexit(o, rest, err);
	if (strcmp(name, "pc-testdev") == 0)
		return set_testdev(o, rest, err);
	return umbra_err_set(err, EINVAL,
			     "no device '%s' here; isa-debug-exit, pc-testdev and loader,file=ELF "
			     "are the only ones that are not built in",
			     name);
}

static int set_rtc_base(struct cli_options *o, const char *value, struct umbra_err *err)
{
	if (strcmp(value, "utc") == 0)
		o->vm.rtc_base = VM_RTC_UTC;
	else if (strcmp(value, "localtime") == 0)
		o->vm.rtc_base = VM_RTC_LOCALTIME;
	else if (calendar_parse(value, &o->vm.rtc_epoch_s))
		o->vm.rtc_base = VM_RTC_DATE;
	else
		return umbra_err_set(err, EINVAL,
				     "base is utc, localtime, or a date that exists, as in "
				     "2026-01-31 or 2026-01-31T12:00:00; not '%s'",
				     value);
	return 0;
}

static int set_rtc(struct cli_options *o, const char *value, struct umbra_err *err)
{
	char text[64];
	char *rest = text;
	int rc = 0;

	if (strlen(value) >= sizeof(text))
		return umbra_err_set(err, EINVAL, "more than %zu bytes", sizeof(text) - 1);
	memcpy(text, value, strlen(value) + 1);
	while (rest && rc == 0) {
		const char *word = strsep(&rest, ",");
		const char *base = value_after_key(word, "base");

		if (base)
			rc = set_rtc_base(o, base, err);
		else if (strcmp(word, "realtime") == 0)
			o->vm.is_realtime = true;
		else
			rc = umbra_err_set(err, EINVAL,
					   "'%s' is not supported here; base=WHEN and realtime are",
					   word);
	}
	return rc;
}

/* [name=]NAME,string=TEXT or [name=]NAME,file=PATH; what follows the second '=' is all value. */
static int set_fw_cfg(struct cli_options *o, const char *value, struct umbra_err *err)
{
	const char *named = value_after_key(value, "name");
	const char *name = named ? named : value;
	const char *comma = strchr(name, ',');
	size_t len = comma ? (size_t)(comma - name) : 0;
	struct vm_fw_file *file = &o->vm.fw_file[o->vm.fw_file_count];

	if (o->vm.fw_file_count == VM_MAX_FW_FILES)
		return umbra_err_set(err, EINVAL, "at most %d files can be given", VM_MAX_FW_FILES);
	if (len == 0)
		return umbra_err_set(err, EINVAL, "expected NAME,string=TEXT or NAME,file=PATH");
	if (len >= sizeof(file->name))
		return umbra_err_set(err, EINVAL, "a name has at most %zu letters, not %zu",
				     sizeof(file->name) - 1, len);
	file->value = value_after_key(comma + 1, "file");
	file->is_path = file->value != NULL;
	if (!file->is_path)
		file->value = value_after_key(comma + 1, "string");
	if (!file->value || !*file->value)
		return umbra_err_set(err, EINVAL, "expected string=TEXT or file=PATH after '%.*s,'",
				     (int)len, name);
	memcpy(file->name, name, len);
	file->name[len] = '\0';
	o->vm.fw_file_count++;
	return 0;
}

/* The debugger. */

static int set_gdb(struct cli_options *o, const char *value, struct umbra_err *err)
{
	if (strcmp(value, "none") == 0) {
		o->gdb = NULL;
		return 0;
	}
	if (strncmp(value, "tcp:", 4) != 0 && strncmp(value, "unix:", 5) != 0 &&
	    strcmp(value, "stdio") != 0)
		return umbra_err_set(err, EINVAL,
				     "expected tcp:[HOST]:PORT, unix:PATH, stdio or none");
	o->gdb = value;
	return 0;
}

static int set_gdb_1234(struct cli_options *o, const char *value, struct umbra_err *err)
{
	(void)value;
	(void)err;
	o->gdb = "tcp::1234";
	return 0;
}

static int set_stopped(struct cli_options *o, const char *value, struct umbra_err *err)
{
	(void)value;
	(void)err;
	o->starts_stopped = true;
	return 0;
}

static int set_addr_file(struct cli_options *o, const char *value, struct umbra_err *err)
{
	(void)err;
	o->addr_file = value;
	return 0;
}

static int set_gdb_modules(struct cli_options *o, const char *value, struct umbra_err *err)
{
	(void)err;
	o->gdb_modules = value;
	return 0;
}

static int set_on_disconnect(struct cli_options *o, const char *value, struct umbra_err *err)
{
	static const char *const words[] = {
		[DEBUG_ON_DISCONNECT_RESUME] = "resume",
		[DEBUG_ON_DISCONNECT_STAY] = "stay",
		[DEBUG_ON_DISCONNECT_EXIT] = "exit",
	};
	unsigned index = 0;
	int rc = value_choice(value, words, UMBRA_ARRAY_SIZE(words), &index, err);

	o->on_disconnect = (enum debug_disconnect)index;
	return rc;
}

static int set_gdb_arch(struct cli_options *o, const char *value, struct umbra_err *err)
{
	static const char *const words[] = {
		[DEBUG_ARCH_AUTO] = "auto",
		[DEBUG_ARCH_X86_64] = "x86-64",
		[DEBUG_ARCH_X86_64_LINUX] = "x86-64-linux",
		[DEBUG_ARCH_I386] = "i386",
		[DEBUG_ARCH_I8086] = "i8086",
	};
	unsigned index = 0;
	int rc = value_choice(value, words, UMBRA_ARRAY_SIZE(words), &index, err);

	o->gdb_arch = (enum debug_arch)index;
	return rc;
}

/* How it ends. */

static int set_exit(struct cli_options *o, const char *value, struct umbra_err *err)
{
	static const char *const words[] = {"qemu", "plain"};
	unsigned index = 0;
	int rc = value_choice(value, words, UMBRA_ARRAY_SIZE(words), &index, err);

	o->vm.is_debugexit_plain = index == 1;
	return rc;
}

static int set_on_halt(struct cli_options *o, const char *value, struct umbra_err *err)
{
	uint64_t code = 0;
	int rc = 0;

	o->has_halt_code = strncmp(value, "exit:", 5) == 0;
	if (o->has_halt_code)
		rc = value_number(value + 5, 0, 255, &code, err);
	else if (strcmp(value, "stop") != 0)
		rc = umbra_err_set(err, EINVAL, "expected stop, or exit:N with N from 0 to 255");
	o->halt_code = (int)code;
	return rc;
}

static int set_no_reboot(struct cli_options *o, const char *value, struct umbra_err *err)
{
	(void)value;
	(void)err;
	o->exits_on_reset = true;
	return 0;
}

static int set_timeout(struct cli_options *o, const char *value, struct umbra_err *err)
{
	return value_seconds(value, &o->timeout_ns, err);
}

static int set_die_with_parent(struct cli_options *o, const char *value, struct umbra_err *err)
{
	(void)value;
	(void)err;
	o->dies_with_parent = true;
	return 0;
}

static int set_help(struct cli_options *o, const char *value, struct umbra_err *err)
{
	(void)value;
	(void)err;
	o->action = CLI_HELP;
	return 0;
}

static int set_version(struct cli_options *o, const char *value, struct umbra_err *err)
{
	(void)value;
	(void)err;
	o->action = CLI_VERSION;
	return 0;
}

/* QEMU's words for what is so anyway. */

static int accept_flag(struct cli_options *o, const char *value, struct umbra_err *err)
{
	(void)o;
	(void)value;
	(void)err;
	return 0;
}

static int accept_none(struct cli_options *o, const char *value, struct umbra_err *err)
{
	(void)o;
	if (strcmp(value, "none") == 0)
		return 0;
	return umbra_err_set(err, EINVAL, "not supported here; only none is");
}

/* The table. */

static const struct option_row OPTIONS[] = {
	{NULL, NULL, "What to run", NULL},
	{"-kernel", "FILE", "Linux (bzImage, vmlinux), multiboot, ELF, flat image", set_kernel},
	{"-append", "STRING", "its command line", set_append},
	{"-initrd", "FILE",
	 "Linux's initial RAM disk; modules of multiboot and\n"
	 "PVH kernels: \"FILE ARGS,FILE ARGS\"",
	 set_initrd},
	{"-bios", "FILE", "a BIOS image instead, entered at the reset vector", set_bios},
	{"--load-addr", "ADDR", "where a flat binary goes (default 0x1000)", set_load_addr},
	{"--mode", "MODE",
	 "how a flat binary is entered: real, prot32 or long;\n"
	 "which entry of a bzImage is taken: prot32 or long",
	 set_mode},
	{"--reg", "NAME=VALUE", "a register's value at the start; repeatable", set_reg},
	{NULL, NULL, "The machine", NULL},
	{"-m", "SIZE", "memory, with suffix K, M or G (default 128M)", set_memory},
	{"-smp", "N", "number of CPUs (default 1)", set_smp},
	{"-accel", "NAME",
	 "what runs the guest: kvm, soft (in software), or\n"
	 "kvm:soft (soft where KVM cannot; the default)",
	 set_accel},
	{"-cpu", "MODEL", "of -accel soft: x86-64-v2, or x86-64-v2,+la57", set_cpu},
	{"--paranoid", NULL, "-accel soft checks its shadow MMU at each change", set_paranoid},
	{"-serial", "SPEC",
	 "first, then second serial port: stdio, null, pty,\n"
	 "file:PATH, unix:PATH, tcp:HOST:PORT\n"
	 "(default: stdio, then null)",
	 set_serial},
	{"-debugcon", "SPEC", "the same for the debug console at port 0xe9", set_debugcon},
	{"-global", "PROP=PORT", "isa-debugcon.iobase=0x402: as SeaBIOS wants it", set_global},
	{"-device", "SPEC",
	 "isa-debug-exit,iobase=0xf4,iosize=4: a port that\n"
	 "ends the run; pc-testdev: that of kvm-unit-tests;\n"
	 "loader,file=ELF: a program in memory beside -bios",
	 set_device},
	{"-rtc", "SPEC",
	 "base=utc (default; -accel soft: 2026-01-01),\n"
	 "base=localtime, base=DATE[THH:MM:SS], realtime",
	 set_rtc},
	{"-fw_cfg", "SPEC", "NAME,string=TEXT or NAME,file=PATH: a file in fw_cfg", set_fw_cfg},
	{NULL, NULL, "The debugger", NULL},
	{"-gdb", "ADDR", "tcp:[HOST]:PORT (default :0), unix:PATH, stdio, none", set_gdb},
	{"-s", NULL, "the same as -gdb tcp::1234", set_gdb_1234},
	{"-S", NULL, "wait for the debugger before the first instruction", set_stopped},
	{"--addr-file", "FILE", "write the port's address there as well", set_addr_file},
	{"--gdb-arch", "ARCH", "auto (default), x86-64, x86-64-linux, i386, i8086", set_gdb_arch},
	{"--gdb-modules", "DIR", "where the *.ko are whose symbols gdb is to load",
	 set_gdb_modules},
	{"--on-disconnect", "WHAT", "a lost debugger means: resume (default), stay, exit",
	 set_on_disconnect},
	{NULL, NULL, "How it ends", NULL},
	{"--exit", "MODE", "isa-debug-exit: qemu (default, v << 1 | 1) or plain", set_exit},
	{"--on-halt", "WHAT",
	 "CPUs that are halted for good: stop (default; exit\n"
	 "status 3 without a debugger), or exit:N",
	 set_on_halt},
	{"-no-reboot", NULL, "exit with status 0 when the guest resets the machine", set_no_reboot},
	{"--timeout", "SEC", "exit with status 124 after that long", set_timeout},
	{"--die-with-parent", NULL, "exit when the parent process dies", set_die_with_parent},
	{"--help", NULL, "this text", set_help},
	{"--version", NULL, "name, version and how it was built", set_version},
	{"-h", NULL, NULL, set_help},
	{"-nographic", NULL, NULL, accept_flag},
	{"-nodefaults", NULL, NULL, accept_flag},
	{"-display", "none", NULL, accept_none},
	{"-vga", "none", NULL, accept_none},
	{"-monitor", "none", NULL, accept_none},
};

const struct option_row *option_row_at(unsigned index)
{
	return index < UMBRA_ARRAY_SIZE(OPTIONS) ? &OPTIONS[index] : NULL;
}

const struct option_row *option_row_find(const char *name, size_t len)
{
	size_t i;

	for (i = 0; i < UMBRA_ARRAY_SIZE(OPTIONS); i++) {
		const char *own = OPTIONS[i].name;

		if (!own)
			continue;
		own += strspn(own, "-");
		if (strlen(own) == len && memcmp(own, name, len) == 0)
			return &OPTIONS[i];
	}
	return NULL;
}
