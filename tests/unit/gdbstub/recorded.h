/* Packets that gdb 13 and lldb 14 send, as recorded: connect, stop, resume, break, read, leave.
 * Data only, framing excluded. */
#ifndef TESTS_GDBSTUB_RECORDED_H
#define TESTS_GDBSTUB_RECORDED_H

static const char *const recorded_packets[] = {
	("qSupported:multiprocess+;swbreak+;hwbreak+;qRelocInsn+;fork-events+;vfork-events+;"
	 "exec-events+;vContSupported+;QThreadEvents+;no-resumed+;memory-tagging+;xmlRegisters="
	 "i386"),
	"vMustReplyEmpty",
	"QStartNoAckMode",
	"!",
	"Hgp0.0",
	"qXfer:features:read:target.xml:0,1000",
	"QNonStop:0",
	"qTStatus",
	"?",
	"qXfer:threads:read::0,1000",
	"qfThreadInfo",
	"qsThreadInfo",
	"qThreadExtraInfo,p1.1",
	"qAttached:1",
	"qXfer:exec-file:read:1:0,1000",
	"vFile:setfs:0",
	"Hc-1",
	"qOffsets",
	"g",
	"qC",
	"m10000,40",
	"qSymbol::",
	"vCont?",
	"Z0,ffff800000100010,1",
	"Z0,ffff800000100010,1;X25,260000164022032d0327",
	"z0,ffff800000100010,1",
	"Z2,10008,8",
	"vCont;s:p1.1;c:p1.-1",
	"vCont;r401000,401010:p1.1",
	"vCont;c:p1.-1",
	"Tp1.2",
	"p10",
	"P7=0010000000000000",
	"X10010,0:",
	"X10010,4:ab}\003d",
	"qRcmd,68656c70",
	"QThreadSuffixSupported",
	"x0,0",
	"D;1",
	"vKill;1",
	"k",
};

#endif
