/* The frame of the `mmu` words and what they say, over tables in a machine that only pretends; with
 * a shadow MMU where a test needs one. */
#include "fake_vm.h"
#include "src/debug/mon_mmu.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PML4 0x1000u
#define PDPT 0x2000u
#define PD   0x3000u
#define PT   0x4000u
#define RW   (X86_PTE_P | X86_PTE_RW | X86_PTE_US)

static struct {
	struct debug_target target;
	struct vm *vm;
	struct fake_text said;
} m;

static void put(gpa_t gpa, uint64_t value)
{
	uint8_t raw[8];

	le64_put(raw, value);
	cr_assert_eq(mem_poke(m.vm->mem, gpa, raw, sizeof(raw)), 8u);
}

/* 4-level paging: 0x400000 is 512 pages of frames 0x10000 on, the second read-only; 1 GiB up is a
 * large page. */
static void set_up(void)
{
	struct umbra_err err;
	struct x86_state *st;

	m.vm = fake_vm_create();
	target_init(&m.target, m.vm, "test", DEBUG_ARCH_AUTO);
	cr_assert_eq(mem_add(m.vm->mem, 0, 0x400000, MEM_RAM, "ram", &err), 0);
	put(PML4, PDPT | RW);
	put(PDPT, PD | RW);
	put(PD + 8 * 2, PT | RW);
	for (unsigned i = 0; i < 512; i++)
		put(PT + 8 * i, (0x10000 + i * 0x1000) | (i == 1 ? RW & ~X86_PTE_RW : RW));
	put(PD + 8 * 3, X86_PTE_P | X86_PTE_RW | X86_PTE_PS);
	st = &m.vm->world->st[0];
	st->cr0 |= X86_CR0_PE | X86_CR0_PG | X86_CR0_WP;
	st->cr3 = PML4;
	st->cr4 = X86_CR4_PAE;
	st->efer = X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE;
}

static void tear_down(void)
{
	mmu_destroy(m.vm->mmu);
	fake_vm_destroy(m.vm);
}

TestSuite(mon_mmu, .init = set_up, .fini = tear_down);

static const char *say(const char *line)
{
	const struct print_sink out = {.text = fake_collect, .ctx = &m.said};

	m.said.len = 0;
	m.said.text[0] = '\0';
	cr_assert_eq(monitor_run(&m.target, 0, line, &out), 0, "%s", line);
	return m.said.text;
}

static void add_shadow(void)
{
	const struct mmu_config config = {.mem = m.vm->mem, .vcpus = FAKE_CPUS};
	struct x86_paging regs;
	struct umbra_err err;

	cr_assert_eq(mmu_create(&m.vm->mmu, &config, &err), 0);
	cr_assert(mmu_regs_of(&m.target, 0, &regs));
	mmu_set_regs(m.vm->mmu, 0, &regs, true);
}

#define ASSERT_SAYS(line, part)                                                                    \
	cr_assert(strstr(say(line), part), "%s: '%s' is not in: %s", line, part, m.said.text)

/* The frame. */

