/* The process's exit status: a contract with scripts and test runners (README, --help). */
#ifndef CLI_EXIT_STATUS_H
#define CLI_EXIT_STATUS_H

enum exit_status {
	EXIT_STATUS_PASS = 0, /* the guest said pass, or powered off */
	EXIT_STATUS_FAIL = 1,
	EXIT_STATUS_TROUBLE = 2,   /* usage, image or host */
	EXIT_STATUS_DIED = 3,	   /* the guest */
	EXIT_STATUS_BUG = 70,	   /* ours; as sysexits.h's EX_SOFTWARE */
	EXIT_STATUS_NO_ACCEL = 77, /* automake's "skip" */
	EXIT_STATUS_TIMEOUT = 124, /* as timeout(1) */
	EXIT_STATUS_SIGNAL = 128   /* plus the signal's number */
};

#endif
