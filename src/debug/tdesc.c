/* Writes target.xml from the register table.  gdb knows the core, SSE and segment features by name;
 * the system feature is umbra's own, and its flags types make `print $cr0` name the bits.
 * Source: "Debugging with GDB" G.2 (description format), G.5.5 (features of i386). */
#include "tdesc.h"
#include "flags.h"
#include "regs.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const FEATURES[REG_FEATURE_COUNT] = {
	[REG_CORE] = "org.gnu.gdb.i386.core",	      [REG_SSE] = "org.gnu.gdb.i386.sse",
	[REG_SEGMENTS] = "org.gnu.gdb.i386.segments", [REG_SYSTEM] = "org.umbra.x86.system",
	[REG_LINUX] = "org.gnu.gdb.i386.linux",
};

static const struct {
	const char *id, *type, *field;
	unsigned count;
} VECTORS[] = {
	{"v4f", "ieee_single", "v4_float", 4}, {"v2d", "ieee_double", "v2_double", 2},
	{"v16i8", "int8", "v16_int8", 16},     {"v8i16", "int16", "v8_int16", 8},
	{"v4i32", "int32", "v4_int32", 4},     {"v2i64", "int64", "v2_int64", 2},
};

static bool is_open(enum tdesc_arch arch)
{
	return arch != TDESC_X86_64 && arch != TDESC_X86_64_LINUX;
}

unsigned tdesc_reg_count(enum tdesc_arch arch)
{
	if (is_open(arch))
		return regs_count();
	return arch == TDESC_X86_64_LINUX ? regs_linux_count() : regs_x86_64_count();
}

/* Text that grows in a buffer; it fails once and for all when it is full. */
struct xml {
	char *buf;
	size_t size, len;
	enum tdesc_arch arch;
	bool is_open;	   /* the registers of both architectures */
	unsigned next_reg; /* the number that gdb gives to a register without one */
};

static void __attribute__((format(printf, 2, 3))) put(struct xml *x, const char *fmt, ...)
{
	va_list args;
	int n;

	if (x->len >= x->size)
		return;
	va_start(args, fmt);
	n = vsnprintf(x->buf + x->len, x->size - x->len, fmt, args);
	va_end(args);
	x->len = n < 0 ? x->size : x->len + (size_t)n;
}

static void put_flags(struct xml *x, const struct flags_type *type)
{
	put(x, "<flags id=\"%s\" size=\"%u\">", type->id, type->bytes);
	for (const struct flag_bit *b = type->bit; b->name; b++)
		put(x, "<field name=\"%s\" start=\"%u\" end=\"%u\"%s/>", b->name, b->bit,
		    b->bit + b->more, b->more ? " type=\"uint64\"" : "");
	put(x, "</flags>\n");
}

static void put_vector_types(struct xml *x)
{
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(VECTORS); i++)
		put(x, "<vector id=\"%s\" type=\"%s\" count=\"%u\"/>\n", VECTORS[i].id,
		    VECTORS[i].type, VECTORS[i].count);
	put(x, "<union id=\"vec128\">");
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(VECTORS); i++)
		put(x, "<field name=\"%s\" type=\"%s\"/>", VECTORS[i].field, VECTORS[i].id);
	put(x, "<field name=\"uint128\" type=\"uint128\"/></union>\n");
}

/* IA32_PAT as the eight memory types that it holds (SDM 3A 11.12.2). */
static void put_pat_type(struct xml *x)
{
	put(x, "<vector id=\"v8u8\" type=\"uint8\" count=\"8\"/>\n"
	       "<union id=\"x86_pat\"><field name=\"entry\" type=\"v8u8\"/>"
	       "<field name=\"uint64\" type=\"uint64\"/></union>\n");
}

/* gdb reads a pointer with the width of its architecture, whatever its bitsize says: where that may
 * be either one, it has to be a number. */
static bool is_type_said(const struct xml *x, const struct reg_desc *reg)
{
	return reg->type && !(x->is_open && strstr(reg->type, "_ptr"));
}

static void put_reg(struct xml *x, unsigned number)
{
	const struct reg_desc *reg = regs_at(number);

	put(x, "<reg name=\"%s\" bitsize=\"%u\"", reg->name, reg->bits);
	if (number != x->next_reg)
		put(x, " regnum=\"%u\"", number);
	x->next_reg = number + 1;
	if (is_type_said(x, reg))
		put(x, " type=\"%s\"", reg->type);
	if (reg->group)
		put(x, " group=\"%s\"", reg->group);
	/* A debugger saves and restores registers around calls that it makes in the guest; it is to
	 * leave the machine's own alone.  (gdb 13 goes by rules of its own for an x86; writing back
	 * what is there changes nothing.) */
	if (reg->feature == REG_SYSTEM)
		put(x, " save-restore=\"no\"");
	put(x, "/>\n");
}

/* An i386 with gdb's segment feature, which it knows with x86-64 only, makes gdb 13 fail an
 * assertion of its own; under another name fs_base and gs_base are still there. */
static const char *feature_name(const struct xml *x, enum reg_feature feature)
{
	return x->is_open && feature == REG_SEGMENTS ? "org.umbra.x86.segments" : FEATURES[feature];
}

static void put_feature(struct xml *x, enum reg_feature feature)
{
	unsigned count = tdesc_reg_count(x->arch);

	put(x, "<feature name=\"%s\">\n", feature_name(x, feature));
	for (unsigned i = 0; flags_at(i); i++) {
		if (flags_at(i)->feature == feature)
			put_flags(x, flags_at(i));
	}
	if (feature == REG_SSE)
		put_vector_types(x);
	if (feature == REG_SYSTEM)
		put_pat_type(x);
	for (unsigned i = 0; i < count; i++) {
		if (regs_at(i)->feature == feature)
			put_reg(x, i);
	}
	put(x, "</feature>\n");
}

static const char *arch_element(enum tdesc_arch arch)
{
	switch (arch) {
	case TDESC_X86_64:
		return "<architecture>i386:x86-64</architecture>";
	case TDESC_X86_64_LINUX:
		return "<architecture>i386:x86-64</architecture><osabi>GNU/Linux</osabi>";
	case TDESC_I386:
		return "<architecture>i386</architecture>";
	case TDESC_I8086:
		return "<architecture>i8086</architecture>";
	case TDESC_OPEN:
		break;
	}
	return "";
}

size_t tdesc_write(char *buf, size_t size, enum tdesc_arch arch)
{
	struct xml x = {.buf = buf, .size = size, .arch = arch, .is_open = is_open(arch)};

	put(&x,
	    "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n"
	    "<target version=\"1.0\">%s\n",
	    arch_element(arch));
	for (unsigned f = 0; f < REG_FEATURE_COUNT; f++) {
		if (f != REG_LINUX || arch == TDESC_X86_64_LINUX)
			put_feature(&x, (enum reg_feature)f);
	}
	put(&x, "</target>\n");
	return x.len < x.size ? x.len : 0;
}
