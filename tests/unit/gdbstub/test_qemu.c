/* The packets that QEMU added to the protocol. */
#include "client.h"

#include <criterion/criterion.h>

Test(qemu, physical_mode_when_on_then_memory_packets_mean_physical_addresses)
{
	struct rsp_mock *mock = client_connect();

	cr_assert(client_gets(mock, "qqemu.Supported", "PhyMemMode"));
	cr_assert(client_gets(mock, "qqemu.PhyMemMode", "0"));
	cr_assert(client_gets(mock, "M10004,2:abcd", "OK"));
	cr_assert(client_gets(mock, "m4,2", "E0e"));
	cr_assert(client_gets(mock, "Qqemu.PhyMemMode:1", "OK"));
	cr_assert(client_gets(mock, "qqemu.PhyMemMode", "1"));
	cr_assert(client_gets(mock, "m4,2", "abcd"));
	cr_assert(client_gets(mock, "M4,1:ef", "OK"));
	cr_assert(client_gets(mock, "M40000,1:ef", "E0e"));
	cr_assert(client_gets(mock, "Qqemu.PhyMemMode:0", "OK"));
	cr_assert(client_gets(mock, "m10004,2", "efcd"));
	mock->target.phys = NULL;
	cr_assert(client_gets(mock, "Qqemu.PhyMemMode:1", ""));
	rsp_mock_close(mock);
}

/* pwndbg and gef know a virtual machine by this. */
Test(qemu, step_bits_when_asked_then_one_mode)
{
	struct rsp_mock *mock = client_connect();

	cr_assert(client_gets(mock, "Qqemu.sstepbits", "ENABLE=1,NOIRQ=2"));
	cr_assert(client_gets(mock, "qqemu.sstepbits", "ENABLE=1,NOIRQ=2"));
	cr_assert(client_gets(mock, "qqemu.sstep", "0x3"));
	cr_assert(client_gets(mock, "Qqemu.sstep=3", "OK"));
	cr_assert(client_gets(mock, "Qqemu.sstep=7", "E16"));
	cr_assert(client_gets(mock, "Qqemu.sstep=1", "E16"));
	cr_assert(client_gets(mock, "qqemu.sstep", "0x3"));
	mock->target.phys = NULL;
	cr_assert(client_gets(mock, "Qqemu.sstepbits", ""));
	rsp_mock_close(mock);
}

Test(qemu, physical_mode_when_another_client_comes_then_off)
{
	struct rsp_mock *mock = client_connect();

	cr_assert(client_gets(mock, "Qqemu.PhyMemMode:1", "OK"));
	rsp_session_reset(mock->session);
	cr_assert(client_gets(mock, "qqemu.PhyMemMode", "0"));
	rsp_mock_close(mock);
}
