/* retire.c - unlinked memory waiting to be freed; see retire.h. */
#include "cache/retire.h"

#include "base/vector.h"

#include <string.h>

#define PREFETCH_AHEAD 8

void qs_retire_init(struct retire *retire, void (*free_item)(void *memory))
{
    *retire = (struct retire){.free_item = free_item};
}

void qs_retire_close(struct retire *retire)
{
    qs_retire_run(retire, 0, UINT64_MAX);
    free(retire->item);
    *retire = (struct retire){.free_item = retire->free_item};
}

/* Moves the items to the front of the array. */
static void pack(struct retire *retire)
{
    memmove(retire->item, retire->item + retire->first,
            (retire->count - retire->first) * sizeof *retire->item);
    retire->count -= retire->first;
    retire->sealed -= retire->first;
    retire->first = 0;
}

void qs_retire_add(struct retire *retire, void *memory)
{
    if (retire->first > 1024 && retire->first * 2 > retire->count)
        pack(retire);
    if (qs_vector_reserve((void **)&retire->item, &retire->capacity, retire->count + 1,
                          sizeof *retire->item) == 0)
        retire->item[retire->count++] = (struct retired){memory, 0};
}

void qs_retire_run(struct retire *retire, uint64_t now, uint64_t oldest)
{
    for (; retire->sealed < retire->count; retire->sealed++)
        retire->item[retire->sealed].epoch = now;
    while (retire->first < retire->count && retire->item[retire->first].epoch < oldest) {
        /* Nobody has touched them for a while. */
        if (retire->first + PREFETCH_AHEAD < retire->count)
            __builtin_prefetch(retire->item[retire->first + PREFETCH_AHEAD].memory, 1);
        retire->free_item(retire->item[retire->first++].memory);
    }
    if (retire->first == retire->count)
        retire->first = retire->sealed = retire->count = 0;
}
