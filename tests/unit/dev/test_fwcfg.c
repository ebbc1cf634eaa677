/* Tests of fw_cfg, through the bus as the guest reaches it, and with descriptors in its memory. */
#include "port_rig.h"

#include "src/dev/fwcfg.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>

#define BASE	 0x510
#define SELECTOR (BASE + FWCFG_SELECTOR)
#define DATA	 (BASE + FWCFG_DATA)
#define DMA_HIGH (BASE + FWCFG_DMA_HIGH)
#define DMA_LOW	 (BASE + FWCFG_DMA_LOW)

#define RAM_BYTES 0x10000u
#define HIGH_RAM  0x100000000ull
#define ROM	  0x20000u
#define DESC	  0x100u
#define BUFFER	  0x1000u

#define READ   2u
#define SKIP   4u
#define SELECT 8u
#define WRITE  16u

struct rig {
	struct bus *bus;
	struct mem_space *mem;
	struct fwcfg *fw;
	unsigned fills;
};

static void rig_open(struct rig *rig)
{
	*rig = (struct rig){.fills = 0};
	cr_assert_eq(bus_create(&rig->bus, NULL), 0);
	cr_assert_eq(mem_create(&rig->mem, NULL), 0);
	cr_assert_eq(mem_add(rig->mem, 0, RAM_BYTES, MEM_RAM, "ram", NULL), 0);
	cr_assert_eq(mem_add(rig->mem, ROM, 0x1000, MEM_ROM, "rom", NULL), 0);
	cr_assert_eq(mem_add(rig->mem, HIGH_RAM, 0x1000, MEM_RAM, "high", NULL), 0);
	cr_assert_eq(fwcfg_create(&rig->fw, rig->bus, BASE, rig->mem, NULL), 0);
	cr_assert_eq(fwcfg_put(rig->fw, FWCFG_SIGNATURE, "QEMU", 4, NULL), 0);
	cr_assert_eq(fwcfg_put(rig->fw, FWCFG_ID, "\3\0\0\0", 4, NULL), 0);
}

static void rig_close(struct rig *rig)
{
	bus_destroy(rig->bus);
	mem_destroy(rig->mem);
}

/* Selected and read byte by byte, as by REP INSB. */
static void expect_item(struct rig *rig, uint16_t key, const void *want, size_t len)
{
	uint8_t got[512];

	cr_assert_lt(len, sizeof(got) - 2);
	port_out(rig->bus, SELECTOR, 2, key);
	bus_pio(rig->bus, DATA, false, 1, (unsigned)len + 2, got);
	cr_expect_arr_eq(got, want, len, "item %#x", key);
	cr_expect_eq(got[len], 0, "past the end");
	cr_expect_eq(got[len + 1], 0);
}

/* Ports. */

Test(fwcfg, items_when_selected_then_their_bytes_and_zeroes_behind)
{
	struct rig rig;

	rig_open(&rig);
	cr_assert_eq(fwcfg_put(rig.fw, FWCFG_IRQ0_OVERRIDE, "\1\0\0\0", 4, NULL), 0);
	expect_item(&rig, FWCFG_SIGNATURE, "QEMU", 4);
	expect_item(&rig, FWCFG_ID, "\3\0\0\0", 4);
	expect_item(&rig, FWCFG_IRQ0_OVERRIDE, "\1\0\0\0", 4);
	expect_item(&rig, FWCFG_ID | 0x4000, "\3\0\0\0", 4);
	expect_item(&rig, FWCFG_UUID, "", 0);
	expect_item(&rig, 0x3fff, "", 0);
	expect_item(&rig, 0x8007, "", 0);
	expect_item(&rig, 0x8008, "", 0);
	expect_item(&rig, 0xffff, "", 0);
	rig_close(&rig);
}

