/* Tables for `info os`, and the symbols that the target asks the debugger for. */
#include "client.h"

#include <criterion/criterion.h>
#include <string.h>

static struct {
	unsigned count;
	bool is_known[2];
	uint64_t addr[2];
} said;

static void found(void *ctx, unsigned index, bool is_known, uint64_t addr)
{
	(void)ctx;
	said.count++;
	said.is_known[index] = is_known;
	said.addr[index] = addr;
}

static const char *const names[] = {"ab", "cde"};
static const struct rsp_symbol_ops symbols = {.names = names, .count = 2, .found = found};

Test(osdata, table_when_asked_then_rows_in_xml)
{
	struct rsp_mock *mock = client_connect();
	struct answer answer;

	client_ask(mock, "qSupported", &answer);
	cr_assert_not_null(strstr(answer.text, ";qXfer:osdata:read+"));
	cr_assert(client_gets(mock, "qXfer:osdata:read:tasks:0,1000",
			      "l<?xml version=\"1.0\"?>\n<osdata type=\"tasks\">\n"
			      "<item><column name=\"pid\">1</column>"
			      "<column name=\"name\">a&lt;b</column></item>\n"
			      "<item><column name=\"pid\">2</column></item>\n</osdata>\n"));
	cr_assert(client_gets(mock, "qXfer:osdata:read:tasks:2,4", "mxml "));
	cr_assert(client_gets(mock, "qXfer:osdata:read::0,1000", "E00"));
	mock->target.osdata = NULL;
	cr_assert(client_gets(mock, "qXfer:osdata:read:tasks:0,1000", ""));
	rsp_mock_close(mock);
}

Test(symbols, client_when_it_offers_then_asked_for_each)
{
	struct rsp_mock *mock = client_connect();

	cr_assert(client_gets(mock, "qSymbol::", "OK"), "nothing is wanted");
	mock->target.symbols = &symbols;
	cr_assert(client_gets(mock, "qSymbol::", "qSymbol:6162"));
	cr_assert(client_gets(mock, "qSymbol:ffffffff81000000:6162", "qSymbol:636465"));
	cr_assert(client_gets(mock, "qSymbol::636465", "OK"));
	cr_assert_eq(said.count, 2);
	cr_assert(said.is_known[0] && said.addr[0] == 0xffffffff81000000);
	cr_assert_not(said.is_known[1]);
	cr_assert(client_gets(mock, "qSymbol:1:6162", "OK"), "nobody asked");
	cr_assert_eq(said.count, 2);
	rsp_mock_close(mock);
}

Test(symbols, answer_when_malformed_or_about_another_then_error)
{
	static const char *const bad[] = {"qSymbol:1:636465", "qSymbol:1:61",	"qSymbol:1:6z62",
					  "qSymbol:1",	      "qSymbol:z:6162", "qSymbol:"};
	struct rsp_mock *mock = client_connect();
	size_t i;

	mock->target.symbols = &symbols;
	cr_assert(client_gets(mock, "qSymbol::", "qSymbol:6162"));
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert(client_gets(mock, bad[i], "E16"), "%s", bad[i]);
	cr_assert_eq(said.count, 0);
	cr_assert(client_gets(mock, "qSymbol::6162", "qSymbol:636465"));
	rsp_mock_close(mock);
}
