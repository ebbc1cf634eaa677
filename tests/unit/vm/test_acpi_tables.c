/* The ACPI tables, decoded again from guest addresses as a system does: by the RSDP's pointers
 * alone. */
#include "facts_rig.h"
#include "src/vm/acpi_tables.h"

#include <criterion/criterion.h>
#include <errno.h>

#define BLOCK 0xe4440u

static struct acpi_tables tables;

static void make(unsigned cpus)
{
	const struct pc_facts facts = facts_of(cpus);

	memset(&tables, 0xaa, sizeof(tables));
	cr_assert_eq(acpi_tables_make(&tables, &facts), 0);
	acpi_tables_settle(&tables, BLOCK);
}

/* The table at guest address @gpa, after its header was checked. */
static const uint8_t *table_at(uint64_t gpa, const char *signature, uint8_t revision)
{
	const uint8_t *table;
	uint32_t len;

	cr_assert(range_fits(gpa, 36, BLOCK, tables.block_len), "%#lx", (unsigned long)gpa);
	table = tables.block + (gpa - BLOCK);
	cr_assert_arr_eq(table, signature, 4, "%.4s", (const char *)table);
	len = le32_get(table + 4);
	cr_assert(range_fits(gpa, len, BLOCK, tables.block_len));
	cr_assert(sums_to_zero(table, len), "checksum of %s", signature);
	cr_assert_eq(table[8], revision);
	cr_assert_arr_eq(table + 10, "UMBRA UMBRAPC ", 14);
	return table;
}

/* Table @signature by RSDT and by XSDT, which must agree. */
static const uint8_t *table_named(const char *signature, uint8_t revision)
{
	const uint8_t *rsdt = table_at(le32_get(tables.rsdp + 16), "RSDT", 1);
	const uint8_t *xsdt = table_at(le64_get(tables.rsdp + 24), "XSDT", 1);
	unsigned count = (le32_get(rsdt + 4) - 36) / 4;

	cr_assert_eq(le32_get(xsdt + 4), 36 + 8 * count);
	for (unsigned i = 0; i < count; i++) {
		uint64_t gpa = le64_get(xsdt + 36 + 8 * (size_t)i);

		cr_assert_eq(le32_get(rsdt + 36 + 4 * (size_t)i), gpa);
		cr_assert(range_fits(gpa, 36, BLOCK, tables.block_len));
		if (memcmp(tables.block + (gpa - BLOCK), signature, 4) == 0)
			return table_at(gpa, signature, revision);
	}
	cr_assert_fail("no %s", signature);
	return NULL;
}

Test(acpi_tables, rsdp_when_settled_then_both_checksums_and_pointers)
{
	make(2);
	cr_expect_arr_eq(tables.rsdp, "RSD PTR ", 8);
	cr_expect(sums_to_zero(tables.rsdp, 20));
	cr_expect(sums_to_zero(tables.rsdp, 36));
	cr_expect_arr_eq(tables.rsdp + 9, "UMBRA ", 6);
	cr_expect_eq(tables.rsdp[15], 2);
	cr_expect_eq(le32_get(tables.rsdp + 20), 36);
	cr_expect_not_null(table_named("FACP", 6));
	cr_expect_not_null(table_named("APIC", 5));
}

/* Field by field: offset, bytes, value.  Whatever no row names is 0. */
Test(acpi_tables, fadt_when_decoded_then_table)
{
	static const struct {
		unsigned at, bytes;
		uint64_t value;
	} rows[] = {
		{46, 2, 9},	      /* SCI_INT */
		{48, 4, 0},	      /* SMI_CMD: ACPI mode from the start */
		{56, 4, 0x600},	      /* PM1a_EVT_BLK */
		{64, 4, 0x604},	      /* PM1a_CNT_BLK */
		{76, 4, 0x608},	      /* PM_TMR_BLK */
		{88, 1, 4},	      /* PM1_EVT_LEN */
		{89, 1, 2},	      /* PM1_CNT_LEN */
		{91, 1, 4},	      /* PM_TMR_LEN */
		{96, 2, 101},	      /* P_LVL2_LAT */
		{98, 2, 1001},	      /* P_LVL3_LAT */
		{108, 1, 0x32},	      /* CENTURY */
		{109, 2, 3},	      /* IAPC_BOOT_ARCH: legacy devices, 8042 */
		{112, 4, 0x525},      /* WBINVD PROC_C1 SLP_BUTTON TMR_VAL_EXT RESET */
		{116, 4, 0x01000801}, /* RESET_REG: I/O, 8 bits, a byte */
		{120, 8, 0xcf9},      /* */
		{128, 1, 6},	      /* RESET_VALUE */
		{148, 4, 0x02002001}, /* X_PM1a_EVT_BLK */
		{152, 8, 0x600},      /* */
		{172, 4, 0x02001001}, /* X_PM1a_CNT_BLK */
		{176, 8, 0x604},      /* */
		{208, 4, 0x03002001}, /* X_PM_TMR_BLK */
		{212, 8, 0x608},      /* */
		{36, 4, BLOCK},	      /* FIRMWARE_CTRL: the FACS comes first */
		{40, 4, BLOCK + 64},  /* DSDT */
		{132, 8, BLOCK},      /* X_FIRMWARE_CTRL */
		{140, 8, BLOCK + 64}, /* X_DSDT */
	};
	uint8_t rest[276];
	const uint8_t *fadt;

	make(1);
	fadt = table_named("FACP", 6);
	cr_assert_eq(le32_get(fadt + 4), 276);
	memcpy(rest, fadt, sizeof(rest));
	memset(rest, 0, 36);
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(rows); i++) {
		uint64_t value = 0;

		for (unsigned n = rows[i].bytes; n-- > 0;)
			value = value << 8 | fadt[rows[i].at + n];
		cr_expect_eq(value, rows[i].value, "offset %u: %#lx", rows[i].at,
			     (unsigned long)value);
		memset(rest + rows[i].at, 0, rows[i].bytes);
	}
	for (size_t i = 0; i < sizeof(rest); i++)
		cr_expect_eq(rest[i], 0, "offset %zu", i);
}

