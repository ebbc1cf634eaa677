/* Unit tests of the VGA's registers: every indexed register by its mask, the ways in which they are
 * reached, the beam by guest time, and what of a screen the registers say. */
#include "src/dev/vgatext.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

struct rig {
	struct bus *bus;
	struct gate *gate;
	struct vgatext *vga;
	uint64_t now_ns;
};

static uint64_t rig_now(void *ctx)
{
	return ((struct rig *)ctx)->now_ns;
}

static void rig_open(struct rig *rig)
{
	const struct gate_clock clock = {.now_ns = rig_now, .ctx = rig};

	*rig = (struct rig){.now_ns = 0};
	cr_assert_eq(gate_create(&rig->gate, NULL), 0);
	gate_set_clock(rig->gate, &clock);
	cr_assert_eq(bus_create(&rig->bus, NULL), 0);
	cr_assert_eq(vgatext_create(&rig->vga, rig->bus, 0x3b0, rig->gate, NULL), 0);
}

static void rig_close(struct rig *rig)
{
	bus_destroy(rig->bus);
	gate_destroy(rig->gate);
}

static void out(struct rig *rig, uint16_t port, uint8_t value)
{
	bus_pio(rig->bus, port, true, 1, 1, &value);
}

static uint8_t in(struct rig *rig, uint16_t port)
{
	uint8_t value = 0;

	bus_pio(rig->bus, port, false, 1, 1, &value);
	return value;
}

static void put(struct rig *rig, uint16_t port, uint8_t index, uint8_t value)
{
	uint8_t bytes[2] = {index, value};

	bus_pio(rig->bus, port, true, 2, 1, bytes);
}

static uint8_t get(struct rig *rig, uint16_t port, uint8_t index)
{
	out(rig, port, index);
	return in(rig, port + 1);
}

/* Registers. */

/* Ports that keep what is written, and where it is read. */
static const struct {
	uint16_t write, read;
	uint8_t kept, at_reset;
} plain[] = {
	{0x3c2, 0x3cc, 0xef, 0x67}, {0x3c3, 0x3c3, 0x01, 0x01}, {0x3c4, 0x3c4, 0x07, 0x00},
	{0x3c6, 0x3c6, 0xff, 0xff}, {0x3c8, 0x3c8, 0xff, 0x00}, {0x3ce, 0x3ce, 0x0f, 0x00},
	{0x3d4, 0x3d4, 0x3f, 0x00}, {0x3da, 0x3ca, 0x08, 0x00},
};

Test(vga, plain_registers_when_written_then_their_bits)
{
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(plain); i++) {
		struct rig rig;

		rig_open(&rig);
		cr_expect_eq(in(&rig, plain[i].read), plain[i].at_reset, "port %x", plain[i].read);
		out(&rig, plain[i].write, 0xff);
		cr_expect_eq(in(&rig, plain[i].read), plain[i].kept, "port %x: %02x", plain[i].read,
			     in(&rig, plain[i].read));
		out(&rig, plain[i].write, 0x01); /* in colour still */
		cr_expect_eq(in(&rig, plain[i].read), 0x01 & plain[i].kept);
		bus_reset(rig.bus);
		cr_expect_eq(in(&rig, plain[i].read), plain[i].at_reset);
		rig_close(&rig);
	}
}

static const struct {
	uint16_t port;
	unsigned count;
	const uint8_t *kept;
} banks[] = {
	{0x3c4, VGA_SEQ_REGS, vga_seq_kept},
	{0x3ce, VGA_GFX_REGS, vga_gfx_kept},
	{0x3d4, VGA_CRTC_REGS, vga_crtc_kept},
};

