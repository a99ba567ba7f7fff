/* test_crc32c.c - published vectors, and the methods against the polynomial itself. */
#include "base/crc32c.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

/* One bit at a time, as the polynomial defines it. */
static uint32_t crc_by_definition(uint32_t seed, const uint8_t *data, size_t size)
{
    uint32_t crc = ~seed;
    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    return ~crc;
}

/* RFC 3720, appendix B.4, and the usual check value. */
Test(crc32c, vectors)
{
    uint8_t bytes[32];

    cr_assert_eq(qs_crc32c(0, "", 0), 0);
    cr_assert_eq(qs_crc32c(0, "123456789", 9), 0xe3069283);
    memset(bytes, 0, sizeof bytes);
    cr_assert_eq(qs_crc32c(0, bytes, sizeof bytes), 0x8a9136aa);
    memset(bytes, 0xff, sizeof bytes);
    cr_assert_eq(qs_crc32c(0, bytes, sizeof bytes), 0x62a8ab43);
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)i;
    cr_assert_eq(qs_crc32c(0, bytes, sizeof bytes), 0x46dd794e);
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(31 - i);
    cr_assert_eq(qs_crc32c(0, bytes, sizeof bytes), 0x113fdb5c);
}

/* Every size up to two pages, at every alignment: single stream, short and long parts, tails. */
Test(crc32c, every_size)
{
    uint8_t bytes[8300 + 8];
    uint32_t seed = 0;

    srand(1);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)rand();
    for (size_t size = 0; size <= 8300; size++) {
        const uint8_t *data = malloc(size + size % 8);
        const uint8_t *start = memcpy((uint8_t *)data + size % 8, bytes, size);
        uint32_t crc = qs_crc32c(seed, start, size);
        cr_assert_eq(crc, qs_crc32c_portable(seed, start, size), "size %zu", size);
        cr_assert_eq(crc, qs_crc32c_narrow(seed, start, size), "size %zu", size);
        if (size % 61 == 0)
            cr_assert_eq(crc, crc_by_definition(seed, start, size), "size %zu", size);
        seed = crc;
        free((void *)data);
    }
}

Test(crc32c, split)
{
    uint8_t bytes[4096];

    srand(2);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)rand();
    uint32_t whole = qs_crc32c(0, bytes, sizeof bytes);
    for (size_t at = 0; at <= sizeof bytes; at++)
        cr_assert_eq(qs_crc32c(qs_crc32c(0, bytes, at), bytes + at, sizeof bytes - at), whole);
}
