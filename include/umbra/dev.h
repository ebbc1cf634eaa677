/* The devices.  Each is created with what it talks to (a character back end, an interrupt line, a
 * machine request hook), registers itself on the bus, and is destroyed with it; src/vm/pc.c decides
 * ports and lines. */
#ifndef UMBRA_DEV_H
#define UMBRA_DEV_H

#include "umbra/bus.h"
#include "umbra/err.h"
#include "umbra/loop.h"
#include "umbra/mem.h"
#include "umbra/record.h"
#include "umbra/types.h"

/* An interrupt request line.  set() may be called with a device lock held, from any thread. */
struct irq_line {
	void (*set)(void *ctx, unsigned gsi, bool is_high);
	void *ctx;
	unsigned gsi; /* global system interrupt = ISA irq number below 16 */
};

/* What a device may ask of the machine.  The hook only posts; the machine acts once every vCPU
 * has left the guest. */
enum machine_request {
	MACHINE_EXIT,  /* code = the process's exit status */
	MACHINE_RESET, /* the guest asked for a reset */
	MACHINE_POWEROFF
};
struct machine_hook {
	void (*post)(void *ctx, enum machine_request request, int code);
	void *ctx;
};

/* Character back ends. */

struct chardev;

/* @data, @len bytes from the host.  Returns how many were taken; the rest is offered again after
 * chardev_input_wanted. */
typedef size_t (*chardev_input_fn)(void *ctx, const uint8_t *data, size_t len);

/* Open a back end.  @spec, as after QEMU's -serial, is one of:
 *  - stdio
 *  - null, none
 *  - file:PATH
 *  - pty
 *  - unix:PATH[,server=on|off]
 *  - tcp:HOST:PORT[,server=on|off]
 *
 * unix: and tcp: listen (server=on) unless told otherwise, and keep output until a client comes;
 * tcp's HOST defaults to 127.0.0.1.
 * @source is the gate's number for the input.  Input read from the host is held in at most 64 KiB;
 * reading pauses while that is full.
 * Errors: -EINVAL unknown form (names the nearest), and what the host's calls give. */
int chardev_open(struct chardev **out_chardev, const char *spec, unsigned source, struct loop *loop,
		 struct gate *gate, struct umbra_err *err);
/* Write out what is queued (for at most 100 ms), then close.  NULL is allowed. */
void chardev_close(struct chardev *chardev);
/* Queue one byte; never blocks.  When the host has not taken 1 MiB the byte is dropped and counted.
 * Call: any thread. */
void chardev_put(struct chardev *chardev, uint8_t byte);
/* Who gets input.  Called on the control thread. */
/* Have @fn see a copy of the output from now on, on the control thread: whatever the back end does
 * with it, null too.  What it has not seen when 1 MiB waits is lost to it.  NULL: no longer.
 * Errors: -ENOMEM.  Call: control thread. */
typedef void (*chardev_tap_fn)(void *ctx, const uint8_t *data, size_t len);
int chardev_set_tap(struct chardev *chardev, chardev_tap_fn fn, void *ctx);
/* Let it see now what there is.  Call: control thread. */
void chardev_flush_tap(struct chardev *chardev);
void chardev_set_input(struct chardev *chardev, chardev_input_fn fn, void *ctx);
/* The device has room again.  Call: any thread, device lock held. */
void chardev_input_wanted(struct chardev *chardev);
/* "stdio", "pty /dev/pts/3", "tcp 127.0.0.1:4000 (connected)": for a person, no newline.
 * Call: control thread. */
void chardev_show(struct chardev *chardev, const struct print_sink *sink);
/* Where a server or pty can be reached, or NULL. */
const char *chardev_address(const struct chardev *chardev);

/* 16550A UART (PC16550D data sheet). */

#define UART16550_PORTS 8

/* A UART called @name (static text) at ports @base to @base+7.  It takes @chardev's input;
 * @chardev may be NULL (output goes nowhere) and must outlive the bus.
 * Errors: -ENOMEM, bus_map's. */
int uart16550_create(struct bus *bus, const char *name, uint16_t base, struct irq_line irq,
		     struct chardev *chardev, struct umbra_err *err);

/* Real-time clock and its RAM (MC146818A data sheet). */

/* What a PC's firmware would have written into the RAM. */
struct mc146818_pc {
	uint64_t low_bytes;  /* RAM below 4 GiB */
	uint64_t high_bytes; /* and above */
	unsigned cpus;	     /* 1 and more */
};

