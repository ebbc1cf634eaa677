/* --reg values. */
#include "images.h"

#include <criterion/criterion.h>
#include <errno.h>

static struct bench bench;
static struct image_file file;
static struct load_config config;

static void setup(void)
{
	bench_open(&bench);
	image_file_make(&file, "\xf4", 1);
	config = (struct load_config){.kernel = file.path};
}

static void teardown(void)
{
	image_file_drop(&file);
	bench_close(&bench);
}

static void add_reg(const char *name, uint64_t value)
{
	struct load_reg *reg = &config.reg[config.reg_count++];

	memcpy(reg->name, name, strnlen(name, sizeof(reg->name)));
	reg->value = value;
}

TestSuite(regs, .init = setup, .fini = teardown);

Test(regs, general_registers_named_then_each_is_set)
{
	static const char *const name[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
					   "r8",  "r9",	 "r10", "r11", "r12", "r13", "r14", "r15"};
	unsigned i;

	for (i = 0; i < X86_GPR_COUNT; i++)
		add_reg(name[i], 0x1000000000000000ull + i);
	bench_load(&bench, &config);
	for (i = 0; i < X86_GPR_COUNT; i++)
		cr_assert_eq(bench.boot.gpr[i], 0x1000000000000000ull + i, "%s", name[i]);
}

Test(regs, rip_and_rflags_named_then_they_win_over_the_image)
{
	add_reg("rip", 0x1234);
	add_reg("rflags", 0x200);
	bench_load(&bench, &config);
	cr_assert_eq(bench.boot.rip, 0x1234);
	cr_assert_eq(bench.boot.rflags, 0x202, "bit 1 is always one");
}

Test(regs, same_register_twice_then_the_last_counts)
{
	add_reg("rax", 1);
	add_reg("rax", 2);
	bench_load(&bench, &config);
	cr_assert_eq(bench.boot.gpr[X86_RAX], 2);
}

static const struct {
	const char *name, *text;
} unknown_names[] = {
	{"rxa", "did you mean rax"}, {"eip", "did you mean rip"}, {"rflag", "did you mean rflags"},
	{"r16", "did you mean r1"},  {"RSP", "did you mean rsp"}, {"eflags", "did you mean rflags"},
	{"12345678", "no such"},
};

Test(regs, unknown_name_then_the_nearest_is_named)
{
	unsigned i;

	for (i = 0; i < UMBRA_ARRAY_SIZE(unknown_names); i++) {
		config.reg_count = 0;
		memset(config.reg, 0, sizeof(config.reg));
		add_reg(unknown_names[i].name, 1);
		bench_refuse(&bench, &config, -EINVAL, unknown_names[i].name,
			     unknown_names[i].text);
	}
}

Test(regs, rflags_with_a_reserved_bit_then_refused)
{
	static const unsigned bit[] = {3, 5, 15, 17, 22, 63};
	unsigned i;

	for (i = 0; i < UMBRA_ARRAY_SIZE(bit); i++) {
		config.reg_count = 0;
		add_reg("rflags", 1ull << bit[i]);
		bench_refuse(&bench, &config, -EINVAL, "--reg rflags=0x", "must be 0");
	}
}

Test(regs, rip_above_4_gib_outside_long_mode_then_refused)
{
	add_reg("rip", 1ull << 32);
	bench_refuse(&bench, &config, -EINVAL, "--reg rip=0x100000000", "0xffffffff");
}

Test(regs, rip_in_long_mode_then_any_canonical_address_is_taken)
{
	config.has_mode = true;
	config.mode = LOAD_MODE_LONG;
	add_reg("rip", 0xffffffff80000000ull);
	bench_load(&bench, &config);
	cr_assert_eq(bench.boot.rip, 0xffffffff80000000ull);
}

Test(regs, rip_in_long_mode_not_canonical_then_refused)
{
	config.has_mode = true;
	config.mode = LOAD_MODE_LONG;
	add_reg("rip", 1ull << 47);
	bench_refuse(&bench, &config, -EINVAL, "0x800000000000", "not canonical");
}

Test(regs, more_values_than_there_is_room_for_then_refused)
{
	config.reg_count = LOAD_MAX_REGS + 1;
	bench_refuse(&bench, &config, -EINVAL, "17", "16");
}
