// The reader of one file.
#include "source/file.h"
#include "base/arena.h"
#include "base/hash.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUFFER_SIZE ((size_t)64 << 10)
#define TOO_LARGE "larger than a migration file may be"

struct reading {
    const char *name;
    int fd;
    uint64_t max, taken; // bytes on disk
    unsigned line;       // of the first byte in the buffer
    struct hash hash;
    uint64_t size; // normalised bytes so far
    char *destination;
    size_t room;
    char *buffer;
    size_t held; // bytes in the buffer
    struct error *err;
};

static bool refuse(struct reading *reading, unsigned line, const char *why) {
    error_set(reading->err, ERROR_SOURCE_INVALID, "%s", why);
    if (line > 0)
        error_wrap(reading->err, "line %u", line);
    text_copy(reading->err->file, sizeof reading->err->file, view_of(reading->name));
    reading->err->line = line;
    return error_wrap(reading->err, "%s", reading->name);
}

static bool unreadable(struct reading *reading, int number) {
    error_set(reading->err, ERROR_SOURCE_UNREADABLE, "cannot read %s: %s", reading->name, strerror(number));
    text_copy(reading->err->file, sizeof reading->err->file, view_of(reading->name));
    return false;
}

// How many bytes at the end of the buffer must wait for what follows them: a cut UTF-8 sequence, or \r.
static size_t unfinished(const char *data, size_t length) {
    if (length > 0 && data[length - 1] == '\r')
        return 1;
    for (size_t back = 1; back <= 3 && back <= length; back++) {
        unsigned char c = (unsigned char)data[length - back];
        if (c >= 0xc0)
            return (c >= 0xf0 ? 4u : c >= 0xe0 ? 3u : 2u) > back ? back : 0;
        if (c < 0x80)
            return 0;
    }
    return 0;
}

// Names the line and guesses what the file is instead.
static bool refuse_encoding(struct reading *reading, struct view bytes) {
    unsigned line = reading->line;
    while (bytes.length > 0) {
        const char *end = memchr(bytes.data, '\n', bytes.length);
        size_t length = end ? (size_t)(end - bytes.data) : bytes.length;
        struct view text = {bytes.data, length};
        if (!text_is_utf8(text)) {
            bool windows = false;
            for (size_t i = 0; i < length; i++)
                windows |= (unsigned char)text.data[i] >= 0x80 && (unsigned char)text.data[i] < 0xa0;
            return refuse(reading, line,
                          windows ? "not UTF-8 (it looks like Windows-1252); save it as UTF-8"
                                  : "not UTF-8 (it looks like ISO 8859-1, Latin-1); save it as UTF-8");
        }
        if (end == NULL)
            break;
        line++;
        bytes = (struct view){end + 1, bytes.length - length - 1};
    }
    return refuse(reading, line, "not UTF-8; save it as UTF-8");
}

static bool check(struct reading *reading, struct view bytes) {
    const char *nul = memchr(bytes.data, '\0', bytes.length);
    if (nul != NULL) {
        unsigned line = reading->line;
        for (const char *at = bytes.data; at < nul; at++)
            line += *at == '\n';
        bool wide = reading->taken <= BUFFER_SIZE && nul - bytes.data <= 1;
        return refuse(reading, line,
                      wide ? "UTF-16 or UTF-32; save it as UTF-8" : "a NUL byte, which SQL text cannot hold");
    }
    return text_is_utf8(bytes) || refuse_encoding(reading, bytes);
}

static size_t drop_carriage_returns(char *data, size_t length) {
    char *from = memchr(data, '\r', length);
    if (from == NULL)
        return length;
    char *to = from;
    for (const char *end = data + length; from < end; from++)
        if (*from != '\r' || from + 1 == end || from[1] != '\n')
            *to++ = *from;
    return (size_t)(to - data);
}

// Takes the first `length` bytes out of the buffer.
static bool take(struct reading *reading, size_t length) {
    char *data = reading->buffer;
    if (length == 0)
        return true;
    if (!check(reading, (struct view){data, length}))
        return false;
    size_t kept = drop_carriage_returns(data, length);
    unsigned lines = 0;
    for (size_t i = 0; i < kept; i++)
        lines += data[i] == '\n';
    reading->line += lines;
    hash_add(&reading->hash, (struct view){data, kept});
    if (reading->destination != NULL && reading->size < reading->room) {
        size_t left = reading->room - (size_t)reading->size;
        memcpy(reading->destination + reading->size, data, kept < left ? kept : left);
    }
    reading->size += kept;
    reading->held -= length;
    memmove(data, data + length, reading->held);
    return true;
}

static bool drop_byte_order_mark(struct reading *reading) {
    const char *data = reading->buffer;
    size_t held = reading->held;
    if (held >= 2 && (memcmp(data, "\xff\xfe", 2) == 0 || memcmp(data, "\xfe\xff", 2) == 0))
        return refuse(reading, 1, "UTF-16 or UTF-32; save it as UTF-8");
    if (held >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0) {
        reading->held -= 3;
        memmove(reading->buffer, data + 3, reading->held);
    }
    return true;
}

// One more piece of the file into the buffer; nothing more at its end.
static bool fill(struct reading *reading, bool *ret_end) {
    ssize_t got;
    do
        got = read(reading->fd, reading->buffer + reading->held, BUFFER_SIZE - reading->held);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return unreadable(reading, errno);
    reading->held += (size_t)got;
    reading->taken += (uint64_t)got;
    *ret_end = got == 0;
    return reading->taken <= reading->max || refuse(reading, 0, TOO_LARGE);
}

static bool read_all(struct reading *reading) {
    bool first = true, end = false;
    while (!end) {
        if (!fill(reading, &end))
            return false;
        if (first && reading->held < 3 && !end)
            continue; // too short to tell a byte order mark
        if (first && !drop_byte_order_mark(reading))
            return false;
        first = false;
        size_t wait = end ? 0 : unfinished(reading->buffer, reading->held);
        if (!take(reading, reading->held - wait))
            return false;
    }
    return true;
}

static void close_file(const int *fd) {
    if (*fd >= 0)
        close(*fd);
}

bool file_read(int folder, const char *name, uint64_t max, char *destination, size_t room, struct file_facts *ret_facts,
               struct error *err) {
    struct reading reading = {
        .name = name, .max = max, .line = 1, .destination = destination, .room = room, .err = err};
    // Not blocking: opening a FIFO must not wait for a writer.
    __attribute__((cleanup(close_file))) int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 && errno == ELOOP)
        return refuse(&reading, 0, "a symbolic link; put the file itself into the folder");
    struct stat facts;
    if (fd < 0 || fstat(fd, &facts) < 0)
        return unreadable(&reading, errno);
    if (!S_ISREG(facts.st_mode))
        return refuse(&reading, 0, S_ISDIR(facts.st_mode) ? "a folder, not a file" : "not a regular file");
    if ((uint64_t)facts.st_size > max)
        return refuse(&reading, 0, TOO_LARGE);
    cleanup_free char *buffer =
        memory_grow(NULL, BUFFER_SIZE); // thousands of files: zeroing it would cost more than most of them
    reading.fd = fd;
    reading.buffer = buffer;
    hash_begin(&reading.hash);
    if (!read_all(&reading))
        return false;
    hash_end(&reading.hash, ret_facts->checksum);
    ret_facts->size = reading.size;
    return true;
}
