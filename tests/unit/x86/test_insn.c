/* What is said of an instruction: length, kind, prefixes, text. */
#include "umbra/x86.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>

#define ROW(mode, bytes, kind, rep, bits)                                                          \
	{                                                                                          \
		mode, bytes, sizeof(bytes) - 1, kind, rep, bits                                    \
	}

static const struct {
	enum x86_mode mode;
	const char *bytes;
	unsigned length;
	enum x86_insn_kind kind;
	bool has_rep;
	unsigned operand_bits;
} KIND_TABLE[] = {
	ROW(X86_MODE_LONG64, "\x90", X86_INSN_OTHER, false, 32),
	ROW(X86_MODE_LONG64, "\x48\x89\xc3", X86_INSN_OTHER, false, 64),
	ROW(X86_MODE_PROT32, "\x89\xc3", X86_INSN_OTHER, false, 32),
	ROW(X86_MODE_REAL, "\x89\xc3", X86_INSN_OTHER, false, 16),
	ROW(X86_MODE_REAL, "\x66\x89\xc3", X86_INSN_OTHER, false, 32),
	ROW(X86_MODE_REAL, "\x9c", X86_INSN_PUSHF, false, 16),
	ROW(X86_MODE_PROT32, "\x9c", X86_INSN_PUSHF, false, 32),
	ROW(X86_MODE_LONG64, "\x9c", X86_INSN_PUSHF, false, 64),
	ROW(X86_MODE_REAL, "\x9d", X86_INSN_POPF, false, 16),
	ROW(X86_MODE_COMPAT32, "\x9d", X86_INSN_POPF, false, 32),
	ROW(X86_MODE_LONG64, "\x9d", X86_INSN_POPF, false, 64),
	ROW(X86_MODE_V86, "\xcf", X86_INSN_IRET, false, 16),
	ROW(X86_MODE_PROT32, "\xcf", X86_INSN_IRET, false, 32),
	ROW(X86_MODE_LONG64, "\x48\xcf", X86_INSN_IRET, false, 64),
	ROW(X86_MODE_LONG64, "\xf4", X86_INSN_HLT, false, 32),
	ROW(X86_MODE_LONG64, "\xcc", X86_INSN_INT, false, 32),
	ROW(X86_MODE_LONG64, "\xcd\x80", X86_INSN_INT, false, 32),
	ROW(X86_MODE_PROT32, "\xce", X86_INSN_INT, false, 32),
	ROW(X86_MODE_LONG64, "\xf1", X86_INSN_INT, false, 32),
	ROW(X86_MODE_LONG64, "\x0f\x05", X86_INSN_SYSCALL, false, 64),
	ROW(X86_MODE_LONG64, "\x48\x0f\x07", X86_INSN_SYSCALL, false, 64),
	ROW(X86_MODE_PROT32, "\x0f\x34", X86_INSN_SYSCALL, false, 32),
	ROW(X86_MODE_PROT32, "\x0f\x35", X86_INSN_SYSCALL, false, 32),
	ROW(X86_MODE_LONG64, "\x8e\xd0", X86_INSN_LOAD_SS, false, 32),
	ROW(X86_MODE_REAL, "\x8e\xd0", X86_INSN_LOAD_SS, false, 16),
	ROW(X86_MODE_REAL, "\x8e\xd8", X86_INSN_OTHER, false, 16), /* mov %ax,%ds */
	ROW(X86_MODE_PROT32, "\x17", X86_INSN_LOAD_SS, false, 32),
	ROW(X86_MODE_PROT32, "\x1f", X86_INSN_OTHER, false, 32),	 /* pop %ds */
	ROW(X86_MODE_PROT32, "\x0f\xb2\x00", X86_INSN_OTHER, false, 32), /* lss */
	ROW(X86_MODE_LONG64, "\xfb", X86_INSN_STI, false, 32),
	ROW(X86_MODE_REAL, "\xee", X86_INSN_IO, false, 8),
	ROW(X86_MODE_LONG64, "\xe4\x60", X86_INSN_IO, false, 8),
	ROW(X86_MODE_LONG64, "\xef", X86_INSN_IO, false, 32),
	ROW(X86_MODE_LONG64, "\xf3\x6e", X86_INSN_IO, true, 8), /* rep outsb */
	ROW(X86_MODE_LONG64, "\x6d", X86_INSN_IO, false, 32),	/* insl */
	ROW(X86_MODE_LONG64, "\xf3\xa4", X86_INSN_STRING, true, 8),
	ROW(X86_MODE_LONG64, "\xf3\x48\xab", X86_INSN_STRING, true, 64),
	ROW(X86_MODE_LONG64, "\xf2\xae", X86_INSN_STRING, true, 8),
	ROW(X86_MODE_LONG64, "\xf3\xa6", X86_INSN_STRING, true, 8),
	ROW(X86_MODE_LONG64, "\xa5", X86_INSN_STRING, false, 32),
	ROW(X86_MODE_LONG64, "\xac", X86_INSN_STRING, false, 8),
	ROW(X86_MODE_LONG64, "\xf2\x0f\x10\xc1", X86_INSN_OTHER, false, 32),	 /* SSE2 movsd */
	ROW(X86_MODE_LONG64, "\xf2\x0f\xc2\xc1\x00", X86_INSN_OTHER, false, 32), /* SSE2 cmpsd */
};

