/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checksum of rows and log records: 64-bit FNV-1a over tagged, length-prefixed fields. It finds
 * what flash and memory do to bytes (any change within one byte is always found); it is no
 * protection against a person.
 */
#ifndef FAIRLEAD_STORE_SRC_SUM_H
#define FAIRLEAD_STORE_SRC_SUM_H

#include <stddef.h>
#include <stdint.h>

/* The tag keeps a row of one kind from being taken for one of another. */
uint64_t store_sum(const char *tag);
uint64_t store_sum_u64(uint64_t sum, uint64_t value);
uint64_t store_sum_bytes(uint64_t sum, const void *data, size_t len);

#endif
