// One small file. See file.h.
#include "google/smallfile.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static bool read_all(int fd, struct text *out, int *ret_errno) {
    char chunk[4096];
    for (;;) {
        ssize_t got = read(fd, chunk, sizeof(chunk));
        if (got == 0)
            return true;
        if (got < 0 && errno == EINTR)
            continue;
        if (got > 0)
            text_append_view(out, (struct view){chunk, (size_t)got});
        if (got < 0 || out->full) {
            *ret_errno = got < 0 ? errno : EFBIG;
            return false;
        }
    }
}

bool smallfile_read(const char *path, struct text *out, struct error *err) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int failure = errno;
    if (fd < 0)
        return error_set(err, ERROR_CONFIGURATION, "cannot read %s: %s", path, strerror(failure));
    bool done = read_all(fd, out, &failure);
    (void)close(fd); // it was only read
    return done || error_set(err, ERROR_CONFIGURATION, "cannot read %s: %s", path, strerror(failure));
}
