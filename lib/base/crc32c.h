/* crc32c.h - the checksum of everything we write (Castagnoli polynomial).
 *
 * Hardware instructions (SSE4.2, ARMv8 CRC; for long input AVX-512 with VPCLMULQDQ) where the machine has
 * them, a table where not. Same result everywhere. Any thread.
 */
#ifndef QS_BASE_CRC32C_H
#define QS_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Checksum of `size` bytes, continuing from `seed` (0 to start; the result of a previous call to go
 * on: crc(ab) == crc32c(crc32c(0, a), b)). */
uint32_t qs_crc32c(uint32_t seed, const void *data, size_t size);

/* The same by table alone, and without wide registers, whatever the machine has: twins that tests compare with. */
uint32_t qs_crc32c_portable(uint32_t seed, const void *data, size_t size);
uint32_t qs_crc32c_narrow(uint32_t seed, const void *data, size_t size);

#endif
