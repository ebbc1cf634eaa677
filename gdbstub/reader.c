/* A client that may only look, because another one controls the target. */
#include "internal.h"

#include <string.h>

/* What it may say besides the queries, whose names begin with a small q: they change nothing, or
 * nothing but this session. */
static const char *const allowed[] = {
	"?",
	"!",
	"g",
	"p",
	"m",
	"x",
	"Hg",
	"Hc",
	"T",
	"D",
	"vCont?",
	"vMustReplyEmpty",
	"QStartNoAckMode",
	"QNonStop",
	"Qqemu.PhyMemMode",
	"Qqemu.sstepbits",
	"QThreadSuffixSupported",
	"QListThreadsInStopReply",
	"jThreadsInfo",
};

bool rsp_reader_may_run(struct rsp_session *s, const struct rsp_command *command)
{
	size_t i;

	if (command->name[0] == 'q')
		return true;
	for (i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++)
		if (strcmp(command->name, allowed[i]) == 0)
			return true;
	/* k knows no answer: the client goes, and that is all. */
	if (strcmp(command->name, "k") == 0)
		s->state = RSP_DETACHED;
	else
		rsp_answer_text(s, "E.another client controls the target, this one may only look");
	return false;
}
