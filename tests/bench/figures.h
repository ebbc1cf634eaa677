/* What figures are made of: clocks, medians, and cells of a table. */
#ifndef FIGURES_H
#define FIGURES_H

#define MAX_WINDOWS 15

double now_s(void);
/* Sorts @values. */
double median(double *values, unsigned count);

/* A figure, or a dash for 0, which means not measured. */
void print_cell(double value, int width);
void print_ratio(double value, int width);

#endif
