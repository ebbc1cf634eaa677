/* Unit tests of the debug port: several clients at once. */
#include "server_rig.h"
#include "src/debug/monitor.h"

#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

/* A second client, which may only look. */
static int join_reader(void)
{
	int fd = rig_join();

	rig_send_packet(fd, "qSupported:multiprocess+");
	cr_assert(rig_says(rig_receive(fd), "PacketSize"));
	return fd;
}

/* The world has come to its pause. */
static bool pause_world(void)
{
	cr_assert_eq(t.world->state, WORLD_STOPPING);
	cr_assert_eq(t.world->stop_kind, STOP_PAUSE);
	return rig_stop_world(STOP_PAUSE, "");
}

Test(clients, second_when_the_machine_stands_then_reads_and_the_first_goes_on, .init = rig_set_up,
     .fini = rig_tear_down)
{
	int first = rig_attach();
	int second = join_reader();

	t.world->mem[0x10] = 0xab;
	rig_send_packet(second, "m10,1");
	cr_assert(rig_says(rig_receive(second), "$ab#"));
	rig_send_packet(second, "vCont;c");
	cr_assert(rig_says(rig_receive(second), "E.another client controls"));
	rig_send_packet(second, "M10,1:00");
	cr_assert(rig_says(rig_receive(second), "E.another client controls"));
	cr_assert_eq(t.world->resume_count + t.world->stop_count, 0);
	cr_assert_eq(t.world->mem[0x10], 0xab);
	rig_send_packet(first, "vCont;c");
	cr_assert_eq(t.world->resume_count, 1);
	close(second);
	rig_settle();
	cr_assert_eq(t.world->stop_count, 0, "a reader that goes changes nothing");
	cr_assert_eq(t.world->state, WORLD_RUNNING);
	close(first);
}

Test(clients, second_when_the_machine_runs_then_it_pauses_and_the_first_hears_nothing,
     .init = rig_set_up, .fini = rig_tear_down)
{
	int first = rig_attach();
	int second;

	rig_send_packet(first, "vCont;s:1");
	cr_assert_eq(t.world->resume_count, 1);
	second = join_reader();
	cr_assert_eq(t.world->stop_count, 0, "what needs no look at the machine stops nothing");
	rig_receive(first);
	rig_send_packet(second, "m10,2");
	cr_assert_not(rig_says(rig_receive(second), "$"));
	cr_assert(pause_world(), "dealt with");
	cr_assert(rig_says(rig_receive(second), "$0000#"));
	cr_assert_str_eq(rig_receive(first), "");
	cr_assert_eq(t.world->as_before_count, 1);
	cr_assert_eq(t.world->resume_count, 1);
	cr_assert(rig_stop_world(STOP_BREAK, ""));
	cr_assert(rig_says(rig_receive(first), "$T05"));
	cr_assert_str_eq(rig_receive(second), "");
	close(first);
	close(second);
}

/* What the first one wants while the machine is on its way to a pause is not lost. */
Test(clients, first_when_it_interrupts_a_pause_then_stopped_behind_it, .init = rig_set_up,
     .fini = rig_tear_down)
{
	int first = rig_attach();
	int second = join_reader();
	struct cpu_stop stop = {.kind = STOP_PAUSE};

	rig_send_packet(first, "vCont;c");
	rig_receive(first);
	rig_send_packet(second, "m10,1");
	cr_assert_eq(t.world->stop_kind, STOP_PAUSE);
	t.world->state = WORLD_STOPPED;
	t.world->has_stop = true; /* not taken yet */
	rig_send_bytes(first, "\003", 1);
	cr_assert_eq(t.world->stop_count, 1, "the world's own affair: it gives way");
	t.world->has_stop = false;
	stop.kind = STOP_INTERRUPT;
	cr_assert(debug_server_stopped(t.server, &stop));
	cr_assert(rig_says(rig_receive(first), "$T02"));
	cr_assert(rig_says(rig_receive(second), "$00#"));
	cr_assert_eq(t.world->as_before_count, 0);
	close(first);
	close(second);
}