/* Accesses that are none of the interface's: what they do to the selection of item 0. */
Test(fwcfg, ports_when_accessed_otherwise_then_table)
{
	static const struct {
		uint16_t port;
		unsigned size;
		bool is_write;
		uint32_t value; /* written, or what must be read */
		char next;	/* the next byte of "QEMU" */
	} rows[] = {
		{SELECTOR, 1, true, FWCFG_ID, 'Q'},    /* a byte selects nothing */
		{DATA, 1, true, 0xff, 'Q'},	       /* data is not written */
		{SELECTOR, 1, false, 0, 'Q'},	       /* write only */
		{SELECTOR, 2, false, 0, 'Q'},	       /* */
		{DATA, 2, false, 0xff00 | 'Q', 'E'},   /* the port above is nobody's */
		{SELECTOR, 4, true, 0xffff0000, 'Q'},  /* its low word selects */
		{DMA_HIGH, 4, false, 0x554d4551, 'Q'}, /* "QEMU" */
		{DMA_LOW, 4, false, 0x47464320, 'Q'},  /* " CFG" */
		{DMA_HIGH + 1, 2, false, 0x4d45, 'Q'}, /* any bytes of it */
		{DMA_LOW + 3, 1, false, 'G', 'Q'},     /* */
		{DMA_HIGH, 2, true, 0, 'Q'},	       /* halves are written whole */
		{DMA_LOW, 1, true, 0, 'Q'},	       /* */
		{DMA_HIGH + 2, 4, true, 0, 'Q'},       /* */
	};

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(rows); i++) {
		struct rig rig;

		rig_open(&rig);
		port_out(rig.bus, SELECTOR, 2, FWCFG_SIGNATURE);
		if (rows[i].is_write)
			port_out(rig.bus, rows[i].port, rows[i].size, rows[i].value);
		else
			cr_expect_eq(port_in(rig.bus, rows[i].port, rows[i].size), rows[i].value,
				     "row %zu", i);
		cr_expect_eq(port_in(rig.bus, DATA, 1), (uint8_t)rows[i].next, "row %zu", i);
		rig_close(&rig);
	}
}

/* Files. */

Test(fwcfg, files_when_added_in_any_order_then_the_directory_is_by_name)
{
	uint8_t dir[4 + 3 * 64] = {0, 0, 0, 3};
	static const char *const name[] = {"etc/a", "etc/b", "opt/z"};
	static const char *const text[] = {"first", "second one", "z"};
	struct rig rig;

	rig_open(&rig);
	cr_assert_eq(fwcfg_put_file(rig.fw, name[2], text[2], 1, NULL), 0);
	cr_assert_eq(fwcfg_put_file(rig.fw, name[0], text[0], 5, NULL), 0);
	cr_assert_eq(fwcfg_put_file(rig.fw, name[1], text[1], 10, NULL), 0);
	for (unsigned i = 0; i < 3; i++) {
		dir[4 + 64 * i + 3] = (uint8_t)strlen(text[i]);
		dir[4 + 64 * i + 5] = (uint8_t)(0x20 + i);
		memcpy(dir + 4 + 64 * (size_t)i + 8, name[i], 5);
		expect_item(&rig, (uint16_t)(0x20 + i), text[i], strlen(text[i]));
	}
	expect_item(&rig, FWCFG_FILE_DIR, dir, sizeof(dir));
	rig_close(&rig);
}

Test(fwcfg, files_when_bad_then_refused_and_the_others_stay)
{
	static const char longest[] = "opt/456789012345678901234567890123456789012345678901234";
	char name[FWCFG_NAME_MAX + 1];
	struct umbra_err err = {.text = ""};
	struct rig rig;

	rig_open(&rig);
	cr_assert_eq(strlen(longest), FWCFG_NAME_MAX - 1);
	cr_expect_eq(fwcfg_put_file(rig.fw, longest, "x", 1, NULL), 0);
	cr_expect_eq(fwcfg_put_file(rig.fw, longest, "y", 1, &err), -EEXIST);
	cr_expect_not_null(strstr(err.text, longest));
	snprintf(name, sizeof(name), "%sx", longest);
	cr_expect_eq(fwcfg_put_file(rig.fw, name, "y", 1, &err), -EINVAL);
	for (unsigned i = 1; i < FWCFG_MAX_FILES; i++) {
		snprintf(name, sizeof(name), "opt/%u", i);
		cr_assert_eq(fwcfg_put_file(rig.fw, name, "", 0, NULL), 0);
	}
	cr_expect_eq(fwcfg_put_file(rig.fw, "opt/more", "y", 1, &err), -ENOSPC);
	cr_expect_eq(fwcfg_put(rig.fw, 0x20 + FWCFG_MAX_FILES, "y", 1, &err), -EINVAL);
	cr_expect_eq(fwcfg_put_later(rig.fw, 0x8008, 1, NULL, NULL, &err), -EINVAL);
	expect_item(&rig, 0x20 + FWCFG_MAX_FILES - 1, "", 0);
	fwcfg_clear(rig.fw);
	expect_item(&rig, FWCFG_FILE_DIR, "", 0);
	expect_item(&rig, 0x20, "", 0);
	rig_close(&rig);
}

