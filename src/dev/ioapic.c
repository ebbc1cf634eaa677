/* The IO APIC: 24 pins, each with a redirection entry that makes a message of an interrupt.
 * Source: 82093AA data sheet, section 3.
 *
 *   63        56      16     15      14     13    12     11    10      8 7      0
 *   | dest | ... | mask | level | rirr | low | status | logical | delivery | vector |
 *
 * DEVIATES: polarity (bit 13) is kept but not looked at; ioapic_set is told what is asserted.
 * DEVIATES: a message arrives in no time, so delivery status (bit 12) always reads 0. */
#include "umbra/irqchip.h"

#include <errno.h>
#include <stdlib.h>

#define REG_SELECT 0x00u
#define REG_WINDOW 0x10u

#define INDEX_ID	0x00u
#define INDEX_VERSION	0x01u
#define INDEX_ARB	0x02u
#define INDEX_ENTRY	0x10u
#define INDEX_ENTRY_END (INDEX_ENTRY + 2 * IOAPIC_PINS)

#define ID_MASK	      0x0f000000u
#define VERSION_VALUE ((IOAPIC_PINS - 1) << 16 | 0x11u)

#define ENTRY_LOGICAL (1ull << 11)
#define ENTRY_RIRR    (1ull << 14)
#define ENTRY_LEVEL   (1ull << 15)
#define ENTRY_MASKED  (1ull << 16)
#define ENTRY_LOW     0x0001afffull /* what can be written, below bit 32 */
#define ENTRY_HIGH    (0xffull << 56)
#define ENTRY_BITS    (ENTRY_LOW | ENTRY_HIGH | ENTRY_RIRR)

#define IOAPIC_VERSION 1

struct ioapic {
	ioapic_send_fn send; /* [const] */
	void *ctx;	     /* [const] */
	uint32_t lines;	     /* as they are driven; not touched by reset */
	uint32_t id;
	uint8_t select;
	uint64_t entry[IOAPIC_PINS];
};

static unsigned delivery_of(uint64_t entry)
{
	return entry >> 8 & 7;
}

/* Level-triggered: asks again until the line falls.  Only these two modes can be. */
static bool is_level(uint64_t entry)
{
	return (entry & ENTRY_LEVEL) &&
	       (delivery_of(entry) == APIC_FIXED || delivery_of(entry) == APIC_LOWEST);
}

static bool send(struct ioapic *io, uint64_t entry)
{
	struct apic_message message = {
		.dest = (uint32_t)(entry >> 56),
		.vector = (uint8_t)entry,
		.delivery = (uint8_t)delivery_of(entry),
		.is_logical = entry & ENTRY_LOGICAL,
		.is_level = is_level(entry),
	};

	return io->send(io->ctx, &message);
}

/* A level-triggered pin whose line is high asks, unless the last time has not been ended.  Remote
 * IRR is set first: the receiver may end the interrupt inside the call. */
static void serve_level(struct ioapic *io, unsigned pin)
{
	uint64_t *entry = &io->entry[pin];

	if (!(io->lines >> pin & 1) || !is_level(*entry) || (*entry & (ENTRY_MASKED | ENTRY_RIRR)))
		return;
	*entry |= ENTRY_RIRR;
	if (!send(io, *entry))
		*entry &= ~ENTRY_RIRR;
}

/* An edge on a masked pin is lost (82093AA, interrupt mask). */
void ioapic_set(struct ioapic *io, unsigned pin, bool is_high)
{
	uint32_t bit;
	bool has_risen;

	if (pin >= IOAPIC_PINS)
		return;
	bit = 1u << pin;
	has_risen = is_high && !(io->lines & bit);
	io->lines = is_high ? io->lines | bit : io->lines & ~bit;
	if (is_level(io->entry[pin]))
		serve_level(io, pin);
	else if (has_risen && !(io->entry[pin] & ENTRY_MASKED))
		send(io, io->entry[pin]);
}

bool ioapic_line(const struct ioapic *io, unsigned pin)
{
	return io->lines >> pin & 1;
}

uint64_t ioapic_entry(const struct ioapic *io, unsigned pin)
{
	return io->entry[pin];
}

void ioapic_eoi(struct ioapic *io, uint8_t vector)
{
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		uint64_t *entry = &io->entry[pin];

		if ((uint8_t)*entry != vector || !(*entry & ENTRY_RIRR))
			continue;
		*entry &= ~ENTRY_RIRR;
		serve_level(io, pin);
	}
}

bool ioapic_has_open_nmi(const struct ioapic *io)
{
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		unsigned delivery = delivery_of(io->entry[pin]);

		if (!(io->entry[pin] & ENTRY_MASKED) &&
		    (delivery == APIC_NMI || delivery == APIC_INIT))
			return true;
	}
	return false;
}

/* Registers. */

static uint32_t read_index(const struct ioapic *io, unsigned index)
{
	if (index == INDEX_ID || index == INDEX_ARB)
		return io->id;
	if (index == INDEX_VERSION)
		return VERSION_VALUE;
	if (index < INDEX_ENTRY || index >= INDEX_ENTRY_END)
		return 0;
	index -= INDEX_ENTRY;
	return (uint32_t)(io->entry[index / 2] >> (index & 1 ? 32 : 0));
}

