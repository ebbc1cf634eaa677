/* The machine: memory, buses, devices, vCPUs and the image, created from one description.
 * Call: control thread. */
#ifndef UMBRA_VM_H
#define UMBRA_VM_H

#include "umbra/accel.h"
#include "umbra/bus.h"
#include "umbra/cpu.h"
#include "umbra/dev.h"
#include "umbra/err.h"
#include "umbra/load.h"
#include "umbra/loop.h"
#include "umbra/mem.h"

#define VM_MAX_SERIAL	 2
#define VM_MIN_MEM_BYTES (1ull << 20)
#define VM_MAX_MEM_BYTES (64ull << 30)

#define VM_MAX_FW_FILES 16

struct vm;

/* What the clock of the machine shows at the start. */
enum vm_rtc_base {
	/* UTC; where guest time is counted in instructions, always the same date, so that runs are
	 * alike. */
	VM_RTC_DEFAULT,
	VM_RTC_UTC,	  /* the host's time, in UTC */
	VM_RTC_LOCALTIME, /* the same in the host's time zone */
	VM_RTC_DATE	  /* rtc_epoch_s */
};

/* A file of the user's in fw_cfg. */
struct vm_fw_file {
	char name[FWCFG_NAME_MAX];
	const char *value; /* a path, or a text in which a comma is doubled */
	bool is_path;
};

/* Strings are borrowed and must outlive the machine. */
struct vm_config {
	const struct accel_ops *accel;
	/* Taken, with a warning, when @accel cannot run this guest here; NULL: that is an error. */
	const struct accel_ops *fallback;
	/* As in struct accel_vm_config. */
	bool is_paranoid, is_parallel, has_la57;
	uint64_t mem_bytes;
	unsigned vcpus;			   /* 1..ACCEL_MAX_VCPUS */
	const char *serial[VM_MAX_SERIAL]; /* chardev specs; NULL = null */
	const char *debugcon;		   /* NULL = no debug console */
	uint16_t debugcon_iobase;	   /* 0 = where it usually is */
	bool has_debugexit;
	uint16_t debugexit_iobase;
	unsigned debugexit_iosize;
	bool is_debugexit_plain;
	bool has_testdev;
	struct vm_fw_file fw_file[VM_MAX_FW_FILES];
	unsigned fw_file_count;
	bool has_kernel; /* load.kernel is given; load.bios is the other image there can be */
	enum vm_rtc_base rtc_base;
	int64_t rtc_epoch_s;
	bool is_realtime; /* guest time that is counted in instructions keeps to the host's */
	struct load_config load;
};

/* Build the machine and load the image; no vCPU thread exists yet.
 * Errors: what the parts give, with their text; nothing is left behind. */
int vm_create(struct vm **out_vm, const struct vm_config *config, struct loop *loop,
	      struct umbra_err *err);
/* Start the vCPU threads; the first stop is STOP_START. */
int vm_start(struct vm *vm, struct umbra_err *err);
void vm_destroy(struct vm *vm); /* NULL is allowed */

/* Power-up state: the image is read again, RAM cleared, devices, chips and vCPUs reset.
 * World STOPPED.  Errors: the image can no longer be loaded; the machine is unchanged then. */
int vm_reset(struct vm *vm, struct umbra_err *err);

struct world *vm_world(struct vm *vm);
struct mem_space *vm_mem(struct vm *vm);
struct bus *vm_bus(struct vm *vm);
const struct accel_ops *vm_accel(const struct vm *vm);
struct accel_vm *vm_accel_vm(struct vm *vm);
/* The shadow MMU of a back end that has one, else NULL. */
struct mmu *vm_mmu(struct vm *vm);
/* Absolute path of the image when it is an ELF64 file, which a debugger can take for its symbols;
 * else NULL.  Valid as long as the machine. */
const char *vm_symbol_file(const struct vm *vm);
/* load_is_64bit of the image; true without one. */
bool vm_is_64bit(const struct vm *vm);
/* load_is_flat of the image; false without one. */
bool vm_is_flat(const struct vm *vm);
/* load_linux_text of the image; 0 without one. */
gva_t vm_linux_text(const struct vm *vm);
/* Have @fn see on the control thread what the guest prints on its first serial port, whatever else
 * becomes of it; NULL: no longer.  Flush: let it see now what there is.
 * Errors: -ENODEV no such port; -ENOMEM. */
int vm_watch_console(struct vm *vm, chardev_tap_fn fn, void *ctx);
void vm_flush_console(struct vm *vm);
/* Press the power button: the guest hears of it by ACPI, and does what it wants. */
void vm_press_power_button(struct vm *vm);
/* Where guest output goes: "serial0: stdio", one line each. */
void vm_show_chardevs(struct vm *vm, const struct print_sink *sink);

/* The interrupt lines: who raises each, where it leads, and how it stands; a table for a person.
 * World stopped.  Errors: the host's; part of the table may be out. */
int vm_show_irqs(struct vm *vm, const struct print_sink *sink);

/* The keyboard. */

#define VM_HOLD_MS     10 /* what vm_send_keys is given when nothing is said */
#define VM_HOLD_MAX_MS 10000

/* Press keys by QEMU's names joined by '-', one each @hold_ms (1 and more) of guest time, and let
 * them go in the same way.
 * Errors: -EINVAL no such key, too many, or too long; -ENOSPC too many keystrokes wait already. */
int vm_send_keys(struct vm *vm, const char *keys, unsigned hold_ms, struct umbra_err *err);
/* Type @text on a US keyboard.  Errors: -EINVAL a character has no key, or too long; -ENOSPC. */
int vm_type_text(struct vm *vm, const char *text, struct umbra_err *err);

/* The screen of text as it is now.  Its cells are guest memory. */
void vm_look_at_screen(struct vm *vm, struct vgatext_screen *out_screen);

#endif
