/* stats.h - medians, percentiles, spread of a few numbers or of millions. */
#ifndef QS_BENCH_STATS_H
#define QS_BENCH_STATS_H

#include <stddef.h>
#include <stdint.h>

struct summary {
    double median; /* mean of the middle two when the count is even */
    double least;  /* smallest number */
    double most;   /* largest number */
};

/* Of `count` numbers, at least one. Sorts them. */
struct summary stats_summary(double *numbers, size_t count);

void stats_sort_u32(uint32_t *numbers, size_t count);

/* The number that `percent` of the sorted `numbers` do not exceed; 0 when there are none. */
uint32_t stats_percentile(const uint32_t *numbers, size_t count, double percent);

#endif
