// The only place that asks what time it is, and for chance. What a time means (a deadline, an expiry) is left to the callers.
#include "base/clock.h"

#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

static int64_t read_ms(clockid_t id) {
    struct timespec now;
    if (clock_gettime(id, &now) != 0)
        abort(); // cannot happen with the two clocks asked for here
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t clock_unix_ms(void) {
    return read_ms(CLOCK_REALTIME);
}

int64_t clock_unix(void) {
    return clock_unix_ms() / 1000;
}

uint64_t clock_ms(void) {
    return (uint64_t)read_ms(CLOCK_MONOTONIC);
}

void clock_sleep_ms(uint64_t ms) {
    struct timespec left = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000 * 1000000)};
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR)
        continue;
}

uint32_t clock_random(uint32_t bound) {
    uint32_t random;
    if (bound < 2)
        return 0;
    // At most 256 bytes are never cut short; the smallest values are thrown away so that all remainders are equally likely.
    do {
        while (getrandom(&random, sizeof(random), 0) != sizeof(random))
            continue;
    } while (random < -bound % bound);
    return random % bound;
}

void clock_format(int64_t unix_ms, char destination[static 32]) {
    const int64_t first = -62167219200000, last = 253402300799999; // the years 0000 to 9999, all that RFC 3339 can say
    int64_t clamped = unix_ms < first ? first : unix_ms > last ? last : unix_ms;
    int64_t ms = (clamped % 1000 + 1000) % 1000;
    time_t seconds = (time_t)((clamped - ms) / 1000);
    struct tm utc;
    if (!gmtime_r(&seconds, &utc))
        abort(); // cannot happen within those years
    (void)snprintf(destination, 32, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ", (utc.tm_year + 1900u) % 10000,
                   (utc.tm_mon + 1u) % 100, utc.tm_mday % 100u, utc.tm_hour % 100u, utc.tm_min % 100u,
                   utc.tm_sec % 100u, (unsigned)ms);
}

// Takes `count` digits off the front of `text`.
static bool take_number(struct view *text, size_t count, uint64_t min, uint64_t max, int *ret_number) {
    uint64_t number;
    if (text->length < count || !text_to_u64((struct view){text->data, count}, max, &number) || number < min)
        return false;
    *text = (struct view){text->data + count, text->length - count};
    *ret_number = (int)number;
    return true;
}

static bool take_char(struct view *text, char c) {
    if (text->length == 0 || text->data[0] != c)
        return false;
    *text = (struct view){text->data + 1, text->length - 1};
    return true;
}

// ".5", ".749", ".123456789": 1 to 9 digits, of which the first three count; or nothing.
static bool take_fraction(struct view *text, int *ret_ms) {
    int ms = 0;
    size_t digits = 0;
    if (take_char(text, '.')) {
        while (text->length > 0 && text->data[0] >= '0' && text->data[0] <= '9') {
            int digit;
            (void)take_number(text, 1, 0, 9, &digit);
            if (digits++ < 3)
                ms = ms * 10 + digit;
        }
        if (digits == 0 || digits > 9)
            return false;
        for (; digits < 3; digits++)
            ms *= 10;
    }
    *ret_ms = ms;
    return true;
}

// UTC only: Z, or +00:00 as the attributes of a dead letter have it.
static bool take_utc(struct view *text) {
    int zero;
    return take_char(text, 'Z') || (take_char(text, '+') && take_number(text, 2, 0, 0, &zero) && take_char(text, ':') &&
                                    take_number(text, 2, 0, 0, &zero));
}

static bool is_leap(int year) {
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

bool clock_parse(const char *text, int64_t *ret_unix_ms) {
    static const int month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    struct view rest = view_of(text);
    int year, month, day, hour, minute, second, ms;
    if (!take_number(&rest, 4, 1, 9999, &year) || !take_char(&rest, '-') || !take_number(&rest, 2, 1, 12, &month) ||
        !take_char(&rest, '-') || !take_number(&rest, 2, 1, 31, &day) || !take_char(&rest, 'T') ||
        !take_number(&rest, 2, 0, 23, &hour) || !take_char(&rest, ':') || !take_number(&rest, 2, 0, 59, &minute) ||
        !take_char(&rest, ':') || !take_number(&rest, 2, 0, 59, &second) || !take_fraction(&rest, &ms) ||
        !take_utc(&rest) || rest.length > 0)
        return false;
    if (day > month_days[month - 1] + (month == 2 && is_leap(year)))
        return false;
    struct tm utc = {.tm_year = year - 1900,
                     .tm_mon = month - 1,
                     .tm_mday = day,
                     .tm_hour = hour,
                     .tm_min = minute,
                     .tm_sec = second};
    *ret_unix_ms = (int64_t)timegm(&utc) * 1000 + ms;
    return true;
}