Test(vga, indexed_registers_when_written_then_each_its_own_bits_and_none_behind_the_last)
{
	struct rig rig;

	rig_open(&rig);
	put(&rig, 0x3d4, CRTC_SYNC_END, 0); /* no protection */
	for (size_t b = 0; b < UMBRA_ARRAY_SIZE(banks); b++) {
		for (unsigned i = 0; i < banks[b].count; i++) {
			if (i != CRTC_SYNC_END || banks[b].port != 0x3d4)
				put(&rig, banks[b].port, (uint8_t)i, 0xff);
		}
		for (unsigned i = 0; i < banks[b].count; i++) {
			uint8_t kept = banks[b].kept[i];

			if (i == CRTC_SYNC_END && banks[b].port == 0x3d4)
				kept = 0;
			cr_expect_eq(get(&rig, banks[b].port, (uint8_t)i), kept, "%x index %x",
				     banks[b].port, i);
		}
	}
	put(&rig, 0x3d4, 0x19, 0x55);
	cr_expect_eq(get(&rig, 0x3d4, 0x19), 0);
	put(&rig, 0x3ce, 0x0f, 0x55);
	cr_expect_eq(get(&rig, 0x3ce, 0x0f), 0);
	put(&rig, 0x3c4, 0x07, 0x55);
	cr_expect_eq(get(&rig, 0x3c4, 0x07), 0);
	rig_close(&rig);
}

Test(vga, crtc_when_protected_then_0_to_7_stay_but_for_line_compare)
{
	struct rig rig;

	rig_open(&rig);
	put(&rig, 0x3d4, CRTC_SYNC_END, 0x8e);
	for (uint8_t i = 0; i < 8; i++)
		put(&rig, 0x3d4, i, 0);
	cr_expect_eq(get(&rig, 0x3d4, 0x00), 0x5f);
	cr_expect_eq(get(&rig, 0x3d4, 0x06), 0xbf);
	cr_expect_eq(get(&rig, 0x3d4, 0x07), 0x0f);
	put(&rig, 0x3d4, 0x08, 0x12);
	cr_expect_eq(get(&rig, 0x3d4, 0x08), 0x12);
	put(&rig, 0x3d4, CRTC_SYNC_END, 0x0e);
	put(&rig, 0x3d4, 0x00, 0x11);
	cr_expect_eq(get(&rig, 0x3d4, 0x00), 0x11);
	rig_close(&rig);
}

Test(vga, crtc_when_mono_is_chosen_then_at_3bx_only)
{
	struct rig rig;

	rig_open(&rig);
	put(&rig, 0x3b4, 0x0e, 0x77);
	cr_expect_eq(get(&rig, 0x3b4, 0x0e), 0xff);
	cr_expect_eq(in(&rig, 0x3ba), 0xff);
	cr_expect_eq(get(&rig, 0x3d4, 0x0e), 0x00);
	out(&rig, 0x3c2, 0x66);
	put(&rig, 0x3b4, 0x0e, 0x33);
	cr_expect_eq(get(&rig, 0x3b4, 0x0e), 0x33);
	cr_expect_eq(get(&rig, 0x3d4, 0x0e), 0xff);
	cr_expect_eq(in(&rig, 0x3da), 0xff);
	cr_expect_neq(in(&rig, 0x3ba), 0xff);
	cr_expect_eq(in(&rig, 0x3b8), 0xff, "nobody's");
	rig_close(&rig);
}

Test(vga, attributes_when_written_in_turn_then_index_and_data_and_status_begins_anew)
{
	struct rig rig;

	rig_open(&rig);
	for (uint8_t i = 0; i < VGA_ATTR_REGS; i++) {
		in(&rig, 0x3da);
		out(&rig, 0x3c0, i);
		out(&rig, 0x3c0, 0xff);
		cr_expect_eq(in(&rig, 0x3c1), vga_attr_kept[i], "index %x", i);
		cr_expect_eq(in(&rig, 0x3c0), i);
	}
	in(&rig, 0x3da);
	out(&rig, 0x3c0, 0x01);
	in(&rig, 0x3da); /* data was next, and an index is again */
	out(&rig, 0x3c0, 0x22);
	cr_expect_eq(in(&rig, 0x3c0), 0x22);
	out(&rig, 0x3c0, 0x15);
	cr_expect_eq(in(&rig, 0x3c1), 0x15);
	in(&rig, 0x3da);
	out(&rig, 0x3c0, 0x1f);
	out(&rig, 0x3c0, 0x15);
	cr_expect_eq(in(&rig, 0x3c1), 0, "there is none");
	rig_close(&rig);
}

