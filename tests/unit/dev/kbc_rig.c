#include "kbc_rig.h"

#include <criterion/criterion.h>
#include <stdio.h>

static uint64_t rig_now(void *ctx)
{
	return ((struct kbc_rig *)ctx)->now_ns;
}

static void rig_irq(void *ctx, unsigned gsi, bool is_high)
{
	struct kbc_rig *rig = ctx;

	cr_assert(gsi == 1 || gsi == 12);
	cr_assert_neq(rig->is_high[gsi], is_high);
	rig->is_high[gsi] = is_high;
	rig->rises[gsi] += is_high;
}

static void rig_post(void *ctx, enum machine_request request, int code)
{
	cr_assert(request == MACHINE_RESET && code == 0);
	((struct kbc_rig *)ctx)->resets++;
}

void kbc_rig_open(struct kbc_rig *rig)
{
	const struct gate_clock clock = {.now_ns = rig_now, .ctx = rig};
	const struct i8042_config config = {
		.data_port = 0x60,
		.command_port = 0x64,
		.key_irq = {.set = rig_irq, .ctx = rig, .gsi = 1},
		.mouse_irq = {.set = rig_irq, .ctx = rig, .gsi = 12},
		.hook = {.post = rig_post, .ctx = rig},
	};
	struct i8042_config own = config;

	*rig = (struct kbc_rig){.now_ns = 0};
	cr_assert_eq(gate_create(&rig->gate, NULL), 0);
	gate_set_clock(rig->gate, &clock);
	own.gate = rig->gate;
	cr_assert_eq(bus_create(&rig->bus, NULL), 0);
	cr_assert_eq(i8042_create(&rig->kbc, rig->bus, &own, NULL), 0);
}

void kbc_rig_close(struct kbc_rig *rig)
{
	bus_destroy(rig->bus);
	gate_destroy(rig->gate);
}

void kbc_command(struct kbc_rig *rig, uint8_t value)
{
	bus_pio(rig->bus, 0x64, true, 1, 1, &value);
}

void kbc_write(struct kbc_rig *rig, uint8_t value)
{
	bus_pio(rig->bus, 0x60, true, 1, 1, &value);
}

static uint8_t in(struct kbc_rig *rig, uint16_t port)
{
	uint8_t value = 0;

	bus_pio(rig->bus, port, false, 1, 1, &value);
	return value;
}

uint8_t kbc_status(struct kbc_rig *rig)
{
	return in(rig, 0x64);
}

uint8_t kbc_read(struct kbc_rig *rig)
{
	return in(rig, 0x60);
}

const char *kbc_drain(struct kbc_rig *rig, char text[256])
{
	size_t len = 0;

	text[0] = '\0';
	while (kbc_status(rig) & KBC_STATUS_OUT) {
		cr_assert_lt(len, 250);
		len += (size_t)snprintf(text + len, 256 - len, "%s%02x", len ? " " : "",
					kbc_read(rig));
	}
	return text;
}

void kbc_set_mode(struct kbc_rig *rig, uint8_t mode)
{
	kbc_command(rig, 0x60);
	kbc_write(rig, mode);
}

void kbc_pass(struct kbc_rig *rig, uint64_t ms)
{
	uint64_t until = rig->now_ns + ms * KBC_MS;

	while (gate_deadline(rig->gate) <= until) {
		if (gate_deadline(rig->gate) > rig->now_ns)
			rig->now_ns = gate_deadline(rig->gate);
		gate_run(rig->gate);
	}
	rig->now_ns = until;
}

const char *kbc_keys(struct kbc_rig *rig, const char *names, char text[256])
{
	struct key_event events[2 * KEYS_AT_ONCE];
	size_t len = 0;
	unsigned count;

	cr_assert_eq(keys_parse(events, &count, names, 10, NULL), 0);
	cr_assert_eq(i8042_press(rig->kbc, events, count, NULL), 0);
	text[0] = '\0';
	for (unsigned i = 0; i < 1000; i++) {
		char some[256];

		if (*kbc_drain(rig, some)) {
			cr_assert_lt(len + strlen(some) + 2, 256);
			len += (size_t)snprintf(text + len, 256 - len, "%s%s", len ? " " : "",
						some);
		}
		kbc_pass(rig, 10);
	}
	return text;
}
