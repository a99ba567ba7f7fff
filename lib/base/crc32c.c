/* crc32c.c - the Castagnoli checksum: long input by wide multiplication, else three streams at once in hardware, a
 * table elsewhere.
 *
 * Owns:       the choice of method, made at the first call and remembered.
 * How:        the processor's instruction takes 8 bytes in three cycles but can start one in every
 *             cycle, so a block is cut into three parts of `part_bytes` that run side by side. The
 *             checksum of a part followed by n zero bytes is a linear function of the part's: a
 *             table lookup a half byte (struct crc_shift), which puts the three together again.
 * Locks:      none; threads that choose at the same time choose the same.
 * Source:     the polynomial is Castagnoli's (1993), reflected 0x82f63b78. tests/base/test_crc32c.c
 *             checks every table against the definition.
 */
#include "base/crc32c.h"
#include "base/crc32c_table.h"
#include "base/crc32c_wide.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "words below are taken as they lie");

static uint32_t update_table(uint32_t crc, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        crc = crc >> 8 ^ crc_byte_table[(crc ^ data[i]) & 0xff];
    return crc;
}

#if defined(__x86_64__)
#include <cpuid.h>

#define HARDWARE_FUNCTION static __attribute__((target("sse4.2")))
#define HARDWARE_INLINE static inline __attribute__((always_inline, target("sse4.2")))

HARDWARE_INLINE uint64_t step8(uint64_t crc, const uint8_t *data)
{
    uint64_t word;
    memcpy(&word, data, sizeof word);
    return __builtin_ia32_crc32di(crc, word);
}

HARDWARE_INLINE uint32_t step4(uint32_t crc, const uint8_t *data)
{
    uint32_t word;
    memcpy(&word, data, sizeof word);
    return __builtin_ia32_crc32si(crc, word);
}

HARDWARE_INLINE uint32_t step1(uint32_t crc, const uint8_t *data)
{
    return __builtin_ia32_crc32qi(crc, *data);
}

static bool hardware_detect(void)
{
    unsigned eax, ebx, ecx, edx;
    return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_SSE4_2) != 0;
}

#elif defined(__aarch64__)
#include <sys/auxv.h>

#define HARDWARE_FUNCTION static
#define HARDWARE_INLINE static inline __attribute__((always_inline))
#define HWCAP_BIT_CRC32 (1ul << 7) /* of AT_HWCAP, fixed by the kernel's interface */

HARDWARE_INLINE uint64_t step8(uint64_t crc, const uint8_t *data)
{
    uint64_t word;
    memcpy(&word, data, sizeof word);
    uint32_t narrow = (uint32_t)crc;
    __asm__(".arch_extension crc\n\tcrc32cx %w0, %w0, %x1" : "+r"(narrow) : "r"(word));
    return narrow;
}

HARDWARE_INLINE uint32_t step4(uint32_t crc, const uint8_t *data)
{
    uint32_t word;
    memcpy(&word, data, sizeof word);
    __asm__(".arch_extension crc\n\tcrc32cw %w0, %w0, %w1" : "+r"(crc) : "r"(word));
    return crc;
}

HARDWARE_INLINE uint32_t step1(uint32_t crc, const uint8_t *data)
{
    uint32_t byte = *data;
    __asm__(".arch_extension crc\n\tcrc32cb %w0, %w0, %w1" : "+r"(crc) : "r"(byte));
    return crc;
}

static bool hardware_detect(void)
{
    return (getauxval(AT_HWCAP) & HWCAP_BIT_CRC32) != 0;
}
#endif

#ifdef HARDWARE_FUNCTION
HARDWARE_INLINE uint32_t shift_apply(const struct crc_shift *shift, uint64_t crc)
{
    uint32_t result = shift->half[0][crc & 15];
#pragma GCC unroll 8
    for (unsigned i = 1; i < 8; i++)
        result ^= shift->half[i][crc >> 4 * i & 15];
    return result;
}