/* Remote IRR means nothing to an edge-triggered pin; systems clear it by switching to that. */
static void write_entry(struct ioapic *io, unsigned pin, bool is_upper, uint32_t value)
{
	uint64_t *entry = &io->entry[pin];

	if (is_upper)
		*entry = (*entry & ~ENTRY_HIGH) | ((uint64_t)value << 32 & ENTRY_HIGH);
	else
		*entry = (*entry & ~ENTRY_LOW) | (value & ENTRY_LOW);
	if (!is_level(*entry))
		*entry &= ~ENTRY_RIRR;
	serve_level(io, pin);
}

static void write_index(struct ioapic *io, unsigned index, uint32_t value)
{
	if (index == INDEX_ID)
		io->id = value & ID_MASK;
	else if (index >= INDEX_ENTRY && index < INDEX_ENTRY_END)
		write_entry(io, (index - INDEX_ENTRY) / 2, index & 1, value);
}

static uint64_t ioapic_read(void *state, uint64_t offset, unsigned width)
{
	const struct ioapic *io = state;

	(void)width;
	if (offset == REG_SELECT)
		return io->select;
	return offset == REG_WINDOW ? read_index(io, io->select) : 0;
}

static void ioapic_write(void *state, uint64_t offset, unsigned width, uint64_t value)
{
	struct ioapic *io = state;

	(void)width;
	if (offset == REG_SELECT)
		io->select = (uint8_t)value;
	else if (offset == REG_WINDOW)
		write_index(io, io->select, (uint32_t)value);
}

static void ioapic_reset(void *state)
{
	struct ioapic *io = state;

	io->id = 0;
	io->select = 0;
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		io->entry[pin] = ENTRY_MASKED;
}

/* Save, load, show. */

static void ioapic_save(const void *state, struct blob *out)
{
	const struct ioapic *io = state;

	blob_put_u8(out, IOAPIC_VERSION);
	blob_put_u32(out, io->lines);
	blob_put_u32(out, io->id);
	blob_put_u8(out, io->select);
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		blob_put_u64(out, io->entry[pin]);
}

static int ioapic_load(void *state, struct blob *in, struct umbra_err *err)
{
	struct ioapic *io = state;
	struct ioapic loaded = {.send = io->send, .ctx = io->ctx};
	uint8_t version = blob_get_u8(in);
	bool is_good = version == IOAPIC_VERSION;

	loaded.lines = blob_get_u32(in);
	loaded.id = blob_get_u32(in);
	loaded.select = blob_get_u8(in);
	is_good = is_good && !(loaded.lines >> IOAPIC_PINS) && !(loaded.id & ~ID_MASK);
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		uint64_t entry = blob_get_u64(in);

		loaded.entry[pin] = entry;
		is_good = is_good && !(entry & ~ENTRY_BITS) &&
			  (is_level(entry) || !(entry & ENTRY_RIRR));
	}
	if (in->is_failed || !is_good)
		return umbra_err_set(err, EINVAL,
				     "ioapic: saved state has version %u (expected %d), is cut off "
				     "or has bits that no 82093AA holds",
				     version, IOAPIC_VERSION);
	*io = loaded;
	return 0;
}

static void ioapic_show(const void *state, const struct print_sink *sink)
{
	static const char *const delivery[8] = {"fixed", "lowest", "smi",      "reserved",
						"nmi",	 "init",   "reserved", "extint"};
	const struct ioapic *io = state;

	print_to(sink, "ioapic: id %u, select %02x\n", io->id >> 24, io->select);
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		uint64_t e = io->entry[pin];

		if ((e & ENTRY_MASKED) && !(io->lines >> pin & 1))
			continue;
		print_to(sink, "  pin %2u %s: vector %02x %s to %s %02x%s%s%s\n", pin,
			 io->lines >> pin & 1 ? "high" : "low", (uint8_t)e,
			 delivery[delivery_of(e)], e & ENTRY_LOGICAL ? "logical" : "physical",
			 (unsigned)(e >> 56), e & ENTRY_LEVEL ? ", level" : ", edge",
			 e & ENTRY_RIRR ? ", waits for EOI" : "",
			 e & ENTRY_MASKED ? ", masked" : "");
	}
}

const struct dev_ops ioapic_ops = {
	.name = "ioapic",
	.widths = 1 | 2 | 4,
	.read = ioapic_read,
	.write = ioapic_write,
	.reset = ioapic_reset,
	.save = ioapic_save,
	.load = ioapic_load,
	.show = ioapic_show,
};

int ioapic_create(struct ioapic **out_ioapic, ioapic_send_fn send_fn, void *ctx,
		  struct umbra_err *err)
{
	struct ioapic *io = calloc(1, sizeof(*io));

	if (!io)
		return umbra_err_set(err, ENOMEM, "no memory for the IO APIC");
	io->send = send_fn;
	io->ctx = ctx;
	ioapic_reset(io);
	*out_ioapic = io;
	return 0;
}

void ioapic_destroy(struct ioapic *io)
{
	free(io);
}
