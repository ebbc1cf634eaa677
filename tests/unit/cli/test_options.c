/* The command line as a whole: each option's effect, and each way to get it wrong. */
#include "src/cli/options.h"

#include <criterion/criterion.h>
#include <errno.h>

#define MAX_ARGS 12

struct line {
	const char *word[MAX_ARGS]; /* without the program's name; ended by NULL */
};

/* argv wants char *; nothing writes to them. */
static int parse(const struct line *line, struct cli_options *out, struct umbra_err *err)
{
	union {
		const char *in[MAX_ARGS + 2];
		char *out[MAX_ARGS + 2];
	} argv = {.in = {"umbra"}};
	int argc = 1;

	while (line->word[argc - 1]) {
		argv.in[argc] = line->word[argc - 1];
		argc++;
	}
	err->text[0] = '\0';
	return options_parse(out, argc, argv.out, err);
}

static struct cli_options parse_good(const struct line *line)
{
	struct cli_options options;
	struct umbra_err err;

	cr_assert(parse(line, &options, &err) == 0, "%s", err.text);
	return options;
}

Test(cli_options, parse_when_only_a_kernel_then_defaults)
{
	struct cli_options o = parse_good(&(struct line){{"-kernel", "x.elf"}});

	cr_expect(o.action == CLI_RUN);
	cr_expect_str_eq(o.vm.load.kernel, "x.elf");
	cr_expect(o.vm.has_kernel);
	cr_expect(o.vm.mem_bytes == 128ull << 20);
	cr_expect(o.vm.vcpus == 1);
	cr_expect_str_eq(o.gdb, "tcp::0");
	cr_expect_str_eq(o.vm.serial[0], "stdio");
	cr_expect(o.vm.serial[1] == NULL);
	cr_expect(o.vm.debugcon == NULL);
	cr_expect(!o.vm.has_debugexit && !o.vm.is_debugexit_plain);
	cr_expect(!o.starts_stopped && !o.exits_on_reset && !o.dies_with_parent);
	cr_expect(!o.has_halt_code);
	cr_expect(o.timeout_ns == 0);
	cr_expect(o.on_disconnect == DEBUG_ON_DISCONNECT_RESUME);
}

Test(cli_options, parse_when_image_options_then_all_reach_the_loader)
{
	struct cli_options o = parse_good(&(struct line){
		{"--kernel=a.bin", "-append", "x=1 y", "-initrd", "m,n", "--load-addr", "0x2000",
		 "--mode=long", "--reg", "rax=2", "--reg=r15=0xffffffffffffffff"}});

	cr_expect_str_eq(o.vm.load.kernel, "a.bin");
	cr_expect_str_eq(o.vm.load.cmdline, "x=1 y");
	cr_expect_str_eq(o.vm.load.initrd, "m,n");
	cr_expect(o.vm.load.has_load_addr && o.vm.load.load_addr == 0x2000);
	cr_expect(o.vm.load.has_mode && o.vm.load.mode == LOAD_MODE_LONG);
	cr_assert(o.vm.load.reg_count == 2);
	cr_expect_str_eq(o.vm.load.reg[0].name, "rax");
	cr_expect(o.vm.load.reg[0].value == 2);
	cr_expect_str_eq(o.vm.load.reg[1].name, "r15");
	cr_expect(o.vm.load.reg[1].value == UINT64_MAX);
}

Test(cli_options, parse_when_machine_options_then_all_reach_the_vm)
{
	struct cli_options o = parse_good(
		&(struct line){{"-kernel", "x", "-m", "size=1G", "-smp", "cpus=4", "-accel=kvm",
				"-device", "isa-debug-exit,iobase=0xf4,iosize=4", "--exit=plain"}});

	cr_expect(o.vm.mem_bytes == 1ull << 30);
	cr_expect(o.vm.vcpus == 4);
	cr_expect(o.vm.has_debugexit && o.vm.is_debugexit_plain);
	cr_expect(o.vm.debugexit_iobase == 0xf4);
	cr_expect(o.vm.debugexit_iosize == 4);
}

