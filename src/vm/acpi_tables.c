/* The ACPI tables: see acpi_tables.h.  The block holds
 *   FACS | DSDT | FADT | MADT | RSDT | XSDT
 * and the RSDP, which systems search for by itself, points at the last two.
 * The machine has the fixed hardware of src/dev/acpipm.c, is in ACPI mode from the start (SMI_CMD
 * is 0), and has no general-purpose events.  The DSDT names what ISA cannot announce by itself:
 * serial ports, keyboard, clock; and \_S5, without which systems do not power off. */
#include "acpi_tables.h"

#include "aml.h"
#include "umbra/dev.h"

#include <assert.h>
#include <errno.h>

#define OEM_ID	       "UMBRA "
#define OEM_TABLE_ID   "UMBRAPC "
#define OEM_REVISION   1
#define CREATOR_ID     "UMBR"
#define HEADER_BYTES   36u
#define HEADER_LENGTH  4u
#define HEADER_SUM     9u
#define RSDP_SUM       8u
#define RSDP_SUM_BYTES 20u /* revision 0's part, which its checksum covers */
#define RSDP_EXT_SUM   32u
#define RSDP_REVISION  2

#define FADT_BYTES    276u
#define FADT_REVISION 6
#define MADT_REVISION 5 /* ACPI 6.5 has 6 */
#define DSDT_REVISION 2 /* integers of 64 bits */
#define FACS_BYTES    64u
#define FACS_VERSION  2
#define NO_C2	      101u  /* P_LVL2_LAT above 100: there is no C2 state */
#define NO_C3	      1001u /* P_LVL3_LAT above 1000: no C3 */

/* Offsets in the FADT (table 5.9) of what is not 0. */
enum fadt {
	FADT_FIRMWARE_CTRL = 36,
	FADT_DSDT = 40,
	FADT_SCI_INT = 46,
	FADT_PM1A_EVT_BLK = 56,
	FADT_PM1A_CNT_BLK = 64,
	FADT_PM_TMR_BLK = 76,
	FADT_PM1_EVT_LEN = 88,
	FADT_PM1_CNT_LEN = 89,
	FADT_PM_TMR_LEN = 91,
	FADT_P_LVL2_LAT = 96,
	FADT_P_LVL3_LAT = 98,
	FADT_CENTURY = 108,
	FADT_IAPC_BOOT_ARCH = 109,
	FADT_FLAGS = 112,
	FADT_RESET_REG = 116,
	FADT_RESET_VALUE = 128,
	FADT_X_FIRMWARE_CTRL = 132,
	FADT_X_DSDT = 140,
	FADT_X_PM1A_EVT_BLK = 148,
	FADT_X_PM1A_CNT_BLK = 172,
	FADT_X_PM_TMR_BLK = 208,
};

/* Table 5.10.  Not set: PWR_BUTTON and FIX_RTC, as the button and the alarm are fixed hardware;
 * bits of IAPC_BOOT_ARCH for a missing VGA or CMOS clock. */
#define FADT_WBINVD	   (1u << 0)
#define FADT_PROC_C1	   (1u << 2)
#define FADT_SLP_BUTTON	   (1u << 5) /* no sleep button in fixed hardware */
#define FADT_TMR_VAL_EXT   (1u << 8) /* the timer has 32 bits */
#define FADT_RESET_REG_SUP (1u << 10)

#define BOOT_LEGACY_DEVICES (1u << 0)
#define BOOT_8042	    (1u << 1)

enum gas_access { GAS_BYTE = 1, GAS_WORD = 2, GAS_DWORD = 3 };
#define GAS_IO	  1
#define GAS_BYTES 12u

/* MADT (5.2.12). */
#define MADT_PCAT_COMPAT 1u /* there is a pair of 8259A too */
#define MADT_ENABLED	 1u
#define LAPIC_ID_MAX	 254u /* above it only x2APIC entries reach (5.2.12.12) */
#define INTI_CONFORMS	 0u
#define INTI_LEVEL_HIGH	 0xdu /* 3..2 trigger 3 = level | 1..0 polarity 1 = high */
#define ALL_LAPICS	 0xffu
#define ALL_X2APICS	 0xffffffffu

/* Building: bytes through a blob, links and sums into their lists. */

struct build {
	struct acpi_tables *tables;
	const struct pc_facts *facts;
	struct blob out;
};

static void add_link(struct acpi_tables *t, bool is_in_rsdp, size_t at, uint8_t size)
{
	assert(t->link_count < ACPI_MAX_LINKS);
	t->link[t->link_count++] =
		(struct acpi_link){.is_in_rsdp = is_in_rsdp, .size = size, .at = (uint16_t)at};
}

