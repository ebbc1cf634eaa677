/* Unit tests of the debug port and the target's operations: an attached client at work. */
#include "server_rig.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Running. */

Test(server, stop_when_guest_is_in_trouble_then_reason_before_the_signal, .init = rig_set_up,
     .fini = rig_tear_down)
{
	/* "umbra: cpu 0: triple fault\n" */
	static const char reason[] = "O756d6272613a2063707520303a20747269706c65206661756c740a";
	const char *text;
	int fd = rig_attach();

	rig_send_packet(fd, "c");
	cr_assert(rig_stop_world(STOP_SHUTDOWN, "triple fault"));
	text = rig_receive(fd);
	cr_assert(rig_says(text, reason), "%s", text);
	cr_assert(strstr(text, reason) < strstr(text, "T06"));
	close(fd);
}

Test(server, interrupt_when_running_then_stop_asked, .init = rig_set_up, .fini = rig_tear_down)
{
	int fd = rig_attach();

	rig_send_packet(fd, "c");
	rig_send_bytes(fd, "\x03", 1);
	cr_assert_eq(t.world->stop_kind, STOP_INTERRUPT);
	cr_assert(rig_stop_world(STOP_INTERRUPT, ""));
	cr_assert(rig_says(rig_receive(fd), "T02"));
	close(fd);
}

Test(server, command_when_running_then_held_and_interrupt_still_heard, .init = rig_set_up,
     .fini = rig_tear_down)
{
	int fd = rig_attach();

	rig_send_packet(fd, "c");
	rig_send_packet(fd, "m1000,4");
	cr_assert_not(rig_says(rig_receive(fd), "00000000"));
	rig_send_bytes(fd, "\x03", 1);
	cr_assert_eq(t.world->stop_count, 1);
	cr_assert(rig_stop_world(STOP_INTERRUPT, ""));
	cr_assert(rig_says(rig_receive(fd), "T02"));
	rig_send_packet(fd, "qC");
	cr_assert(rig_says(rig_receive(fd), "QC"));
	close(fd);
}

Test(server, exiting_when_running_then_told_the_status, .init = rig_set_up, .fini = rig_tear_down)
{
	int fd = rig_attach();

	rig_send_packet(fd, "c");
	debug_server_exiting(t.server, 33);
	cr_assert(rig_says(rig_receive(fd), "$W21"));
	cr_assert_eq(t.quit_count, 0);
	cr_assert_not(debug_server_is_attached(t.server));
	close(fd);
}

Test(server, replies_when_not_read_then_input_waits_and_nothing_is_lost, .init = rig_set_up,
     .fini = rig_tear_down)
{
	enum { REQUESTS = 600, BYTES = 0x2000 };
	size_t got = 0, sent = 0;
	int fd = rig_attach();

	rig_send_packet(fd, "QStartNoAckMode");
	rig_receive(fd);
	for (unsigned i = 0; i < FAKE_MEM_BYTES; i++)
		t.world->mem[i] = i % 2 ? 0x12 : 0x34; /* nothing to run-length encode */
	for (unsigned i = 0; i < REQUESTS; i++) {
		if (write(fd, "$m0,2000#8b", 11) != 11)
			break;
		sent++;
	}
	rig_settle();
	cr_assert_gt(sent, 100);
	for (unsigned idle = 0; idle < 3; idle++) {
		size_t len = strlen(rig_receive(fd));

		if (len)
			idle = 0;
		got += len;
		rig_settle();
	}
	cr_assert_eq(got, sent * (2 * BYTES + 4));
	close(fd);
}

/* Registers, memory, restart through the whole of it. */

/* The data of the packet at the start of @reply, run lengths undone. */
static void unpack(const char *reply, char *out, size_t size)
{
	size_t n = 0;

	for (const char *c = reply + 1; *c && *c != '#'; c++) {
		unsigned times = 1;

		if (*c == '*')
			times = (unsigned char)*++c - 29u;
		cr_assert_lt(n + times, size);
		memset(out + n, n && c[-1] == '*' ? out[n - 1] : *c, times);
		n += times;
	}
	out[n] = '\0';
}