Test(cli_options, parse_when_bios_then_no_kernel_is_needed)
{
	struct cli_options o = parse_good(&(struct line){
		{"-bios", "b.bin", "-debugcon", "file:x", "-global", "isa-debugcon.iobase=0x402"}});

	cr_expect_str_eq(o.vm.load.bios, "b.bin");
	cr_expect(!o.vm.has_kernel);
	cr_expect(o.vm.debugcon_iobase == 0x402);
	o = parse_good(&(struct line){{"-kernel", "x", "-debugcon", "null"}});
	cr_expect(o.vm.debugcon_iobase == 0, "where it usually is");
}

Test(cli_options, parse_when_debug_exit_is_bare_then_qemus_defaults)
{
	struct cli_options o =
		parse_good(&(struct line){{"-kernel", "x", "-device", "isa-debug-exit"}});

	cr_expect(o.vm.debugexit_iobase == 0x501);
	cr_expect(o.vm.debugexit_iosize == 2);
}

Test(cli_options, parse_when_several_devices_then_all_of_them)
{
	struct cli_options o =
		parse_good(&(struct line){{"-kernel", "x", "-device", "pc-testdev", "-device",
					   "isa-debug-exit,iobase=0xf4"}});

	cr_expect(o.vm.has_testdev && o.vm.has_debugexit);
	o = parse_good(&(struct line){{"-kernel", "x", "-device", "isa-debug-exit"}});
	cr_expect(!o.vm.has_testdev);
}

Test(cli_options, parse_when_fw_cfg_files_then_name_kind_and_value)
{
	struct cli_options o =
		parse_good(&(struct line){{"-kernel", "x", "-fw_cfg", "name=opt/a,string=b,,c=d",
					   "-fw_cfg", "opt/b,file=/tmp/x"}});

	cr_assert(o.vm.fw_file_count == 2);
	cr_expect_str_eq(o.vm.fw_file[0].name, "opt/a");
	cr_expect_str_eq(o.vm.fw_file[0].value, "b,,c=d");
	cr_expect(!o.vm.fw_file[0].is_path);
	cr_expect_str_eq(o.vm.fw_file[1].name, "opt/b");
	cr_expect_str_eq(o.vm.fw_file[1].value, "/tmp/x");
	cr_expect(o.vm.fw_file[1].is_path);
}

Test(cli_options, parse_when_debug_options_then_all_reach_the_port)
{
	struct cli_options o = parse_good(
		&(struct line){{"-kernel", "x", "-s", "-S", "--addr-file", "f", "--on-disconnect",
				"exit", "--die-with-parent", "--gdb-arch", "i8086"}});

	cr_expect_str_eq(o.gdb, "tcp::1234");
	cr_expect(o.starts_stopped && o.dies_with_parent);
	cr_expect_str_eq(o.addr_file, "f");
	cr_expect(o.on_disconnect == DEBUG_ON_DISCONNECT_EXIT);
	cr_expect(o.gdb_arch == DEBUG_ARCH_I8086);
	o = parse_good(&(struct line){{"-kernel", "x", "-gdb", "none"}});
	cr_expect(o.gdb == NULL);
	o = parse_good(&(struct line){{"-kernel", "x", "-gdb", "unix:/tmp/s"}});
	cr_expect_str_eq(o.gdb, "unix:/tmp/s");
}

Test(cli_options, parse_when_end_options_then_all_are_kept)
{
	struct cli_options o = parse_good(&(struct line){
		{"-kernel", "x", "--on-halt", "exit:5", "-no-reboot", "--timeout", "0.25"}});

	cr_expect(o.has_halt_code && o.halt_code == 5);
	cr_expect(o.exits_on_reset);
	cr_expect(o.timeout_ns == 250000000);
	o = parse_good(&(struct line){{"-kernel", "x", "--on-halt=exit:5", "--on-halt=stop"}});
	cr_expect(!o.has_halt_code);
}

Test(cli_options, parse_when_serials_are_given_then_in_order)
{
	struct cli_options o = parse_good(
		&(struct line){{"-kernel", "x", "-serial", "null", "-serial", "file:a=b"}});

	cr_expect_str_eq(o.vm.serial[0], "null");
	cr_expect_str_eq(o.vm.serial[1], "file:a=b");
}

