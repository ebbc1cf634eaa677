/* Fuzz librspstub with packets that are nearly right: the input chooses among the rows of the
 * command table and forms that clients use, and what stands for numbers, threads, data and programs
 * in them; a byte of the result may be changed.  What happens besides is as in fuzz_rsp_stream. */
#include "gdbstub/internal.h"
#include "rsp_script.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PACKET_MAX 2048u

struct packet {
	struct rsp_script *script;
	size_t len;
	uint8_t bytes[PACKET_MAX];
};

/* In a form, % and a letter stand for: n a number, t a thread, h data in hexadecimal, b data in
 * binary, x a program behind its length, s a signal, a an annex. */
static const char *const forms[] = {
	"vCont;c",
	"vCont;s:%t;c",
	"vCont;r%n,%n:%t;c:%t",
	"vCont;t:%t",
	"vCont;C%s:%t;S%s:%t",
	"Z0,%n,1",
	"Z0,%n,1;X%x",
	"Z1,%n,1;X%x;X%x",
	"Z0,%n,1;X%xcmds:%n,X%x;X%x",
	"Z%n,%n,%n",
	"z%n,%n,%n",
	"qSupported:multiprocess+;swbreak+;hwbreak+;exec-events+;error-message+;no-resumed+",
	"qSupported:xmlRegisters=i386;vContSupported+;QThreadEvents+",
	"QStartNoAckMode",
	"QNonStop:%n",
	"QPassSignals:%n;%n;%n",
	"QProgramSignals:%n;%n",
	"QCatchSyscalls:1;%n;%n",
	"qXfer:%a:read:%a:%n,%n",
	"qXfer:%a:read::%n,%n",
	"qSymbol:%n:%h",
	"qRcmd,%h",
	"qRcmd,666c6f6f64",
	"vRun;%h;%h",
	"QTinit",
	"QTStart",
	"QTDP:%n:%n:E:%n:%n",
	"QTDP:1:10000:E:0:0-",
	"QTDP:-1:10000:R%h",
	"QTDP:-1:10000:M%n,%n,%nX%xR%h-",
	"QTDP:-1:10000:SM-1,%n,%n",
	"QTDP:2:10001:E:2:0:X%x-",
	"QTDP:-2:10001:X%x",
	"QTDPsrc:%n:%n:cmd:%n:%n:%h",
	"QTDV:%n:%n:0:%h",
	"qTV:%n",
	"QTro:%n,%n:%n,%n",
	"QTEnable:%n:%n",
	"QTDisable:%n:%n",
	"QTFrame:%n",
	"QTFrame:pc:%n",
	"QTFrame:tdp:%n",
	"QTFrame:range:%n:%n",
	"QTFrame:outside:%n:%n",
	"QTBuffer:circular:%n",
	"QTBuffer:size:%n",
	"QTNotes:user:%h;notes:%h;tstop:%h;",
	"qTBuffer:%n,%n",
	"qTP:%n:%n",
	"g;thread:%t;",
	"p%n;thread:%t;",
	"P%n=%h;thread:%t;",
	"G%h;thread:%t;",
	"QSaveRegisterState;thread:%t;",
	"QRestoreRegisterState:%n;thread:%t;",
	"_M%n,rwx",
	"qSearch:memory:%n;%n;%b",
	"X%n,%n:%b",
	"M%n,%n:%h",
};

static void put_byte(struct packet *packet, uint8_t byte)
{
	if (packet->len < PACKET_MAX)
		packet->bytes[packet->len++] = byte;
}

static void put_text(struct packet *packet, const char *text)
{
	while (*text)
		put_byte(packet, (uint8_t)*text++);
}

static uint8_t choose(const struct packet *packet)
{
	return rsp_script_byte(packet->script);
}

static void put_number(struct packet *packet)
{
	static const char *const numbers[] = {
		"0",
		"1",
		"2",
		"7",
		"8",
		"ff",
		"-1",
		"1000",
		"10000",
		"10001",
		"1ffff",
		"20000",
		"4ffff",
		"50000",
		"7fffffff",
		"80000000",
		"ffffffff",
		"100000000",
		"ffffffffffffffff",
		"8000000000000000",
		"10000000000000000",
		"",
	};
	size_t count = sizeof(numbers) / sizeof(numbers[0]);
	unsigned which = choose(packet);
	char text[32];

	if (which < 4 * count) {
		put_text(packet, numbers[which % count]);
		return;
	}
	snprintf(text, sizeof(text), "%x", which << (choose(packet) % 16) | choose(packet));
	put_text(packet, text);
}

