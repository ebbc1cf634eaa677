/* The VGA text adapter's registers and state, for vgatext.c, vgatext_state.c and their unit test.
 */
#ifndef DEV_VGATEXT_H
#define DEV_VGATEXT_H

#include "umbra/dev.h"

/* What the device calls its addresses: offsets from port 0x3b0. */
enum vga_port {
	VGA_MONO_INDEX = 0x04,
	VGA_MONO_DATA = 0x05,
	VGA_MONO_STATUS = 0x0a,
	VGA_ATTR = 0x10, /* index and data in turn; reads give the index */
	VGA_ATTR_READ = 0x11,
	VGA_MISC = 0x12, /* read: input status 0 */
	VGA_ENABLE = 0x13,
	VGA_SEQ_INDEX = 0x14,
	VGA_SEQ_DATA = 0x15,
	VGA_PEL_MASK = 0x16,
	VGA_DAC_READ = 0x17, /* read: state */
	VGA_DAC_WRITE = 0x18,
	VGA_DAC_DATA = 0x19,
	VGA_FEATURE_READ = 0x1a,
	VGA_MISC_READ = 0x1c,
	VGA_GFX_INDEX = 0x1e,
	VGA_GFX_DATA = 0x1f,
	VGA_COLOR_INDEX = 0x24,
	VGA_COLOR_DATA = 0x25,
	VGA_COLOR_STATUS = 0x2a /* write: feature control */
};

#define VGA_CRTC_REGS 25u
#define VGA_SEQ_REGS  5u
#define VGA_GFX_REGS  9u
#define VGA_ATTR_REGS 21u
#define VGA_DAC_BYTES 768u

/* CRTC. */
#define CRTC_COLUMNS	  0x01u /* less one */
#define CRTC_OVERFLOW	  0x07u
#define CRTC_CELL	  0x09u /* bits 4:0: scan lines of a row, less one */
#define CRTC_CURSOR_START 0x0au
#define CRTC_START_HIGH	  0x0cu
#define CRTC_CURSOR_HIGH  0x0eu
#define CRTC_SYNC_END	  0x11u
#define CRTC_LINES	  0x12u /* shown, less one; bits 8 and 9 in CRTC_OVERFLOW */
#define CRTC_OFFSET	  0x13u /* from row to row, in units of two characters */
#define CRTC_PROTECT	  0x80u /* in CRTC_SYNC_END: 0 to 7 are read-only */
#define CRTC_LINES_8	  0x02u
#define CRTC_LINES_9	  0x40u
#define CRTC_LINE_COMPARE 0x10u /* in CRTC_OVERFLOW: not protected */
#define CRTC_CURSOR_OFF	  0x20u

#define MISC_COLOR	0x01u /* CRTC and status at 0x3dx, not 0x3bx */
#define GFX_MISC	0x06u
#define GFX_GRAPHICS	0x01u
#define ATTR_PALETTE_ON 0x20u /* with the index */
#define STATUS_BLANK	0x01u
#define STATUS_VERTICAL 0x08u

struct vga_chip {
	uint8_t misc, feature, enable;
	uint8_t crtc_index, seq_index, gfx_index, attr_index; /* the last one with its bit 5 */
	bool is_attr_data;				 /* the next write to VGA_ATTR is data */
	uint8_t pel_mask, dac_read, dac_write, dac_step; /* step: which of three colours is next */
	bool is_dac_reading;
	uint8_t crtc[VGA_CRTC_REGS];
	uint8_t seq[VGA_SEQ_REGS];
	uint8_t gfx[VGA_GFX_REGS];
	uint8_t attr[VGA_ATTR_REGS];
	uint8_t dac[VGA_DAC_BYTES];
};

struct vgatext {
	struct device *dev;   /* [const] */
	struct gate *gate;    /* [const] */
	struct vga_chip chip; /* [dev] */
};

extern const struct dev_ops vgatext_ops;

/* Which bits each register keeps. */
extern const uint8_t vga_crtc_kept[VGA_CRTC_REGS], vga_seq_kept[VGA_SEQ_REGS],
	vga_gfx_kept[VGA_GFX_REGS], vga_attr_kept[VGA_ATTR_REGS];
#define VGA_MISC_KEPT	 0xefu
#define VGA_FEATURE_KEPT 0x08u
#define VGA_ENABLE_KEPT	 0x01u
#define VGA_DAC_KEPT	 0x3fu

/* Functions of the state (vgatext_state.c). */

/* As a PC's firmware leaves it: 80 by 25 characters in colour. */
void vga_chip_reset(struct vga_chip *chip);
/* Input status 1 at @now_ns. */
uint8_t vga_status(uint64_t now_ns);
void vga_look(const struct vga_chip *chip, struct vgatext_screen *out_screen);
void vga_chip_save(const struct vga_chip *chip, struct blob *out);
/* False: cut off, or registers hold what they cannot; @chip is undefined then. */
bool vga_chip_load(struct vga_chip *chip, struct blob *in);

#endif