Test(vga, colours_when_written_and_read_then_three_parts_each_and_the_index_goes_on)
{
	struct rig rig;

	rig_open(&rig);
	out(&rig, 0x3c8, 0xff);
	cr_expect_eq(in(&rig, 0x3c7), 0);
	for (uint8_t i = 0; i < 6; i++)
		out(&rig, 0x3c9, 0xc1 + i);
	cr_expect_eq(in(&rig, 0x3c8), 0x01, "past the last comes the first");
	out(&rig, 0x3c7, 0xff);
	cr_expect_eq(in(&rig, 0x3c7), 3);
	for (uint8_t i = 0; i < 6; i++)
		cr_expect_eq(in(&rig, 0x3c9), 1 + i);
	cr_expect_eq(in(&rig, 0x3c9), 0x00, "blue at reset");
	cr_expect_eq(in(&rig, 0x3c9), 0x00);
	cr_expect_eq(in(&rig, 0x3c9), 0x2a);
	out(&rig, 0x3c7, 20); /* brown: the fourth of the EGA with half of its green */
	cr_expect_eq(in(&rig, 0x3c9), 0x2a);
	cr_expect_eq(in(&rig, 0x3c9), 0x15);
	cr_expect_eq(in(&rig, 0x3c9), 0x00);
	cr_expect_eq(in(&rig, 0x3c2), 0x10);
	rig_close(&rig);
}

/* The beam. */

Test(vga, status_when_time_goes_by_then_beside_below_and_retrace)
{
	static const struct {
		uint64_t ns;
		uint8_t status;
	} rows[] = {
		{0, 0},
		{25420, 0},
		{25422, STATUS_BLANK}, /* beside the first line */
		{31777, 0},
		{400 * 31777ull - 1, STATUS_BLANK},
		{400 * 31777ull, STATUS_BLANK},
		{412 * 31777ull - 1, STATUS_BLANK},
		{412 * 31777ull, STATUS_BLANK | STATUS_VERTICAL},
		{414 * 31777ull - 1, STATUS_BLANK | STATUS_VERTICAL},
		{414 * 31777ull, STATUS_BLANK},
		{449 * 31777ull, 0},
		{449 * 31777ull * 1000 + 412 * 31777ull, STATUS_BLANK | STATUS_VERTICAL},
	};
	struct rig rig;

	rig_open(&rig);
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(rows); i++) {
		rig.now_ns = rows[i].ns;
		cr_expect_eq(in(&rig, 0x3da), rows[i].status, "row %zu: %02x", i, in(&rig, 0x3da));
	}
	rig_close(&rig);
}

/* The screen. */

Test(vga, look_when_registers_are_set_then_where_the_text_is)
{
	struct vgatext_screen screen;
	struct rig rig;

	rig_open(&rig);
	vgatext_look(rig.vga, &screen);
	cr_expect(screen.is_text && screen.has_cursor);
	cr_expect_eq(screen.base, 0xb8000);
	cr_expect(screen.columns == 80 && screen.rows == 25 && screen.stride == 80);
	cr_expect(screen.start == 0 && screen.cursor == 0 && screen.cells == 16384);
	put(&rig, 0x3d4, CRTC_SYNC_END, 0);
	put(&rig, 0x3d4, 0x01, 39);
	put(&rig, 0x3d4, 0x09, 0x47); /* eight lines a row, and the line compare bit */
	put(&rig, 0x3d4, 0x0a, 0x2d);
	put(&rig, 0x3d4, 0x0c, 0x01);
	put(&rig, 0x3d4, 0x0d, 0x02);
	put(&rig, 0x3d4, 0x0e, 0x03);
	put(&rig, 0x3d4, 0x0f, 0x04);
	put(&rig, 0x3d4, 0x13, 0x14);
	put(&rig, 0x3ce, 0x06, 0x0a);
	vgatext_look(rig.vga, &screen);
	cr_expect(screen.columns == 40 && screen.rows == 50 && screen.stride == 40);
	cr_expect(screen.start == 0x102 && screen.cursor == 0x304 && !screen.has_cursor);
	cr_expect_eq(screen.base, 0xb0000);
	put(&rig, 0x3ce, 0x06, 0x05);
	vgatext_look(rig.vga, &screen);
	cr_expect_not(screen.is_text);
	rig_close(&rig);
}