Test(clients, reader_when_the_first_leaves_then_reads_on_and_the_next_one_controls,
     .init = rig_set_up, .fini = rig_tear_down)
{
	int first = rig_attach();
	int second = join_reader();
	int third;

	rig_send_packet(first, "Z0,1000,1");
	close(first);
	rig_settle();
	cr_assert_eq(t.world->resume_count, 1, "its leaving lets the machine go");
	cr_assert_eq(t.world->bp_count, 0);
	rig_send_packet(second, "m10,1");
	pause_world();
	cr_assert(rig_says(rig_receive(second), "$00#"));
	cr_assert_eq(t.world->as_before_count, 1);
	cr_assert_not(debug_server_is_attached(t.server));
	third = rig_join();
	rig_send_packet(third, "?");
	cr_assert_eq(t.world->stop_kind, STOP_ATTACH);
	cr_assert(rig_stop_world(STOP_ATTACH, ""));
	cr_assert(rig_says(rig_receive(third), "$T05"));
	cr_assert(debug_server_is_attached(t.server));
	close(second);
	close(third);
}

Test(clients, next_when_it_spoke_before_the_hang_up_is_seen_then_controls_all_the_same,
     .fini = rig_tear_down)
{
	int first, second;

	rig_start(DEBUG_ON_DISCONNECT_STAY);
	first = rig_attach();
	second = rig_join();
	/* The loop finds both at once, the words first. */
	rig_send_packet_unseen(second, "qC");
	close(first);
	rig_settle();
	rig_receive(second);
	rig_send_packet(second, "M10,1:ab");
	cr_assert(rig_says(rig_receive(second), "$OK"));
	cr_assert_eq(t.world->mem[0x10], 0xab);
	close(second);
}

Test(clients, silent_ones_when_there_is_no_room_then_they_give_way, .init = rig_set_up,
     .fini = rig_tear_down)
{
	int silent[8], next;

	for (unsigned i = 0; i < 8; i++)
		silent[i] = rig_join();
	rig_send_bytes(silent[2], "$qSup", 5);
	rig_send_packet_unseen(silent[0], "qAttached:1");
	next = rig_attach();
	cr_assert(rig_says(rig_receive(silent[0]), "$1#"), "it spoke in time");
	cr_assert(rig_says(rig_receive(silent[1]), "E.umbra is busy"));
	cr_assert_str_eq(rig_receive(silent[2]), "", "it came later");
	rig_send_packet(next, "qAttached");
	cr_assert(rig_says(rig_receive(next), "$1#"));
	for (unsigned i = 0; i < 8; i++)
		close(silent[i]);
	close(next);
}

Test(clients, reader_when_it_says_monitor_words_then_only_those_that_look, .init = rig_set_up,
     .fini = rig_tear_down)
{
	int first = rig_attach();
	int second = join_reader();
	const char *answer;

	rig_send_packet(second, "qRcmd,76657273696f6e"); /* version */
	answer = rig_receive(second);
	cr_assert(rig_says(answer, "$OK#9a"), "%s", answer);
	rig_send_packet(second, "qRcmd,7175697420"); /* quit */
	cr_assert(rig_says(rig_receive(second), "$E01#"));
	rig_send_packet(second, "qRcmd,7265736574"); /* reset */
	cr_assert(rig_says(rig_receive(second), "$E01#"));
	rig_send_packet(second, "qRcmd,6d6d75207a6170"); /* mmu zap */
	cr_assert(rig_says(rig_receive(second), "$E01#"));
	cr_assert_eq(t.quit_count + t.vm->reset_count, 0);
	rig_send_packet(first, "qRcmd,7265736574");
	cr_assert(rig_says(rig_receive(first), "$OK#9a"));
	cr_assert_eq(t.vm->reset_count, 1);
	close(first);
	close(second);
}

Test(clients, looks_when_listed_then_words_that_exist, .init = rig_set_up, .fini = rig_tear_down)
{
	size_t count;
	const struct mon_word *words = monitor_words(&count);
	const char *name;
	bool is_ambiguous;

	for (unsigned i = 0; (name = mon_look_at(i)) != NULL; i++) {
		const struct mon_word *word;

		if (strncmp(name, "mmu ", 4) == 0)
			continue;
		word = monitor_find(words, count, name, &is_ambiguous);
		cr_expect(word && strcmp(word->name, name) == 0, "%s", name);
		cr_expect(mon_is_look(name, ""));
	}
	cr_expect(mon_is_look("mmu", " walk 0x1000"));
	cr_expect(mon_is_look("mmu", ""));
	cr_expect_not(mon_is_look("mmu", "wal 0x1000"), "abbreviated");
	cr_expect_not(mon_is_look("mmu", "zap"));
	cr_expect_not(mon_is_look("reset", ""));
	cr_expect_not(mon_is_look("walk", ""));
}

