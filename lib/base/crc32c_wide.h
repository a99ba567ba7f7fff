/* crc32c_wide.h - long input for the Castagnoli checksum, by carry-less multiplication of 64 bytes at once.
 *
 * For crc32c.c alone. Machines with AVX-512 and VPCLMULQDQ have it. Any thread.
 */
#ifndef QS_BASE_CRC32C_WIDE_H
#define QS_BASE_CRC32C_WIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CRC_WIDE_MIN 512u /* bytes, less is not worth the way */

/* Whether this processor, under this system, can. */
bool qs_crc32c_wide_detect(void);

/* Shortens data[0..size), CRC_WIDE_MIN bytes or more: *rest are 64 bytes with the same checksum, from state 0 on,
 * as the bytes before the ones that are left have from `state` on. Returns how many bytes are taken. */
size_t qs_crc32c_wide_fold(uint32_t state, const uint8_t *data, size_t size, uint8_t rest[64]);

#endif
