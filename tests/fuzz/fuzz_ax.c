/* Fuzz agent expressions: whatever the check passes must run to its end, within its stack, its
 * program and its number of steps. */
#include "rspstub.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MEM_SIZE 64u

static size_t mem_read(void *ctx, uint64_t addr, uint8_t *out, size_t len)
{
	size_t n = addr < MEM_SIZE ? MEM_SIZE - (size_t)addr : 0;

	(void)ctx;
	n = n < len ? n : len;
	memset(out, 'm', n);
	return n;
}

static bool reg_read(void *ctx, unsigned reg, uint64_t *out_value)
{
	(void)ctx;
	*out_value = 0x0123456789abcdef * reg;
	return reg != 9;
}

static size_t reg_size(void *ctx, unsigned reg)
{
	(void)ctx;
	return reg < 12 ? reg : 0;
}

static void print(void *ctx, const char *text, size_t len)
{
	uint64_t *sum = ctx;

	for (size_t i = 0; i < len; i++)
		*sum += (uint8_t)text[i];
}

static bool variable_get(void *ctx, unsigned number, int64_t *out_value)
{
	*out_value = *(const int64_t *)ctx;
	return number != 3;
}

static bool variable_set(void *ctx, unsigned number, int64_t value)
{
	*(int64_t *)ctx = value;
	return number != 3;
}

static bool record(void *ctx, uint64_t addr, uint64_t len, bool is_string)
{
	(void)ctx;
	(void)len;
	(void)is_string;
	return addr != 0;
}

static bool record_variable(void *ctx, unsigned number)
{
	(void)ctx;
	return number != 3;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t state = 0;
	const struct rsp_ax_env env = {
		.mem_read = mem_read,
		.reg_read = reg_read,
		.print = print,
		.variable_get = variable_get,
		.variable_set = variable_set,
		.record = record,
		.record_variable = record_variable,
		.ctx = &state,
	};
	struct rsp_ax_rules rules = {.reg_size = reg_size};
	char why[RSP_AX_ERROR_MAX] = "";
	struct rsp_ax_fault fault;
	uint64_t value;

	if (size == 0)
		return 0;
	rules.allows = data[0] & 7;
	rules.must_have_value = data[0] & 8;
	if (!rsp_ax_check(data + 1, size - 1, &rules, why)) {
		if (!why[0] || !memchr(why, 0, sizeof(why)))
			abort();
		return 0;
	}
	if (!rsp_ax_run(data + 1, &env, &value, &fault)) {
		rsp_ax_describe(&fault, why, sizeof(why));
		if (fault.at >= size - 1 || !memchr(why, 0, sizeof(why)))
			abort();
	}
	return 0;
}
