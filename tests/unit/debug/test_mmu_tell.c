/* Unit tests of mmu_tell.c: the line of each kind of stop. */
#include "src/debug/mmu_tell.h"

#include <criterion/criterion.h>

static void expect(const struct mmu_stop *stop, const char *line)
{
	char buf[MMU_STOP_TEXT_MAX];

	mmu_stop_text(stop, buf);
	cr_assert_str_eq(buf, line);
}

static struct mmu_stop map_stop(unsigned change)
{
	return (struct mmu_stop){
		.id = 3,
		.kind = MMU_BREAK_MAP,
		.event = MMU_EVENT_TABLE_WRITE,
		.seq = 90412,
		.rip = 0xffffffff81061f3a,
		.has_gva = true,
		.gva = 0x401000,
		.change = change,
		.pages = 1,
		.before = {.is_present = true, .can = MMU_MAP_U | MMU_MAP_X, .gpa = 0x2a01000},
		.after = {.is_present = true,
			  .can = MMU_MAP_U | MMU_MAP_W | MMU_MAP_X,
			  .gpa = 0x2a01000},
		.has_entry = true,
		.entry_gpa = 0x1b0d008,
		.old = 0x2a01025,
		.now = 0x2a01027,
	};
}

#define BY " cpu=0 rip=0xffffffff81061f3a pte@0x1b0d008 old=0x2a01025 new=0x2a01027 seq=90412"

Test(mmu_tell, stop_when_a_mapping_changed_then_how)
{
	struct mmu_stop stop = map_stop(MMU_CHANGE_RIGHTS);

	expect(&stop, "mmu stop id=3 kind=map gva=0x401000 change=rights u:r-x -> u:rwx" BY);
	stop.change = MMU_CHANGE_GPA | MMU_CHANGE_AD;
	stop.after.gpa = 0x2a02000;
	stop.ad_after = 3;
	stop.pages = 7;
	expect(&stop, "mmu stop id=3 kind=map gva=0x401000 change=gpa,ad gpa=0x2a01000 -> "
		      "gpa=0x2a02000 -- -> AD pages=7" BY);
	stop = map_stop(MMU_CHANGE_GONE);
	stop.after = (struct mmu_page_map){.is_present = false};
	expect(&stop, "mmu stop id=3 kind=map gva=0x401000 change=gone was gpa=0x2a01000 u:r-x" BY);
	stop = map_stop(MMU_CHANGE_PRESENT);
	stop.before = (struct mmu_page_map){.is_present = false};
	stop.after.can = MMU_MAP_W;
	expect(&stop, "mmu stop id=3 kind=map gva=0x401000 change=present gpa=0x2a01000 k:rw-" BY);
}

Test(mmu_tell, stop_when_of_another_kind_then_what_it_is_about)
{
	struct mmu_stop stop = {.id = 1, .kind = MMU_BREAK_CR3, .event = MMU_EVENT_CR3, .vcpu = 2};

	stop.old = 0x1000;
	stop.now = 0x2000;
	expect(&stop, "mmu stop id=1 kind=cr3 cpu=2 rip=0x0 old=0x1000 new=0x2000 seq=0");
	stop = (struct mmu_stop){.id = 2,
				 .kind = MMU_BREAK_FAULT,
				 .has_gva = true,
				 .gva = 0x601020,
				 .error = 6,
				 .rip = 0x401136};
	expect(&stop, "mmu stop id=2 kind=fault gva=0x601020 err=0x6 cpu=0 rip=0x401136 seq=0");
	stop = (struct mmu_stop){.id = 4,
				 .kind = MMU_BREAK_SHADOW,
				 .event = MMU_EVENT_ZAP,
				 .vcpu = MMU_NO_VCPU,
				 .sp = 20,
				 .index = 1};
	expect(&stop, "mmu stop id=4 kind=shadow event=zap sp=20 i=1 cpu=- seq=0");
	stop = (struct mmu_stop){.id = 5,
				 .kind = MMU_BREAK_PA,
				 .gpa = 0x2f31000,
				 .has_values = true,
				 .old = 1,
				 .now = 2,
				 .rip = 0x10};
	expect(&stop, "mmu stop id=5 kind=pa gpa=0x2f31000 cpu=0 next=0x10 old=0x1 new=0x2");
	stop = (struct mmu_stop){
		.id = 5, .kind = MMU_BREAK_PA, .gpa = 0x2f31000, .is_exec = true, .rip = 0x1000};
	expect(&stop, "mmu stop id=5 kind=pa gpa=0x2f31000 cpu=0 rip=0x1000");
	stop = (struct mmu_stop){.id = 6,
				 .kind = MMU_BREAK_WX,
				 .has_gva = true,
				 .gva = 0x7000,
				 .after = {.can = MMU_MAP_W | MMU_MAP_X, .gpa = 0x9000}};
	expect(&stop, "mmu stop id=6 kind=wx gva=0x7000 gpa=0x9000 k:rwx cpu=0 rip=0x0 seq=0");
}
