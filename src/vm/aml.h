/* A few words of the ACPI machine language, written into a blob: names, devices, and what a device
 * of the ISA kind uses.
 * Source: ACPI 6.5 chapter 20 (encoding), 6.4.2 (small resource descriptors). */
#ifndef VM_AML_H
#define VM_AML_H

#include "umbra/blob.h"

/* A term whose length is known only once it has ended. */
struct aml_open {
	size_t length_at; /* of its PkgLength */
	size_t size_at;	  /* of a buffer's size */
};

/* Terms that hold others.  @name has four letters; the scope's is under the root. */
struct aml_open aml_scope(struct blob *out, const char *name);
struct aml_open aml_device(struct blob *out, const char *name);
void aml_end(struct blob *out, struct aml_open open);

/* Name (@name, ...): what follows is its value. */
void aml_name(struct blob *out, const char *name);
void aml_integer(struct blob *out, uint32_t value);
/* An identifier like "PNP0501", compressed to 32 bits. */
void aml_eisa_id(struct blob *out, const char *id);
/* Package of @count integers. */
void aml_package(struct blob *out, const uint8_t *value, uint8_t count);

/* ResourceTemplate () { ... }: ends with aml_resources_end. */
struct aml_open aml_resources(struct blob *out);
void aml_resource_ports(struct blob *out, uint16_t base, uint8_t len);
void aml_resource_irq(struct blob *out, uint8_t irq);
void aml_resources_end(struct blob *out, struct aml_open open);

#endif
