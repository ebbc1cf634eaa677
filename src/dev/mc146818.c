/* The MC146818A real-time clock of a PC, with 128 bytes of RAM: registers, flags and interrupts.
 * The time of day itself is in mc146818_time.c.
 * Nothing ticks: whenever the chip is looked at, rtc_sync brings registers and flags to the
 * present.  A timer of the gate is armed only for the next event that would raise the interrupt,
 * and while it is raised for an alarm alone, which is news elsewhere too.  Events stand on a grid
 * of 32768 Hz periods from one fixed point of guest time, so that no rate drifts:
 *
 *   periodic (period T)     |-- T/2 --|
 *   UIP                               |-- 244 us --|
 *   update                                         end: time, UF, AF
 *
 * Source: MC146818A data sheet: "Register A" to "Register D", "Interrupts", "Update Cycle", figure
 * 16 for the places of the three events; PC/AT technical reference for the index port.
 *
 * DEVIATES: an update takes no time, so that UIP ends with the 244 us before it, and not 1984 us
 * later.
 * DEVIATES: the divider runs alike for all three crystals that register A can name; a PC has the
 * one of 32768 Hz.
 * DEVIATES: a reset of the machine is a power-up of a machine whose battery holds what it held at
 * the first one: what a guest wrote, or set as the time, is gone. */
#include "mc146818.h"

#include <errno.h>
#include <stdlib.h>

#define RTC_HZ	    32768
#define NS_PER_S    1000000000
#define UIP_TICKS   8 /* 244 us */
#define RTC_VERSION 1

/* A state whose clock is further off than this, 136 years, is none that a machine can come to. */
#define CHAIN_MAX (INT64_C(1) << 47)

#define INDEX_MASK     0x7fu
#define RESET_A	       0x26u /* divider runs, 1024 Hz: what PC firmware leaves */
#define RESET_B	       RTC_B_24H
#define HALF_SECOND_NS (NS_PER_S / 2)

/* Time. */

static int64_t floor_div(__int128 a, int64_t b)
{
	__int128 quotient = a / b;

	return (int64_t)(quotient - (a % b < 0));
}

/* 0..@b-1. */
static int64_t floor_mod(int64_t a, int64_t b)
{
	int64_t rest = a % b;

	return rest < 0 ? rest + b : rest;
}

static int64_t chain_at(const struct rtc_chip *chip, uint64_t now_ns)
{
	return floor_div(((__int128)now_ns - chip->update_ns) * RTC_HZ, NS_PER_S);
}

/* The first nanosecond of @chain. */
static uint64_t ns_at(const struct rtc_chip *chip, int64_t chain)
{
	__int128 ns = (__int128)chip->update_ns - floor_div(-(__int128)chain * NS_PER_S, RTC_HZ);

	return ns < 0 ? 0 : (uint64_t)ns;
}

static bool is_divider_on(const struct rtc_chip *chip)
{
	return (chip->reg[RTC_A] & RTC_A_DIVIDER) <= RTC_A_DIVIDER_LAST;
}

static bool is_updating(const struct rtc_chip *chip)
{
	return is_divider_on(chip) && !(chip->reg[RTC_B] & RTC_B_SET);
}

/* MC146818A table 5; 0: no periodic interrupt. */
static int64_t period_of(const struct rtc_chip *chip)
{
	unsigned rate = chip->reg[RTC_A] & RTC_A_RATE;

	if (rate == 0)
		return 0;
	return INT64_C(1) << (rate <= 2 ? rate + 6 : rate - 1);
}

/* The first periodic event after @chip->chain. */
static int64_t next_periodic(const struct rtc_chip *chip, int64_t period)
{
	int64_t next = chip->chain + 1;

	return next + floor_mod(-UIP_TICKS - period / 2 - next, period);
}

/* Take the time of day that the machine was started with. */
static void time_from_gate(struct rtc_chip *chip, int64_t epoch_s, uint64_t now_ns)
{
	chip->has_time = true;
	chip->chain = chain_at(chip, now_ns);
	rtc_time_set(chip->reg, epoch_s + floor_div(chip->chain, RTC_HZ));
}

