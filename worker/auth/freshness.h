// How long an HTTP answer may be reused: Cache-Control's max-age minus Age (RFC 9111 §4.2, §5.1, §5.2). Pure.
#pragma once
#include "base/text.h"

#define FRESHNESS_MIN_S 60
#define FRESHNESS_MAX_S 86400
#define FRESHNESS_DEFAULT_S 300 // when the server says nothing about it

// The values of the two fields (several fields of one name joined by commas), empty when absent. Seconds from now, always within
// [FRESHNESS_MIN_S, FRESHNESS_MAX_S]. What cannot be understood is taken as stale: the minimum.
unsigned freshness_seconds(struct view cache_control, struct view age);