Test(server, g_then_G_when_written_back_then_no_write_reaches_the_back_end, .init = rig_set_up,
     .fini = rig_tear_down)
{
	char packet[2048] = "G";
	int fd = rig_attach();

	rig_send_packet(fd, "QStartNoAckMode");
	rig_receive(fd);
	rig_send_packet(fd, "g");
	unpack(rig_receive(fd), packet + 1, sizeof(packet) - 1);
	cr_assert_eq(strlen(packet + 1), 2u * 552);
	rig_send_packet(fd, packet);
	cr_assert(rig_says(rig_receive(fd), "$OK"));
	cr_assert_eq(t.world->write_count, 0);
	packet[1] = '5'; /* rax */
	rig_send_packet(fd, packet);
	cr_assert(rig_says(rig_receive(fd), "$OK"));
	cr_assert_eq(t.world->write_count, 1);
	cr_assert_eq(t.world->st[0].gpr[X86_RAX], 0x50);
	close(fd);
}

Test(server, register_write_when_refused_then_error_and_unchanged, .init = rig_set_up,
     .fini = rig_tear_down)
{
	int fd = rig_attach();

	t.world->write_error = EINVAL;
	rig_send_packet(fd, "P0=0500000000000000");
	cr_assert(rig_says(rig_receive(fd), "$E16"));
	cr_assert_eq(t.world->st[0].gpr[X86_RAX], 0);
	rig_receive(fd);
	rig_send_packet(fd, "qRcmd,776879"); /* why */
	cr_assert(rig_says(rig_receive(fd), "72656675736564"), "the back end's word: refused");
	close(fd);
}

Test(server, restart_when_asked_then_reset, .init = rig_set_up, .fini = rig_tear_down)
{
	int fd = rig_attach();

	rig_send_packet(fd, "vRun;");
	cr_assert(rig_says(rig_receive(fd), "T05"));
	cr_assert_eq(t.vm->reset_count, 1);
	t.vm->reset_error = ENOENT;
	rig_send_packet(fd, "vRun;");
	cr_assert(rig_says(rig_receive(fd), "$E"));
	close(fd);
}

static void set_up_impatient(void)
{
	t.keep_alive_ns = 1;
	rig_set_up();
}

Test(server, operation_when_it_takes_long_then_signs_of_life, .init = set_up_impatient,
     .fini = rig_tear_down)
{
	int fd = rig_attach();
	const char *answer;

	rig_send_packet(fd, "m0,2");
	answer = rig_receive(fd);
	cr_assert(rig_says(answer, "%Busy:1#0e"), "%s", answer);
	cr_assert(rig_says(answer, "$0000#c0"), "%s", answer);
	rig_send_packet(fd, "qC");
	cr_assert_not(rig_says(rig_receive(fd), "%"));
	close(fd);
}

Test(server, refusal_when_the_client_reads_errors_then_in_words, .init = rig_set_up,
     .fini = rig_tear_down)
{
	int fd = rig_attach();

	rig_send_packet(fd, "qSupported:error-message+");
	rig_receive(fd);
	rig_send_packet(fd, "Z2,1000,3");
	cr_assert(rig_says(rig_receive(fd), "$E.length 3#"));
	rig_send_packet(fd, "z0,77,1");
	cr_assert(rig_says(rig_receive(fd), "$E02#"), "no words of an older one");
	close(fd);
}

Test(server, description_when_read_then_target_xml, .init = rig_set_up, .fini = rig_tear_down)
{
	int fd = rig_attach();

	rig_send_packet(fd, "qXfer:features:read:target.xml:0,100");
	cr_assert(rig_says(rig_receive(fd), "<target version=\"1.0\">"));
	rig_send_packet(fd, "qXfer:features:read:other.xml:0,100");
	cr_assert(rig_says(rig_receive(fd), "$E"));
	close(fd);
}

Test(server, exec_file_when_asked_then_path_of_the_image, .init = rig_set_up, .fini = rig_tear_down)
{
	int fd = rig_attach();

	rig_send_packet(fd, "qXfer:exec-file:read:1:0,100");
	cr_assert(rig_says(rig_receive(fd), "l/images/kernel.elf"));
	close(fd);
}