Test(mon_mmu, word_when_wrong_then_error_record_and_no_failure)
{
	ASSERT_SAYS("mmu xyzzy", "error badarg no such word: 'xyzzy'; `mmu help` lists them\n");
	ASSERT_SAYS("mmu wlak 0", "error badarg no such word: 'wlak'; did you mean 'walk'?\n");
	ASSERT_SAYS("mmu wlak 0 -j", "{\"error\":\"badarg\",\"text\":\"no such word: 'wlak'; did");
	ASSERT_SAYS("mmu walk", "error badarg usage: mmu walk GVA\n");
	ASSERT_SAYS("mmu walk 1 2", "error badarg usage: mmu walk GVA\n");
	ASSERT_SAYS("mmu walk zero", "error badarg 'zero' is no number");
	ASSERT_SAYS("mmu walk 0 --frob", "error badarg no such option: '--frob'\n");
	ASSERT_SAYS("mmu walk 0 --cpu", "error badarg --cpu wants a value\n");
	ASSERT_SAYS("mmu walk 0 --cpu 9", "error badarg no such cpu; they are 0 to 1\n");
	ASSERT_SAYS("mmu walk 0 --pcid 9", "error badarg no known root has this PCID");
	ASSERT_SAYS("mmu map 2 1", "error badarg the range ends before it begins\n");
	ASSERT_SAYS("mmu map --filter u,frob", "not 'frob'\n");
	ASSERT_SAYS("mmu t", "could be several words");
	ASSERT_SAYS("mmu addr hva 0x1", "error noaddr hva 0x1 is no page");
	ASSERT_SAYS("mmu addr 0x600000000000000", "error noncanon");
	ASSERT_SAYS("mmu addr 0x700000000", "error notpresent");
	ASSERT_SAYS("mmu verify", "error nocap the fake back end");
	ASSERT_SAYS("mmu tlb -j", "{\"error\":\"nocap\"");
}

Test(mon_mmu, help_when_asked_then_each_word_with_an_example)
{
	static const char *const words[] = {"info", "addr",  "walk",   "probe",	 "map",	   "rmap",
					    "find", "roots", "tables", "shadow", "verify", "stats",
					    "tlb",  "ad",    "dump",   "zap"};

	say("mmu help");
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(words); i++) {
		char part[64];

		snprintf(part, sizeof(part), "monitor mmu %s", words[i]);
		cr_assert(strstr(m.said.text, part), "%s", part);
	}
	ASSERT_SAYS("mmu help probe", "(gdb) monitor mmu probe w cpl=3 0x401000\n");
	ASSERT_SAYS("mmu", "Options anywhere");
}

Test(mon_mmu, options_when_anywhere_then_the_same)
{
	char first[4096];

	snprintf(first, sizeof(first), "%s", say("mmu walk 0x400000 -j --cpu 0"));
	cr_assert_str_eq(say("mmu -j walk --cpu 0 0x400000"), first);
	cr_assert_str_eq(say("mmu wa --json 0x400000"), first);
	ASSERT_SAYS("mmu walk 0x400000 --cr3 0x9000", "fault=notpresent level=4 why=P=0\n");
}

/* Words. */

Test(mon_mmu, info_when_asked_then_model_and_slots)
{
	ASSERT_SAYS("mmu info",
		    "mmu backend=fake role=model paging=4level cr0.wp=1 smep=0 smap=0 "
		    "pke=0 nxe=1 pcid=0 maxphy=52 roots=1 track=off\nslot=0 gpa=0x0-0x3fffff hva=");
	add_shadow();
	ASSERT_SAYS("mmu info", "role=live");
}

Test(mon_mmu, walk_when_mapped_then_each_level)
{
	cr_assert_str_eq(say("mmu walk 0x401234"),
			 "walk gva=0x401234 cpu=0 cr3=0x1000 levels=4 role=model\n"
			 "L4 i=0 at=0x1000 pte=0x0000000000002007 PWUX-.---- -> 0x2000\n"
			 "L3 i=0 at=0x2000 pte=0x0000000000003007 PWUX-.---- -> 0x3000\n"
			 "L2 i=2 at=0x3010 pte=0x0000000000004007 PWUX-.---- -> 0x4000\n"
			 "L1 i=1 at=0x4008 pte=0x0000000000011005 P-UX------ -> 0x11000\n"
			 "= gpa=0x11234 page=4K rights=u:r-x k:r-x\n");
	cr_assert_str_eq(
		say("mmu walk 0x600000 -j"),
		"{\"kind\":\"walk\",\"gva\":\"0x600000\",\"cpu\":0,\"cr3\":\"0x1000\","
		"\"paging\":\"4level\",\"role\":\"model\",\"levels\":["
		"{\"l\":4,\"i\":0,\"at\":\"0x1000\",\"pte\":\"0x2007\",\"flags\":\"PWUX-.----\"},"
		"{\"l\":3,\"i\":0,\"at\":\"0x2000\",\"pte\":\"0x3007\",\"flags\":\"PWUX-.----\"},"
		"{\"l\":2,\"i\":3,\"at\":\"0x3018\",\"pte\":\"0x83\",\"flags\":\"PW-X--S---\"}],"
		"\"gpa\":\"0x0\",\"page\":2097152,\"rights\":{\"u\":\"---\",\"k\":\"rwx\"},"
		"\"shadow\":null,\"fault\":null}\n");
}

