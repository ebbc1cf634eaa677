/* QEMU's firmware configuration device: blobs that a guest reads by number or by name.
 *   +0       selector   word, write only: which item; its first byte is next
 *   +1       data       byte: the next byte of the item, 0 past its end; writes are ignored
 *   +4, +8   DMA        two big-endian halves of the address of a descriptor; writing the lower one
 *                       starts the operation.  They read as "QEMU CFG".
 * The descriptor, big-endian: control 32 | length 32 | address 64, where control is
 *   31..16 item | 4 write | 3 select | 2 skip | 1 read | 0 error
 * and is overwritten with 0 or the error bit.  The file directory is item 0x19, big-endian: the
 * count, then for each file its size 32 | key 16 | 0 16 | name, 56 bytes.
 * Everything in a descriptor is the guest's: memory that is not all RAM is an error.  Items cannot
 * be written.  The selector's bit 14, which once allowed that, is ignored. Source: QEMU 7.2,
 * docs/specs/fw_cfg.rst. */
#include "fwcfg.h"

#include "umbra/mem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define KEY_WRITE 0x4000u
#define KEY_ARCH  0x8000u

#define CONTROL_ERROR  (1u << 0)
#define CONTROL_READ   (1u << 1)
#define CONTROL_SKIP   (1u << 2)
#define CONTROL_SELECT (1u << 3)
#define CONTROL_WRITE  (1u << 4)

#define DMA_SIGNATURE "QEMU CFG"
#define DMA_BYTES     8u
#define DMA_DESC      16u
#define DIR_HEAD      4u
#define DIR_ENTRY     64u
#define ZERO_BYTES    4096u

#define FWCFG_VERSION 1

static uint32_t be32_get(const uint8_t *p)
{
	return __builtin_bswap32(le32_get(p));
}

static void be32_put(uint8_t *p, uint32_t value)
{
	le32_put(p, __builtin_bswap32(value));
}

/* Items. */

static struct fwcfg_item *item_at(struct fwcfg *fw, uint16_t key)
{
	unsigned number = key & ~(KEY_WRITE | KEY_ARCH);

	if (key & KEY_ARCH)
		return number < FWCFG_ARCH_KEYS ? &fw->arch[number] : NULL;
	if (number < FWCFG_KEYS)
		return &fw->plain[number];
	number -= FWCFG_KEYS;
	return number < fw->file_count ? &fw->file[number].item : NULL;
}

static size_t item_len(struct fwcfg *fw, uint16_t key)
{
	const struct fwcfg_item *item = item_at(fw, key);

	return item ? item->len : 0;
}

/* The bytes of the selected item from the offset on; *@out_len = 0 past its end.  An item for whose
 * bytes there is no memory has none. */
static const uint8_t *next_bytes(struct fwcfg *fw, size_t *out_len)
{
	struct fwcfg_item *item = item_at(fw, fw->selected);

	*out_len = 0;
	if (!item || fw->offset >= item->len)
		return NULL;
	if (!item->data) {
		item->data = calloc(1, item->len);
		if (item->data)
			item->fill(item->ctx, item->data, item->len);
	}
	if (!item->data)
		return NULL;
	*out_len = item->len - fw->offset;
	return item->data + fw->offset;
}

static void item_free(struct fwcfg_item *item)
{
	free(item->data);
	*item = (struct fwcfg_item){.len = 0};
}

/* A copy of @data into @item, whose old bytes are dropped. */
static int item_set(struct fwcfg_item *item, const void *data, size_t len, struct umbra_err *err)
{
	uint8_t *copy = malloc(len ? len : 1);

	if (!copy)
		return umbra_err_set(err, ENOMEM, "fw_cfg: no memory for %zu bytes", len);
	if (len > 0)
		memcpy(copy, data, len);
	item_free(item);
	*item = (struct fwcfg_item){.data = copy, .len = len};
	return 0;
}

int fwcfg_put(struct fwcfg *fw, uint16_t key, const void *data, size_t len, struct umbra_err *err)
{
	struct fwcfg_item *item = item_at(fw, key);

	if (!item)
		return umbra_err_set(err, EINVAL, "fw_cfg: there is no item %#x", key);
	return item_set(item, data, len, err);
}

int fwcfg_put_later(struct fwcfg *fw, uint16_t key, size_t len, fwcfg_fill_fn fill, void *ctx,
		    struct umbra_err *err)
{
	struct fwcfg_item *item = item_at(fw, key);

	if (!item)
		return umbra_err_set(err, EINVAL, "fw_cfg: there is no item %#x", key);
	item_free(item);
	*item = (struct fwcfg_item){.len = len, .fill = fill, .ctx = ctx};
	return 0;
}

/* Files. */

