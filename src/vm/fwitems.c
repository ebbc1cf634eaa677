/* Filling fw_cfg: see fwitems.h.
 * DEVIATES: the addresses of kernel, initrd and command line (keys 0x07, 0x0a, 0x10, 0x13) and the
 * setup data are not there: they are for option ROMs that load a kernel, and umbra loads it itself.
 * Source: QEMU 7.2, hw/i386/fw_cfg.c and docs/specs/fw_cfg.rst for the items. */
#include "fwitems.h"

#include "acpi_script.h"
#include "hostfile.h"

#include "umbra/log.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define HAS_PORTS	1u /* FWCFG_ID */
#define HAS_DMA		2u
#define UUID_BYTES	16
#define E820_ENTRY	20u
#define E820_RAM_RANGES 2u
#define USER_PREFIX	"opt/"

/* Numbers. */

static int put_number(struct fwcfg *fw, enum fwcfg_key key, unsigned bytes, uint64_t value,
		      struct umbra_err *err)
{
	uint8_t data[8];

	le64_put(data, value);
	return fwcfg_put(fw, (uint16_t)key, data, bytes, err);
}

static int put_numbers(struct vm *vm, struct umbra_err *err)
{
	const struct {
		enum fwcfg_key key;
		unsigned bytes;
		uint64_t value;
	} rows[] = {
		{FWCFG_ID, 4, HAS_PORTS | HAS_DMA},
		{FWCFG_RAM_SIZE, 8, vm->config.mem_bytes},
		{FWCFG_NOGRAPHIC, 2, 1},
		{FWCFG_NB_CPUS, 2, vm->config.vcpus},
		{FWCFG_MAX_CPUS, 2, vm->config.vcpus},
		{FWCFG_BOOT_MENU, 2, 0},
		{FWCFG_IRQ0_OVERRIDE, 4, 1}, /* irq 0 is at pin 2 */
	};
	static const uint8_t uuid[UUID_BYTES];
	int error = fwcfg_put(vm->fwcfg, FWCFG_SIGNATURE, "QEMU", 4, err);

	if (!error)
		error = fwcfg_put(vm->fwcfg, FWCFG_UUID, uuid, sizeof(uuid), err);
	for (unsigned i = 0; i < UMBRA_ARRAY_SIZE(rows) && !error; i++)
		error = put_number(vm->fwcfg, rows[i].key, rows[i].bytes, rows[i].value, err);
	return error;
}

/* The image's files.  Few guests ask for them, so that nothing is read before one does. */

static void fill_from_file(void *ctx, uint8_t *out, size_t len)
{
	size_t size;
	int fd = hostfile_open(ctx, &size, NULL);

	if (fd < 0)
		return; /* it was there; what the guest reads are zeroes */
	hostfile_read(fd, out, len);
	close(fd);
}

/* The bytes in the file at @path, 0 when there is none or it is no file: a list of a multiboot
 * kernel's modules. */
static uint32_t size_of(const char *path)
{
	size_t size = 0;
	int fd = path ? hostfile_open(path, &size, NULL) : -1;

	if (fd < 0)
		return 0;
	close(fd);
	return size <= UINT32_MAX ? (uint32_t)size : 0;
}

/* @path is owned by the machine. */
static int put_image_file(struct vm *vm, char *path, enum fwcfg_key size_key,
			  enum fwcfg_key data_key, struct umbra_err *err)
{
	uint32_t size = size_of(path);
	int error = put_number(vm->fwcfg, size_key, 4, size, err);

	if (error)
		return error;
	return fwcfg_put_later(vm->fwcfg, (uint16_t)data_key, size, fill_from_file, path, err);
}

int fwitems_put_image(struct vm *vm, struct umbra_err *err)
{
	const char *cmdline = vm->config.load.cmdline ? vm->config.load.cmdline : "";
	size_t len = strlen(cmdline) + 1;
	int error = put_image_file(vm, vm->kernel_path, FWCFG_KERNEL_SIZE, FWCFG_KERNEL_DATA, err);

	if (!error)
		error = put_image_file(vm, vm->initrd_path, FWCFG_INITRD_SIZE, FWCFG_INITRD_DATA,
				       err);
	if (!error)
		error = put_number(vm->fwcfg, FWCFG_CMDLINE_SIZE, 4, len, err);
	return error ? error : fwcfg_put(vm->fwcfg, FWCFG_CMDLINE_DATA, cmdline, len, err);
}

