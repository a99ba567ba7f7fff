/* test_version.c - versions of all sizes come and go; their bytes stay their own.
 *
 * Owns:       versions that hold their number in every byte.
 * Invariants: V1 no two versions share a byte. V2 the pool's counters say what is handed out. V3 when all is
 *             given back, all but the slabs to be kept are gone; closing a pool gives back what is left.
 */
#include "cache/version.h"
#include "effort.h"
#include "store/scratch_store.h"

#include <string.h>

enum { ROUNDS = 5, VERSIONS = 20000, SURGE = 40000, SLABS_OF_AN_ARENA = 8 };

static struct version_pool pool;
static struct version *version[ROUNDS * VERSIONS + SURGE];
static unsigned count;
static uint64_t bytes;

static size_t bytes_of(const struct version *v)
{
    return sizeof *v + v->page_bytes;
}

static void make(uint64_t *random)
{
    size_t wanted =
        scratch_random(random) % 4 == 0 ? 0 : scratch_random(random) % (QS_PAGE_BYTES + 1);
    struct version *v = qs_version_new(&pool, VERSION_WHOLE, wanted);
    cr_assert(v != NULL && v->page_bytes >= wanted && v->page_bytes < wanted + VERSION_CLASS_BYTES);
    v->txn = scratch_random(random);
    memset(v->page, (int)(v->txn & 0xff), v->page_bytes);
    bytes += bytes_of(v);
    version[count++] = v;
}

static bool is_whole(const struct version *v) /* V1 */
{
    const uint8_t *page = (const uint8_t *)v->page;
    for (unsigned i = 0; i < v->page_bytes; i++)
        if (page[i] != (uint8_t)v->txn)
            return false;
    return true;
}

static void give_back_some(uint64_t *random)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < count; i++) {
        cr_assert(is_whole(version[i]));
        if (scratch_random(random) % 8 == 0) {
            version[kept++] = version[i];
            continue;
        }
        bytes -= bytes_of(version[i]);
        qs_version_free(version[i]);
    }
    count = kept;
}

Test(version, pool)
{
    uint64_t random = scratch_seed(1);
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = effort(VERSIONS, VERSIONS / 20); i > 0; i--)
            make(&random);
        give_back_some(&random);
        cr_assert(pool.count == count && pool.bytes == bytes); /* V2 */
    }
    for (unsigned i = 0; i < SURGE; i++)
        make(&random);
    cr_assert(pool.slabs > VERSION_SLABS_KEPT + SLABS_OF_AN_ARENA);
    while (count > 1)
        qs_version_free(version[--count]);
    cr_assert(pool.count == 1 && pool.slabs <= VERSION_SLABS_KEPT + SLABS_OF_AN_ARENA); /* V3 */
    qs_version_free(NULL);
    qs_version_pool_close(&pool);
    cr_assert(pool.count == 0 && pool.slabs == 0);
}