static int directory_make(struct fwcfg *fw, struct umbra_err *err)
{
	size_t len = DIR_HEAD + (size_t)fw->file_count * DIR_ENTRY;
	uint8_t *dir = calloc(1, len);
	int error;

	if (!dir)
		return umbra_err_set(err, ENOMEM, "fw_cfg: no memory for the file directory");
	be32_put(dir, fw->file_count);
	for (unsigned i = 0; i < fw->file_count; i++) {
		uint8_t *at = dir + DIR_HEAD + (size_t)i * DIR_ENTRY;

		be32_put(at, (uint32_t)fw->file[i].item.len);
		be32_put(at + 4, (FWCFG_KEYS + i) << 16);
		memcpy(at + 8, fw->file[i].name, FWCFG_NAME_MAX);
	}
	error = item_set(&fw->plain[FWCFG_FILE_DIR], dir, len, err);
	free(dir);
	return error;
}

/* Where @name is, or belongs. */
static unsigned file_place(const struct fwcfg *fw, const char *name, bool *out_is_there)
{
	unsigned i = 0;

	while (i < fw->file_count && strcmp(fw->file[i].name, name) < 0)
		i++;
	*out_is_there = i < fw->file_count && strcmp(fw->file[i].name, name) == 0;
	return i;
}

int fwcfg_put_file(struct fwcfg *fw, const char *name, const void *data, size_t len,
		   struct umbra_err *err)
{
	bool is_there;
	unsigned place = file_place(fw, name, &is_there);
	struct fwcfg_file file = {.name = ""};
	int error;

	if (is_there)
		return umbra_err_set(err, EEXIST, "fw_cfg: there is a file '%s' already", name);
	if (strlen(name) >= sizeof(file.name) || len > UINT32_MAX)
		return umbra_err_set(err, EINVAL,
				     "fw_cfg: file '%s' of %zu bytes: a name has at most %zu "
				     "letters, a file at most 4 GiB",
				     name, len, sizeof(file.name) - 1);
	if (fw->file_count == FWCFG_MAX_FILES)
		return umbra_err_set(err, ENOSPC, "fw_cfg: file '%s' is one more than %u", name,
				     FWCFG_MAX_FILES);
	error = item_set(&file.item, data, len, err);
	if (error)
		return error;
	snprintf(file.name, sizeof(file.name), "%s", name);
	memmove(&fw->file[place + 1], &fw->file[place],
		(fw->file_count - place) * sizeof(fw->file[0]));
	fw->file[place] = file;
	fw->file_count++;
	return directory_make(fw, err);
}

void fwcfg_clear(struct fwcfg *fw)
{
	for (unsigned i = 0; i < FWCFG_KEYS; i++)
		item_free(&fw->plain[i]);
	for (unsigned i = 0; i < FWCFG_ARCH_KEYS; i++)
		item_free(&fw->arch[i]);
	for (unsigned i = 0; i < fw->file_count; i++)
		item_free(&fw->file[i].item);
	fw->file_count = 0;
}

/* Selector and data. */

static void select_item(struct fwcfg *fw, uint16_t key)
{
	fw->selected = key;
	fw->offset = 0;
}

static uint8_t data_next(struct fwcfg *fw)
{
	size_t len;
	const uint8_t *bytes = next_bytes(fw, &len);

	if (len == 0)
		return 0;
	fw->offset++;
	return bytes[0];
}

/* DMA. */

/* Store into guest RAM as a device does: ROM is not written, nor is anything else.  False when not
 * all of it is RAM; what is before the first byte that is not has been written then. */
static bool ram_write(struct fwcfg *fw, gpa_t gpa, const void *data, size_t len)
{
	const uint8_t *at = data;

	while (len > 0) {
		const struct mem_region *r = mem_find(fw->mem, gpa);
		size_t n;

		if (!r || r->kind != MEM_RAM)
			return false;
		n = u64_min(len, r->len - (gpa - r->gpa));
		if (mem_poke(fw->mem, gpa, at, n) != n)
			return false;
		gpa += n;
		at += n;
		len -= n;
	}
	return true;
}

static bool dma_zero(struct fwcfg *fw, gpa_t gpa, uint32_t len)
{
	static const uint8_t zeroes[ZERO_BYTES];

	while (len > 0) {
		uint32_t n = (uint32_t)u64_min(len, ZERO_BYTES);

		if (!ram_write(fw, gpa, zeroes, n))
			return false;
		gpa += n;
		len -= n;
	}
	return true;
}

/* Behind the end of an item come zeroes, as from the data port. */
static bool dma_read(struct fwcfg *fw, gpa_t gpa, uint32_t len)
{
	size_t left;
	const uint8_t *bytes = next_bytes(fw, &left);
	size_t n = u64_min(len, left);

	if (n > 0 && !ram_write(fw, gpa, bytes, n))
		return false;
	fw->offset += n;
	return dma_zero(fw, gpa + n, len - (uint32_t)n);
}

static void dma_skip(struct fwcfg *fw, uint32_t len)
{
	size_t end = item_len(fw, fw->selected);

	if (fw->offset < end)
		fw->offset = u64_min(fw->offset + len, end);
}

static bool dma_do(struct fwcfg *fw, uint32_t control, uint32_t len, gpa_t gpa)
{
	if (control & CONTROL_SELECT)
		select_item(fw, (uint16_t)(control >> 16));
	if (control & CONTROL_READ)
		return dma_read(fw, gpa, len);
	if (control & CONTROL_WRITE)
		return len == 0;
	if (control & CONTROL_SKIP)
		dma_skip(fw, len);
	return true;
}