Test(cli_options, parse_when_stdio_is_taken_then_the_default_serial_is_null)
{
	struct cli_options o = parse_good(&(struct line){{"-kernel", "x", "-gdb", "stdio"}});

	cr_expect(o.vm.serial[0] == NULL);
	o = parse_good(&(struct line){{"-kernel", "x", "-debugcon", "stdio"}});
	cr_expect(o.vm.serial[0] == NULL);
}

Test(cli_options, parse_when_rtc_bases_then_when_the_clock_starts)
{
	struct cli_options o = parse_good(&(struct line){{"-kernel", "x"}});

	cr_expect(o.vm.rtc_base == VM_RTC_DEFAULT && !o.vm.is_realtime);
	o = parse_good(&(struct line){{"-kernel", "x", "-rtc", "base=utc"}});
	cr_expect(o.vm.rtc_base == VM_RTC_UTC);
	o = parse_good(&(struct line){{"-kernel", "x", "-rtc", "base=localtime,realtime"}});
	cr_expect(o.vm.rtc_base == VM_RTC_LOCALTIME && o.vm.is_realtime);
	o = parse_good(&(struct line){{"-kernel", "x", "-rtc", "base=2000-02-29T23:59:59"}});
	cr_expect(o.vm.rtc_base == VM_RTC_DATE && o.vm.rtc_epoch_s == 951868799);
	o = parse_good(&(struct line){{"-kernel", "x", "-rtc", "base=1969-12-31"}});
	cr_expect(o.vm.rtc_base == VM_RTC_DATE && o.vm.rtc_epoch_s == -86400);
}

Test(cli_options, parse_when_qemu_words_are_true_anyway_then_accepted)
{
	parse_good(&(struct line){{"-nographic", "-nodefaults", "-display", "none", "-vga", "none",
				   "-monitor", "none", "-kernel", "x"}});
}

Test(cli_options, parse_when_actions_then_no_kernel_is_needed)
{
	cr_expect(parse_good(&(struct line){{"--help"}}).action == CLI_HELP);
	cr_expect(parse_good(&(struct line){{"-help"}}).action == CLI_HELP);
	cr_expect(parse_good(&(struct line){{"-h"}}).action == CLI_HELP);
	cr_expect(parse_good(&(struct line){{"-version"}}).action == CLI_VERSION);
	cr_expect(parse_good(&(struct line){{"check-host"}}).action == CLI_CHECK_HOST);
	cr_expect(parse_good(&(struct line){{"-m", "1G", "--help", "--what"}}).action == CLI_HELP);
}

