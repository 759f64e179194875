// Memory that is freed together: one arena per message or command. Running out of memory ends the process with a message.
#pragma once
#include <stdarg.h>
#include <stddef.h>

struct arena; // not thread-safe

struct arena *arena_new(void);
void arena_free(struct arena *arena); // NULL is fine
static inline void arena_cleanup(struct arena **arena) {
    arena_free(*arena);
}
#define cleanup_arena __attribute__((cleanup(arena_cleanup)))

// Zeroed, aligned for any type; never NULL.
void *arena_alloc(struct arena *arena, size_t size);
void *arena_array(struct arena *arena, size_t count, size_t size); // overflow ends the process
// Copy of `length` bytes and a NUL after them.
char *arena_copy(struct arena *arena, const char *data, size_t length);
char *arena_string(struct arena *arena, const char *string); // NULL stays NULL
char *arena_printf(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

// malloc and friends that end the process when memory runs out.
void *memory_alloc(size_t size); // zeroed
void *memory_grow(void *old, size_t size);
char *memory_string(const char *string);
_Noreturn void memory_exhausted(void);     // for memory that a library asked for in vain
void memory_wipe(void *data, size_t size); // not optimised away
static inline void memory_cleanup(void *pointer) {
    extern void free(void *);
    free(*(void **)pointer);
}
#define cleanup_free __attribute__((cleanup(memory_cleanup)))
