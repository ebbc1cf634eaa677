/* Text about umbra itself, on stdout because it was asked for. */
#ifndef CLI_USAGE_H
#define CLI_USAGE_H

#include "umbra/print.h"

void usage_help(const struct print_sink *sink);
void usage_version(const struct print_sink *sink);

#endif
