/* The keyboard controller of a PC (8042), with a keyboard at one port and nothing at the other.
 *   0x64 read: status    write: command
 *   0x60 read: output buffer    write: data of a command, else for the keyboard
 * Nothing takes time: the input buffer is always empty, and the next byte of the keyboard is in the
 * output buffer as soon as the last one was read.  The controller's own answer goes before the
 * keyboard's byte, which stays for the read after that: software that asks the controller while a
 * key comes gets the answer, and the key is not lost.
 * At power-up the controller is as firmware leaves it: translation and interrupt on, mouse off.
 * Source: IBM PS/2 Hardware Interface Technical Reference, "Keyboard and Auxiliary Device
 * Controller"; 0xdd and 0xdf: HP Vectra.
 * DEVIATES: address line 20 is always open; its bit reads back what was written, and no more. */
#include "i8042.h"

#include <errno.h>
#include <stdlib.h>

#define KBC_VERSION 1
#define EVENT_BYTES 4u /* of a key event as it passes the gate */
#define GATE_EVENTS 64u

enum kbc_command {
	KBC_READ_RAM = 0x20,  /* to 0x3f */
	KBC_WRITE_RAM = 0x60, /* to 0x7f */
	KBC_MOUSE_OFF = 0xa7,
	KBC_MOUSE_ON = 0xa8,
	KBC_MOUSE_TEST = 0xa9,
	KBC_SELF_TEST = 0xaa,
	KBC_KEY_TEST = 0xab,
	KBC_KEY_OFF = 0xad,
	KBC_KEY_ON = 0xae,
	KBC_READ_INPUT = 0xc0,
	KBC_READ_OUTPUT = 0xd0,
	KBC_WRITE_OUTPUT = 0xd1,
	KBC_WRITE_KEY = 0xd2,
	KBC_WRITE_MOUSE_OUT = 0xd3,
	KBC_WRITE_MOUSE = 0xd4,
	KBC_A20_OFF = 0xdd,
	KBC_A20_ON = 0xdf,
	KBC_READ_TEST = 0xe0,
	KBC_PULSE = 0xf0 /* to 0xff: the low bits that are 0 */
};

#define RAM_INDEX	 0x1fu
#define SELF_TEST_GOOD	 0x55u
#define LINE_TEST_GOOD	 0x00u
#define INPUT_NOT_LOCKED 0x80u
#define TEST_CLOCK	 0x01u
#define TEST_DATA	 0x02u
#define SET2_BREAK	 0xf0u
#define SET1_BREAK	 0x80u
#define LAST_SET2_CODE	 0x84u
#define FIRMWARE_MODE	 (KBC_MODE_XLATE | KBC_MODE_NO_MOUSE | KBC_MODE_SYS | KBC_MODE_KEY_IRQ)

/* State. */

static uint8_t mode_of(const struct kbc_chip *chip)
{
	return chip->ram[0];
}

static bool is_full(const struct kbc_chip *chip)
{
	return chip->has_reply || chip->has_key;
}

static bool is_from_mouse(const struct kbc_chip *chip)
{
	return chip->has_reply && (chip->reply_status & KBC_STATUS_MOUSE);
}

static uint8_t status_of(const struct kbc_chip *chip)
{
	uint8_t status = KBC_STATUS_OPEN | (mode_of(chip) & KBC_MODE_SYS);

	if (is_full(chip))
		status |= KBC_STATUS_OUT;
	if (chip->was_command)
		status |= KBC_STATUS_COMMAND;
	return chip->has_reply ? status | chip->reply_status : status;
}

static uint8_t output_port(const struct kbc_chip *chip)
{
	uint8_t value = KBC_OUT_ONES | KBC_OUT_RUN;

	if (chip->is_a20_open)
		value |= KBC_OUT_A20;
	if (is_full(chip))
		value |= is_from_mouse(chip) ? KBC_OUT_MOUSE : KBC_OUT_IRQ;
	return value;
}

