/* `umbra check-host`: the self-test of the back end, for a person.  The back end knows what to
 * measure and how each lack is mended; this decides the exit status. */
#include "check_host.h"

#include "exit_status.h"

#include "umbra/accel_kvm.h"
#include "umbra/log.h"

int check_host(const struct print_sink *sink)
{
	struct accel_caps caps;
	struct umbra_err err = {""};

	if (kvm_probe_host(&caps, sink, &err) < 0) {
		log_error("%s", err.text);
		return EXIT_STATUS_NO_ACCEL;
	}
	return EXIT_STATUS_PASS;
}