static void fill(void *ctx, uint8_t *data, size_t len)
{
	struct rig *rig = ctx;

	rig->fills++;
	for (size_t i = 0; i + 1 < len; i++)
		data[i] = (uint8_t)(i + 1);
}

Test(fwcfg, item_for_later_when_read_then_filled_once)
{
	struct rig rig;

	rig_open(&rig);
	cr_assert_eq(fwcfg_put_later(rig.fw, FWCFG_KERNEL_DATA, 4, fill, &rig, NULL), 0);
	port_out(rig.bus, SELECTOR, 2, FWCFG_KERNEL_DATA);
	cr_expect_eq(rig.fills, 0);
	expect_item(&rig, FWCFG_KERNEL_DATA, "\1\2\3\0", 4);
	expect_item(&rig, FWCFG_KERNEL_DATA, "\1\2\3\0", 4);
	cr_expect_eq(rig.fills, 1);
	rig_close(&rig);
}

/* DMA. */

static void desc_put(struct rig *rig, gpa_t at, uint32_t control, uint32_t len, gpa_t address)
{
	uint8_t desc[16];

	le32_put(desc, __builtin_bswap32(control));
	le32_put(desc + 4, __builtin_bswap32(len));
	le64_put(desc + 8, __builtin_bswap64(address));
	mem_poke(rig->mem, at, desc, sizeof(desc));
}

static uint32_t control_get(struct rig *rig, gpa_t at)
{
	uint8_t bytes[4] = {0};

	mem_peek(rig->mem, at, bytes, sizeof(bytes));
	return __builtin_bswap32(le32_get(bytes));
}

/* Run one operation at DESC; returns the control field that it leaves. */
static uint32_t dma(struct rig *rig, uint32_t control, uint32_t len, gpa_t address)
{
	desc_put(rig, DESC, control, len, address);
	port_out(rig->bus, DMA_LOW, 4, __builtin_bswap32(DESC));
	return control_get(rig, DESC);
}

static void fill_memory(struct rig *rig, gpa_t gpa, size_t len)
{
	uint8_t bytes[256];

	memset(bytes, 0xaa, sizeof(bytes));
	cr_assert_leq(len, sizeof(bytes));
	cr_assert_eq(mem_poke(rig->mem, gpa, bytes, len), len);
}

static void expect_memory(struct rig *rig, gpa_t gpa, const char *want, size_t len)
{
	char got[256];

	cr_assert_eq(mem_peek(rig->mem, gpa, got, len), len);
	cr_expect_arr_eq(got, want, len);
}

Test(fwcfg, dma_when_select_and_read_then_bytes_and_zeroes_and_control_0)
{
	struct rig rig;

	rig_open(&rig);
	fill_memory(&rig, BUFFER, 8);
	cr_expect_eq(dma(&rig, FWCFG_SIGNATURE << 16 | SELECT | READ, 6, BUFFER), 0);
	expect_memory(&rig, BUFFER, "QEMU\0\0\xaa\xaa", 8);
	rig_close(&rig);
}

