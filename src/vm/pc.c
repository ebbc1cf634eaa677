/* THE wiring table of the machine: which memory, ports and interrupt lines a guest finds, and which
 * host end each of them has.  Nothing else in umbra knows a port or irq number.
 *
 *   0 .. 3 GiB     RAM                      0xcf9         reset
 *   .. 4 GiB       ROM (-bios)              0xe9          debug console (-debugcon; -global
 *   4 GiB ..       the rest of RAM                        isa-debugcon.iobase= moves it)
 *   0x3f8 irq 4    serial 0                 0xf4          isa-debug-exit (-device)
 *   0x2f8 irq 3    serial 1                 0x80          POST code: nobody, late writes
 *   0x510, 0x511   fw_cfg, DMA at 0x514
 *   0x600 irq 9    ACPI events, control, timer (0x608); the irq is a level
 *   0x60  irq 1    keyboard (and 0x64); irq 12 is the mouse's, which is not there
 *   0x3b4 .. 0x3da VGA; its text is RAM at 0xb8000
 *   0x70  irq 8    real-time clock, CMOS;   0x92          reset, A20 (always open)
 *                  its alarm is an ACPI event
 *   0xe0, 0x2000, 0xff000000                              pc-testdev (-device), at any irq
 *
 * Interrupt controllers, the timer chip and the local APICs live in the back end.  What firmware
 * says of all this to the guest, in ACPI's and Intel's tables, is pc_facts_get.
 * Source: the PC/AT's I/O map; QEMU's q35 for the split of RAM. */

#include "vm_internal.h"

#include <errno.h>

#define LOW_RAM_MAX   (3ull << 30) /* above it lie APICs, PCI and firmware */
#define HIGH_RAM_BASE (4ull << 30)
#define ROM_END	      HIGH_RAM_BASE
#define DEBUGCON_PORT 0xe9
#define FWCFG_PORT    0x510
#define ACPI_PORT     0x600 /* as in QEMU's q35: guests know its timer by number */
#define ACPI_SCI      9
#define KEY_PORT      0x60
#define KEY_COMMAND   0x64
#define KEY_GSI	      1
#define MOUSE_GSI     12
#define KEY_SOURCE    VM_MAX_CHARDEVS /* the gate's number, after those of the character devices */
#define VGA_PORTS     0x3b0
#define PORT92_PORT   0x92
#define RTC_PORT      0x70
#define RTC_GSI	      8

/* ISA devices as ACPI names them; the serial ports come first, and in their order. */
static const struct isa_facts pc_isa[] = {
	{"COM1", "PNP0501", 1, 4, {{0x3f8, UART16550_PORTS}}},
	{"COM2", "PNP0501", 2, 3, {{0x2f8, UART16550_PORTS}}},
	{"KBD_", "PNP0303", 1, 1, {{0x60, 1}, {0x64, 1}}},
	{"RTC_", "PNP0B00", 1, 8, {{0x70, 2}}},
};

/* Who raises which line; the test device can raise all. */
static const char *const pc_line_users[] = {
	[0] = "pit, counter 0",
	[KEY_GSI] = "i8042, keyboard",
	[2] = "the cascade and the output of the 8259A pair: no line",
	[3] = "serial1",
	[4] = "serial0",
	[RTC_GSI] = "rtc",
	[ACPI_SCI] = "acpi-pm, a level",
	[MOUSE_GSI] = "i8042, a mouse that is not there",
};

const char *pc_line_user(const struct vm *vm, unsigned gsi)
{
	if (gsi < UMBRA_ARRAY_SIZE(pc_line_users) && pc_line_users[gsi])
		return pc_line_users[gsi];
	return vm->config.has_testdev ? "pc-testdev" : NULL;
}

static const char *const pc_serial_name[VM_MAX_SERIAL] = {"serial0", "serial1"};