static const uint8_t *raw(const char *bytes)
{
	return (const uint8_t *)bytes;
}

Test(x86_insn, decode_when_each_row_then_facts_match)
{
	size_t i;

	for (i = 0; i < UMBRA_ARRAY_SIZE(KIND_TABLE); i++) {
		struct x86_insn insn;
		int rc = x86_insn_decode(KIND_TABLE[i].mode, raw(KIND_TABLE[i].bytes),
					 KIND_TABLE[i].length, &insn);

		cr_assert(rc == 0, "row %zu: rc %d", i, rc);
		cr_expect(insn.length == KIND_TABLE[i].length, "row %zu: length %u", i,
			  insn.length);
		cr_expect(insn.kind == KIND_TABLE[i].kind, "row %zu: kind %d", i, insn.kind);
		cr_expect(insn.has_rep == KIND_TABLE[i].has_rep, "row %zu: rep", i);
		cr_expect(insn.operand_bits == KIND_TABLE[i].operand_bits, "row %zu: bits %u", i,
			  insn.operand_bits);
	}
}

Test(x86_insn, decode_when_bytes_are_cut_short_then_enodata)
{
	struct x86_insn insn;
	size_t i, len;

	for (i = 0; i < UMBRA_ARRAY_SIZE(KIND_TABLE); i++) {
		for (len = 0; len < KIND_TABLE[i].length; len++) {
			int rc = x86_insn_decode(KIND_TABLE[i].mode, raw(KIND_TABLE[i].bytes), len,
						 &insn);

			cr_expect(rc == -ENODATA, "row %zu cut to %zu: rc %d", i, len, rc);
		}
	}
}

Test(x86_insn, decode_when_opcode_is_undefined_then_einval)
{
	const uint8_t push_es[] = {0x06, 0x90, 0x90};
	uint8_t prefixes[16];
	struct x86_insn insn;

	memset(prefixes, 0x66, sizeof(prefixes));
	cr_expect(eq(int, x86_insn_decode(X86_MODE_LONG64, push_es, 3, &insn), -EINVAL));
	cr_expect(eq(int, x86_insn_decode(X86_MODE_PROT32, push_es, 3, &insn), 0));
	cr_expect(eq(int, x86_insn_decode(X86_MODE_LONG64, prefixes, 16, &insn), -EINVAL));
}

