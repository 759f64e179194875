// Fuzzes freshness_seconds: the first line of the input is Cache-Control, the rest is Age. The result stays within its bounds, and
// what must not matter does not: case, an unknown directive in front, empty list elements. More directives never make it longer.
#include "auth/freshness.h"
#include "base/arena.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool condition) {
    if (!condition)
        abort();
}

static unsigned around(const char *before, struct view cache_control, const char *after, struct view age) {
    cleanup_text struct text text = TEXT(cache_control.length + 64);
    text_append(&text, before);
    text_append_view(&text, cache_control);
    text_append(&text, after);
    return freshness_seconds((struct view){text_string(&text), text.length}, age);
}

static unsigned in_capitals(struct view cache_control, struct view age) {
    cleanup_free char *capitals = memory_alloc(cache_control.length + 1);
    for (size_t i = 0; i < cache_control.length; i++) {
        char c = cache_control.data[i];
        capitals[i] = c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
    }
    return freshness_seconds((struct view){capitals, cache_control.length}, age);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cleanup_free char *exact = memory_alloc(size + 1); // never NULL: views of nothing still point somewhere
    if (size > 0)
        memcpy(exact, data, size);
    const char *end = memchr(exact, '\n', size);
    size_t length = end != NULL ? (size_t)(end - exact) : size;
    struct view cache_control = {exact, length};
    struct view age = {exact + length + (end != NULL), size - length - (end != NULL)};
    unsigned seconds = freshness_seconds(cache_control, age);
    expect(seconds >= FRESHNESS_MIN_S && seconds <= FRESHNESS_MAX_S);
    expect(in_capitals(cache_control, age) == seconds);
    expect(around(" ,, ", cache_control, "", age) == seconds);
    expect(around("x=\"max-age=1, no-store\", ", cache_control, "", age) == seconds);
    expect(around("s-maxage=1,x-max-age=1,", cache_control, "", age) == seconds);
    expect(around("", cache_control, ",no-store", age) == FRESHNESS_MIN_S);
    expect(around("", cache_control, ",max-age=0", age) == FRESHNESS_MIN_S);
    expect(around("no-cache,", cache_control, "", age) == FRESHNESS_MIN_S);
    expect(freshness_seconds(cache_control, VIEW("99999999999999999999")) == FRESHNESS_MIN_S);
    expect(freshness_seconds(cache_control, VIEW("0")) >= seconds);
    return 0;
}
