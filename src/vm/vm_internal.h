/* What machine.c and pc.c share. */
#ifndef VM_INTERNAL_H
#define VM_INTERNAL_H

#include "facts.h"

#include "umbra/vm.h"

#define VM_MAX_CHARDEVS (VM_MAX_SERIAL + 1)

/* Sources of host input besides chardevs, whose numbers begin at 0, for the gate. */
#define VM_SOURCE_POWER_BUTTON 64u

struct vm {
	struct vm_config config;       /* strings are the caller's */
	const struct accel_ops *accel; /* the one that was opened */
	struct loop *loop;
	struct gate *gate;
	struct mem_space *mem;
	struct bus *bus;
	struct chardev *chardev[VM_MAX_CHARDEVS];
	const char *chardev_name[VM_MAX_CHARDEVS]; /* static text */
	unsigned chardev_count;
	struct device *power; /* the ACPI registers */
	struct i8042 *keyboard;
	struct vgatext *vga;
	struct fwcfg *fwcfg; /* the bus's */
	struct accel_vm *accel_vm;
	struct world *world;
	struct load_image *image;
	char *kernel_path; /* absolute; NULL without an image */
	char *initrd_path; /* absolute; NULL when there is none, or it is a list */
	struct x86_state boot;
	struct loop_timer *halt_timer;
	struct loop_timer *device_timer; /* timers of devices where the host's clock is theirs */
	struct loop_waker *device_waker;
};

/* Put memory and devices of a PC into the empty machine.  Errors: what the parts give. */
int pc_build(struct vm *vm, struct umbra_err *err);

/* How memory is split: bytes from 0, and bytes from @high_base. */
struct pc_ram {
	uint64_t low, high;
	gpa_t high_base;
};
struct pc_ram pc_ram_of(uint64_t mem_bytes);

/* What the tables that firmware hands over say of this machine. */
void pc_facts_get(const struct vm *vm, struct pc_facts *out_facts);

/* Who raises the line @gsi: "serial0"; NULL: nobody.  Constant text. */
const char *pc_line_user(const struct vm *vm, unsigned gsi);

/* Addresses whose writes may reach the bus late: *@out_count zones, constant. */
const struct accel_zone *pc_zones(unsigned *out_count);

#endif