Test(fwcfg, dma_when_in_steps_then_the_offset_goes_on_with_the_ports)
{
	struct rig rig;

	rig_open(&rig);
	fill_memory(&rig, BUFFER, 8);
	cr_expect_eq(dma(&rig, FWCFG_SIGNATURE << 16 | SELECT, 100, ~0ull), 0, "select alone");
	cr_expect_eq(dma(&rig, SKIP, 1, ~0ull), 0);
	cr_expect_eq(dma(&rig, READ | WRITE | SKIP, 1, BUFFER), 0, "read wins");
	cr_expect_eq(port_in(rig.bus, DATA, 1), 'M');
	cr_expect_eq(dma(&rig, 0, 5, BUFFER), 0, "nothing");
	cr_expect_eq(dma(&rig, READ, 1, BUFFER + 1), 0);
	cr_expect_eq(dma(&rig, SKIP, UINT32_MAX, 0), 0);
	cr_expect_eq(dma(&rig, READ, 1, BUFFER + 2), 0);
	expect_memory(&rig, BUFFER, "EU\0\xaa", 4);
	rig_close(&rig);
}

Test(fwcfg, dma_when_above_4g_then_both_halves_count_once)
{
	struct rig rig;

	rig_open(&rig);
	desc_put(&rig, HIGH_RAM + 0x20, SELECT | READ, 4, HIGH_RAM + 0x80);
	port_out(rig.bus, DMA_HIGH, 4, __builtin_bswap32(HIGH_RAM >> 32));
	port_out(rig.bus, DMA_LOW, 4, __builtin_bswap32(0x20));
	cr_expect_eq(control_get(&rig, HIGH_RAM + 0x20), 0);
	expect_memory(&rig, HIGH_RAM + 0x80, "QEMU", 4);
	cr_expect_eq(dma(&rig, SELECT | READ, 4, BUFFER), 0, "the upper half is 0 again");
	expect_memory(&rig, BUFFER, "QEMU", 4);
	rig_close(&rig);
}

/* What goes wrong: the control field, and that nothing but RAM was written. */
Test(fwcfg, dma_when_memory_is_not_ram_then_error)
{
	static const struct {
		uint32_t control, len;
		gpa_t address;
		uint32_t result;
	} rows[] = {
		{SELECT | READ, 4, ROM, 1},
		{SELECT | READ, 4, RAM_BYTES, 1},
		{SELECT | READ, 4, RAM_BYTES - 2, 1},
		{SELECT | READ, 4, RAM_BYTES - 4, 0},
		{SELECT | READ, 5, RAM_BYTES - 4, 1},
		{SELECT | READ, 4, UINT64_MAX - 1, 1},
		{SELECT | READ, UINT32_MAX, UINT64_MAX, 1},
		{SELECT | READ, UINT32_MAX, BUFFER, 1},
		{0xffff0000 | SELECT | READ, UINT32_MAX, BUFFER, 1},
		{SELECT | READ, 0, UINT64_MAX, 0},
		{SELECT | WRITE, 4, BUFFER, 1},
		{SELECT | WRITE, 0, BUFFER, 0},
		{0xffff0000 | SELECT | SKIP, UINT32_MAX, 0, 0},
	};
	uint8_t rom[16] = {0};

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(rows); i++) {
		struct rig rig;
		uint8_t got[16];

		rig_open(&rig);
		cr_expect_eq(dma(&rig, rows[i].control, rows[i].len, rows[i].address),
			     rows[i].result, "row %zu", i);
		mem_peek(rig.mem, ROM, got, sizeof(got));
		cr_expect_arr_eq(got, rom, sizeof(rom));
		rig_close(&rig);
	}
}

Test(fwcfg, dma_when_the_descriptor_is_not_there_then_nothing_happens)
{
	static const gpa_t places[] = {RAM_BYTES - 8, RAM_BYTES, 0xfffffff8, UINT64_MAX - 7};
	struct rig rig;

	rig_open(&rig);
	port_out(rig.bus, SELECTOR, 2, FWCFG_SIGNATURE);
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(places); i++) {
		port_out(rig.bus, DMA_HIGH, 4, __builtin_bswap32((uint32_t)(places[i] >> 32)));
		port_out(rig.bus, DMA_LOW, 4, __builtin_bswap32((uint32_t)places[i]));
	}
	cr_expect_eq(control_get(&rig, RAM_BYTES - 8), 1, "as much as there is says so");
	desc_put(&rig, ROM, SELECT | READ, 4, BUFFER);
	port_out(rig.bus, DMA_LOW, 4, __builtin_bswap32(ROM));
	expect_memory(&rig, BUFFER, "QEMU", 4);
	cr_expect_eq(control_get(&rig, ROM), SELECT | READ, "ROM stays");
	rig_close(&rig);
}

