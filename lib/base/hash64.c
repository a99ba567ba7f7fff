/* hash64.c - the log's checksum; see hash64.h.
 *
 * Each word is mixed into a state by steps that can be undone (exclusive or, an odd multiplier, a
 * shifted exclusive or), so that a changed word always changes the state. Long input goes into four
 * states in turn, since a processor works on as many at a time; they are mixed into one in the end.
 * Source: own; the multiplier is 2^64 divided by the golden ratio.
 */
#include "base/hash64.h"

#include <string.h>

#define MULTIPLIER UINT64_C(0x9e3779b97f4a7c15)

enum { LANES = 4, WORD = sizeof(uint64_t) };

static inline uint64_t mix(uint64_t state, uint64_t word)
{
    state = (state ^ word) * MULTIPLIER;
    return state ^ state >> 32;
}

static inline uint64_t word_at(const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, WORD);
    return word;
}

uint64_t qs_hash64(uint64_t seed, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    uint64_t state = mix(seed, size), word = 0;
    if (size >= LANES * WORD) {
        uint64_t a = state, b = ~state, c = state + MULTIPLIER, d = state - MULTIPLIER;
        for (; size >= LANES * WORD; size -= LANES * WORD, at += LANES * WORD) {
            a = mix(a, word_at(at));
            b = mix(b, word_at(at + WORD));
            c = mix(c, word_at(at + 2 * WORD));
            d = mix(d, word_at(at + 3 * WORD));
        }
        state = mix(mix(mix(a, b), c), d);
    }
    for (; size >= WORD; size -= WORD, at += WORD)
        state = mix(state, word_at(at));
    memcpy(&word, at, size);
    return mix(mix(state, word), seed);
}