Test(mon_mmu, walk_when_shadowed_then_its_opinion_beside_it)
{
	struct mmu_page page;
	struct mmu_fault fault;

	add_shadow();
	ASSERT_SAYS("mmu walk 0x400000 -j", "\"shadow\":{\"state\":\"none\"}");
	cr_assert_eq(mmu_translate(m.vm->mmu, 0, 0x400000, X86_PF_W, &page, &fault), 0);
	ASSERT_SAYS("mmu walk 0x400000", "spte=hva:0x");
	ASSERT_SAYS("mmu walk 0x400000", " wux (wp: no)\n= gpa=0x10000");
	ASSERT_SAYS("mmu walk 0x400000 -j", "\"state\":\"present\",\"hva\":\"0x");
	cr_assert_eq(mmu_translate(m.vm->mmu, 0, 0x600000, 0, &page, &fault), 0);
	ASSERT_SAYS("mmu walk 0x600000", "page=2M rights=u:--- k:rwx  shadow sp=");
	ASSERT_SAYS("mmu verify", "errors=0");
	ASSERT_SAYS("mmu shadow", "role=l1,8byte,wux,nxe refs=1 roots=0 present=1/512 wp=yes "
				  "writes=0 hits=0\n");
	cr_assert_eq(mmu_translate(m.vm->mmu, 0, 0x400000, X86_PF_W, &page, &fault), 0);
	cr_assert_eq(mmu_translate(m.vm->mmu, 0, 0x400008, 0, &page, &fault), 0);
	ASSERT_SAYS("mmu shadow", "role=l1,8byte,wux,nxe refs=1 roots=0 present=1/512 wp=yes "
				  "writes=0 hits=2\n");
	ASSERT_SAYS("mmu shadow 0", "spte sp=0 i=0 level=4 gpte=0x2027 child=");
	ASSERT_SAYS("mmu shadow 0x400000", "level=1 gpte=0x10067 gpa=0x10000");
	ASSERT_SAYS("mmu stats", "stats faults=2 ");
	ASSERT_SAYS("mmu rmap 0x10010", "use=data writers=1 shadowed_as=none\n");
	ASSERT_SAYS("mmu rmap 0x4000", "use=table writers=0 shadowed_as=1\n");
	ASSERT_SAYS("mmu roots", "loads=1 cpus=1 shadowed=1 pages=513 ranges=4\n");
	ASSERT_SAYS("mmu zap", "zap backend=fake\n");
	ASSERT_SAYS("mmu stats", "shadow_pages=0");
}

Test(mon_mmu, probe_when_denied_then_error_code_and_cause)
{
	cr_assert_str_eq(say("mmu probe w cpl=3 0x401000"),
			 "probe gva=0x401000 access=w cpl=3 result=fault vector=14 err=0x7 (P|W|U) "
			 "level=1 cause=\"W=0\" cr2=0x401000\n");
	ASSERT_SAYS("mmu probe x cpl=0 0x401000", "result=ok gpa=0x11000\n");
	ASSERT_SAYS("mmu probe r 0x600000000000000 -j",
		    "\"vector\":13,\"err\":\"0x0\",\"level\":0");
	ASSERT_SAYS("mmu probe r cpl=4 0", "error badarg usage");
	ASSERT_SAYS("mmu probe", "error badarg usage");
}