void pc_facts_get(const struct vm *vm, struct pc_facts *out_facts)
{
	*out_facts = (struct pc_facts){
		.cpus = vm->config.vcpus,
		.lapic = 0xfee00000,
		.ioapic = 0xfec00000,
		.ioapic_id = 0,
		.pin_of_irq0 = 2,
		.pm_base = ACPI_PORT,
		.sci = ACPI_SCI,
		.reset_port = 0xcf9,
		.reset_value = 0x06, /* hard reset, and now */
		.century = 0x32,
		.crtc = 0x3d4,
		.device = pc_isa,
		.device_count = UMBRA_ARRAY_SIZE(pc_isa),
	};
}

/* Code writes to the POST port to pass a microsecond, and nothing answers there: these writes need
 * not leave the guest one by one. */
static const struct accel_zone pc_late_writes[] = {{.kind = BUS_PIO, .base = 0x80, .len = 1}};

const struct accel_zone *pc_zones(unsigned *out_count)
{
	*out_count = UMBRA_ARRAY_SIZE(pc_late_writes);
	return pc_late_writes;
}

/* Firmware ends where the processor starts; the loader fills it. */
static int build_rom(struct vm *vm, struct umbra_err *err)
{
	uint64_t bytes = 0;
	int error = load_bios_bytes(vm->config.load.bios, &bytes, err);

	return error ? error : mem_add(vm->mem, ROM_END - bytes, bytes, MEM_ROM, "bios", err);
}

struct pc_ram pc_ram_of(uint64_t mem_bytes)
{
	uint64_t low = u64_min(mem_bytes, LOW_RAM_MAX);

	return (struct pc_ram){.low = low, .high = mem_bytes - low, .high_base = HIGH_RAM_BASE};
}

static int build_memory(struct vm *vm, struct umbra_err *err)
{
	const struct pc_ram ram = pc_ram_of(vm->config.mem_bytes);
	int error = mem_add(vm->mem, 0, ram.low, MEM_RAM, "ram", err);

	if (!error && vm->config.load.bios)
		error = build_rom(vm, err);
	if (!error && ram.high)
		error = mem_add(vm->mem, ram.high_base, ram.high, MEM_RAM, "ram above 4 GiB", err);
	return error;
}

/* What devices ask of the machine. */

static void set_irq(void *ctx, unsigned gsi, bool is_high)
{
	struct vm *vm = ctx;

	vm->accel->irq_set(vm->accel_vm, gsi, is_high);
}

static void post_request(void *ctx, enum machine_request request, int code)
{
	static const enum stop_kind stop_of[] = {
		[MACHINE_EXIT] = STOP_EXIT,
		[MACHINE_RESET] = STOP_RESET,
		[MACHINE_POWEROFF] = STOP_POWEROFF,
	};
	struct vm *vm = ctx;

	world_post(vm->world, stop_of[request], code);
}

/* Devices. */

/* Open the host end of a device; its number is the gate's source number. */
static int open_chardev(struct vm *vm, const char *name, const char *spec,
			struct chardev **out_chardev, struct umbra_err *err)
{
	unsigned source = vm->chardev_count;
	int error = chardev_open(out_chardev, spec, source, vm->loop, vm->gate, err);

	if (error) {
		umbra_err_prefix(err, "%s", name);
		return error;
	}
	vm->chardev[source] = *out_chardev;
	vm->chardev_name[source] = name;
	vm->chardev_count++;
	return 0;
}

static int build_serial(struct vm *vm, struct umbra_err *err)
{
	for (unsigned i = 0; i < VM_MAX_SERIAL; i++) {
		const char *spec = vm->config.serial[i] ? vm->config.serial[i] : "null";
		struct irq_line irq = {.set = set_irq, .ctx = vm, .gsi = pc_isa[i].irq};
		struct chardev *chardev;
		int error = open_chardev(vm, pc_serial_name[i], spec, &chardev, err);

		if (!error)
			error = uart16550_create(vm->bus, pc_serial_name[i], pc_isa[i].port[0].base,
						 irq, chardev, err);
		if (error)
			return error;
	}
	return 0;
}