static void add_sum(struct acpi_tables *t, bool is_in_rsdp, size_t at, size_t start, size_t len)
{
	assert(t->sum_count < ACPI_MAX_SUMS);
	t->sum[t->sum_count++] = (struct acpi_sum){.is_in_rsdp = is_in_rsdp,
						   .at = (uint16_t)at,
						   .start = (uint16_t)start,
						   .len = (uint16_t)len};
}

/* Point to @target from where the blob is. */
static void put_link(struct build *b, size_t target, uint8_t size)
{
	add_link(b->tables, false, b->out.pos, size);
	if (size == 4)
		blob_put_u32(&b->out, (uint32_t)target);
	else
		blob_put_u64(&b->out, target);
}

static size_t begin_table(struct build *b, const char *signature, uint8_t revision)
{
	size_t start = b->out.pos;

	blob_put_bytes(&b->out, signature, 4);
	blob_put_u32(&b->out, 0); /* length, see end_table */
	blob_put_u8(&b->out, revision);
	blob_put_u8(&b->out, 0); /* checksum */
	blob_put_bytes(&b->out, OEM_ID, 6);
	blob_put_bytes(&b->out, OEM_TABLE_ID, 8);
	blob_put_u32(&b->out, OEM_REVISION);
	blob_put_bytes(&b->out, CREATOR_ID, 4);
	blob_put_u32(&b->out, OEM_REVISION);
	return start;
}

static void end_table(struct build *b, size_t start)
{
	size_t len = b->out.pos - start;

	if (b->out.is_failed)
		return;
	le32_put(b->out.data + start + HEADER_LENGTH, (uint32_t)len);
	add_sum(b->tables, false, start + HEADER_SUM, start, len);
}

/* FACS (5.2.10): no header, no checksum, at a multiple of 64. */
static size_t put_facs(struct build *b)
{
	uint8_t facs[FACS_BYTES] = "FACS";
	size_t start = b->out.pos;

	le32_put(facs + 4, FACS_BYTES);
	facs[32] = FACS_VERSION;
	blob_put_bytes(&b->out, facs, sizeof(facs));
	return start;
}

/* DSDT. */

static void put_device(struct blob *out, const struct isa_facts *d)
{
	struct aml_open device = aml_device(out, d->name);
	struct aml_open resources;

	aml_name(out, "_HID");
	aml_eisa_id(out, d->hid);
	aml_name(out, "_UID");
	aml_integer(out, d->uid);
	aml_name(out, "_CRS");
	resources = aml_resources(out);
	for (unsigned i = 0; i < FACTS_PORT_RANGES; i++) {
		if (d->port[i].len)
			aml_resource_ports(out, d->port[i].base, d->port[i].len);
	}
	if (d->irq != FACTS_NO_IRQ)
		aml_resource_irq(out, d->irq);
	aml_resources_end(out, resources);
	aml_end(out, device);
}

static size_t put_dsdt(struct build *b)
{
	/* SLP_TYP for PM1a and PM1b, and two reserved (7.4.2). */
	static const uint8_t s5[] = {ACPIPM_TYPE_S5, ACPIPM_TYPE_S5, 0, 0};
	size_t start = begin_table(b, "DSDT", DSDT_REVISION);
	struct aml_open scope;

	aml_name(&b->out, "_S5_");
	aml_package(&b->out, s5, sizeof(s5));
	scope = aml_scope(&b->out, "_SB_");
	for (unsigned i = 0; i < b->facts->device_count; i++)
		put_device(&b->out, &b->facts->device[i]);
	aml_end(&b->out, scope);
	end_table(b, start);
	return start;
}

/* FADT. */

/* Generic address (5.2.3.2): space, width in bits, offset in bits, access size, address. */
static void put_gas(uint8_t *at, uint16_t port, unsigned bytes, enum gas_access access)
{
	at[0] = GAS_IO;
	at[1] = (uint8_t)(bytes * 8);
	at[2] = 0;
	at[3] = (uint8_t)access;
	le64_put(at + 4, port);
}