static uint8_t test_inputs(const struct kbc_chip *chip)
{
	return mode_of(chip) & KBC_MODE_NO_KEY ? TEST_DATA : TEST_DATA | TEST_CLOCK;
}

/* The keyboard's bytes. */

/* Set 2 to set 1, if the command byte says so.  False: @byte is only a part of a code. */
static bool translate(struct kbc_chip *chip, uint8_t *byte)
{
	if (!(mode_of(chip) & KBC_MODE_XLATE))
		return true;
	if (*byte == SET2_BREAK) {
		chip->is_break = true;
		return false;
	}
	if (*byte <= LAST_SET2_CODE) {
		*byte = key_translate(*byte);
		if (chip->is_break)
			*byte |= SET1_BREAK;
	}
	chip->is_break = false;
	return true;
}

/* Let the keyboard's clock run until there is a byte. */
static void fill(struct i8042 *kbc)
{
	struct kbc_chip *chip = &kbc->chip;
	uint8_t byte;

	ps2kbd_run(&kbc->kbd, gate_now_ns(kbc->config.gate));
	while (!chip->has_key && !(mode_of(chip) & KBC_MODE_NO_KEY) &&
	       ps2kbd_read(&kbc->kbd, &byte)) {
		chip->has_key = translate(chip, &byte);
		chip->key = byte;
	}
}

/* The outside. */

static void line_set(const struct irq_line *line, bool *is_line_high, bool is_high)
{
	if (is_high == *is_line_high)
		return;
	*is_line_high = is_high;
	line->set(line->ctx, line->gsi, is_high);
}

/* Bring the outside in line with the state. */
static void update(struct i8042 *kbc)
{
	const struct kbc_chip *chip = &kbc->chip;
	bool is_mouse = is_from_mouse(chip);
	uint64_t deadline;

	fill(kbc);
	line_set(&kbc->config.key_irq, &kbc->is_key_high,
		 is_full(chip) && !is_mouse && (mode_of(chip) & KBC_MODE_KEY_IRQ));
	line_set(&kbc->config.mouse_irq, &kbc->is_mouse_high,
		 is_mouse && (mode_of(chip) & KBC_MODE_MOUSE_IRQ));
	deadline = ps2kbd_deadline(&kbc->kbd);
	if (deadline != kbc->armed_ns) {
		kbc->armed_ns = deadline;
		gate_timer_arm(kbc->timer, deadline);
	}
}

static void timer_locked(void *state, void *arg)
{
	struct i8042 *kbc = state;

	(void)arg;
	kbc->armed_ns = GATE_NEVER;
	update(kbc);
}

static void on_timer(void *ctx)
{
	struct i8042 *kbc = ctx;

	bus_with_device(kbc->dev, timer_locked, NULL);
}

/* Commands. */

static void reply(struct kbc_chip *chip, uint8_t value, uint8_t status)
{
	chip->has_reply = true;
	chip->reply = value;
	chip->reply_status = status;
}

static void set_mode_bit(struct kbc_chip *chip, uint8_t bit, bool is_on)
{
	chip->ram[0] = is_on ? chip->ram[0] | bit : chip->ram[0] & (uint8_t)~bit;
}

static void ask_reset(struct i8042 *kbc)
{
	kbc->config.hook.post(kbc->config.hook.ctx, MACHINE_RESET, 0);
}

static void command_other(struct i8042 *kbc, uint8_t command)
{
	struct kbc_chip *chip = &kbc->chip;

	if (command >= KBC_READ_RAM && command <= (KBC_READ_RAM | RAM_INDEX))
		reply(chip, chip->ram[command & RAM_INDEX], 0);
	else if (command >= KBC_WRITE_RAM && command <= (KBC_WRITE_RAM | RAM_INDEX))
		chip->expecting = command;
	else if (command >= KBC_PULSE && !(command & KBC_OUT_RUN))
		ask_reset(kbc);
}