/* Three parts of `part_bytes` (a multiple of 8) side by side. The streams are kept in 64 bits, as
 * the instruction takes and leaves them; the upper half is 0. */
HARDWARE_INLINE uint32_t update_parts(uint32_t crc, const uint8_t *data, size_t part_bytes,
                                      const struct crc_shift *once, const struct crc_shift *twice)
{
    uint64_t first = crc;
    uint64_t middle = 0;
    uint64_t last = 0;

    for (const uint8_t *end = data + part_bytes; data < end; data += 8) {
        first = step8(first, data);
        middle = step8(middle, data + part_bytes);
        last = step8(last, data + 2 * part_bytes);
    }
    return shift_apply(twice, first) ^ shift_apply(once, middle) ^ (uint32_t)last;
}

HARDWARE_FUNCTION uint32_t update_hardware(uint32_t crc, const uint8_t *data, size_t size)
{
    for (; size >= 3 * CRC_LONG_BYTES; data += 3 * CRC_LONG_BYTES, size -= 3 * CRC_LONG_BYTES)
        crc = update_parts(crc, data, CRC_LONG_BYTES, &crc_long_once, &crc_long_twice);
    for (; size >= 3 * CRC_SHORT_BYTES; data += 3 * CRC_SHORT_BYTES, size -= 3 * CRC_SHORT_BYTES)
        crc = update_parts(crc, data, CRC_SHORT_BYTES, &crc_short_once, &crc_short_twice);
    uint64_t wide = crc;
    for (; size >= 8; data += 8, size -= 8)
        wide = step8(wide, data);
    crc = (uint32_t)wide;
    if (size >= 4) {
        crc = step4(crc, data);
        data += 4;
        size -= 4;
    }
    for (; size > 0; data++, size--)
        crc = step1(crc, data);
    return crc;
}

static uint32_t update_wide(uint32_t crc, const uint8_t *data, size_t size)
{
    uint8_t rest[64];
    if (size < CRC_WIDE_MIN)
        return update_hardware(crc, data, size);
    size_t taken = qs_crc32c_wide_fold(crc, data, size, rest);
    crc = update_hardware(0, rest, sizeof rest);
    return update_hardware(crc, data + taken, size - taken);
}

enum method { METHOD_UNKNOWN, METHOD_WIDE, METHOD_HARDWARE, METHOD_TABLE };

/* Relaxed: a value that stands for itself; whoever reads 0 finds out anew. */
static _Atomic unsigned char method_chosen;

static unsigned method_choose(void)
{
    unsigned best = !hardware_detect()        ? METHOD_TABLE
                    : qs_crc32c_wide_detect() ? METHOD_WIDE
                                              : METHOD_HARDWARE;
    atomic_store_explicit(&method_chosen, (unsigned char)best, memory_order_relaxed);
    return best;
}

static unsigned method(void)
{
    unsigned chosen = atomic_load_explicit(&method_chosen, memory_order_relaxed);
    return chosen != METHOD_UNKNOWN ? chosen : method_choose();
}

uint32_t qs_crc32c(uint32_t seed, const void *data, size_t size)
{
    switch (method()) {
    case METHOD_WIDE:
        return ~update_wide(~seed, data, size);
    case METHOD_HARDWARE:
        return ~update_hardware(~seed, data, size);
    default:
        return ~update_table(~seed, data, size);
    }
}

uint32_t qs_crc32c_narrow(uint32_t seed, const void *data, size_t size)
{
    return method() == METHOD_TABLE ? ~update_table(~seed, data, size)
                                    : ~update_hardware(~seed, data, size);
}
#else
uint32_t qs_crc32c(uint32_t seed, const void *data, size_t size)
{
    return ~update_table(~seed, data, size);
}

uint32_t qs_crc32c_narrow(uint32_t seed, const void *data, size_t size)
{
    return ~update_table(~seed, data, size);
}
#endif

uint32_t qs_crc32c_portable(uint32_t seed, const void *data, size_t size)
{
    return ~update_table(~seed, data, size);
}
