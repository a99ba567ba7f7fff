/* retire.c - unlinked memory waiting to be freed; see retire.h. */
#include "cache/retire.h"

#include "base/vector.h"

#include <string.h>

void qs_retire_init(struct retire *retire, void (*free_item)(void *memory))
{
    *retire = (struct retire){.free_item = free_item};
}

void qs_retire_close(struct retire *retire)
{
    qs_retire_run(retire, QS_TXNID_NONE);
    free(retire->item);
    retire->item = NULL;
    retire->capacity = 0;
}

void qs_retire_add(struct retire *retire, void *memory, txnid_t stamp)
{
    if (retire->first > 1024 && retire->first * 2 > retire->count) {
        memmove(retire->item, retire->item + retire->first,
                (retire->count - retire->first) * sizeof *retire->item);
        retire->count -= retire->first;
        retire->first = 0;
    }
    if (qs_vector_reserve((void **)&retire->item, &retire->capacity, retire->count + 1,
                          sizeof *retire->item) != 0)
        return;
    retire->item[retire->count++] = (struct retired){memory, stamp};
}

void qs_retire_run(struct retire *retire, txnid_t oldest)
{
    while (retire->first < retire->count && retire->item[retire->first].stamp < oldest)
        retire->free_item(retire->item[retire->first++].memory);
    if (retire->first == retire->count)
        retire->first = retire->count = 0;
}
