/* The registers of a VGA that shows text, without a screen: what software sets reads back, the beam
 * goes round by guest time, and `monitor screen` prints what a person would see.  The text itself
 * is ordinary memory of the guest.
 * Source: IBM PS/2 Hardware Interface Technical Reference, "Video Graphics Array".
 * DEVIATES: no graphics: planes, latches and fonts do nothing; register values change no time of
 * the beam; the palette can be written while it is in use. */
#include "vgatext.h"

#include <errno.h>
#include <stdlib.h>

#define VGA_VERSION   1
#define ATTR_INDEX    0x1fu
#define ATTR_KEPT     0x3fu
#define STATUS_SENSE  0x10u /* a monitor is there */
#define DAC_IS_READ   0x03u
#define DAC_PARTS     3u
#define PROTECTED_END 7u

/* Index and data. */

static uint8_t bank_read(const uint8_t *bank, unsigned count, unsigned index)
{
	return index < count ? bank[index] : 0;
}

static void bank_write(uint8_t *bank, const uint8_t *kept, unsigned count, unsigned index,
		       uint8_t value)
{
	if (index < count)
		bank[index] = value & kept[index];
}

/* CRTC 0x11, bit 7: 0 to 7 are read-only, but for the line compare bit in 7. */
static void crtc_write(struct vga_chip *chip, uint8_t value)
{
	unsigned index = chip->crtc_index;
	bool is_protected = chip->crtc[CRTC_SYNC_END] & CRTC_PROTECT;

	if (!is_protected || index > PROTECTED_END)
		bank_write(chip->crtc, vga_crtc_kept, VGA_CRTC_REGS, index, value);
	else if (index == CRTC_OVERFLOW)
		chip->crtc[index] = (uint8_t)((chip->crtc[index] & ~CRTC_LINE_COMPARE) |
					      (value & CRTC_LINE_COMPARE));
}

static void attr_write(struct vga_chip *chip, uint8_t value)
{
	if (chip->is_attr_data)
		bank_write(chip->attr, vga_attr_kept, VGA_ATTR_REGS, chip->attr_index & ATTR_INDEX,
			   value);
	else
		chip->attr_index = value & ATTR_KEPT;
	chip->is_attr_data = !chip->is_attr_data;
}

/* Colours. */

static void dac_begin(struct vga_chip *chip, bool is_reading, uint8_t index)
{
	if (is_reading)
		chip->dac_read = index;
	else
		chip->dac_write = index;
	chip->is_dac_reading = is_reading;
	chip->dac_step = 0;
}

/* The part of a colour that is next, after which the index goes on with the third. */
static uint8_t *dac_next(struct vga_chip *chip, uint8_t *index)
{
	uint8_t *part = &chip->dac[*index * DAC_PARTS + chip->dac_step];

	chip->dac_step++;
	if (chip->dac_step == DAC_PARTS) {
		chip->dac_step = 0;
		(*index)++;
	}
	return part;
}

/* The bus. */

/* CRTC and status answer at one of two places, as the miscellaneous output register says. */
static bool is_elsewhere(const struct vga_chip *chip, uint64_t offset)
{
	bool is_mono = offset < VGA_ATTR;
	bool is_color = offset >= VGA_COLOR_INDEX;

	return chip->misc & MISC_COLOR ? is_mono : is_color;
}

/* The color ports' names for the mono ones too. */
static uint64_t one_place(uint64_t offset)
{
	return offset < VGA_ATTR ? offset + (VGA_COLOR_INDEX - VGA_MONO_INDEX) : offset;
}

static uint8_t read_status(struct vgatext *vga)
{
	vga->chip.is_attr_data = false;
	return vga_status(gate_now_ns(vga->gate));
}

static uint64_t vgatext_read(void *state, uint64_t offset, unsigned width)
{
	struct vgatext *vga = state;
	struct vga_chip *chip = &vga->chip;

	(void)width;
	if (is_elsewhere(chip, offset))
		return 0xff;
	switch (one_place(offset)) {
	case VGA_ATTR:
		return chip->attr_index;
	case VGA_ATTR_READ:
		return bank_read(chip->attr, VGA_ATTR_REGS, chip->attr_index & ATTR_INDEX);
	case VGA_MISC:
		return STATUS_SENSE;
	case VGA_ENABLE:
		return chip->enable;
	case VGA_SEQ_INDEX:
		return chip->seq_index;
	case VGA_SEQ_DATA:
		return bank_read(chip->seq, VGA_SEQ_REGS, chip->seq_index);
	case VGA_PEL_MASK:
		return chip->pel_mask;
	case VGA_DAC_READ:
		return chip->is_dac_reading ? DAC_IS_READ : 0;
	case VGA_DAC_WRITE:
		return chip->dac_write;
	case VGA_DAC_DATA:
		return *dac_next(chip, &chip->dac_read);
	case VGA_FEATURE_READ:
		return chip->feature;
	case VGA_MISC_READ:
		return chip->misc;
	case VGA_GFX_INDEX:
		return chip->gfx_index;
	case VGA_GFX_DATA:
		return bank_read(chip->gfx, VGA_GFX_REGS, chip->gfx_index);
	case VGA_COLOR_INDEX:
		return chip->crtc_index;
	case VGA_COLOR_DATA:
		return bank_read(chip->crtc, VGA_CRTC_REGS, chip->crtc_index);
	case VGA_COLOR_STATUS:
		return read_status(vga);
	default:
		return 0xff;
	}
}