struct mc146818_config {
	uint16_t base; /* ports: index, and data behind it */
	struct irq_line irq;
	struct gate *gate; /* its time, from gate_epoch_s on */
	struct mc146818_pc pc;
	/* The alarm asserts @irq; called with the clock's lock held.  NULL: nobody wants to know.
	 */
	void (*alarm)(void *ctx);
	void *ctx; /* alarm's */
};
/* Errors: -ENOMEM, bus_map's. */
int mc146818_create(struct bus *bus, const struct mc146818_config *config, struct umbra_err *err);

/* Keyboard. */

/* A key goes down or up, and nothing else happens to the keyboard for @lasts_ms afterwards. */
struct key_event {
	uint8_t key; /* as keys_parse numbers them */
	bool is_down;
	uint16_t lasts_ms;
};

#define KEYS_AT_ONCE 16u
#define KEYS_TYPE_MS 1u /* what a byte takes on the keyboard's wire */

/* The events of a sendkey command: @names are QEMU's, or numbers such as 0x1c, joined by '-'.
 * @events has room for 2 * KEYS_AT_ONCE; @hold_ms at most 65535.
 * Errors: -EINVAL; the text names the nearest. */
int keys_parse(struct key_event *events, unsigned *out_count, const char *names, unsigned hold_ms,
	       struct umbra_err *err);
/* The events that type @text on a US keyboard.  @inout_count: the room, then the events.
 * Errors: -EINVAL no key gives one of its characters, or it is too long. */
int keys_of_text(struct key_event *events, unsigned *inout_count, const char *text,
		 struct umbra_err *err);

/* Keyboard controller (8042) with a keyboard and no mouse. */

struct i8042;

struct i8042_config {
	uint16_t data_port, command_port;
	struct irq_line key_irq, mouse_irq;
	struct machine_hook hook;
	struct gate *gate;
	unsigned source; /* the gate's number for keys */
};

/* The bus owns it.  Errors: -ENOMEM, bus_map's. */
int i8042_create(struct i8042 **out_i8042, struct bus *bus, const struct i8042_config *config,
		 struct umbra_err *err);
/* Press and let go keys, as guest time goes on.
 * Call: control thread.  Errors: -ENOSPC too many wait already; nothing changed. */
int i8042_press(struct i8042 *i8042, const struct key_event *events, unsigned count,
		struct umbra_err *err);

/* VGA, text only and without a screen. */

struct vgatext;

/* What would be seen: @rows of @columns cells, two bytes each (character, colours), in a buffer of
 * @cells cells at @base that begins anew behind its end. */
struct vgatext_screen {
	bool is_text;
	uint64_t base;	/* guest physical */
	unsigned cells; /* a power of two */
	unsigned columns, rows;
	unsigned stride;	/* cells from one row to the next */
	unsigned start, cursor; /* cells from the buffer's begin */
	bool has_cursor;
};

/* Registers at ports @base+4 to @base+0x2a (@base: 0x3b0 on a PC).  The bus owns it.
 * Errors: -ENOMEM, bus_map's. */
int vgatext_create(struct vgatext **out_vga, struct bus *bus, uint16_t base, struct gate *gate,
		   struct umbra_err *err);
/* Call: any thread. */
void vgatext_look(struct vgatext *vga, struct vgatext_screen *out_screen);

/* Small devices. */

/* Port 0xe9: each byte written goes to @chardev; reads give 0xe9 (Bochs, QEMU isa-debugcon). */
int debugcon_create(struct bus *bus, uint16_t port, struct chardev *chardev, struct umbra_err *err);

/* QEMU's isa-debug-exit: a write of v asks for exit status (v << 1) | 1, or v itself (8 bits) when
 * @is_plain.  Reads give 0. */
int debugexit_create(struct bus *bus, uint16_t iobase, unsigned iosize, bool is_plain,
		     struct machine_hook hook, struct umbra_err *err);

/* QEMU's pc-testdev, for kvm-unit-tests: loopback ports 0xe0 and 0xe8, page flush 0xe4, interrupt
 * lines 0x2000 + n for n below 24 (@irq is line 0's), and 64 KiB of memory at 0xff000000.
 * Errors: -ENOMEM, bus_map's. */
int testdev_create(struct bus *bus, struct irq_line irq, struct umbra_err *err);

