// Time. Wall-clock for claims and records, monotonic for waiting; both can be read only here, so that pure rooms stay pure.
#pragma once
#include <stdbool.h>
#include <stdint.h>

int64_t clock_unix(void); // seconds since 1970-01-01 UTC
int64_t clock_unix_ms(void);
uint64_t clock_ms(void); // monotonic
void clock_sleep_ms(uint64_t ms);
uint32_t clock_random(uint32_t bound); // 0 <= x < bound; for jitter and ids, not for keys
// RFC 3339 in UTC, milliseconds: "2026-02-26T19:13:55.749Z". `destination` has room for 32 bytes.
void clock_format(int64_t unix_ms, char destination[static 32]);
// RFC 3339 as Google writes it: UTC as Z or (dead letters) +00:00, 0 to 9 fractional digits. False when it is anything else.
bool clock_parse(const char *text, int64_t *ret_unix_ms);