static int build_debugcon(struct vm *vm, struct umbra_err *err)
{
	uint16_t port = vm->config.debugcon_iobase ? vm->config.debugcon_iobase : DEBUGCON_PORT;
	struct chardev *chardev;
	int error;

	if (!vm->config.debugcon)
		return 0;
	error = open_chardev(vm, "debugcon", vm->config.debugcon, &chardev, err);
	return error ? error : debugcon_create(vm->bus, port, chardev, err);
}

/* It can set every line there is, so line 0 is where it starts. */
static int build_testdev(struct vm *vm, struct umbra_err *err)
{
	struct irq_line irq = {.set = set_irq, .ctx = vm, .gsi = 0};

	return vm->config.has_testdev ? testdev_create(vm->bus, irq, err) : 0;
}

static int build_exits(struct vm *vm, struct umbra_err *err)
{
	struct machine_hook hook = {.post = post_request, .ctx = vm};
	int error = resetport_create(vm->bus, hook, err);

	if (!error)
		error = port92_create(vm->bus, PORT92_PORT, hook, err);
	if (error || !vm->config.has_debugexit)
		return error;
	return debugexit_create(vm->bus, vm->config.debugexit_iobase, vm->config.debugexit_iosize,
				vm->config.is_debugexit_plain, hook, err);
}

static int build_acpi(struct vm *vm, struct umbra_err *err)
{
	const struct acpipm_config config = {
		.base = ACPI_PORT,
		.sci = {.set = set_irq, .ctx = vm, .gsi = ACPI_SCI},
		.gate = vm->gate,
		.hook = {.post = post_request, .ctx = vm},
	};

	return acpipm_create(vm->bus, &config, &vm->power, err);
}

/* The alarm is an event of ACPI's too.  Of the two locks the clock's is taken first, always: the
 * ACPI registers never call the clock. */
static void ring_alarm(void *ctx)
{
	struct vm *vm = ctx;

	acpipm_ring_alarm(vm->power);
}

static int build_clock(struct vm *vm, struct umbra_err *err)
{
	const struct pc_ram ram = pc_ram_of(vm->config.mem_bytes);
	const struct mc146818_config config = {
		.base = RTC_PORT,
		.irq = {.set = set_irq, .ctx = vm, .gsi = RTC_GSI},
		.gate = vm->gate,
		.pc = {.low_bytes = ram.low, .high_bytes = ram.high, .cpus = vm->config.vcpus},
		.alarm = ring_alarm,
		.ctx = vm,
	};

	return mc146818_create(vm->bus, &config, err);
}

static int build_keyboard(struct vm *vm, struct umbra_err *err)
{
	const struct i8042_config config = {
		.data_port = KEY_PORT,
		.command_port = KEY_COMMAND,
		.key_irq = {.set = set_irq, .ctx = vm, .gsi = KEY_GSI},
		.mouse_irq = {.set = set_irq, .ctx = vm, .gsi = MOUSE_GSI},
		.hook = {.post = post_request, .ctx = vm},
		.gate = vm->gate,
		.source = KEY_SOURCE,
	};

	return i8042_create(&vm->keyboard, vm->bus, &config, err);
}

int pc_build(struct vm *vm, struct umbra_err *err)
{
	int error = build_memory(vm, err);

	if (!error)
		error = build_serial(vm, err);
	if (!error)
		error = build_debugcon(vm, err);
	if (!error)
		error = build_exits(vm, err);
	if (!error)
		error = build_acpi(vm, err);
	if (!error)
		error = fwcfg_create(&vm->fwcfg, vm->bus, FWCFG_PORT, vm->mem, err);
	if (!error)
		error = build_testdev(vm, err);
	if (!error)
		error = build_clock(vm, err);
	if (!error)
		error = build_keyboard(vm, err);
	if (!error)
		error = vgatext_create(&vm->vga, vm->bus, VGA_PORTS, vm->gate, err);
	return error;
}