/* ACPI fixed hardware: event and control blocks PM1a at @base and @base+4, power management timer
 * (32 bits) at @base+8.  The numbers are for who describes it to the guest. */
#define ACPIPM_PORTS   12
#define ACPIPM_EVT     0
#define ACPIPM_EVT_LEN 4
#define ACPIPM_CNT     4
#define ACPIPM_CNT_LEN 2
#define ACPIPM_TMR     8
#define ACPIPM_TMR_LEN 4
#define ACPIPM_TYPE_S5 0 /* the SLP_TYP that switches the machine off, for \_S5 */

struct acpipm_config {
	uint16_t base;
	struct irq_line sci; /* level, active high */
	struct gate *gate;
	struct machine_hook hook;
};
/* Errors: -ENOMEM, bus_map's. */
int acpipm_create(struct bus *bus, const struct acpipm_config *config, struct device **out_dev,
		  struct umbra_err *err);
/* Somebody pressed and released the power button.  Call: any thread, no device lock held. */
void acpipm_press_button(struct device *dev);
/* The clock's alarm asserted its interrupt.  Call: any thread; the clock's lock may be held. */
void acpipm_ring_alarm(struct device *dev);

/* QEMU's fw_cfg: items that the guest reads through ports @base, @base+1 and @base+4 to @base+11,
 * the latter by DMA. */

#define FWCFG_NAME_MAX 56 /* bytes of a file's name, terminator included */

/* Keys of items (QEMU, include/standard-headers/linux/qemu_fw_cfg.h). */
enum fwcfg_key {
	FWCFG_SIGNATURE = 0x00,
	FWCFG_ID = 0x01,
	FWCFG_UUID = 0x02,
	FWCFG_RAM_SIZE = 0x03,
	FWCFG_NOGRAPHIC = 0x04,
	FWCFG_NB_CPUS = 0x05,
	FWCFG_KERNEL_SIZE = 0x08,
	FWCFG_INITRD_SIZE = 0x0b,
	FWCFG_BOOT_MENU = 0x0e,
	FWCFG_MAX_CPUS = 0x0f,
	FWCFG_KERNEL_DATA = 0x11,
	FWCFG_INITRD_DATA = 0x12,
	FWCFG_CMDLINE_SIZE = 0x14,
	FWCFG_CMDLINE_DATA = 0x15,
	FWCFG_FILE_DIR = 0x19,
	FWCFG_IRQ0_OVERRIDE = 0x8002
};

struct fwcfg;

/* Fill the @len bytes at @out, which are 0, with an item's; called once, when the guest first reads
 * of them, with the device's lock held. */
typedef void (*fwcfg_fill_fn)(void *ctx, uint8_t *out, size_t len);

/* A device without items, which the bus owns; DMA goes to @mem.  Errors: -ENOMEM, bus_map's. */
int fwcfg_create(struct fwcfg **out_fwcfg, struct bus *bus, uint16_t base, struct mem_space *mem,
		 struct umbra_err *err);
/* Set an item; @data is copied.  The file directory and the files' keys are fwcfg_put_file's.
 * Call: while the machine is built or stands still.  Errors: -EINVAL no such key; -ENOMEM. */
int fwcfg_put(struct fwcfg *fw, uint16_t key, const void *data, size_t len, struct umbra_err *err);
int fwcfg_put_later(struct fwcfg *fw, uint16_t key, size_t len, fwcfg_fill_fn fill, void *ctx,
		    struct umbra_err *err);
/* Add a file to the directory.
 * Errors: -EEXIST the name is taken; -EINVAL the name or the file is too long; -ENOSPC; -ENOMEM. */
int fwcfg_put_file(struct fwcfg *fw, const char *name, const void *data, size_t len,
		   struct umbra_err *err);
/* Drop every item.  Call: as fwcfg_put. */
void fwcfg_clear(struct fwcfg *fw);

/* System control port A: bit 0 rising resets, bit 1 (A20, always open) reads back. */
int port92_create(struct bus *bus, uint16_t port, struct machine_hook hook, struct umbra_err *err);

/* Reset port 0xcf9 (PIIX reset control: bit 2 rising resets; 0xcf8 to 0xcfb are claimed with it and
 * read as "no PCI"). */
int resetport_create(struct bus *bus, struct machine_hook hook, struct umbra_err *err);

#endif