static void fill_fadt_blocks(uint8_t *fadt, const struct pc_facts *facts)
{
	uint16_t evt = (uint16_t)(facts->pm_base + ACPIPM_EVT);
	uint16_t cnt = (uint16_t)(facts->pm_base + ACPIPM_CNT);
	uint16_t tmr = (uint16_t)(facts->pm_base + ACPIPM_TMR);

	le16_put(fadt + FADT_SCI_INT, facts->sci);
	le32_put(fadt + FADT_PM1A_EVT_BLK, evt);
	le32_put(fadt + FADT_PM1A_CNT_BLK, cnt);
	le32_put(fadt + FADT_PM_TMR_BLK, tmr);
	fadt[FADT_PM1_EVT_LEN] = ACPIPM_EVT_LEN;
	fadt[FADT_PM1_CNT_LEN] = ACPIPM_CNT_LEN;
	fadt[FADT_PM_TMR_LEN] = ACPIPM_TMR_LEN;
	put_gas(fadt + FADT_X_PM1A_EVT_BLK, evt, ACPIPM_EVT_LEN, GAS_WORD);
	put_gas(fadt + FADT_X_PM1A_CNT_BLK, cnt, ACPIPM_CNT_LEN, GAS_WORD);
	put_gas(fadt + FADT_X_PM_TMR_BLK, tmr, ACPIPM_TMR_LEN, GAS_DWORD);
}

static void fill_fadt(uint8_t *fadt, const struct pc_facts *facts)
{
	fill_fadt_blocks(fadt, facts);
	le16_put(fadt + FADT_P_LVL2_LAT, NO_C2);
	le16_put(fadt + FADT_P_LVL3_LAT, NO_C3);
	fadt[FADT_CENTURY] = facts->century;
	le16_put(fadt + FADT_IAPC_BOOT_ARCH, BOOT_LEGACY_DEVICES | BOOT_8042);
	le32_put(fadt + FADT_FLAGS, FADT_WBINVD | FADT_PROC_C1 | FADT_SLP_BUTTON |
					    FADT_TMR_VAL_EXT | FADT_RESET_REG_SUP);
	put_gas(fadt + FADT_RESET_REG, facts->reset_port, 1, GAS_BYTE);
	fadt[FADT_RESET_VALUE] = facts->reset_value;
}

static size_t put_fadt(struct build *b, size_t facs, size_t dsdt)
{
	static const uint8_t zeroes[FADT_BYTES - HEADER_BYTES];
	size_t start = begin_table(b, "FACP", FADT_REVISION);
	uint8_t *fadt = b->out.data + start;

	blob_put_bytes(&b->out, zeroes, sizeof(zeroes));
	if (b->out.is_failed)
		return start;
	fill_fadt(fadt, b->facts);
	le32_put(fadt + FADT_FIRMWARE_CTRL, (uint32_t)facs);
	le32_put(fadt + FADT_DSDT, (uint32_t)dsdt);
	le64_put(fadt + FADT_X_FIRMWARE_CTRL, facs);
	le64_put(fadt + FADT_X_DSDT, dsdt);
	add_link(b->tables, false, start + FADT_FIRMWARE_CTRL, 4);
	add_link(b->tables, false, start + FADT_DSDT, 4);
	add_link(b->tables, false, start + FADT_X_FIRMWARE_CTRL, 8);
	add_link(b->tables, false, start + FADT_X_DSDT, 8);
	end_table(b, start);
	return start;
}

/* MADT: entries begin with a type and their length. */

static void put_entry(struct blob *out, uint8_t type, uint8_t len)
{
	blob_put_u8(out, type);
	blob_put_u8(out, len);
}

static void put_cpu(struct blob *out, uint32_t id)
{
	if (id <= LAPIC_ID_MAX) {
		put_entry(out, 0, 8); /* processor local APIC */
		blob_put_u8(out, (uint8_t)id);
		blob_put_u8(out, (uint8_t)id);
		blob_put_u32(out, MADT_ENABLED);
	} else {
		put_entry(out, 9, 16); /* processor local x2APIC */
		blob_put_u16(out, 0);
		blob_put_u32(out, id);
		blob_put_u32(out, MADT_ENABLED);
		blob_put_u32(out, id);
	}
}

static void put_ioapic(struct blob *out, const struct pc_facts *facts)
{
	put_entry(out, 1, 12);
	blob_put_u8(out, facts->ioapic_id);
	blob_put_u8(out, 0);
	blob_put_u32(out, facts->ioapic);
	blob_put_u32(out, 0); /* its pin 0 is GSI 0 */
}

static void put_override(struct blob *out, uint8_t irq, uint32_t gsi, uint16_t flags)
{
	put_entry(out, 2, 10);
	blob_put_u8(out, 0); /* ISA */
	blob_put_u8(out, irq);
	blob_put_u32(out, gsi);
	blob_put_u16(out, flags);
}

