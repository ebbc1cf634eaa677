/* BTF, the type information that a Linux kernel carries in its own memory: where a member lies in a
 * structure.  The bytes come from a guest and may hold anything.  Private to src/debug; pure.
 * Source: the Linux kernel's Documentation/bpf/btf.rst (6.1). */
#ifndef DEBUG_BTF_H
#define DEBUG_BTF_H

#include "umbra/types.h"

struct btf {
	const uint8_t *types, *strings; /* the caller's */
	uint32_t types_len, strings_len;
};

#define BTF_HEADER_BYTES 24u

/* How many bytes the whole of it has, by its header; 0 when it is no BTF. */
uint64_t btf_bytes(const uint8_t header[BTF_HEADER_BYTES]);
/* Read the header of @len bytes at @bytes, which must outlive @out.  False: no BTF, or cut. */
bool btf_open(struct btf *out, const uint8_t *bytes, size_t len);
/* The offset in bytes of @member in structure @name.  False: there is no such, it is a bit field,
 * or the types are malformed before it. */
bool btf_offset_of(const struct btf *btf, const char *name, const char *member,
		   uint32_t *out_offset);
/* Its size in bytes.  False: there is no such, or the types are malformed before it. */
bool btf_size_of(const struct btf *btf, const char *name, uint32_t *out_size);

#endif