/* Bring @chip to the present.  The machine's @epoch_s is final only once it runs, therefore it is
 * not looked at before somebody wants to know. */
static void rtc_sync(struct rtc_chip *chip, int64_t epoch_s, uint64_t now_ns)
{
	int64_t chain, period = period_of(chip);
	uint64_t updates;

	if (!chip->has_time)
		time_from_gate(chip, epoch_s, now_ns);
	chain = chain_at(chip, now_ns);
	if (!is_divider_on(chip) || chain <= chip->chain)
		return;
	if (period && next_periodic(chip, period) <= chain)
		chip->reg[RTC_C] |= RTC_C_PF;
	updates = (uint64_t)(floor_div(chain, RTC_HZ) - floor_div(chip->chain, RTC_HZ));
	if (updates && is_updating(chip)) {
		if (rtc_alarm_after(chip->reg) <= updates)
			chip->reg[RTC_C] |= RTC_C_AF;
		chip->reg[RTC_C] |= RTC_C_UF;
		rtc_time_advance(chip->reg, updates);
	}
	chip->chain = chain;
}

/* Interrupts. */

static bool is_irq(const struct rtc_chip *chip)
{
	return (chip->reg[RTC_B] & chip->reg[RTC_C] & RTC_C_FLAGS) != 0;
}

static bool is_alarm(const struct rtc_chip *chip)
{
	return (chip->reg[RTC_B] & chip->reg[RTC_C] & RTC_C_AF) != 0;
}

/* When the next event is that is enabled. */
static uint64_t next_event_ns(const struct rtc_chip *chip)
{
	int64_t period = period_of(chip), second = floor_div(chip->chain, RTC_HZ);
	uint64_t next = GATE_NEVER, alarm;

	if (!is_divider_on(chip))
		return GATE_NEVER;
	if (!is_irq(chip) && (chip->reg[RTC_B] & RTC_B_PIE) && period)
		next = ns_at(chip, next_periodic(chip, period));
	if (!is_updating(chip))
		return next;
	if (!is_irq(chip) && (chip->reg[RTC_B] & RTC_B_UIE))
		next = u64_min(next, ns_at(chip, (second + 1) * RTC_HZ));
	alarm = (chip->reg[RTC_B] & RTC_B_AIE) && !is_alarm(chip) ? rtc_alarm_after(chip->reg)
								  : RTC_ALARM_NEVER;
	if (alarm != RTC_ALARM_NEVER)
		next = u64_min(next, ns_at(chip, (second + (int64_t)alarm) * RTC_HZ));
	return next;
}

/* Tell who wants to know once the alarm has begun to ask for the interrupt. */
static void ring(struct mc146818 *rtc)
{
	bool was_alarm = rtc->is_alarm_high;

	rtc->is_alarm_high = is_alarm(&rtc->chip);
	if (rtc->is_alarm_high && !was_alarm && rtc->config.alarm)
		rtc->config.alarm(rtc->config.ctx);
}

/* Bring the outside in line with the state. */
static void rtc_update(struct mc146818 *rtc)
{
	uint64_t next = next_event_ns(&rtc->chip);
	bool is_high = is_irq(&rtc->chip);

	ring(rtc);
	if (is_high != rtc->is_irq_high) {
		rtc->is_irq_high = is_high;
		rtc->config.irq.set(rtc->config.irq.ctx, rtc->config.irq.gsi, is_high);
	}
	if (next != rtc->armed_ns) {
		rtc->armed_ns = next;
		gate_timer_arm(rtc->timer, next);
	}
}

static void sync_now(struct mc146818 *rtc)
{
	rtc_sync(&rtc->chip, gate_epoch_s(rtc->config.gate), gate_now_ns(rtc->config.gate));
	ring(rtc); /* before a read of register C takes the flag away */
}

static void timer_locked(void *state, void *arg)
{
	struct mc146818 *rtc = state;

	(void)arg;
	rtc->armed_ns = GATE_NEVER;
	sync_now(rtc);
	rtc_update(rtc);
}

static void on_timer(void *ctx)
{
	struct mc146818 *rtc = ctx;

	bus_with_device(rtc->dev, timer_locked, NULL);
}

/* Registers. */

