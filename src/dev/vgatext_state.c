/* What a VGA's registers mean: the state that firmware leaves, the beam, and the screen of text.
 * Source: IBM PS/2 Hardware Interface Technical Reference, "Video Graphics Array"; its mode 3 for
 * the values and the times. */
#include "vgatext.h"

const uint8_t vga_crtc_kept[VGA_CRTC_REGS] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
					      0xff, 0x3f, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
					      0xff, 0xff, 0x7f, 0xff, 0xff, 0xef, 0xff};
const uint8_t vga_seq_kept[VGA_SEQ_REGS] = {0x03, 0x3d, 0x0f, 0x3f, 0x0e};
const uint8_t vga_gfx_kept[VGA_GFX_REGS] = {0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff};
const uint8_t vga_attr_kept[VGA_ATTR_REGS] = {0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f,
					      0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f,
					      0x3f, 0x3f, 0xef, 0xff, 0x3f, 0x0f, 0x0f};

/* Mode 3. */

static const struct vga_chip mode_3 = {
	.misc = 0x67,
	.enable = 0x01,
	.attr_index = ATTR_PALETTE_ON,
	.pel_mask = 0xff,
	.crtc = {0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0x00,
		 0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff},
	.seq = {0x03, 0x00, 0x03, 0x00, 0x02},
	.gfx = {0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0e, 0x00, 0xff},
	.attr = {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14, 0x07, 0x38, 0x39, 0x3a,
		 0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x0c, 0x00, 0x0f, 0x08, 0x00},
};

/* A colour of the EGA, rgbRGB: two thirds for the large letter, one for the small. */
static uint8_t ega_part(unsigned colour, unsigned part)
{
	return (uint8_t)((colour >> part & 1) * 0x2a + (colour >> (part + 3) & 1) * 0x15);
}

void vga_chip_reset(struct vga_chip *chip)
{
	*chip = mode_3;
	for (unsigned i = 0; i < 64; i++) {
		for (unsigned part = 0; part < 3; part++)
			chip->dac[i * 3 + part] = ega_part(i, 2 - part);
	}
}

/* The beam: 449 lines of 900 dots at 28.322 MHz, of which 400 by 720 show something; the vertical
 * retrace takes lines 412 and 413. */

#define DOT_KHZ	   28322u
#define LINE_DOTS  900u
#define SHOWN_DOTS 720u
#define LINES	   449u
#define SHOWN	   400u
#define RETRACE	   412u
#define RETRACE_2  413u
#define PS_PER_DOT (1000000000ull / DOT_KHZ)
#define PS_PER_NS  1000u
#define LINE_NS	   (LINE_DOTS * PS_PER_DOT / PS_PER_NS)

uint8_t vga_status(uint64_t now_ns)
{
	uint64_t in_frame = now_ns % (LINE_NS * LINES);
	unsigned line = (unsigned)(in_frame / LINE_NS);
	bool is_beside = in_frame % LINE_NS >= LINE_NS * SHOWN_DOTS / LINE_DOTS;
	uint8_t status = 0;

	if (line >= SHOWN || is_beside)
		status |= STATUS_BLANK;
	if (line >= RETRACE && line <= RETRACE_2)
		status |= STATUS_VERTICAL;
	return status;
}

/* The screen. */

#define TEXT_CELLS 16384u /* of 32 KiB */

static unsigned pair_at(const struct vga_chip *chip, unsigned high)
{
	return (unsigned)chip->crtc[high] << 8 | chip->crtc[high + 1];
}

/* Graphics controller register 6, bits 3:2. */
static uint64_t buffer_base(const struct vga_chip *chip)
{
	static const uint64_t base[] = {0xa0000, 0xa0000, 0xb0000, 0xb8000};

	return base[chip->gfx[GFX_MISC] >> 2 & 3];
}