static void dma_start(struct fwcfg *fw, uint32_t low)
{
	gpa_t at = (gpa_t)fw->dma_high << 32 | low;
	uint8_t desc[DMA_DESC];
	uint8_t result[4];
	bool is_good = false;

	fw->dma_high = 0; /* after an operation it is 0 */
	if (mem_peek(fw->mem, at, desc, sizeof(desc)) == sizeof(desc))
		is_good = dma_do(fw, be32_get(desc), be32_get(desc + 4),
				 (gpa_t)be32_get(desc + 8) << 32 | be32_get(desc + 12));
	be32_put(result, is_good ? 0 : CONTROL_ERROR);
	ram_write(fw, at, result, sizeof(result));
}

/* The bus. */

static uint64_t fwcfg_read(void *state, uint64_t offset, unsigned width)
{
	struct fwcfg *fw = state;
	uint64_t value = 0;

	if (offset == FWCFG_DATA)
		return data_next(fw);
	if (offset < FWCFG_DMA_HIGH)
		return 0;
	offset -= FWCFG_DMA_HIGH;
	while (width-- > 0)
		value = value << 8 | (uint8_t)DMA_SIGNATURE[offset + width];
	return value;
}

static void fwcfg_write(void *state, uint64_t offset, unsigned width, uint64_t value)
{
	struct fwcfg *fw = state;

	if (offset == FWCFG_SELECTOR && width == 2)
		select_item(fw, (uint16_t)value);
	else if (offset == FWCFG_DMA_HIGH && width == 4)
		fw->dma_high = __builtin_bswap32((uint32_t)value);
	else if (offset == FWCFG_DMA_LOW && width == 4)
		dma_start(fw, __builtin_bswap32((uint32_t)value));
}

static void fwcfg_reset(void *state)
{
	struct fwcfg *fw = state;

	select_item(fw, FWCFG_SIGNATURE);
	fw->dma_high = 0;
}

static void fwcfg_save(const void *state, struct blob *out)
{
	const struct fwcfg *fw = state;

	blob_put_u8(out, FWCFG_VERSION);
	blob_put_u16(out, fw->selected);
	blob_put_u64(out, fw->offset);
	blob_put_u32(out, fw->dma_high);
}

static int fwcfg_load(void *state, struct blob *in, struct umbra_err *err)
{
	struct fwcfg *fw = state;
	uint8_t version = blob_get_u8(in);
	uint16_t selected = blob_get_u16(in);
	uint64_t offset = blob_get_u64(in);
	uint32_t dma_high = blob_get_u32(in);

	if (in->is_failed || version != FWCFG_VERSION || offset > item_len(fw, selected))
		return umbra_err_set(err, EINVAL,
				     "fw_cfg: saved state has version %u, offset %#llx in item "
				     "%#x; expected version %d, at most %#zx",
				     version, (unsigned long long)offset, selected, FWCFG_VERSION,
				     item_len(fw, selected));
	fw->selected = selected;
	fw->offset = offset;
	fw->dma_high = dma_high;
	return 0;
}

static void fwcfg_show(const void *state, const struct print_sink *sink)
{
	const struct fwcfg *fw = state;

	print_to(sink, "fw_cfg: item %04x, offset %llu; %u files\n", fw->selected,
		 (unsigned long long)fw->offset, fw->file_count);
	for (unsigned i = 0; i < fw->file_count; i++)
		print_to(sink, "  %04x %8zu %s\n", FWCFG_KEYS + i, fw->file[i].item.len,
			 fw->file[i].name);
}

static void fwcfg_destroy(void *state)
{
	fwcfg_clear(state);
	free(state);
}

const struct dev_ops fwcfg_ops = {
	.name = "fw_cfg",
	.widths = 1 | 2 | 4,
	.read = fwcfg_read,
	.write = fwcfg_write,
	.reset = fwcfg_reset,
	.save = fwcfg_save,
	.load = fwcfg_load,
	.show = fwcfg_show,
	.destroy = fwcfg_destroy,
};

int fwcfg_create(struct fwcfg **out_fwcfg, struct bus *bus, uint16_t base, struct mem_space *mem,
		 struct umbra_err *err)
{
	struct fwcfg *fw = calloc(1, sizeof(*fw));
	struct device *dev = NULL;
	int error;

	if (fw) {
		fw->mem = mem;
		dev = bus_add_device(bus, &fwcfg_ops, fw);
	}
	if (!dev) {
		free(fw);
		return umbra_err_set(err, ENOMEM, "no memory for fw_cfg");
	}
	error = bus_map(dev, BUS_PIO, base, 2, FWCFG_SELECTOR, err);
	if (!error)
		error = bus_map(dev, BUS_PIO, (uint64_t)base + FWCFG_DMA_HIGH, DMA_BYTES,
				FWCFG_DMA_HIGH, err);
	*out_fwcfg = fw;
	return error;
}