/* Files for firmware. */

/* RAM alone: firmware knows what it takes of it. */
static int put_e820(struct vm *vm, struct umbra_err *err)
{
	const struct pc_ram ram = pc_ram_of(vm->config.mem_bytes);
	uint8_t map[E820_RAM_RANGES * E820_ENTRY];
	size_t len = ram.high ? 2 * E820_ENTRY : E820_ENTRY;

	le64_put(map, 0);
	le64_put(map + 8, ram.low);
	le32_put(map + 16, LOAD_E820_RAM);
	le64_put(map + E820_ENTRY, ram.high_base);
	le64_put(map + E820_ENTRY + 8, ram.high);
	le32_put(map + E820_ENTRY + 16, LOAD_E820_RAM);
	return fwcfg_put_file(vm->fwcfg, "etc/e820", map, len, err);
}

static int put_acpi(struct vm *vm, struct umbra_err *err)
{
	struct acpi_tables *tables = malloc(sizeof(*tables));
	uint8_t script[ACPI_SCRIPT_MAX];
	struct pc_facts facts;
	int error;

	if (!tables)
		return umbra_err_set(err, ENOMEM, "no memory for the ACPI tables");
	pc_facts_get(vm, &facts);
	error = acpi_tables_make(tables, &facts);
	if (error)
		umbra_err_set(err, -error, "no ACPI tables for %u processors", facts.cpus);
	if (!error)
		error = fwcfg_put_file(vm->fwcfg, ACPI_FILE_RSDP, tables->rsdp,
				       sizeof(tables->rsdp), err);
	if (!error)
		error = fwcfg_put_file(vm->fwcfg, ACPI_FILE_TABLES, tables->block,
				       tables->block_len, err);
	if (!error)
		error = fwcfg_put_file(vm->fwcfg, ACPI_FILE_SCRIPT, script,
				       acpi_script_make(script, tables), err);
	free(tables);
	return error;
}

/* The user's files. */

/* A text after string= in which a comma is doubled, as QEMU writes it. */
static int put_string(struct vm *vm, const struct vm_fw_file *file, struct umbra_err *err)
{
	char *text = malloc(strlen(file->value) + 1);
	size_t len = 0;
	int error;

	if (!text)
		return umbra_err_set(err, ENOMEM, "no memory for its text");
	for (const char *p = file->value; *p; p++) {
		text[len++] = *p;
		p += p[0] == ',' && p[1] == ',';
	}
	error = fwcfg_put_file(vm->fwcfg, file->name, text, len, err);
	free(text);
	return error;
}

static int put_host_file(struct vm *vm, const struct vm_fw_file *file, struct umbra_err *err)
{
	size_t size = 0, got = 0;
	int fd = hostfile_open(file->value, &size, err);
	uint8_t *bytes;
	int error;

	if (fd < 0)
		return fd;
	bytes = malloc(size ? size : 1);
	if (bytes)
		got = hostfile_read(fd, bytes, size);
	close(fd);
	if (bytes && got == size)
		error = fwcfg_put_file(vm->fwcfg, file->name, bytes, size, err);
	else
		error = umbra_err_set(err, bytes ? EIO : ENOMEM, "'%s': %zu of %zu bytes read",
				      file->value, got, size);
	free(bytes);
	return error;
}

static int put_user_files(struct vm *vm, struct umbra_err *err)
{
	for (unsigned i = 0; i < vm->config.fw_file_count; i++) {
		const struct vm_fw_file *file = &vm->config.fw_file[i];
		int error =
			file->is_path ? put_host_file(vm, file, err) : put_string(vm, file, err);

		if (!error && strncmp(file->name, USER_PREFIX, strlen(USER_PREFIX)) != 0)
			log_warn("-fw_cfg %s: names of the user's should begin with opt/",
				 file->name);
		if (error) {
			umbra_err_prefix(err, "-fw_cfg %s", file->name);
			return error;
		}
	}
	return 0;
}

int fwitems_put(struct vm *vm, struct umbra_err *err)
{
	int error = put_numbers(vm, err);

	if (!error)
		error = fwitems_put_image(vm, err);
	if (!error)
		error = put_e820(vm, err);
	if (!error)
		error = put_acpi(vm, err);
	return error ? error : put_user_files(vm, err);
}