static void command_do(struct i8042 *kbc, uint8_t command)
{
	struct kbc_chip *chip = &kbc->chip;

	switch (command) {
	case KBC_MOUSE_OFF:
	case KBC_MOUSE_ON:
		set_mode_bit(chip, KBC_MODE_NO_MOUSE, command == KBC_MOUSE_OFF);
		break;
	case KBC_KEY_OFF:
	case KBC_KEY_ON:
		set_mode_bit(chip, KBC_MODE_NO_KEY, command == KBC_KEY_OFF);
		break;
	case KBC_SELF_TEST:
		set_mode_bit(chip, KBC_MODE_SYS, true);
		reply(chip, SELF_TEST_GOOD, 0);
		break;
	case KBC_MOUSE_TEST:
	case KBC_KEY_TEST:
		reply(chip, LINE_TEST_GOOD, 0);
		break;
	case KBC_READ_INPUT:
		reply(chip, INPUT_NOT_LOCKED, 0);
		break;
	case KBC_READ_OUTPUT:
		reply(chip, output_port(chip), 0);
		break;
	case KBC_READ_TEST:
		reply(chip, test_inputs(chip), 0);
		break;
	case KBC_A20_OFF:
	case KBC_A20_ON:
		chip->is_a20_open = command == KBC_A20_ON;
		break;
	case KBC_WRITE_OUTPUT:
	case KBC_WRITE_KEY:
	case KBC_WRITE_MOUSE_OUT:
	case KBC_WRITE_MOUSE:
		chip->expecting = command;
		break;
	default:
		command_other(kbc, command);
		break;
	}
}

static void write_ram(struct kbc_chip *chip, unsigned index, uint8_t value)
{
	chip->ram[index] = index ? value : value & KBC_MODE_KEPT;
}

/* The data byte of a command.  Nothing is at the mouse's port, and a byte that is sent there times
 * out. */
static void command_data(struct i8042 *kbc, uint8_t command, uint8_t value)
{
	struct kbc_chip *chip = &kbc->chip;

	if (command == KBC_WRITE_KEY) {
		reply(chip, value, 0);
	} else if (command == KBC_WRITE_MOUSE_OUT) {
		reply(chip, value, KBC_STATUS_MOUSE);
	} else if (command == KBC_WRITE_MOUSE) {
		set_mode_bit(chip, KBC_MODE_NO_MOUSE, false);
		reply(chip, KBD_RESEND, KBC_STATUS_MOUSE | KBC_STATUS_TIMEOUT);
	} else if (command == KBC_WRITE_OUTPUT) {
		chip->is_a20_open = value & KBC_OUT_A20;
		if (!(value & KBC_OUT_RUN))
			ask_reset(kbc);
	} else {
		write_ram(chip, command & RAM_INDEX, value);
	}
}

/* The bus. */

/* The line falls with each read, so that the next byte is an edge. */
static uint8_t read_data(struct i8042 *kbc)
{
	struct kbc_chip *chip = &kbc->chip;

	if (chip->has_reply) {
		chip->last = chip->reply;
		chip->has_reply = false;
	} else if (chip->has_key) {
		chip->last = chip->key;
		chip->has_key = false;
	}
	line_set(&kbc->config.key_irq, &kbc->is_key_high, false);
	line_set(&kbc->config.mouse_irq, &kbc->is_mouse_high, false);
	return chip->last;
}

static uint64_t i8042_read(void *state, uint64_t offset, unsigned width)
{
	struct i8042 *kbc = state;
	uint8_t value;

	(void)width;
	value = offset == I8042_COMMAND ? status_of(&kbc->chip) : read_data(kbc);
	update(kbc);
	return value;
}

