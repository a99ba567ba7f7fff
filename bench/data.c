/* data.c - filling and verifying values; see data.h.
 *
 * Owns:       a template of a large value for each class of keys, and for each thread the value it
 *             puts now.
 * Invariants: D1 templates never change after data_prepare(), but for the two words in front.
 * Locks:      none: large values are put by one thread only.
 */
#include "data.h"

#include <stdlib.h>

static uint8_t *templates[DATA_CLASSES];

static uint64_t pattern(unsigned class, size_t at)
{
    return ((uint64_t) class + 1) * 0x9e3779b97f4a7c15u ^ at;
}

static unsigned class_of(const struct data_key *key)
{
    return (unsigned)(key->word[1] >> 56) % DATA_CLASSES;
}

void data_prepare(size_t size)
{
    for (unsigned class = 0; class < DATA_CLASSES; class ++) {
        uint8_t *bytes = malloc(size + 8);
        if (bytes == NULL)
            abort();
        for (size_t at = 0; at < size; at += 8) {
            uint64_t word = pattern(class, at);
            memcpy(bytes + at, &word, 8);
        }
        templates[class] = bytes;
    }
}

void data_value(MDB_val *value, const struct data_key *key, uint64_t generation, size_t size)
{
    static _Thread_local uint8_t small[DATA_SMALL_MAX + 8];
    uint64_t word = data_word(key, generation, size);
    uint8_t *bytes = size <= DATA_SMALL_MAX ? small : templates[class_of(key)];

    memcpy(bytes, &generation, 8);
    memcpy(bytes + 8, &word, 8);
    for (size_t at = 16; size <= DATA_SMALL_MAX && at < size; at += 8)
        memcpy(bytes + at, &word, 8);
    value->mv_data = bytes;
    value->mv_size = size;
}

bool data_verify_large(const struct data_key *key, const MDB_val *value)
{
    const uint8_t *bytes = value->mv_data;
    unsigned class = class_of(key);
    uint64_t wrong = 0;
    uint64_t head[2];

    memcpy(head, bytes, sizeof head);
    for (size_t at = 64; at + 8 <= value->mv_size; at += 64) {
        uint64_t found;
        memcpy(&found, bytes + at, 8);
        wrong |= found ^ pattern(class, at);
    }
    return wrong == 0 && head[1] == data_word(key, head[0], value->mv_size);
}
