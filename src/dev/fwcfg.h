/* Fw_cfg's state and operations, for fwcfg.c and its unit test. */
#ifndef DEV_FWCFG_H
#define DEV_FWCFG_H

#include "umbra/dev.h"

/* What the device calls its addresses. */
enum { FWCFG_SELECTOR = 0, FWCFG_DATA = 1, FWCFG_DMA_HIGH = 4, FWCFG_DMA_LOW = 8 };

#define FWCFG_KEYS	0x20u /* of plain items; files follow */
#define FWCFG_ARCH_KEYS 0x08u
#define FWCFG_MAX_FILES 64u

struct fwcfg_item {
	uint8_t *data; /* owned; NULL: not read yet, see fill */
	size_t len;    /* 0: there is no such item */
	fwcfg_fill_fn fill;
	void *ctx;
};

struct fwcfg_file {
	char name[FWCFG_NAME_MAX];
	struct fwcfg_item item;
};

struct fwcfg {
	struct mem_space *mem; /* [const] */
	/* [world] */
	struct fwcfg_item plain[FWCFG_KEYS];
	struct fwcfg_item arch[FWCFG_ARCH_KEYS];
	struct fwcfg_file file[FWCFG_MAX_FILES]; /* by name; the place gives the key */
	unsigned file_count;
	/* [dev] */
	uint16_t selected;
	uint64_t offset; /* of the selected item's next byte, at most its length */
	uint32_t dma_high;
};

extern const struct dev_ops fwcfg_ops;

#endif
