/* test_hash64.c - what the log relies on: no changed word goes unnoticed, wherever it stands. */
#include "base/hash64.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

enum { BYTES_MAX = 300 };

/* Every size, at every alignment; what stands behind the input does not count. */
Test(hash64, every_size)
{
    uint8_t bytes[BYTES_MAX + 16], moved[BYTES_MAX + 16];

    srand(1);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)rand();
    for (size_t size = 0; size <= BYTES_MAX; size++) {
        uint64_t sum = qs_hash64(size, bytes, size);
        memcpy(moved + size % 8, bytes, size);
        moved[size % 8 + size] ^= 1;
        cr_assert_eq(qs_hash64(size, moved + size % 8, size), sum, "size %zu", size);
        cr_assert_neq(qs_hash64(size + 1, bytes, size), sum, "size %zu", size);
        cr_assert_neq(qs_hash64(size, bytes, size + 1), sum, "size %zu", size);
    }
}

Test(hash64, changed_bits)
{
    uint8_t bytes[BYTES_MAX];

    memset(bytes, 0, sizeof bytes);
    for (size_t size = 1; size <= BYTES_MAX; size++) {
        uint64_t sum = qs_hash64(0, bytes, size);
        for (size_t bit = 0; bit < size * 8; bit++) {
            bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
            cr_assert_neq(qs_hash64(0, bytes, size), sum, "size %zu, bit %zu", size, bit);
            bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
    }
}

/* Two words that change places: in one state or in two. */
Test(hash64, exchanged_words)
{
    uint64_t words[16];

    for (size_t i = 0; i < 16; i++)
        words[i] = i + 1;
    uint64_t sum = qs_hash64(0, words, sizeof words);
    for (size_t i = 0; i < 16; i++)
        for (size_t j = i + 1; j < 16; j++) {
            words[i] = j + 1;
            words[j] = i + 1;
            cr_assert_neq(qs_hash64(0, words, sizeof words), sum, "%zu and %zu", i, j);
            words[i] = i + 1;
            words[j] = j + 1;
        }
}