static void vgatext_write(void *state, uint64_t offset, unsigned width, uint64_t data)
{
	struct vga_chip *chip = &((struct vgatext *)state)->chip;
	uint8_t value = (uint8_t)data;

	(void)width;
	if (is_elsewhere(chip, offset))
		return;
	switch (one_place(offset)) {
	case VGA_ATTR:
		attr_write(chip, value);
		break;
	case VGA_MISC:
		chip->misc = value & VGA_MISC_KEPT;
		break;
	case VGA_ENABLE:
		chip->enable = value & VGA_ENABLE_KEPT;
		break;
	case VGA_SEQ_INDEX:
		chip->seq_index = value & 0x07;
		break;
	case VGA_SEQ_DATA:
		bank_write(chip->seq, vga_seq_kept, VGA_SEQ_REGS, chip->seq_index, value);
		break;
	case VGA_PEL_MASK:
		chip->pel_mask = value;
		break;
	case VGA_DAC_READ:
	case VGA_DAC_WRITE:
		dac_begin(chip, one_place(offset) == VGA_DAC_READ, value);
		break;
	case VGA_DAC_DATA:
		*dac_next(chip, &chip->dac_write) = value & VGA_DAC_KEPT;
		break;
	case VGA_GFX_INDEX:
		chip->gfx_index = value & 0x0f;
		break;
	case VGA_GFX_DATA:
		bank_write(chip->gfx, vga_gfx_kept, VGA_GFX_REGS, chip->gfx_index, value);
		break;
	case VGA_COLOR_INDEX:
		chip->crtc_index = value & 0x3f;
		break;
	case VGA_COLOR_DATA:
		crtc_write(chip, value);
		break;
	case VGA_COLOR_STATUS:
		chip->feature = value & VGA_FEATURE_KEPT;
		break;
	default:
		break;
	}
}

static void vgatext_reset(void *state)
{
	vga_chip_reset(&((struct vgatext *)state)->chip);
}

static void vgatext_save(const void *state, struct blob *out)
{
	blob_put_u8(out, VGA_VERSION);
	vga_chip_save(&((const struct vgatext *)state)->chip, out);
}

static int vgatext_load(void *state, struct blob *in, struct umbra_err *err)
{
	struct vgatext *vga = state;
	uint8_t version = blob_get_u8(in);
	struct vga_chip chip;

	if (version != VGA_VERSION || !vga_chip_load(&chip, in))
		return umbra_err_set(err, EINVAL,
				     "vga: saved state has version %u (expected %d), is cut off or "
				     "is none that a VGA can have",
				     version, VGA_VERSION);
	vga->chip = chip;
	return 0;
}

static void vgatext_show(const void *state, const struct print_sink *sink)
{
	const struct vga_chip *chip = &((const struct vgatext *)state)->chip;
	struct vgatext_screen screen;

	vga_look(chip, &screen);
	print_to(sink, "vga: %s, %u by %u at %#llx, start %u, cursor %u%s, misc %02x\n",
		 screen.is_text ? "text" : "graphics", screen.columns, screen.rows,
		 (unsigned long long)screen.base, screen.start, screen.cursor,
		 screen.has_cursor ? "" : " (off)", chip->misc);
	print_to(sink, "  crtc");
	for (unsigned i = 0; i < VGA_CRTC_REGS; i++)
		print_to(sink, " %02x", chip->crtc[i]);
	print_to(sink, "\n");
}

const struct dev_ops vgatext_ops = {
	.name = "vga",
	.widths = 1,
	.read = vgatext_read,
	.write = vgatext_write,
	.reset = vgatext_reset,
	.save = vgatext_save,
	.load = vgatext_load,
	.show = vgatext_show,
	.destroy = free,
};

int vgatext_create(struct vgatext **out_vga, struct bus *bus, uint16_t base, struct gate *gate,
		   struct umbra_err *err)
{
	/* The parallel port of a monochrome adapter lies between. */
	static const struct {
		unsigned offset, len;
	} regions[] = {{VGA_MONO_INDEX, 2},
		       {VGA_MONO_STATUS, 1},
		       {VGA_ATTR, VGA_GFX_DATA - VGA_ATTR + 1},
		       {VGA_COLOR_INDEX, 2},
		       {VGA_COLOR_STATUS, 1}};
	struct vgatext *vga = calloc(1, sizeof(*vga));
	int error = 0;

	if (vga) {
		vga->gate = gate;
		vga_chip_reset(&vga->chip);
		vga->dev = bus_add_device(bus, &vgatext_ops, vga);
	}
	if (!vga || !vga->dev) {
		free(vga);
		return umbra_err_set(err, ENOMEM, "no memory for the VGA");
	}
	*out_vga = vga;
	for (unsigned i = 0; i < UMBRA_ARRAY_SIZE(regions) && !error; i++)
		error = bus_map(vga->dev, BUS_PIO, base + regions[i].offset, regions[i].len,
				regions[i].offset, err);
	return error;
}

static void look_locked(void *state, void *arg)
{
	vga_look(&((const struct vgatext *)state)->chip, arg);
}

void vgatext_look(struct vgatext *vga, struct vgatext_screen *out_screen)
{
	bus_with_device(vga->dev, look_locked, out_screen);
}