static void write_data(struct i8042 *kbc, uint8_t value)
{
	struct kbc_chip *chip = &kbc->chip;
	uint8_t command = chip->expecting;

	chip->expecting = 0;
	if (command) {
		command_data(kbc, command, value);
		return;
	}
	set_mode_bit(chip, KBC_MODE_NO_KEY, false);
	ps2kbd_write(&kbc->kbd, value);
}

static void i8042_write(void *state, uint64_t offset, unsigned width, uint64_t value)
{
	struct i8042 *kbc = state;

	(void)width;
	kbc->chip.was_command = offset == I8042_COMMAND;
	if (offset == I8042_COMMAND) {
		kbc->chip.expecting = 0;
		command_do(kbc, (uint8_t)value);
	} else {
		write_data(kbc, (uint8_t)value);
	}
	update(kbc);
}

static void i8042_reset(void *state)
{
	struct i8042 *kbc = state;

	kbc->chip =
		(struct kbc_chip){.ram = {FIRMWARE_MODE}, .was_command = true, .is_a20_open = true};
	ps2kbd_power_up(&kbc->kbd);
	update(kbc);
}

/* Save, load, show. */

static void i8042_save(const void *state, struct blob *out)
{
	const struct i8042 *kbc = state;
	const struct kbc_chip *chip = &kbc->chip;

	blob_put_u8(out, KBC_VERSION);
	blob_put_bytes(out, chip->ram, sizeof(chip->ram));
	blob_put_u8(out, chip->expecting);
	blob_put_u8(out,
		    (uint8_t)(chip->was_command | chip->is_a20_open << 1 | chip->is_break << 2 |
			      chip->has_reply << 3 | chip->has_key << 4));
	blob_put_u8(out, chip->reply);
	blob_put_u8(out, chip->reply_status);
	blob_put_u8(out, chip->key);
	blob_put_u8(out, chip->last);
	ps2kbd_save(&kbc->kbd, out);
}

static bool load_chip(struct kbc_chip *chip, struct blob *in)
{
	uint8_t flags;

	blob_get_bytes(in, chip->ram, sizeof(chip->ram));
	chip->expecting = blob_get_u8(in);
	flags = blob_get_u8(in);
	chip->was_command = flags & 1;
	chip->is_a20_open = flags & 2;
	chip->is_break = flags & 4;
	chip->has_reply = flags & 8;
	chip->has_key = flags & 16;
	chip->reply = blob_get_u8(in);
	chip->reply_status = blob_get_u8(in);
	chip->key = blob_get_u8(in);
	chip->last = blob_get_u8(in);
	return flags < 32 && !(mode_of(chip) & ~KBC_MODE_KEPT) &&
	       !(chip->reply_status & ~(KBC_STATUS_MOUSE | KBC_STATUS_TIMEOUT)) && !in->is_failed;
}

static int i8042_load(void *state, struct blob *in, struct umbra_err *err)
{
	struct i8042 *kbc = state;
	uint8_t version = blob_get_u8(in);
	struct kbc_chip chip;
	struct ps2kbd kbd;

	if (version != KBC_VERSION || !load_chip(&chip, in) || !ps2kbd_load(&kbd, in))
		return umbra_err_set(err, EINVAL,
				     "i8042: saved state has version %u (expected %d), is cut off "
				     "or is none that a controller and its keyboard can have",
				     version, KBC_VERSION);
	kbc->chip = chip;
	kbc->kbd = kbd;
	update(kbc);
	return 0;
}

static void i8042_show(const void *state, const struct print_sink *sink)
{
	const struct i8042 *kbc = state;
	const struct ps2kbd *kbd = &kbc->kbd;

	print_to(sink,
		 "i8042: irq %u %s, irq %u %s, status %02x, command byte %02x, output port %02x\n",
		 kbc->config.key_irq.gsi, kbc->is_key_high ? "high" : "low",
		 kbc->config.mouse_irq.gsi, kbc->is_mouse_high ? "high" : "low",
		 status_of(&kbc->chip), mode_of(&kbc->chip), output_port(&kbc->chip));
	print_to(sink,
		 "  keyboard: scan code set %u, leds %x, scanning %s, %u bytes and %u keystrokes "
		 "wait\n",
		 kbd->scan_set, kbd->leds, kbd->is_scanning ? "on" : "off",
		 kbd->reply_count + kbd->buffer_count, kbd->event_count);
}