/* Wrong lines, and what the text about them must contain. */
static const struct {
	struct line line;
	const char *says[2];
} WRONG[] = {
	{{{NULL}}, {"nothing to run", "-kernel FILE"}},
	{{{"-kernel"}}, {"-kernel wants a value", "-kernel FILE"}},
	{{{"-kernal", "x"}}, {"unknown option -kernal", "did you mean -kernel?"}},
	{{{"--time-out=3"}}, {"unknown option --time-out=3", "did you mean --timeout?"}},
	{{{"--timeot=3"}}, {"unknown option", "did you mean --timeout?"}},
	{{{"-nographics"}}, {"unknown option", "--help"}},
	{{{"-qqqqqqq"}}, {"unknown option -qqqqqqq", "umbra --help"}},
	{{{"--"}}, {"unknown option --", "--help"}},
	{{{"-"}}, {"unexpected '-'", "-kernel FILE"}},
	{{{"x.elf"}}, {"unexpected 'x.elf'", "-kernel FILE"}},
	{{{"check-hosts"}}, {"unknown command", "did you mean check-host?"}},
	{{{"-drive", "file=x"}}, {"QEMU's -drive is not supported here", "-initrd"}},
	{{{"--machine=q35"}}, {"QEMU's -machine is not supported here", "PC"}},
	{{{"-display", "gtk"}}, {"-display: ", "only none"}},
	{{{"-S=1", "-kernel", "x"}}, {"-S takes no value", "'1'"}},
	{{{"-m", "12x"}}, {"-m: '12x' is not a size", "512M"}},
	{{{"-m", "size="}}, {"-m: ", "is not a size"}},
	{{{"-m", "512K"}}, {"-m: 512K is out of range", "1M to 64G"}},
	{{{"-smp", "0"}}, {"-smp: 0 is out of range", "1 to 64"}},
	{{{"-smp", "65"}}, {"-smp: 65 is out of range", ""}},
	{{{"-smp", "cores=2"}}, {"-smp: 'cores=2' is not a number", ""}},
	{{{"-accel", "tcg"}}, {"-accel: 'tcg' is not one of: kvm", ""}},
	{{{"-accel", "kvm:fast"}}, {"-accel: 'kvm:fast' is not one of: kvm", ""}},
	{{{"-global", "isa-debugcon.readback=1"}},
	 {"-global: expected isa-debugcon.iobase=PORT", ""}},
	{{{"-global", "isa-debugcon.iobase=0x10000"}}, {"0x10000 is out of range", "0xffff"}},
	{{{"-pflash", "x"}}, {"QEMU's -pflash is not supported here", "use -bios"}},
	{{{"-device", "e1000"}}, {"-device: no device 'e1000'", "isa-debug-exit"}},
	{{{"-device", "loader"}}, {"-device: no device 'loader'", "loader,file=ELF"}},
	{{{"-device", "loader,file="}}, {"loader has file=ELF", ""}},
	{{{"-device", "loader,file=x,addr=0"}}, {"loader has file=ELF", ""}},
	{{{"-device", ""}}, {"-device: no device ''", ""}},
	{{{"-device", "isa-debug-exit,port=1"}}, {"no property 'port=1'", "iobase=PORT"}},
	{{{"-device", "pc-testdev,line=1"}}, {"pc-testdev has no property 'line=1'", ""}},
	{{{"-device", "pc-testdev2"}}, {"-device: no device 'pc-testdev2'", "pc-testdev"}},
	{{{"-device", "isa-debug-exit,"}}, {"no property ''", "iobase=PORT"}},
	{{{"-device", "isa-debug-exit,iobase=0x10000"}}, {"0x10000 is out of range", "0xffff"}},
	{{{"-device", "isa-debug-exit,iobase=0xffff,iosize=2"}}, {"past port 0xffff", ""}},
	{{{"-fw_cfg", ""}}, {"-fw_cfg: expected NAME,string=TEXT", "file=PATH"}},
	{{{"-fw_cfg", ",string=x"}}, {"-fw_cfg: expected NAME,string=TEXT", ""}},
	{{{"-fw_cfg", "name=,string=x"}}, {"-fw_cfg: expected NAME,string=TEXT", ""}},
	{{{"-fw_cfg", "opt/x"}}, {"-fw_cfg: expected NAME,string=TEXT", ""}},
	{{{"-fw_cfg", "opt/x,text=y"}}, {"after 'opt/x,'", "string=TEXT"}},
	{{{"-fw_cfg", "opt/x,string="}}, {"after 'opt/x,'", "string=TEXT"}},
	{{{"-fw_cfg", "opt/4567890123456789012345678901234567890123456789012345,file=x"}},
	 {"at most 55 letters, not 56", ""}},
	{{{"-device", "isa-debug-exit,iosize=0"}}, {"0 is out of range", ""}},
	{{{"-serial", "null", "-serial", "null", "-serial", "null"}}, {"2 serial ports", ""}},
	{{{"-rtc", "base=UTC"}}, {"-rtc: base is utc, localtime, or a date", "not 'UTC'"}},
	{{{"-rtc", "base=2001-02-29"}}, {"a date that exists", "not '2001-02-29'"}},
	{{{"-rtc", "base=2026-01-01T00:00"}}, {"as in 2026-01-31", ""}},
	{{{"-rtc", "base="}}, {"not ''", ""}},
	{{{"-rtc", "clock=host"}}, {"-rtc: 'clock=host' is not supported here", "base=WHEN"}},
	{{{"-rtc", "base=utc,"}}, {"-rtc: '' is not supported here", ""}},
	{{{"-gdb", "1234"}}, {"-gdb: expected tcp:[HOST]:PORT", "unix:PATH"}},
	{{{"--gdb-arch", "i80386"}}, {"'i80386' is not one of", "i8086"}},
	{{{"--on-disconnect", "exits"}}, {"'exits' is not one of", "did you mean 'exit'?"}},
	{{{"--on-halt", "exit"}}, {"--on-halt: expected stop, or exit:N", ""}},
	{{{"--on-halt", "exit:256"}}, {"256 is out of range", ""}},
	{{{"--exit", "QEMU"}}, {"is not one of: qemu, plain", "did you mean 'qemu'?"}},
	{{{"--mode", "prot64"}}, {"real, prot32, long", "did you mean 'prot32'?"}},
	{{{"--timeout", "0"}}, {"--timeout: 0 is out of range", ""}},
	{{{"--reg", "rax"}}, {"--reg: expected NAME=VALUE", "rax=2"}},
	{{{"--reg", "=2"}}, {"--reg: expected NAME=VALUE", ""}},
	{{{"--reg", "much-too-long=2"}}, {"--reg: expected NAME=VALUE", ""}},
	{{{"--reg", "rax=-1"}}, {"--reg: '-1' is not a number", ""}},
	{{{"-kernel", "x", "-S", "-gdb", "none"}}, {"-S waits for a debugger", "drop one"}},
	{{{"-kernel", "x", "--addr-file", "f", "-gdb", "none"}},
	 {"--addr-file has no address", ""}},
	{{{"-kernel", "x", "-gdb", "stdio", "-serial", "stdio"}},
	 {"-gdb and the first -serial cannot both use stdio", "null or pty"}},
	{{{"-kernel", "x", "-serial", "stdio", "-debugcon", "stdio"}},
	 {"the first -serial and -debugcon cannot both use stdio", ""}},
};