static void put_thread(struct packet *packet)
{
	static const char *const threads[] = {"1",    "2",     "3",    "0",	"-1",	  "4",
					      "p1.1", "p1.-1", "p1.2", "p1.0",	"p-1.-1", "p2.1",
					      "p1",   "p0.0",  "100",  "p1.101"};

	put_text(packet, threads[choose(packet) % (sizeof(threads) / sizeof(threads[0]))]);
}

static void put_hex(struct packet *packet, const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		put_byte(packet, (uint8_t) "0123456789abcdef"[bytes[i] >> 4]);
		put_byte(packet, (uint8_t) "0123456789abcdef"[bytes[i] & 15]);
	}
}

static void put_data(struct packet *packet, char letter)
{
	size_t len;
	const uint8_t *bytes = rsp_script_bytes(packet->script, &len);
	char text[16];

	if (letter == 'b') {
		size_t room = PACKET_MAX - packet->len;

		packet->len += rsp_escape(packet->bytes + packet->len, room, bytes, &len);
		return;
	}
	if (letter == 'x') {
		snprintf(text, sizeof(text), "%zx,", len);
		put_text(packet, text);
	}
	put_hex(packet, bytes, len);
}

static void put_annex(struct packet *packet)
{
	static const char *const names[] = {
		"features", "target.xml", "threads", "exec-file",	"memory-map",
		"osdata",   "tasks",	  "siginfo", "traceframe-info", ""};

	put_text(packet, names[choose(packet) % (sizeof(names) / sizeof(names[0]))]);
}

static void put_one(struct packet *packet, char letter)
{
	switch (letter) {
	case 'n':
		put_number(packet);
		break;
	case 't':
		put_thread(packet);
		break;
	case 'a':
		put_annex(packet);
		break;
	case 's':
		put_hex(packet, (const uint8_t[]){choose(packet)}, 1);
		break;
	default:
		put_data(packet, letter);
		break;
	}
}

static void put_form(struct packet *packet, const char *form)
{
	for (; *form; form++) {
		if (*form == '%')
			put_one(packet, *++form);
		else
			put_byte(packet, (uint8_t)*form);
	}
}

/* A row's name and what its schema asks for; see cmd_table.c. */
static void put_row(struct packet *packet, const struct rsp_command *row)
{
	put_text(packet, row->name);
	for (const char *at = row->schema; *at; at++) {
		switch (*at) {
		case '?':
			if (choose(packet) & 1)
				return;
			break;
		case '@':
			if (choose(packet) & 1)
				put_form(packet, ";thread:%t;");
			break;
		case '*':
			put_one(packet, 'b');
			break;
		case 'n':
		case 't':
		case 'a':
		case 's':
		case 'h':
		case 'b':
			put_one(packet, *at);
			break;
		default:
			put_byte(packet, (uint8_t)*at);
			break;
		}
	}
}

/* Something about it is wrong. */
static void spoil(struct packet *packet)
{
	size_t at = packet->len ? choose(packet) * (packet->len - 1) / 255 : 0;

	switch (choose(packet) % 4) {
	case 0:
		packet->len = at;
		break;
	case 1:
		packet->bytes[at] = choose(packet);
		break;
	case 2:
		put_byte(packet, choose(packet));
		break;
	case 3:
		memmove(packet->bytes + at, packet->bytes + at + 1, packet->len - at - 1);
		packet->len--;
		break;
	}
}

static void send_packet(struct rsp_script *script)
{
	struct packet packet = {.script = script};
	size_t form_count = sizeof(forms) / sizeof(forms[0]);
	size_t row_count;
	const struct rsp_command *rows = rsp_command_table(&row_count);
	unsigned which = rsp_script_byte(script);

	if (which & 1)
		put_form(&packet, forms[rsp_script_byte(script) % form_count]);
	else
		put_row(&packet, &rows[rsp_script_byte(script) % row_count]);
	if (which % 16 < 2 && packet.len > 0)
		spoil(&packet);
	rsp_wire_send_bytes(script->mock->session, packet.bytes, packet.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rsp_script script;

	rsp_script_begin(&script, data, size);
	while (script.left > 0) {
		unsigned what = rsp_script_byte(&script);

		if (what % 16 >= RSP_SCRIPT_EVENTS)
			send_packet(&script);
		else
			rsp_script_play(&script, what % 16);
		rsp_script_check(&script);
	}
	rsp_script_end(&script);
	return 0;
}
