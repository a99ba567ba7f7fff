/* stats.c - see stats.h. Pure functions. */
#include "stats.h"

#include <stdlib.h>

static int compare_double(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static int compare_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

struct summary stats_summary(double *numbers, size_t count)
{
    qsort(numbers, count, sizeof *numbers, compare_double);
    return (struct summary){
        .median = (numbers[(count - 1) / 2] + numbers[count / 2]) / 2,
        .least = numbers[0],
        .most = numbers[count - 1],
    };
}

void stats_sort_u32(uint32_t *numbers, size_t count)
{
    qsort(numbers, count, sizeof *numbers, compare_u32);
}

uint32_t stats_percentile(const uint32_t *numbers, size_t count, double percent)
{
    double rank = (double)count * percent / 100;
    size_t i = (size_t)rank;

    if (count == 0)
        return 0;
    if (rank == (double)i && i > 0)
        i--;
    return numbers[i < count ? i : count - 1];
}