Test(mon_mmu, map_when_filtered_then_matching_ranges)
{
	cr_assert_str_eq(
		say("mmu map"),
		"map 0x0000000000400000-0x0000000000400fff len=0x1000 gpa=0x10000 page=4K n=1 "
		"u:rwx k:rwx A=0 D=0\n"
		"map 0x0000000000401000-0x0000000000401fff len=0x1000 gpa=0x11000 page=4K n=1 "
		"u:r-x k:r-x A=0 D=0\n"
		"map 0x0000000000402000-0x00000000005fffff len=0x1fe000 gpa=0x12000 page=4K n=510 "
		"u:rwx k:rwx A=0 D=0\n"
		"map 0x0000000000600000-0x00000000007fffff len=0x200000 gpa=0x0 page=2M n=1 u:--- "
		"k:rwx A=0 D=0\n");
	ASSERT_SAYS("mmu map --max 1", "more next=0x401000\n");
	cr_assert_not(strstr(say("mmu map --filter u,w"), "0x401000-"));
	ASSERT_SAYS("mmu map 0x401000 0x401fff", "map 0x0000000000401000-0x0000000000401fff");
	cr_assert(strncmp(say("mmu map --phys"), "map 0x0000000000600000", 22) == 0);
	ASSERT_SAYS("mmu map 0x11000 0x11fff --phys --filter x,u", "0000401000-0x0000000000401fff");
	say("mmu map --raw --max 1000");
	cr_assert(strstr(m.said.text, "map 0x0000000000403000-0x0000000000403fff"));
}

Test(mon_mmu, rmap_when_page_has_aliases_then_all)
{
	cr_assert_str_eq(say("mmu rmap 0x11008"),
			 "rmap gpa=0x11000 cr3=0x1000 gva=0x401000 page=4K u:r-x k:r-x pte@0x4008\n"
			 "rmap gpa=0x11000 cr3=0x1000 gva=0x611000 page=2M u:--- k:rwx pte@0x3018\n"
			 "rmap gpa=0x11000 aliases=2 role=model\n");
	ASSERT_SAYS("mmu find phys 0x11008", "gva=0x611008 page=2M");
	ASSERT_SAYS("mmu find pte 0x5/0xfff", "pte@0x4008 pte=0x11005\nfind what=pte found=1");
	ASSERT_SAYS("mmu find wx", "found=512 ");
	ASSERT_SAYS("mmu find alias", "found=497 ");
	ASSERT_SAYS("mmu find user", "found=0 ");
	ASSERT_SAYS("mmu find frob", "error badarg 'frob'");
	ASSERT_SAYS("mmu find phys", "error badarg find phys GPA");
}

Test(mon_mmu, tables_when_asked_then_each_with_its_level)
{
	cr_assert_str_eq(
		say("mmu tables"),
		"table gpa=0x1000 level=4 gva=0x0 parents=0 present=1 entries=512\n"
		"table gpa=0x2000 level=3 gva=0x0 parents=1 present=1 entries=512\n"
		"table gpa=0x3000 level=2 gva=0x0 parents=1 present=2 entries=512\n"
		"table gpa=0x4000 level=1 gva=0x400000 parents=1 present=512 entries=512\n");
	ASSERT_SAYS("mmu tables 0x4010", "table gpa=0x4000");
	ASSERT_SAYS("mmu tables 0x9000", "error noaddr");
}

Test(mon_mmu, dump_when_asked_then_a_graph)
{
	ASSERT_SAYS("mmu dump --dot", "digraph mmu {");
	cr_assert(strstr(m.said.text, "n2 -> n3 [label=\"2\"];") && strstr(m.said.text, "}\n"));
	ASSERT_SAYS("mmu dump --json",
		    "{\"kind\":\"edge\",\"from\":2,\"to\":3,\"first\":2,\"last\":2}");
	ASSERT_SAYS("mmu dump", "error badarg usage");
	/* Every entry of the root leads back to it: one node. */
	for (unsigned i = 0; i < 512; i++)
		put(PML4 + 8 * i, PML4 | RW);
	say("mmu dump --dot");
	cr_assert_lt(m.said.len, 100000u);
}