/* RDI is 0x2000, RSP 0x3000, RCX 2, FS.base 0x100000, RIP behind the instruction 0x1000. */
static const struct {
	enum { BITS_64, BITS_32 } bits;
	const char *bytes;
	size_t len;
	bool is_backward;
	unsigned count;
	gva_t addr;
	unsigned size;
} STORE_TABLE[] = {
	{BITS_64, "\x48\x89\x07", 3, false, 1, 0x2000, 8},	     /* mov %rax,(%rdi) */
	{BITS_64, "\x89\x44\xcf\xf8", 4, false, 1, 0x2008, 4},	     /* mov -8(%rdi,%rcx,8) */
	{BITS_64, "\x48\x8b\x07", 3, false, 0, 0, 0},		     /* a load */
	{BITS_64, "\x48\x8d\x07", 3, false, 0, 0, 0},		     /* lea */
	{BITS_64, "\x48\x39\x07", 3, false, 0, 0, 0},		     /* cmp */
	{BITS_64, "\x66\x89\x05\x10\0\0\0", 7, false, 1, 0x1010, 2}, /* mov %ax,0x10(%rip) */
	{BITS_64, "\x64\x88\x07", 3, false, 1, 0x102000, 1},	     /* mov %al,%fs:(%rdi) */
	{BITS_64, "\x50", 1, false, 1, 0x3000, 8},		     /* push %rax */
	{BITS_64, "\x48\xab", 2, false, 1, 0x1ff8, 8},		     /* stosq */
	{BITS_64, "\x48\xab", 2, true, 1, 0x2008, 8},		     /* stosq, DF=1 */
	{BITS_64, "\xf0\x48\x0f\xb1\x07", 5, false, 1, 0x2000, 8},   /* lock cmpxchg */
	{BITS_64, "\x0f\x11\x07", 3, false, 1, 0x2000, 16},	     /* movups */
	{BITS_64, "\x67\x89\x47\x04", 4, false, 1, 0x2004, 4},	     /* mov %eax,4(%edi) */
	{BITS_32, "\x64\x89\x07", 3, false, 1, 0x102000, 4},	     /* mov %eax,%fs:(%edi) */
};

Test(x86_insn, stores_when_each_row_then_address_and_size)
{
	struct x86_state st;

	x86_state_reset(&st);
	st.cr0 = X86_CR0_PE | X86_CR0_PG;
	st.efer = X86_EFER_LME | X86_EFER_LMA;
	st.gpr[X86_RDI] = 0x2000;
	st.gpr[X86_RSP] = 0x3000;
	st.gpr[X86_RCX] = 2;
	st.seg[X86_FS].base = 0x100000;
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(STORE_TABLE); i++) {
		struct x86_insn_stores stores;
		int rc;

		st.seg[X86_CS] = x86_seg_flat(8, true, STORE_TABLE[i].bits == BITS_64 ? 64 : 32, 0);
		st.rflags = X86_RFLAGS_FIXED | (STORE_TABLE[i].is_backward ? X86_RFLAGS_DF : 0);
		rc = x86_insn_stores(&st, raw(STORE_TABLE[i].bytes), STORE_TABLE[i].len, 0x1000,
				     &stores);
		cr_expect(rc == (int)STORE_TABLE[i].len, "row %zu: rc %d", i, rc);
		cr_expect(stores.count == STORE_TABLE[i].count, "row %zu: %u", i, stores.count);
		if (stores.count == 0)
			continue;
		cr_expect(stores.store[0].addr == STORE_TABLE[i].addr, "row %zu: %#llx", i,
			  (unsigned long long)stores.store[0].addr);
		cr_expect(stores.store[0].bytes == STORE_TABLE[i].size, "row %zu: %u", i,
			  stores.store[0].bytes);
	}
}