Test(vga, look_when_registers_are_hostile_then_within_the_buffer)
{
	struct rig rig;

	rig_open(&rig);
	put(&rig, 0x3d4, CRTC_SYNC_END, 0);
	for (unsigned columns = 0; columns < 256; columns++) {
		struct vgatext_screen screen;

		put(&rig, 0x3d4, 0x01, (uint8_t)columns);
		put(&rig, 0x3d4, 0x07, 0xff);
		put(&rig, 0x3d4, 0x09, 0);
		put(&rig, 0x3d4, 0x12, 0xff);
		vgatext_look(rig.vga, &screen);
		cr_expect_leq(screen.columns * screen.rows, screen.cells);
		cr_expect_leq(screen.columns, 256);
		cr_expect_leq(screen.rows, 1024);
	}
	rig_close(&rig);
}

/* Save and load. */

#define BLOB_BYTES 1024

static unsigned roll(unsigned *state, unsigned sides)
{
	*state = *state * 1103515245u + 12345u;
	return (*state >> 16) % sides;
}

static unsigned random_act(struct rig *rig, unsigned *dice)
{
	uint16_t port = (uint16_t)(0x3b0 + roll(dice, 0x30));

	rig->now_ns += roll(dice, 100000);
	if (roll(dice, 2))
		return in(rig, port);
	out(rig, port, (uint8_t)roll(dice, 256));
	return 0;
}

Test(vga, load_when_saved_anywhere_then_goes_on_in_the_same_way, .timeout = 60)
{
	struct rig a, b;
	unsigned dice = 3, copy;
	uint8_t bytes[BLOB_BYTES];

	rig_open(&a);
	rig_open(&b);
	for (unsigned i = 0; i < 50000; i++) {
		if (i % 7 == 0) {
			struct blob blob = blob_over(bytes, sizeof(bytes));

			vgatext_ops.save(a.vga, &blob);
			cr_assert_not(blob.is_failed);
			blob = blob_over(bytes, blob.pos);
			b.now_ns = a.now_ns;
			cr_assert_eq(vgatext_ops.load(b.vga, &blob, NULL), 0, "step %u", i);
			cr_assert_eq(memcmp(&a.vga->chip, &b.vga->chip, sizeof(a.vga->chip)), 0);
		}
		copy = dice;
		cr_assert_eq(random_act(&a, &dice), random_act(&b, &copy), "step %u", i);
	}
	rig_close(&a);
	rig_close(&b);
}

Test(vga, load_when_bytes_are_random_then_refused_or_harmless, .timeout = 60)
{
	struct rig rig;
	unsigned dice = 77, loaded = 0;

	rig_open(&rig);
	for (unsigned i = 0; i < 20000; i++) {
		uint8_t bytes[BLOB_BYTES];
		struct blob blob = blob_over(bytes, sizeof(bytes));
		int error;

		random_act(&rig, &dice);
		vgatext_ops.save(rig.vga, &blob);
		for (unsigned n = 0; n < 2; n++)
			bytes[roll(&dice, (unsigned)blob.pos)] ^= (uint8_t)(1u << roll(&dice, 8));
		blob = blob_over(bytes, blob.pos - (i % 4 == 0));
		error = vgatext_ops.load(rig.vga, &blob, NULL);
		cr_assert(error == 0 || error == -EINVAL);
		cr_assert(error || i % 4, "a state that is cut off was taken");
		loaded += error == 0;
	}
	cr_assert_gt(loaded, 1000);
	cr_assert_lt(loaded, 15000);
	rig_close(&rig);
}

static void collect(void *ctx, const char *text, size_t len)
{
	strncat(ctx, text, len);
}

Test(vga, show_when_asked_then_mode_and_registers)
{
	struct rig rig;
	char text[512] = "";
	struct print_sink sink = {.text = collect, .ctx = text};

	rig_open(&rig);
	cr_assert(bus_show_device(rig.bus, 0, &sink));
	cr_expect_not_null(
		strstr(text, "vga: text, 80 by 25 at 0xb8000, start 0, cursor 0, misc 67"), "%s",
		text);
	cr_expect_not_null(strstr(text, "crtc 5f 4f"), "%s", text);
	rig_close(&rig);
}