Test(mon_mmu, ad_when_cleared_then_only_a_of_pages_is_gone)
{
	put(PT, 0x10000 | RW | X86_PTE_A | X86_PTE_D);
	m.vm->world->st[0].cr0 |= X86_CR0_PG;
	ASSERT_SAYS("mmu ad", "ad 0x0000000000400000-0x0000000000400fff");
	cr_assert(strstr(m.said.text, "ad accessed=1\n"));
	ASSERT_SAYS("mmu ad frob", "error badarg");
}

Test(mon_mmu, answer_when_very_long_then_cut_with_more)
{
	for (unsigned i = 0; i < 512; i++)
		put(PT + 8 * i, 0x10000 | RW);
	say("mmu map --max 100000 -j");
	cr_assert_lt(m.said.len, 110000u);
	say("mmu rmap 0x10000 --max 100000 -j");
	cr_assert_lt(m.said.len, 110000u);
	cr_assert(strstr(m.said.text, "\"aliases\":513"));
}

Test(mon_mmu, roots_when_there_is_no_shadow_then_those_that_stops_saw)
{
	const struct cpu_stop stop = {.kind = STOP_BREAK}, step = {.kind = STOP_STEP};
	struct x86_state *st = &m.vm->world->st[0];

	target_stopped(&m.target, &stop, true);
	st->cr3 = 0x5000;
	target_stopped(&m.target, &stop, true);
	st->cr3 = 0x6000;
	target_stopped(&m.target, &step, true);
	for (unsigned i = 0; i < 2 * MMU_SEEN_MAX; i++) {
		st->cr3 = 0x100000 + (i << 12);
		target_stopped(&m.target, &stop, true);
	}
	st->cr3 = PML4;
	target_stopped(&m.target, &stop, true);
	say("mmu roots --max 1000");
	cr_assert(strstr(m.said.text, "root cr3=0x1000 paging=4level stops=1 cpus=1 pages=513"),
		  "%s", m.said.text);
	cr_assert_not(strstr(m.said.text, "cr3=0x6000"));
	cr_assert_eq(m.target.seen.count, MMU_SEEN_MAX);
}

/* As many as kvm-unit-tests' rmap_chain makes. */
Test(mon_mmu, rmap_when_aliases_are_thousands_then_counted_and_the_first_told)
{
	const unsigned aliases = 64536, tables = (aliases + 511) / 512;

	put(PD + 8 * 2, 0);
	put(PD + 8 * 3, 0);
	for (unsigned i = 0; i < tables; i++)
		put(PD + 8 * (16 + i), (0x100000 + i * 0x1000) | RW);
	for (unsigned i = 0; i < aliases; i++)
		put(0x100000 + 8 * i, 0x8000 | RW);
	say("mmu rmap 0x8123");
	cr_assert(strstr(m.said.text, "rmap gpa=0x8000 cr3=0x1000 gva=0x2000000 page=4K"));
	cr_assert(strstr(m.said.text, "more next=0x100\n"));
	cr_assert(strstr(m.said.text, "rmap gpa=0x8000 aliases=64536 role=model\n"));
	cr_assert_str_eq(say("mmu rmap 0x8123 --from 64535"),
			 "rmap gpa=0x8000 cr3=0x1000 gva=0x11c17000 page=4K u:rwx k:rwx "
			 "pte@0x17e0b8\nrmap gpa=0x8000 aliases=64536 role=model\n");
	cr_assert_str_eq(say("mmu rmap 0x8123 --from 64536"),
			 "rmap gpa=0x8000 aliases=64536 role=model\n");
	say("mmu map --raw --max 1000000");
	cr_assert_lt(m.said.len, 110000u);
}

/* Whatever a guest makes: each word ends soon, and what it says is bounded. */
static void fill_with_noise(uint64_t *random, bool is_looping)
{
	for (gpa_t gpa = 0; gpa < 0x40000; gpa += 8) {
		*random ^= *random << 13;
		*random ^= *random >> 7;
		*random ^= *random << 17;
		put(gpa, is_looping ? (*random & 0x3f000) | (*random >> 60) | RW
				    : *random & *random << 7);
	}
}