const struct dev_ops i8042_ops = {
	.name = "i8042",
	.widths = 1,
	.read = i8042_read,
	.write = i8042_write,
	.reset = i8042_reset,
	.save = i8042_save,
	.load = i8042_load,
	.show = i8042_show,
	.destroy = free,
};

int i8042_create(struct i8042 **out_i8042, struct bus *bus, const struct i8042_config *config,
		 struct umbra_err *err)
{
	struct i8042 *kbc = calloc(1, sizeof(*kbc));
	int error;

	if (!kbc)
		return umbra_err_set(err, ENOMEM, "no memory for the keyboard");
	kbc->config = *config;
	kbc->armed_ns = GATE_NEVER;
	error = gate_timer_add(&kbc->timer, config->gate, on_timer, kbc, err);
	if (!error) {
		i8042_reset(kbc);
		kbc->dev = bus_add_device(bus, &i8042_ops, kbc);
	}
	if (!kbc->dev) {
		free(kbc);
		return error ? error : umbra_err_set(err, ENOMEM, "no memory for the keyboard");
	}
	*out_i8042 = kbc;
	error = bus_map(kbc->dev, BUS_PIO, config->data_port, 1, I8042_DATA, err);
	if (!error)
		error = bus_map(kbc->dev, BUS_PIO, config->command_port, 1, I8042_COMMAND, err);
	return error;
}

/* Keys. */

struct press {
	const struct key_event *events;
	unsigned count;
	bool is_done;
};

/* Events pass the gate as bytes: key, down, and the time in two. */
static unsigned pass_gate(const struct i8042 *kbc, const struct key_event *events, unsigned count,
			  struct key_event *out_events)
{
	uint8_t bytes[GATE_EVENTS][EVENT_BYTES];

	for (unsigned i = 0; i < count; i++) {
		bytes[i][0] = events[i].key;
		bytes[i][1] = events[i].is_down;
		le16_put(&bytes[i][2], events[i].lasts_ms);
	}
	count = (unsigned)(gate_input(kbc->config.gate, kbc->config.source, bytes[0],
				      (size_t)count * EVENT_BYTES) /
			   EVENT_BYTES);
	for (unsigned i = 0; i < count; i++)
		out_events[i] =
			(struct key_event){bytes[i][0], bytes[i][1] != 0, le16_get(&bytes[i][2])};
	return count;
}

static void press_locked(void *state, void *arg)
{
	struct i8042 *kbc = state;
	struct press *press = arg;
	uint64_t now_ns = gate_now_ns(kbc->config.gate);

	if (press->count > KBD_EVENTS - kbc->kbd.event_count)
		return;
	for (unsigned i = 0; i < press->count; i += GATE_EVENTS) {
		struct key_event events[GATE_EVENTS];
		unsigned count =
			pass_gate(kbc, press->events + i,
				  (unsigned)u64_min(press->count - i, GATE_EVENTS), events);

		ps2kbd_add_events(&kbc->kbd, events, count, now_ns);
	}
	press->is_done = true;
	update(kbc);
}

int i8042_press(struct i8042 *i8042, const struct key_event *events, unsigned count,
		struct umbra_err *err)
{
	struct press press = {.events = events, .count = count};

	bus_with_device(i8042->dev, press_locked, &press);
	if (press.is_done)
		return 0;
	return umbra_err_set(err, ENOSPC,
			     "the guest has not taken what was typed before: %u keystrokes more "
			     "do not fit; let it run first",
			     count);
}