/* @out_screen stays within TEXT_CELLS whatever the guest wrote. */
void vga_look(const struct vga_chip *chip, struct vgatext_screen *out_screen)
{
	const uint8_t *crtc = chip->crtc;
	unsigned lines = crtc[CRTC_LINES] + (crtc[CRTC_OVERFLOW] & CRTC_LINES_8 ? 256u : 0) +
			 (crtc[CRTC_OVERFLOW] & CRTC_LINES_9 ? 512u : 0) + 1;
	unsigned rows = lines / ((crtc[CRTC_CELL] & 0x1fu) + 1);

	*out_screen = (struct vgatext_screen){
		.is_text = !(chip->gfx[GFX_MISC] & GFX_GRAPHICS),
		.base = buffer_base(chip),
		.cells = TEXT_CELLS,
		.columns = crtc[CRTC_COLUMNS] + 1u,
		.stride = crtc[CRTC_OFFSET] * 2u,
		.start = pair_at(chip, CRTC_START_HIGH),
		.cursor = pair_at(chip, CRTC_CURSOR_HIGH),
		.has_cursor = !(crtc[CRTC_CURSOR_START] & CRTC_CURSOR_OFF),
	};
	out_screen->rows = (unsigned)u64_min(rows, TEXT_CELLS / out_screen->columns);
}

/* Save and load: the registers in the order in which the struct has them. */

struct field {
	uint8_t *bytes;
	const uint8_t *kept; /* NULL: every bit */
	size_t len;
};

#define FIELDS 16u

static void fields_of(struct vga_chip *chip, struct field field[FIELDS])
{
	static const uint8_t misc = VGA_MISC_KEPT, feature = VGA_FEATURE_KEPT,
			     enable = VGA_ENABLE_KEPT, attr_index = 0x3f;
	const struct field all[FIELDS] = {
		{&chip->misc, &misc, 1},
		{&chip->feature, &feature, 1},
		{&chip->enable, &enable, 1},
		{&chip->crtc_index, NULL, 1},
		{&chip->seq_index, NULL, 1},
		{&chip->gfx_index, NULL, 1},
		{&chip->attr_index, &attr_index, 1},
		{&chip->pel_mask, NULL, 1},
		{&chip->dac_read, NULL, 1},
		{&chip->dac_write, NULL, 1},
		{&chip->dac_step, NULL, 1},
		{chip->crtc, vga_crtc_kept, sizeof(chip->crtc)},
		{chip->seq, vga_seq_kept, sizeof(chip->seq)},
		{chip->gfx, vga_gfx_kept, sizeof(chip->gfx)},
		{chip->attr, vga_attr_kept, sizeof(chip->attr)},
		{chip->dac, NULL, sizeof(chip->dac)},
	};

	memcpy(field, all, sizeof(all));
}

void vga_chip_save(const struct vga_chip *chip, struct blob *out)
{
	struct vga_chip copy = *chip;
	struct field field[FIELDS];

	fields_of(&copy, field);
	for (unsigned i = 0; i < FIELDS; i++)
		blob_put_bytes(out, field[i].bytes, field[i].len);
	blob_put_u8(out, (uint8_t)(chip->is_attr_data | chip->is_dac_reading << 1));
}

static bool is_kept(const struct field *field)
{
	for (size_t i = 0; i < field->len && field->kept; i++) {
		if (field->bytes[i] & ~field->kept[i])
			return false;
	}
	return true;
}

bool vga_chip_load(struct vga_chip *chip, struct blob *in)
{
	struct field field[FIELDS];
	bool is_good = true;
	uint8_t flags;

	fields_of(chip, field);
	for (unsigned i = 0; i < FIELDS; i++) {
		blob_get_bytes(in, field[i].bytes, field[i].len);
		is_good = is_good && is_kept(&field[i]);
	}
	flags = blob_get_u8(in);
	chip->is_attr_data = flags & 1;
	chip->is_dac_reading = flags & 2;
	for (unsigned i = 0; i < VGA_DAC_BYTES; i++)
		is_good = is_good && chip->dac[i] <= VGA_DAC_KEPT;
	return is_good && !in->is_failed && flags < 4 && chip->dac_step < 3;
}