/* Non-stop mode. */

static int attach_non_stop(void)
{
	int fd = rig_attach();

	rig_send_packet(fd, "QNonStop:1");
	cr_assert(rig_says(rig_receive(fd), "$OK#"));
	return fd;
}

Test(clients, non_stop_when_one_cpu_stops_then_the_other_goes_on, .init = rig_set_up,
     .fini = rig_tear_down)
{
	int fd = attach_non_stop();
	const char *answer;

	rig_send_packet(fd, "vCont;c");
	rig_receive(fd);
	cr_assert_eq(t.world->resume_count, 1);
	cr_assert(debug_server_is_non_stop(t.server));
	cr_assert(rig_stop_world(STOP_BREAK, ""));
	answer = rig_receive(fd);
	cr_assert(rig_says(answer, "%Stop:T05"), "%s", answer);
	cr_assert_eq(t.world->resume_count, 2);
	cr_assert_eq(t.world->plan[0].action, PLAN_HOLD);
	cr_assert_eq(t.world->plan[1].action, PLAN_RUN);
	rig_send_packet(fd, "vStopped");
	cr_assert_eq(t.world->stop_kind, STOP_PAUSE);
	cr_assert(rig_stop_world(STOP_PAUSE, ""));
	cr_assert(rig_says(rig_receive(fd), "$OK#"));
	cr_assert_eq(t.world->as_before_count, 1);
	rig_send_packet(fd, "vCont;t:2");
	cr_assert(rig_stop_world(STOP_PAUSE, ""));
	answer = rig_receive(fd);
	cr_assert(rig_says(answer, "$OK#") && rig_says(answer, "%Stop:T00"), "%s", answer);
	cr_assert_eq(t.world->state, WORLD_STOPPED, "nobody is left to run");
	rig_send_packet(fd, "vCont;c:1");
	cr_assert_eq(t.world->plan[0].action, PLAN_RUN);
	cr_assert_eq(t.world->plan[1].action, PLAN_HOLD);
	close(fd);
}

Test(clients, non_stop_when_the_guest_ends_then_told_and_heard, .init = rig_set_up,
     .fini = rig_tear_down)
{
	int fd = attach_non_stop();

	rig_send_packet(fd, "vCont;c");
	rig_receive(fd);
	rig_send_packet_unseen(fd, "vStopped");
	debug_server_exiting(t.server, 3);
	cr_assert(rig_says(rig_receive(fd), "%Stop:W03"));
	cr_assert_not(debug_server_is_attached(t.server));
	close(fd);
}

/* Output that came before the stop comes before its reply. */
Test(clients, console_when_on_then_output_while_running_and_off_with_its_owner, .init = rig_set_up,
     .fini = rig_tear_down)
{
	int fd = rig_attach();
	const char *answer;

	rig_send_packet(fd, "qRcmd,636f6e736f6c65206f6e"); /* console on */
	cr_assert(rig_says(rig_receive(fd), "$OK#"));
	cr_assert(t.vm->tap);
	t.vm->printed = "lost";
	vm_flush_console(t.vm);
	cr_assert_str_eq(rig_receive(fd), "", "it stands still");
	rig_send_packet(fd, "vCont;c");
	rig_receive(fd);
	t.vm->printed = "hi";
	vm_flush_console(t.vm);
	cr_assert(rig_says(rig_receive(fd), "$O6869#"));
	t.vm->printed = "bye";
	cr_assert(rig_stop_world(STOP_BREAK, ""));
	answer = rig_receive(fd);
	cr_assert(strstr(answer, "$O627965#") && strstr(answer, "$T05"), "%s", answer);
	cr_assert(strstr(answer, "$O627965#") < strstr(answer, "$T05"));
	rig_send_packet(fd, "D");
	cr_assert(rig_says(rig_receive(fd), "$OK#"));
	cr_assert_not(t.vm->tap);
	close(fd);
}

Test(clients, exit_when_by_a_signal_then_x, .init = rig_set_up, .fini = rig_tear_down)
{
	int fd = rig_attach();

	rig_send_packet(fd, "vCont;c");
	debug_server_exiting(t.server, 143);
	cr_assert(rig_says(rig_receive(fd), "$X0f"));
	close(fd);
}
