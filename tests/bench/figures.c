#include "figures.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double median(double *values, unsigned count)
{
	qsort(values, count, sizeof(*values), compare_doubles);
	return values[count / 2];
}

void print_cell(double value, int width)
{
	if (value > 0)
		printf(" %*.*f", width, value < 100 ? 1 : 0, value);
	else
		printf(" %*s", width, "-");
}

void print_ratio(double value, int width)
{
	if (value > 0)
		printf(" %*.2fx", width - 1, value);
	else
		printf(" %*s", width, "-");
}