static uint8_t read_a(const struct rtc_chip *chip)
{
	bool is_soon = floor_mod(chip->chain, RTC_HZ) >= RTC_HZ - UIP_TICKS;

	return chip->reg[RTC_A] | (is_updating(chip) && is_soon ? RTC_A_UIP : 0);
}

static uint8_t read_c(struct rtc_chip *chip)
{
	uint8_t value = chip->reg[RTC_C];

	if (is_irq(chip))
		value |= RTC_C_IRQF;
	chip->reg[RTC_C] = 0;
	return value;
}

/* MC146818A "Divider Control": the first update is half a second after the divider's release. */
static void write_a(struct rtc_chip *chip, uint8_t value, uint64_t now_ns)
{
	bool was_on = is_divider_on(chip);

	chip->reg[RTC_A] = value & (uint8_t)~RTC_A_UIP;
	if (was_on || !is_divider_on(chip))
		return;
	chip->update_ns = (int64_t)now_ns + HALF_SECOND_NS;
	chip->chain = chain_at(chip, now_ns);
}

/* MC146818A register B, UIE: SET clears it. */
static void write_b(struct rtc_chip *chip, uint8_t value)
{
	chip->reg[RTC_B] = value & RTC_B_SET ? value & (uint8_t)~RTC_B_UIE : value;
}

static uint8_t read_data(struct rtc_chip *chip)
{
	unsigned index = chip->index & INDEX_MASK;

	if (index == RTC_A)
		return read_a(chip);
	if (index == RTC_C)
		return read_c(chip);
	return chip->reg[index];
}

static void write_data(struct rtc_chip *chip, uint8_t value, uint64_t now_ns)
{
	unsigned index = chip->index & INDEX_MASK;

	if (index == RTC_A)
		write_a(chip, value, now_ns);
	else if (index == RTC_B)
		write_b(chip, value);
	else if (index != RTC_C && index != RTC_D)
		chip->reg[index] = value;
}

/* The bus. */

/* The index cannot be read back on a PC/AT. */
static uint64_t mc146818_read(void *state, uint64_t offset, unsigned width)
{
	struct mc146818 *rtc = state;
	uint8_t value;

	(void)width;
	if (offset != RTC_PORT_DATA)
		return 0xff;
	sync_now(rtc);
	value = read_data(&rtc->chip);
	rtc_update(rtc);
	return value;
}

static void mc146818_write(void *state, uint64_t offset, unsigned width, uint64_t value)
{
	struct mc146818 *rtc = state;

	(void)width;
	if (offset != RTC_PORT_DATA) {
		rtc->chip.index = (uint8_t)value;
		return;
	}
	sync_now(rtc);
	write_data(&rtc->chip, (uint8_t)value, gate_now_ns(rtc->config.gate));
	rtc_update(rtc);
}

/* Guest time may begin anew with the reset, so nothing is taken from the clock here. */
static void mc146818_reset(void *state)
{
	struct mc146818 *rtc = state;

	rtc->chip = (struct rtc_chip){
		.reg = {[RTC_A] = RESET_A, [RTC_B] = RESET_B, [RTC_D] = RTC_D_VRT}};
	rtc_cmos_fill(rtc->chip.reg, &rtc->config.pc);
	rtc_update(rtc);
}

/* Save, load, show. */

static void mc146818_save(const void *state, struct blob *out)
{
	const struct rtc_chip *chip = &((const struct mc146818 *)state)->chip;

	blob_put_u8(out, RTC_VERSION);
	blob_put_u8(out, chip->index);
	blob_put_u8(out, chip->has_time);
	blob_put_u64(out, (uint64_t)chip->update_ns);
	blob_put_u64(out, (uint64_t)chip->chain);
	blob_put_bytes(out, chip->reg, sizeof(chip->reg));
}

