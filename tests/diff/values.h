/* Random values of which many are corners: where instructions have their special cases. */
#ifndef UMBRA_DIFF_VALUES_H
#define UMBRA_DIFF_VALUES_H

#include "rng.h"

#include <Zydis/Zydis.h>
#include <stddef.h>

enum value_kind { VALUE_INT, VALUE_F32, VALUE_F64, VALUE_F80, VALUE_BCD, VALUE_KIND_COUNT };

/* What @op holds. */
enum value_kind value_kind_of(const ZydisDecodedOperand *op);
uint64_t value_int(struct rng *r);
/* Fill @len bytes with values of @kind. */
void value_fill(struct rng *r, enum value_kind kind, void *bytes, size_t len);
/* Fill @len bytes with noise. */
void value_noise(struct rng *r, void *bytes, size_t len);

#endif