Test(cli_options, parse_when_each_wrong_line_then_einval_and_a_text_that_helps)
{
	struct cli_options options;
	struct umbra_err err;
	size_t i;

	for (i = 0; i < UMBRA_ARRAY_SIZE(WRONG); i++) {
		int rc = parse(&WRONG[i].line, &options, &err);

		cr_expect(rc == -EINVAL, "line %zu (%s): rc %d", i, WRONG[i].says[0], rc);
		cr_expect(strstr(err.text, WRONG[i].says[0]) && strstr(err.text, WRONG[i].says[1]),
			  "line %zu says '%s', not '%s' and '%s'", i, err.text, WRONG[i].says[0],
			  WRONG[i].says[1]);
	}
}

Test(cli_options, parse_when_too_many_fw_cfg_files_then_einval)
{
	union {
		const char *in[2 * VM_MAX_FW_FILES + 4];
		char *out[2 * VM_MAX_FW_FILES + 4];
	} argv = {.in = {"umbra"}};
	struct cli_options options;
	struct umbra_err err;

	for (int i = 0; i <= VM_MAX_FW_FILES; i++) {
		argv.in[1 + 2 * i] = "-fw_cfg";
		argv.in[2 + 2 * i] = "opt/x,string=y";
	}
	cr_assert_eq(options_parse(&options, 2 * VM_MAX_FW_FILES + 3, argv.out, &err), -EINVAL);
	cr_expect_not_null(strstr(err.text, "at most 16 files"), "%s", err.text);
}

Test(cli_options, parse_when_too_many_registers_then_einval)
{
	struct cli_options o = {.vm.load.reg_count = LOAD_MAX_REGS};
	struct umbra_err err = {""};

	cr_assert(option_row_find("reg", 3)->set(&o, "rax=1", &err) == -EINVAL);
	cr_expect(strstr(err.text, "at most 16") != NULL, "%s", err.text);
}

Test(cli_options, parse_when_words_are_very_long_then_einval_and_no_overrun)
{
	char word[3000];
	struct cli_options options;
	struct umbra_err err;

	memset(word, 'x', sizeof(word) - 1);
	word[sizeof(word) - 1] = '\0';
	cr_expect(parse(&(struct line){{word}}, &options, &err) == -EINVAL);
	cr_expect(parse(&(struct line){{"-device", word}}, &options, &err) == -EINVAL);
	cr_expect(parse(&(struct line){{"-m", word}}, &options, &err) == -EINVAL);
	word[0] = '-';
	cr_expect(parse(&(struct line){{word}}, &options, &err) == -EINVAL);
}
