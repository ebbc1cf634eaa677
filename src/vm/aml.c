/* ACPI machine language: see aml.h.  Every PkgLength is of two bytes, so that it can be filled in
 * without moving what follows:
 *   byte 0: 7..6 bytes that follow (1) | 5..4 reserved | 3..0 length bits 3..0
 *   byte 1: length bits 11..4                          the length counts these two bytes too */
#include "aml.h"

#include "umbra/types.h"

#include <assert.h>

#define OP_ZERO	   0x00
#define OP_ONE	   0x01
#define OP_NAME	   0x08
#define OP_BYTE	   0x0a
#define OP_WORD	   0x0b
#define OP_DWORD   0x0c
#define OP_SCOPE   0x10
#define OP_BUFFER  0x11
#define OP_PACKAGE 0x12
#define OP_EXT	   0x5b
#define OP_DEVICE  0x82 /* after OP_EXT */
#define ROOT_CHAR  0x5c

#define LENGTH_MAX 0xfffu
#define NAME_BYTES 4

#define RESOURCE_PORTS 0x47 /* I/O port descriptor, 7 bytes */
#define RESOURCE_IRQ   0x22 /* IRQ descriptor, 2 bytes: edge, high, exclusive */
#define RESOURCE_END   0x79 /* end tag, 1 byte */
#define PORTS_DECODE16 0x01

static void put_name(struct blob *out, const char *name)
{
	assert(strlen(name) == NAME_BYTES);
	blob_put_bytes(out, name, NAME_BYTES);
}

static struct aml_open put_length(struct blob *out)
{
	struct aml_open open = {.length_at = out->pos};

	blob_put_u16(out, 0);
	return open;
}

struct aml_open aml_scope(struct blob *out, const char *name)
{
	struct aml_open open;

	blob_put_u8(out, OP_SCOPE);
	open = put_length(out);
	blob_put_u8(out, ROOT_CHAR);
	put_name(out, name);
	return open;
}

struct aml_open aml_device(struct blob *out, const char *name)
{
	struct aml_open open;

	blob_put_u8(out, OP_EXT);
	blob_put_u8(out, OP_DEVICE);
	open = put_length(out);
	put_name(out, name);
	return open;
}

void aml_end(struct blob *out, struct aml_open open)
{
	size_t len = out->pos - open.length_at;

	if (out->is_failed)
		return;
	assert(len <= LENGTH_MAX);
	out->data[open.length_at] = (uint8_t)(1u << 6 | (len & 0xf));
	out->data[open.length_at + 1] = (uint8_t)(len >> 4);
}

void aml_name(struct blob *out, const char *name)
{
	blob_put_u8(out, OP_NAME);
	put_name(out, name);
}

void aml_integer(struct blob *out, uint32_t value)
{
	if (value == 0 || value == 1) {
		blob_put_u8(out, value ? OP_ONE : OP_ZERO);
	} else if (value <= UINT8_MAX) {
		blob_put_u8(out, OP_BYTE);
		blob_put_u8(out, (uint8_t)value);
	} else if (value <= UINT16_MAX) {
		blob_put_u8(out, OP_WORD);
		blob_put_u16(out, (uint16_t)value);
	} else {
		blob_put_u8(out, OP_DWORD);
		blob_put_u32(out, value);
	}
}

static uint32_t hex_digit(char c)
{
	return (uint32_t)(c >= 'A' ? c - 'A' + 10 : c - '0');
}

/* Three letters of 5 bits, then four hexadecimal digits, and all of that big-endian
 * (ACPI 6.5, 19.6.34 EISAID). */
void aml_eisa_id(struct blob *out, const char *id)
{
	uint32_t value = 0;

	assert(strlen(id) == 7);
	for (unsigned i = 0; i < 3; i++)
		value = value << 5 | (uint32_t)(id[i] - '@');
	for (unsigned i = 3; i < 7; i++)
		value = value << 4 | hex_digit(id[i]);
	aml_integer(out, __builtin_bswap32(value));
}

void aml_package(struct blob *out, const uint8_t *value, uint8_t count)
{
	struct aml_open open;

	blob_put_u8(out, OP_PACKAGE);
	open = put_length(out);
	blob_put_u8(out, count);
	for (unsigned i = 0; i < count; i++)
		aml_integer(out, value[i]);
	aml_end(out, open);
}

/* Resources: a buffer of descriptors. */

struct aml_open aml_resources(struct blob *out)
{
	struct aml_open open;

	blob_put_u8(out, OP_BUFFER);
	open = put_length(out);
	blob_put_u8(out, OP_BYTE);
	open.size_at = out->pos;
	blob_put_u8(out, 0);
	return open;
}

void aml_resource_ports(struct blob *out, uint16_t base, uint8_t len)
{
	blob_put_u8(out, RESOURCE_PORTS);
	blob_put_u8(out, PORTS_DECODE16);
	blob_put_u16(out, base); /* from here */
	blob_put_u16(out, base); /* to here */
	blob_put_u8(out, 1);	 /* in steps of 1 */
	blob_put_u8(out, len);
}

void aml_resource_irq(struct blob *out, uint8_t irq)
{
	blob_put_u8(out, RESOURCE_IRQ);
	blob_put_u16(out, (uint16_t)(1u << irq));
}

/* The end tag's checksum may be 0, which says that there is none (6.4.2.9). */
void aml_resources_end(struct blob *out, struct aml_open open)
{
	size_t len;

	blob_put_u8(out, RESOURCE_END);
	blob_put_u8(out, 0);
	len = out->pos - open.size_at - 1;
	if (out->is_failed)
		return;
	assert(len <= UINT8_MAX);
	out->data[open.size_at] = (uint8_t)len;
	aml_end(out, open);
}