/* State. */

Test(fwcfg, reset_when_something_is_selected_then_the_signature_is)
{
	struct rig rig;

	rig_open(&rig);
	port_out(rig.bus, SELECTOR, 2, FWCFG_ID);
	port_in(rig.bus, DATA, 1);
	port_out(rig.bus, DMA_HIGH, 4, ~0u);
	bus_reset(rig.bus);
	cr_expect_eq(port_in(rig.bus, DATA, 1), 'Q');
	cr_expect_eq(dma(&rig, READ, 3, BUFFER), 0);
	expect_memory(&rig, BUFFER, "EMU", 3);
	rig_close(&rig);
}

Test(fwcfg, load_when_saved_or_damaged_then_same_or_refused)
{
	static const struct {
		unsigned at;
		uint8_t value;
	} damage[] = {{0, 2}, {1, 2}, {2, 1}, {3, 5}, {10, 1}};
	uint8_t good[15], bytes[15];
	struct blob blob = blob_over(good, sizeof(good));
	struct rig a, b;

	rig_open(&a);
	rig_open(&b);
	port_out(a.bus, SELECTOR, 2, FWCFG_SIGNATURE);
	port_in(a.bus, DATA, 1);
	port_out(a.bus, DMA_HIGH, 4, __builtin_bswap32(1));
	fwcfg_ops.save(a.fw, &blob);
	cr_assert_eq(blob.pos, sizeof(good));
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(damage); i++) {
		memcpy(bytes, good, sizeof(bytes));
		bytes[damage[i].at] = damage[i].value;
		blob = blob_over(bytes, sizeof(bytes));
		cr_expect_eq(fwcfg_ops.load(b.fw, &blob, NULL), -EINVAL, "row %zu", i);
	}
	blob = blob_over(good, sizeof(good) - 1);
	cr_expect_eq(fwcfg_ops.load(b.fw, &blob, NULL), -EINVAL);
	cr_expect_eq(b.fw->offset, 0);
	blob = blob_over(good, sizeof(good));
	cr_assert_eq(fwcfg_ops.load(b.fw, &blob, NULL), 0);
	cr_expect_eq(port_in(b.bus, DATA, 1), 'E');
	cr_expect_eq(b.fw->dma_high, 1);
	rig_close(&a);
	rig_close(&b);
}

static void collect(void *ctx, const char *text, size_t len)
{
	strncat(ctx, text, len);
}

Test(fwcfg, show_when_asked_then_selection_and_files)
{
	char text[256] = "";
	struct print_sink sink = {.text = collect, .ctx = text};
	struct rig rig;

	rig_open(&rig);
	fwcfg_put_file(rig.fw, "opt/x", "abc", 3, NULL);
	port_out(rig.bus, SELECTOR, 2, FWCFG_FILE_DIR);
	port_in(rig.bus, DATA, 1);
	cr_assert(bus_show_device(rig.bus, 0, &sink));
	cr_expect_str_eq(text, "fw_cfg: item 0019, offset 1; 1 files\n  0020        3 opt/x\n");
	rig_close(&rig);
}

Test(fwcfg, create_when_a_port_is_taken_then_error)
{
	struct umbra_err err = {.text = ""};
	struct fwcfg *fw;
	struct rig rig;

	rig_open(&rig);
	cr_expect_eq(fwcfg_create(&fw, rig.bus, BASE, rig.mem, &err), -EEXIST);
	cr_expect_not_null(strstr(err.text, "fw_cfg"), "%s", err.text);
	rig_close(&rig);
}