Test(acpi_tables, facs_when_found_by_the_fadt_then_aligned_and_empty)
{
	const uint8_t *facs;

	make(1);
	facs = tables.block + (le64_get(table_named("FACP", 6) + 132) - BLOCK);
	cr_assert_arr_eq(facs, "FACS", 4);
	cr_expect_eq(le32_get(facs + 4), 64);
	cr_expect_eq(facs[32], 2);
	cr_expect_eq((BLOCK + (size_t)(facs - tables.block)) % 64, 0);
	for (unsigned i = 8; i < 64; i++)
		cr_expect(i == 32 || facs[i] == 0);
}

/* MADT. */

/* The entries behind @at are @want: bytes, compared. */
static void expect_entries(const uint8_t *madt, unsigned at, const uint8_t *want, size_t len)
{
	cr_assert_leq(at + len, le32_get(madt + 4));
	for (size_t i = 0; i < len; i++)
		cr_expect_eq(madt[at + i], want[i], "entry byte %zu: %#x", i, madt[at + i]);
}

static const uint8_t madt_tail[] = {
	1, 12, 7,    0, 0, 0, 0xc0, 0xfe, 0,	0, 0, 0, /* IO APIC 7 */
	2, 10, 0,    0, 2, 0, 0,    0,	  0,	0,	 /* irq 0 is GSI 2 */
	2, 10, 0,    9, 9, 0, 0,    0,	  0x0d, 0,	 /* SCI: level, active high */
	4, 6,  0xff, 0, 0, 1,				 /* NMI at LINT1 */
};

Test(acpi_tables, madt_when_two_cpus_then_every_entry)
{
	static const uint8_t head[] = {
		0, 0, 0xe0, 0xfe, 1, 0, 0, 0, /* local APIC address, PCAT_COMPAT */
		0, 8, 0,    0,	  1, 0, 0, 0, 0, 8, 1, 1, 1, 0, 0, 0,
	};
	const uint8_t *madt;

	make(2);
	madt = table_named("APIC", 5);
	cr_assert_eq(le32_get(madt + 4), 36 + sizeof(head) + sizeof(madt_tail));
	expect_entries(madt, 36, head, sizeof(head));
	expect_entries(madt, 36 + sizeof(head), madt_tail, sizeof(madt_tail));
}

Test(acpi_tables, madt_when_ids_pass_254_then_x2apic_entries_for_those_alone)
{
	static const uint8_t x2apic[] = {9, 16, 0, 0, 255, 0, 0, 0, 1, 0, 0, 0, 255, 0, 0, 0};
	static const uint8_t nmi[] = {10, 12, 0, 0, 0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0};
	const uint8_t *madt;

	make(255);
	madt = table_named("APIC", 5);
	cr_assert_eq(le32_get(madt + 4), 44 + 255 * 8 + sizeof(madt_tail));
	make(256);
	madt = table_named("APIC", 5);
	cr_assert_eq(le32_get(madt + 4),
		     44 + 255 * 8 + sizeof(x2apic) + sizeof(madt_tail) + sizeof(nmi));
	expect_entries(madt, 44 + 255 * 8, x2apic, sizeof(x2apic));
	expect_entries(madt, 44 + 255 * 8 + 16, madt_tail, sizeof(madt_tail));
	expect_entries(madt, 44 + 255 * 8 + 16 + sizeof(madt_tail), nmi, sizeof(nmi));
}

Test(acpi_tables, make_when_too_many_cpus_then_error)
{
	const struct pc_facts facts = facts_of(1000);

	cr_expect_eq(acpi_tables_make(&tables, &facts), -ENOSPC);
}

/* DSDT: the code is taken apart by its lengths. */

#define NAME_OP	 0x08
#define DEVICE	 0x82
#define DSDT_MAX 1024u

static const uint8_t *dsdt_code(size_t *out_len)
{
	const uint8_t *dsdt = table_at(le64_get(table_named("FACP", 6) + 140), "DSDT", 2);

	*out_len = le32_get(dsdt + 4) - 36;
	return dsdt + 36;
}

