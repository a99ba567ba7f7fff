/* data.h - the records of all workloads: keys from numbers, values that can be verified.
 *
 * Record i has a random-looking key of 16 bytes, different for each i. A value says who wrote it:
 * a generation, a word made of key, generation and size, then filling. So any record read can be
 * verified by itself, whichever put of the run it comes from. Values up to DATA_SMALL_MAX are
 * filled with that word; larger ones with a pattern of the offset and the key's class, which is
 * made once, so that a put of 1 MiB does not measure the filling.
 */
#ifndef QS_BENCH_DATA_H
#define QS_BENCH_DATA_H

#include <lmdb.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { DATA_KEY_BYTES = 16, DATA_VALUE_BYTES = 100, DATA_SMALL_MAX = 256, DATA_CLASSES = 4 };

struct random {
    uint64_t state; /* any number */
};

/* A one-to-one mixing of 64 bits (the finalizer of SplitMix64, Steele et al., OOPSLA 2014). */
static inline uint64_t data_mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static inline uint64_t random_next(struct random *random)
{
    random->state += 0x9e3779b97f4a7c15u;
    return data_mix(random->state);
}

/* 0 <= result < end, for ends below 2^32. */
static inline uint64_t random_below(struct random *random, uint64_t end)
{
    return (random_next(random) >> 32) * end >> 32;
}

struct data_key {
    uint64_t word[2]; /* its bytes, as they lie */
};

static inline void data_key(struct data_key *key, uint64_t i)
{
    key->word[0] = data_mix(i + 0x9e3779b97f4a7c15u);
    key->word[1] = key->word[0] * 0xd1342543de82ef95u + i;
}

/* Ascending with i. */
static inline void data_key_in_order(struct data_key *key, uint64_t i)
{
    key->word[0] = 0;
    key->word[1] = __builtin_bswap64(i);
}

static inline uint64_t data_word(const struct data_key *key, uint64_t generation, size_t size)
{
    return ((key->word[0] ^ (generation + size)) * 0xd1342543de82ef95u) ^ key->word[1];
}

/* Makes the filling of large values, up to `size` bytes. Aborts without memory. */
void data_prepare(size_t size);

/* A value in a buffer of its own, good until the next call of this thread. */
void data_value(MDB_val *value, const struct data_key *key, uint64_t generation, size_t size);

bool data_verify_large(const struct data_key *key, const MDB_val *value);

/* True when some put of this record wrote exactly these bytes (of large values, one word of each
 * cache line is looked at). */
static inline bool data_verify(const struct data_key *key, const MDB_val *value)
{
    const uint8_t *bytes = value->mv_data;
    uint64_t generation;
    uint64_t wrong = 0;
    uint64_t word;
    size_t at = 8;

    if (value->mv_size > DATA_SMALL_MAX)
        return data_verify_large(key, value);
    if (value->mv_size < 16)
        return false;
    memcpy(&generation, bytes, 8);
    word = data_word(key, generation, value->mv_size);
    for (; at + 8 <= value->mv_size; at += 8) {
        uint64_t found;
        memcpy(&found, bytes + at, 8);
        wrong |= found ^ word;
    }
    return wrong == 0 && memcmp(bytes + at, &word, value->mv_size - at) == 0;
}

#endif
