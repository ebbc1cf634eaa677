/* See btf.h. */
#include "btf.h"

#define MAGIC	       0xeb9fu
#define TYPE_BYTES     12u
#define MEMBER_BYTES   12u
#define KIND_STRUCT    4u
#define KIND_FLAG      (1u << 31) /* of a type's info: members say how many bits they have */
#define BITFIELD_SHIFT 24u

/*  0      2    3     4        8         12        16        20       24
 * | magic| ver| flags| hdr_len| type_off| type_len| str_off | str_len|  offsets count from hdr_len
 */

static uint64_t end_of(const uint8_t header[BTF_HEADER_BYTES], unsigned offset_at)
{
	return (uint64_t)le32_get(header + 4) + le32_get(header + offset_at) +
	       le32_get(header + offset_at + 4);
}

uint64_t btf_bytes(const uint8_t header[BTF_HEADER_BYTES])
{
	if (le16_get(header) != MAGIC || header[2] != 1 || le32_get(header + 4) < BTF_HEADER_BYTES)
		return 0;
	return u64_max(end_of(header, 8), end_of(header, 16));
}

bool btf_open(struct btf *out, const uint8_t *bytes, size_t len)
{
	uint64_t need = len < BTF_HEADER_BYTES ? 0 : btf_bytes(bytes);

	if (need == 0 || need > len)
		return false;
	out->types = bytes + le32_get(bytes + 4) + le32_get(bytes + 8);
	out->types_len = le32_get(bytes + 12);
	out->strings = bytes + le32_get(bytes + 4) + le32_get(bytes + 16);
	out->strings_len = le32_get(bytes + 20);
	return true;
}

static bool is_named(const struct btf *btf, uint32_t offset, const char *name)
{
	size_t len = strlen(name) + 1; /* with its end */

	return offset < btf->strings_len && len <= btf->strings_len - offset &&
	       memcmp(btf->strings + offset, name, len) == 0;
}

/* Bytes behind the common part of a type of @kind with @count elements; UINT64_MAX: unknown. */
static uint64_t extra_bytes(unsigned kind, unsigned count)
{
	/* By kind: of each element, and once. */
	static const struct {
		uint8_t each, once;
	} bytes[] = {
		[1] = {0, 4},		       /* INT */
		[2] = {0, 0},		       /* PTR */
		[3] = {0, 12},		       /* ARRAY */
		[4] = {12, 0},	[5] = {12, 0}, /* STRUCT, UNION */
		[6] = {8, 0},		       /* ENUM */
		[7] = {0, 0},	[8] = {0, 0},  /* FWD, TYPEDEF */
		[9] = {0, 0},	[10] = {0, 0}, /* VOLATILE, CONST */
		[11] = {0, 0},	[12] = {0, 0}, /* RESTRICT, FUNC */
		[13] = {8, 0},		       /* FUNC_PROTO */
		[14] = {0, 4},		       /* VAR */
		[15] = {12, 0},		       /* DATASEC */
		[16] = {0, 0},		       /* FLOAT */
		[17] = {0, 4},		       /* DECL_TAG */
		[18] = {0, 0},		       /* TYPE_TAG */
		[19] = {12, 0},		       /* ENUM64 */
	};

	if (kind == 0 || kind >= UMBRA_ARRAY_SIZE(bytes))
		return UINT64_MAX;
	return (uint64_t)count * bytes[kind].each + bytes[kind].once;
}

/* @at: the members of a structure, all of them inside the types. */
static bool find_member(const struct btf *btf, const uint8_t *at, uint32_t info, const char *member,
			uint32_t *out_offset)
{
	for (unsigned i = 0; i < (info & 0xffff); i++, at += MEMBER_BYTES) {
		uint32_t bits = le32_get(at + 8);

		if (!is_named(btf, le32_get(at), member))
			continue;
		if (info & KIND_FLAG) {
			if (bits >> BITFIELD_SHIFT)
				return false;
			bits &= (1u << BITFIELD_SHIFT) - 1;
		}
		*out_offset = bits / 8;
		return bits % 8 == 0;
	}
	return false;
}

/* The structure @name: what stands behind its common part, and its info and size.  NULL: there is
 * none, or the types are malformed before it. */
static const uint8_t *find_struct(const struct btf *btf, const char *name, uint32_t *out_info,
				  uint32_t *out_size)
{
	uint64_t at = 0;

	while (btf->types_len - at >= TYPE_BYTES) {
		const uint8_t *type = btf->types + at;
		uint32_t info = le32_get(type + 4);
		unsigned kind = info >> 24 & 0x1f;
		uint64_t extra = extra_bytes(kind, info & 0xffff);

		at += TYPE_BYTES;
		if (extra > btf->types_len - at)
			return NULL;
		if (kind == KIND_STRUCT && is_named(btf, le32_get(type), name)) {
			*out_info = info;
			*out_size = le32_get(type + 8);
			return btf->types + at;
		}
		at += extra;
	}
	return NULL;
}

bool btf_offset_of(const struct btf *btf, const char *name, const char *member,
		   uint32_t *out_offset)
{
	uint32_t info, size;
	const uint8_t *members = find_struct(btf, name, &info, &size);

	return members && find_member(btf, members, info, member, out_offset);
}

bool btf_size_of(const struct btf *btf, const char *name, uint32_t *out_size)
{
	uint32_t info;

	return find_struct(btf, name, &info, out_size) != NULL;
}