/* What is wrong with a state read from a blob; NULL: nothing. */
static const char *complaint(const struct rtc_chip *chip, uint8_t version, uint8_t has_time)
{
	const uint8_t *reg = chip->reg;

	if (version != RTC_VERSION)
		return "it is of another version";
	if (has_time > 1 || reg[RTC_D] != RTC_D_VRT || (reg[RTC_A] & RTC_A_UIP) ||
	    (reg[RTC_C] & ~RTC_C_FLAGS) || ((reg[RTC_B] & RTC_B_SET) && (reg[RTC_B] & RTC_B_UIE)))
		return "registers hold what they cannot";
	if (chip->chain > CHAIN_MAX || chip->chain < -CHAIN_MAX || chip->update_ns < 0 ||
	    chip->update_ns > CHAIN_MAX * (NS_PER_S / RTC_HZ))
		return "its clock is centuries off";
	return NULL;
}

static int mc146818_load(void *state, struct blob *in, struct umbra_err *err)
{
	struct mc146818 *rtc = state;
	struct rtc_chip chip = {.index = 0};
	uint8_t version = blob_get_u8(in), has_time;
	const char *what;

	chip.index = blob_get_u8(in);
	has_time = blob_get_u8(in);
	chip.has_time = has_time != 0;
	chip.update_ns = (int64_t)blob_get_u64(in);
	chip.chain = (int64_t)blob_get_u64(in);
	blob_get_bytes(in, chip.reg, sizeof(chip.reg));
	what = in->is_failed ? "it is cut off" : complaint(&chip, version, has_time);
	if (what)
		return umbra_err_set(err, EINVAL,
				     "rtc: a saved state (version %u, expected %d) "
				     "cannot be loaded: %s",
				     version, RTC_VERSION, what);
	rtc->chip = chip;
	rtc->is_alarm_high = is_alarm(&chip); /* it rang before it was saved */
	rtc_update(rtc);
	return 0;
}

/* Of a copy, which is brought to the present. */
static void mc146818_show(const void *state, const struct print_sink *sink)
{
	const struct mc146818 *rtc = state;
	struct rtc_chip chip = rtc->chip;
	const uint8_t *reg = chip.reg;

	rtc_sync(&chip, gate_epoch_s(rtc->config.gate), gate_now_ns(rtc->config.gate));
	print_to(sink, "rtc: irq %u %s, index %02x\n", rtc->config.irq.gsi,
		 rtc->is_irq_high ? "high" : "low", chip.index);
	print_to(sink,
		 "  date %02x%02x-%02x-%02x, day %x of the week, time %02x:%02x:%02x (%s, %s)\n",
		 reg[RTC_CENTURY], reg[RTC_YEAR], reg[RTC_MONTH], reg[RTC_DAY], reg[RTC_WEEKDAY],
		 reg[RTC_HOURS], reg[RTC_MINUTES], reg[RTC_SECONDS],
		 reg[RTC_B] & RTC_B_DM ? "binary" : "BCD",
		 reg[RTC_B] & RTC_B_24H ? "24 hours" : "12 hours");
	print_to(sink, "  alarm %02x:%02x:%02x, a %02x, b %02x, c %02x\n", reg[RTC_HOURS_ALARM],
		 reg[RTC_MINUTES_ALARM], reg[RTC_SECONDS_ALARM], read_a(&chip), reg[RTC_B],
		 reg[RTC_C] | (is_irq(&chip) ? RTC_C_IRQF : 0));
}

const struct dev_ops mc146818_ops = {
	.name = "rtc",
	.widths = 1,
	.read = mc146818_read,
	.write = mc146818_write,
	.reset = mc146818_reset,
	.save = mc146818_save,
	.load = mc146818_load,
	.show = mc146818_show,
	.destroy = free,
};

int mc146818_create(struct bus *bus, const struct mc146818_config *config, struct umbra_err *err)
{
	struct mc146818 *rtc = calloc(1, sizeof(*rtc));
	int error;

	if (!rtc)
		return umbra_err_set(err, ENOMEM, "no memory for the clock");
	rtc->config = *config;
	rtc->armed_ns = GATE_NEVER;
	error = gate_timer_add(&rtc->timer, config->gate, on_timer, rtc, err);
	if (!error) {
		mc146818_reset(rtc);
		rtc->dev = bus_add_device(bus, &mc146818_ops, rtc);
	}
	if (!rtc->dev) {
		free(rtc);
		return error ? error : umbra_err_set(err, ENOMEM, "no memory for the clock");
	}
	return bus_map(rtc->dev, BUS_PIO, config->base, 2, 0, err);
}