static void say_everything(void)
{
	static const char *const lines[] = {
		"mmu info",
		"mmu addr 0x401000",
		"mmu addr gpa 0x3000",
		"mmu walk 0x401000 -j",
		"mmu probe w cpl=3 0",
		"mmu map",
		"mmu map --raw -j",
		"mmu map --phys",
		"mmu rmap 0x3000",
		"mmu find pte 0/0",
		"mmu find wx",
		"mmu find alias",
		"mmu find user",
		"mmu roots",
		"mmu tables",
		"mmu ad",
		"mmu dump --dot",
		"mmu dump --json",
		"info mem",
		"gva2gpa 0x401000",
	};

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(lines); i++) {
		say(lines[i]);
		if (strncmp(lines[i], "mmu", 3) == 0)
			cr_assert_lt(m.said.len, 110000u, "%s", lines[i]);
	}
}

Test(mon_mmu, words_when_tables_are_hostile_then_bounded, .timeout = 300)
{
	static const uint64_t cr4s[] = {0, X86_CR4_PSE, X86_CR4_PAE, X86_CR4_PAE | X86_CR4_LA57};
	struct x86_state *st = &m.vm->world->st[0];
	uint64_t random = 88172645463325252ull;

	for (unsigned i = 0; i < 6; i++) {
		bool is_long = i >= 3;

		fill_with_noise(&random, false);
		st->cr4 = cr4s[is_long ? 2 + i % 2 : i];
		st->efer = is_long ? X86_EFER_LMA | X86_EFER_LME | X86_EFER_NXE : 0;
		st->cr3 = random & 0x3f000;
		say_everything();
	}
	fill_with_noise(&random, true);
	say("mmu map --max 3");
	say("mmu dump --dot");
	say("mmu tables");
	say("mmu roots");
	say("mmu find wx --max 3");
}

/* Writes trapped: a host whose self-test says no. */

static unsigned probes;

static int log_nothing(struct accel_vm *vm, bool is_on, struct umbra_err *err)
{
	(void)vm, (void)is_on, (void)err;
	return 0;
}

static int nothing_was_written(struct accel_vm *vm,
			       void (*fn)(void *ctx, gpa_t first, uint64_t written), void *ctx)
{
	(void)vm, (void)fn, (void)ctx;
	return 0;
}

static int probe_refuses(struct accel_vm *vm, struct accel_trap_verdict *out, struct umbra_err *err)
{
	(void)vm, (void)err;
	probes++;
	*out = (struct accel_trap_verdict){.why = "a write to a table was lost"};
	return 0;
}

static int probe_fails(struct accel_vm *vm, struct accel_trap_verdict *out, struct umbra_err *err)
{
	(void)vm, (void)out;
	return umbra_err_set(err, ENOMEM, "the self-test could not be run");
}

Test(mon_mmu, trap_when_the_self_test_says_no_then_refused_with_its_reason)
{
	struct accel_trap_ops trap = {.probe = probe_refuses};

	fake_accel.log_writes = log_nothing;
	fake_accel.written_pages = nothing_was_written;
	cr_assert_str_eq(say("mmu track trap"), "error backend this back end cannot trap writes\n");
	fake_accel.trap = &trap;
	trap.probe = probe_fails;
	cr_assert_str_eq(say("mmu track trap"), "error backend the self-test could not be run\n");
	trap.probe = probe_refuses;
	for (unsigned i = 0; i < 2; i++)
		cr_assert_str_eq(
			say("mmu track trap"),
			"error backend track trap is refused here: a write to a table was lost; "
			"lazy works\n");
	cr_assert_eq(probes, 1, "one self-test is enough");
	cr_assert(strstr(say("mmu info"), " track=lazy"), "%s", m.said.text);
}
