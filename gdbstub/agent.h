/* Conditions and commands of breakpoints, out of the packet. */
#ifndef RSPSTUB_AGENT_H
#define RSPSTUB_AGENT_H

#include "internal.h"

struct agent_parser {
	/* What programs may do: reg_size, and RSP_AX_VARIABLES or not; the rest is set here. */
	struct rsp_ax_rules rules;
	uint8_t *packet_end;	    /* where the cursor ends, to be written before it */
	char why[RSP_AX_ERROR_MAX]; /* after a failure */
};

/* What follows the first ';' of a Z packet.  @out points into the packet, where the programs are
 * decoded in place.  False: p->why says what is wrong. */
bool agent_parse(struct rsp_cursor *cursor, struct rsp_agent *out, struct agent_parser *p);

#endif
