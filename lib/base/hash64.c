/* hash64.c - the log's checksum; see hash64.h.
 *
 * Each word is mixed into the state by steps that can be undone (exclusive or, an odd multiplier, a
 * shifted exclusive or), so that a changed word always changes the state.
 * Source: own; the multiplier is 2^64 divided by the golden ratio.
 */
#include "base/hash64.h"

#include <string.h>

#define MULTIPLIER UINT64_C(0x9e3779b97f4a7c15)

static uint64_t mix(uint64_t state, uint64_t word)
{
    state = (state ^ word) * MULTIPLIER;
    return state ^ state >> 32;
}

uint64_t qs_hash64(uint64_t seed, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    uint64_t state = mix(seed, size), word;
    for (; size >= sizeof word; size -= sizeof word, at += sizeof word) {
        memcpy(&word, at, sizeof word);
        state = mix(state, word);
    }
    word = 0;
    memcpy(&word, at, size);
    return mix(mix(state, word), seed);
}