/* The length at @at, of two bytes, which counts itself. */
static size_t package_length(const uint8_t *at)
{
	cr_assert_eq(at[0] >> 4, 4, "two bytes");
	return (at[0] & 0xfu) | (size_t)at[1] << 4;
}

Test(acpi_tables, dsdt_when_taken_apart_then_s5_and_the_scope_fill_it)
{
	/* Name (_S5, Package () {Zero, Zero, Zero, Zero}) */
	static const uint8_t s5[] = {NAME_OP, '_', 'S', '5', '_', 0x12, 0x47, 0, 4, 0, 0, 0, 0};
	const uint8_t *code;
	size_t len = 0;

	make(1);
	code = dsdt_code(&len);
	cr_assert_gt(len, sizeof(s5));
	cr_expect_arr_eq(code, s5, sizeof(s5));
	code += sizeof(s5);
	len -= sizeof(s5);
	cr_assert_eq(code[0], 0x10, "Scope");
	cr_expect_eq(package_length(code + 1), len - 1);
	cr_expect_arr_eq(code + 3, "\\_SB_", 5);
}

Test(acpi_tables, dsdt_when_taken_apart_then_each_device_and_what_it_uses)
{
	static const struct {
		const char *name;
		size_t len;
		uint8_t body[64];
	} rows[] = {
		{"COM1", 46, {NAME_OP, '_',  'H',  'I', 'D',  0x0c, 0x41,    0xd0, 0x05, 0x01,
			      NAME_OP, '_',  'U',  'I', 'D',  1,    NAME_OP, '_',  'C',	 'R',
			      'S',     0x11, 0x41, 1,	0x0a, 13,   0x47,    1,	   0xf8, 3,
			      0xf8,    3,    1,	   8,	0x22, 0x10, 0,	     0x79, 0}},
		{"COM2", 47, {NAME_OP, '_',  'H',  'I',	 'D', 0x0c, 0x41, 0xd0,	   0x05, 0x01,
			      NAME_OP, '_',  'U',  'I',	 'D', 0x0a, 2,	  NAME_OP, '_',	 'C',
			      'R',     'S',  0x11, 0x41, 1,   0x0a, 13,	  0x47,	   1,	 0xf8,
			      2,       0xf8, 2,	   1,	 8,   0x22, 8,	  0,	   0x79, 0}},
		{"KBD_", 54, {NAME_OP, '_',  'H',  'I', 'D',  0x0c, 0x41,    0xd0, 0x03, 0x03,
			      NAME_OP, '_',  'U',  'I', 'D',  1,    NAME_OP, '_',  'C',	 'R',
			      'S',     0x11, 0x49, 1,	0x0a, 21,   0x47,    1,	   0x60, 0,
			      0x60,    0,    1,	   1,	0x47, 1,    0x64,    0,	   0x64, 0,
			      1,       1,    0x22, 2,	0,    0x79, 0}},
		{"RTC_", 43, {NAME_OP, '_',	'H', 'I',  'D',	 0x0c, 0x41, 0xd0,    0x0b,
			      0x00,    NAME_OP, '_', 'U',  'I',	 'D',  1,    NAME_OP, '_',
			      'C',     'R',	'S', 0x11, 0x4e, 0,    0x0a, 10,      0x47,
			      1,       0x70,	0,   0x70, 0,	 1,    2,    0x79,    0}},
	};
	const uint8_t *code;
	size_t len = 0, at = 13 + 1 + 2 + 5;

	make(1);
	code = dsdt_code(&len);
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(rows); i++) {
		size_t size;

		cr_assert_lt(at + 8, len);
		cr_assert_eq(code[at], 0x5b);
		cr_assert_eq(code[at + 1], DEVICE);
		size = package_length(code + at + 2);
		cr_expect_arr_eq(code + at + 4, rows[i].name, 4);
		cr_expect_arr_eq(code + at + 8, rows[i].body, size - 6, "%s", rows[i].name);
		at += 2 + size;
	}
	cr_expect_eq(at, len);
}

/* What a guest's firmware does with the lists comes to the same. */
Test(acpi_tables, settle_when_the_block_moves_then_only_links_and_sums_differ)
{
	static struct acpi_tables other;
	const struct pc_facts facts = facts_of(3);
	unsigned differ = 0;

	cr_assert_eq(acpi_tables_make(&other, &facts), 0);
	for (unsigned i = 0; i < other.sum_count; i++) {
		const struct acpi_sum *sum = &other.sum[i];

		cr_expect_eq((sum->is_in_rsdp ? other.rsdp : other.block)[sum->at], 0);
		cr_expect(range_fits(sum->at, 1, sum->start, sum->len));
	}
	for (unsigned i = 0; i < other.link_count; i++) {
		const struct acpi_link *link = &other.link[i];
		const uint8_t *at = (link->is_in_rsdp ? other.rsdp : other.block) + link->at;

		cr_expect_lt(le32_get(at), other.block_len);
	}
	make(3);
	cr_assert_eq(tables.block_len, other.block_len);
	for (size_t i = 0; i < tables.block_len; i++)
		differ += tables.block[i] != other.block[i];
	cr_expect_leq(differ, other.link_count * 4 + other.sum_count);
}