static const struct {
	enum x86_mode mode;
	gva_t pc;
	const char *bytes;
	size_t len;
	const char *text;
} TEXT_TABLE[] = {
	{X86_MODE_REAL, 0x1000, "\xba\xf8\x03", 3, "mov    $0x3f8,%dx"},
	{X86_MODE_REAL, 0x1003, "\x00\xd8", 2, "add    %bl,%al"},
	{X86_MODE_REAL, 0x1005, "\x04\x30", 2, "add    $0x30,%al"},
	{X86_MODE_REAL, 0x1007, "\xee", 1, "out    %al,(%dx)"},
	{X86_MODE_REAL, 0x100a, "\xf4", 1, "hlt"},
	{X86_MODE_LONG64, 0x401000, "\xe8\xfb\x0f\x00\x00", 5, "call   0x402000"},
	{X86_MODE_LONG64, 0xffffffff80000000, "\xeb\xfe", 2, "jmp    0xffffffff80000000"},
	{X86_MODE_LONG64, 0x1000, "\x48\x8b\x44\x24\x08", 5, "mov    0x8(%rsp),%rax"},
	{X86_MODE_LONG64, 0x1000, "\x48\x8d\x05\x10\x00\x00\x00", 7, "lea    0x10(%rip),%rax"},
	{X86_MODE_LONG64, 0x1000, "\xed", 1, "in     (%dx),%eax"},
	{X86_MODE_LONG64, 0x1000, "\x74\xfe", 2, "je     0x1000"},
	{X86_MODE_LONG64, 0x1000, "\x0f\x87\x00\x01\x00\x00", 6, "ja     0x1106"},
	{X86_MODE_LONG64, 0x1000, "\x0f\x95\xc0", 3, "setne  %al"},
	{X86_MODE_LONG64, 0x1000, "\x48\x98", 2, "cltq"},
	{X86_MODE_LONG64, 0x1000, "\xf0\x0f\xb1\x11", 4, "lock cmpxchg %edx,(%rcx)"},
	{X86_MODE_LONG64, 0x1000, "\x48\x8b\x45\xf8", 4, "mov    -0x8(%rbp),%rax"},
};

Test(x86_insn, format_when_each_row_then_text_is_as_gdb_prints_it)
{
	char text[X86_INSN_TEXT_MAX];
	size_t i;

	for (i = 0; i < UMBRA_ARRAY_SIZE(TEXT_TABLE); i++) {
		int rc = x86_insn_format(TEXT_TABLE[i].mode, TEXT_TABLE[i].pc,
					 raw(TEXT_TABLE[i].bytes), TEXT_TABLE[i].len, text);

		cr_expect(rc == (int)TEXT_TABLE[i].len, "row %zu: rc %d", i, rc);
		cr_expect(strcmp(text, TEXT_TABLE[i].text) == 0, "row %zu: %s", i, text);
	}
}

Test(x86_insn, format_when_invalid_or_cut_then_text_is_bad)
{
	char text[X86_INSN_TEXT_MAX];

	cr_expect(eq(int, x86_insn_format(X86_MODE_LONG64, 0, raw("\x06"), 1, text), -EINVAL));
	cr_expect(strcmp(text, "(bad)") == 0);
	cr_expect(eq(int, x86_insn_format(X86_MODE_LONG64, 0, raw("\xe8"), 1, text), -ENODATA));
	cr_expect(strcmp(text, "(bad)") == 0);
}

/* Every two-byte start, padded with a pattern: nothing is read past the end (ASan) and the length
 * given is within what there was. */
Test(x86_insn, decode_when_any_bytes_then_length_is_within_them)
{
	char text[X86_INSN_TEXT_MAX];
	unsigned first, mode;
	uint8_t *bytes = malloc(X86_INSN_MAX);

	for (first = 0; first < 0x10000; first += 3) {
		memset(bytes, 0x24, X86_INSN_MAX);
		le16_put(bytes, (uint16_t)first);
		mode = first % X86_MODE_COUNT;
		cr_expect(le(int,
			     x86_insn_format((enum x86_mode)mode, 0, bytes, X86_INSN_MAX, text),
			     X86_INSN_MAX));
		cr_expect(lt(sz, strlen(text), X86_INSN_TEXT_MAX));
	}
	free(bytes);
}