/* NMI comes in at LINT1 of every processor. */
static void put_nmis(struct blob *out, const struct pc_facts *facts)
{
	put_entry(out, 4, 6);
	blob_put_u8(out, ALL_LAPICS);
	blob_put_u16(out, INTI_CONFORMS);
	blob_put_u8(out, 1);
	if (facts->cpus <= LAPIC_ID_MAX + 1)
		return;
	put_entry(out, 10, 12); /* the same for local x2APICs */
	blob_put_u16(out, INTI_CONFORMS);
	blob_put_u32(out, ALL_X2APICS);
	blob_put_u8(out, 1);
	blob_put_bytes(out, "\0\0", 3);
}

static size_t put_madt(struct build *b)
{
	const struct pc_facts *facts = b->facts;
	size_t start = begin_table(b, "APIC", MADT_REVISION);

	blob_put_u32(&b->out, facts->lapic);
	blob_put_u32(&b->out, MADT_PCAT_COMPAT);
	for (unsigned id = 0; id < facts->cpus; id++)
		put_cpu(&b->out, id);
	put_ioapic(&b->out, facts);
	put_override(&b->out, 0, facts->pin_of_irq0, INTI_CONFORMS);
	put_override(&b->out, facts->sci, facts->sci, INTI_LEVEL_HIGH);
	put_nmis(&b->out, facts);
	end_table(b, start);
	return start;
}

/* Roots. */

static size_t put_root(struct build *b, const char *signature, uint8_t size, size_t fadt,
		       size_t madt)
{
	size_t start = begin_table(b, signature, 1);

	put_link(b, fadt, size);
	put_link(b, madt, size);
	end_table(b, start);
	return start;
}

static void make_rsdp(struct acpi_tables *t, size_t rsdt, size_t xsdt)
{
	memset(t->rsdp, 0, sizeof(t->rsdp));
	memcpy(t->rsdp, "RSD PTR ", 8);
	memcpy(t->rsdp + 9, OEM_ID, 6);
	t->rsdp[15] = RSDP_REVISION;
	le32_put(t->rsdp + 16, (uint32_t)rsdt);
	le32_put(t->rsdp + 20, ACPI_RSDP_BYTES);
	le64_put(t->rsdp + 24, xsdt);
	add_link(t, true, 16, 4);
	add_link(t, true, 24, 8);
	add_sum(t, true, RSDP_SUM, 0, RSDP_SUM_BYTES);
	add_sum(t, true, RSDP_EXT_SUM, 0, ACPI_RSDP_BYTES);
}

int acpi_tables_make(struct acpi_tables *out_tables, const struct pc_facts *facts)
{
	struct build b = {.tables = out_tables,
			  .facts = facts,
			  .out = blob_over(out_tables->block, ACPI_BLOCK_MAX)};
	size_t facs, dsdt, fadt, madt, rsdt, xsdt;

	out_tables->link_count = 0;
	out_tables->sum_count = 0;
	facs = put_facs(&b);
	dsdt = put_dsdt(&b);
	fadt = put_fadt(&b, facs, dsdt);
	madt = put_madt(&b);
	rsdt = put_root(&b, "RSDT", 4, fadt, madt);
	xsdt = put_root(&b, "XSDT", 8, fadt, madt);
	if (b.out.is_failed)
		return -ENOSPC;
	out_tables->block_len = b.out.pos;
	make_rsdp(out_tables, rsdt, xsdt);
	return 0;
}

/* Settling. */

static uint8_t *part_of(struct acpi_tables *t, bool is_in_rsdp)
{
	return is_in_rsdp ? t->rsdp : t->block;
}

static void follow_link(struct acpi_tables *t, const struct acpi_link *link, gpa_t block)
{
	uint8_t *at = part_of(t, link->is_in_rsdp) + link->at;

	if (link->size == 4)
		le32_put(at, le32_get(at) + (uint32_t)block);
	else
		le64_put(at, le64_get(at) + block);
}

static void sum_up(struct acpi_tables *t, const struct acpi_sum *sum)
{
	uint8_t *part = part_of(t, sum->is_in_rsdp);
	uint8_t total = 0;

	for (unsigned i = 0; i < sum->len; i++)
		total = (uint8_t)(total + part[sum->start + i]);
	part[sum->at] = (uint8_t)(part[sum->at] - total);
}

void acpi_tables_settle(struct acpi_tables *tables, gpa_t block)
{
	for (unsigned i = 0; i < tables->link_count; i++)
		follow_link(tables, &tables->link[i], block);
	for (unsigned i = 0; i < tables->sum_count; i++)
		sum_up(tables, &tables->sum[i]);
}
