/* QEMU's words, by answers that QEMU 7.2 gave to the same bytes and tables. */
#include "fake_vm.h"
#include "src/debug/monitor.h"
#include "src/debug/target.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static struct {
	struct debug_target target;
	struct vm *vm;
	struct fake_text said;
} m;

static void set_up(void)
{
	static const uint8_t bytes[] = {0xbf, 0x90, 0x03, 0x10, 0x00, 0xe8, 0xd2, 0x00, 0x00,
					0x00, 0xe8, 0xe3, 0xfe, 0xff, 0xff, 0x89, 0x45, 0xfc,
					'\n', '\r', '\'', '\\', 'A',  '~',  0x7f};
	struct umbra_err err;

	m.vm = fake_vm_create();
	target_init(&m.target, m.vm, "test", DEBUG_ARCH_AUTO);
	cr_assert_eq(mem_add(m.vm->mem, 0, 0x10000, MEM_RAM, "ram", &err), 0);
	memcpy(m.vm->world->mem + 0x1bc, bytes, sizeof(bytes));
}

static void tear_down(void)
{
	fake_vm_destroy(m.vm);
}

TestSuite(mon_qemu, .init = set_up, .fini = tear_down);

static const char *say(const char *line)
{
	const struct print_sink out = {.text = fake_collect, .ctx = &m.said};

	m.said.len = 0;
	m.said.text[0] = '\0';
	cr_assert_eq(monitor_run(&m.target, 0, line, &out), 0, "%s", line);
	return m.said.text;
}

Test(mon_qemu, x_when_format_is_given_then_as_qemu)
{
	static const struct {
		const char *line, *answer;
	} cases[] = {
		{"x/7xb 0x1bc", "00000000000001bc: 0xbf 0x90 0x03 0x10 0x00 0xe8 0xd2\n"},
		{"x/7xh 0x1bc",
		 "00000000000001bc: 0x90bf 0x1003 0xe800 0x00d2 0x0000 0xe3e8 0xfffe\n"},
		{"x/5xw 0x1bc", "00000000000001bc: 0x100390bf 0x00d2e800 0xe3e80000 0x89fffffe\n"
				"00000000000001cc: 0x0d0afc45\n"},
		{"xp/2gx 0x1bc", "00000000000001bc: 0x00d2e800100390bf 0x89fffffee3e80000\n"},
		{"x /2gx 0x1bc", "00000000000001bc: 0x00d2e800100390bf 0x89fffffee3e80000\n"},
		{"x 0x1bc", "00000000000001bc: 0x100390bf\n"},
		{"x/3db 0x1bc", "00000000000001bc: 191 144   3\n"},
		{"x/3dh 0x1bc", "00000000000001bc: 37055  4099 59392\n"},
		{"x/2dw 0x1bc", "00000000000001bc:  268669119   13821952\n"},
		{"x/2dg 0x1bc", "00000000000001bc:    59364832075550911 -8502796101241798656\n"},
		{"x/2ug 0x1bc", "00000000000001bc:    59364832075550911  9943947972467752960\n"},
		{"x/4ob 0x1bc", "00000000000001bc: 0277 0220  03 020\n"},
		{"x/3cb 0x1d0", "00000000000001d0: '\\'' '\\\\' 'A'\n"},
		{"x/3c 0x1cd", "00000000000001cd: '\\xfc' '\\n' '\\r'\n"},
		{"x/2i 0x1bc", "0x000001bc:  bf 90 03 "},
		{"x 0x700000", "0000000000700000: Cannot access memory\n"},
		{"x", "unexpected end of expression\n"},
		{"x zz", "invalid char 'z' in expression\n"},
		{"x/4zx 0", "invalid char in format: 'z'\n"},
		{"x/99999999999x 0", "at most 10000 units\n"},
		{"xp/4xg4 0", "invalid char in format: '4'\n"},
	};

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(cases); i++)
		cr_assert_eq(strncmp(say(cases[i].line), cases[i].answer, strlen(cases[i].answer)),
			     0, "%s: %s", cases[i].line, m.said.text);
}

Test(mon_qemu, addresses_when_asked_then_as_qemu)
{
	char expected[128];

	cr_assert_str_eq(say("info mem"), "PG disabled\n");
	cr_assert_str_eq(say("info tlb"), "PG disabled\n");
	cr_assert_str_eq(say("gva2gpa 0x1234"), "gpa: 0x1234\n");
	cr_assert_str_eq(say("gpa2hva 0xfffff00000"),
			 "No memory is mapped at address 0xfffff00000\n");
	snprintf(expected, sizeof(expected), "Host virtual address for 0x1234 (ram) is %p\n",
		 (void *)mem_ptr(m.vm->mem, 0x1234, 1));
	cr_assert_str_eq(say("gpa2hva 0x1234"), expected);
	cr_assert(strstr(say("gpa2hpa 0x1234"), "ost physical address for 0x1234 (ram)"));
	cr_assert_str_eq(say("gva2gpa"), "unexpected end of expression\n");
}

static void put(gpa_t gpa, uint64_t value)
{
	uint8_t raw[8];

	le64_put(raw, value);
	mem_poke(m.vm->mem, gpa, raw, sizeof(raw));
}

/* A large page at 0; two pages below 2^47 and one behind it, which QEMU takes for neighbours; and
 * the last page of all. */
Test(mon_qemu, tables_when_listed_then_as_qemu)
{
	struct x86_state *st = &m.vm->world->st[0];

	put(0x1000, 0x2007);
	put(0x1000 + 8 * 255, 0x3007);
	put(0x1000 + 8 * 256, 0x4007);
	put(0x1000 + 8 * 511, 0x3003);
	put(0x2000, 0x5007);
	put(0x5000, 0x83 | X86_PTE_A | X86_PTE_G);
	put(0x3000 + 8 * 511, 0x6007);
	put(0x4000, 0x7007);
	put(0x6000 + 8 * 511, 0x8007);
	put(0x7000, 0x8007);
	put(0x8000 + 8 * 510, 0x9005);
	put(0x8000 + 8 * 511, 0xa007 | X86_PTE_D | X86_PTE_NX);
	put(0x8000, 0xb007);
	st->cr0 |= X86_CR0_PE | X86_CR0_PG;
	st->cr3 = 0x1000;
	st->cr4 = X86_CR4_PAE;
	st->efer = X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE;
	cr_assert_str_eq(say("info mem"),
			 "0000000000000000-0000000000200000 0000000000200000 -rw\n"
			 "00007fffffe00000-00007fffffe01000 0000000000001000 urw\n"
			 "00007fffffffe000-00007ffffffff000 0000000000001000 ur-\n"
			 "00007ffffffff000-ffff800000001000 0000000000002000 urw\n"
			 "ffff8000001fe000-ffff8000001ff000 0000000000001000 ur-\n"
			 "ffff8000001ff000-ffff800000200000 0000000000001000 urw\n"
			 "ffffffffffe00000-ffffffffffe01000 0000000000001000 -rw\n"
			 "ffffffffffffe000-fffffffffffff000 0000000000001000 -r-\n"
			 "fffffffffffff000-0001000000000000 0000000000001000 -rw\n");
	cr_assert(strncmp(say("info tlb"), "0000000000000000: 0000000000000000 -GP-A---W\n", 45) ==
		  0);
	cr_assert(strstr(m.said.text, "fffffffffffff000: 000000000000a000 X--D---UW\n"), "%s",
		  m.said.text);
}
