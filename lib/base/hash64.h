/* hash64.h - a 64-bit checksum for the log: seeded, quick on short input, not for adversaries. */
#ifndef QS_BASE_HASH64_H
#define QS_BASE_HASH64_H

#include <stddef.h>
#include <stdint.h>

/* Checksum of `size` bytes. Two inputs of one size that differ in one 8-byte word never collide;
 * others do by chance, one in 2^64. The same on every machine of one byte order. */
uint64_t qs_hash64(uint64_t seed, const void *bytes, size_t size);

#endif
