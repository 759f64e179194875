// Memory that is freed together, and the malloc of the house. A process that has no memory left cannot tell anybody more than that,
// so it ends here and no caller has to look.
#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CHUNK = 16 * 1024, ALIGNMENT = alignof(max_align_t) };

// Chunks come zeroed and are never used again, so what is handed out is zero too.
struct chunk {
    struct chunk *next;
    size_t used, size;
    alignas(max_align_t) char data[];
};

struct arena {
    struct chunk *newest;
};

_Noreturn void memory_exhausted(void) {
    static const char message[] = "pawl: out of memory\n";
    if (write(STDERR_FILENO, message, sizeof(message) - 1) < 0)
        abort();
    abort();
}

void *memory_alloc(size_t size) {
    void *memory = calloc(1, size ? size : 1);
    if (!memory)
        memory_exhausted();
    return memory;
}

void *memory_grow(void *old, size_t size) {
    void *memory = realloc(old, size ? size : 1);
    if (!memory)
        memory_exhausted();
    return memory;
}

char *memory_string(const char *string) {
    size_t size = strlen(string) + 1;
    return memcpy(memory_alloc(size), string, size);
}

void memory_wipe(void *data, size_t size) {
    if (size > 0)
        explicit_bzero(data, size);
}

struct arena *arena_new(void) {
    return memory_alloc(sizeof(struct arena));
}

void arena_free(struct arena *arena) {
    if (!arena)
        return;
    for (struct chunk *chunk = arena->newest, *next; chunk; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
    free(arena);
}

static struct chunk *chunk_new(size_t size) {
    struct chunk *chunk = memory_alloc(sizeof(*chunk) + size);
    chunk->size = size;
    return chunk;
}

void *arena_alloc(struct arena *arena, size_t size) {
    if (size > SIZE_MAX / 2)
        memory_exhausted();
    size = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    struct chunk *newest = arena->newest;
    if (newest && size <= newest->size - newest->used) {
        newest->used += size;
        return newest->data + newest->used - size;
    }
    struct chunk *chunk = chunk_new(size > CHUNK / 4 ? size : CHUNK);
    chunk->used = size;
    if (newest && chunk->size == size) { // a big piece has a chunk of its own; the newest keeps its room for small ones
        chunk->next = newest->next;
        newest->next = chunk;
    } else {
        chunk->next = newest;
        arena->newest = chunk;
    }
    return chunk->data;
}

void *arena_array(struct arena *arena, size_t count, size_t size) {
    size_t total;
    if (__builtin_mul_overflow(count, size, &total))
        memory_exhausted();
    return arena_alloc(arena, total);
}

char *arena_copy(struct arena *arena, const char *data, size_t length) {
    if (length > SIZE_MAX / 2)
        memory_exhausted();
    char *copy = arena_alloc(arena, length + 1);
    if (length > 0)
        memcpy(copy, data, length);
    return copy;
}

char *arena_string(struct arena *arena, const char *string) {
    return string ? arena_copy(arena, string, strlen(string)) : NULL;
}

char *arena_printf(struct arena *arena, const char *format, ...) {
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    size_t size = length < 0 ? 1 : (size_t)length + 1;
    char *string = arena_alloc(arena, size);
    if (length >= 0)
        (void)vsnprintf(string, size, format, again);
    va_end(again);
    return string;
}
