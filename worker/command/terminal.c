// Colours and the progress line. See terminal.h.
#include "command/terminal.h"
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { BAR_WIDE = 24, BAR_NARROW = 8, WIDE = 60, WRAP = 80, LINE = 2048 };

static const char *const tone_sequence[] = {
    [TONE_PLAIN] = "",        [TONE_GOOD] = "\033[32m", [TONE_BAD] = "\033[31m",
    [TONE_WARN] = "\033[33m", [TONE_DIM] = "\033[2m",   [TONE_BOLD] = "\033[1m",
};

struct terminal terminal_open(FILE *stream, const char *choice) {
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    bool capable = isatty(fileno(stream)) && !(term && strcmp(term, "dumb") == 0);
    bool color = capable && !(no_color && *no_color);
    if (choice && strcmp(choice, "always") == 0)
        color = true;
    if (choice && strcmp(choice, "never") == 0)
        color = capable = false;
    return (struct terminal){.stream = stream, .color = color, .live = capable};
}

void terminal_clear(struct terminal *terminal) {
    if (terminal->drawn)
        (void)fputs("\r\033[K", terminal->stream);
    terminal->drawn = false;
}

void terminal_print(struct terminal *terminal, enum tone tone, const char *format, ...) {
    char raw[LINE], safe[LINE];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(raw, sizeof(raw), format, arguments);
    va_end(arguments);
    if (length < 0)
        return;
    text_copy(safe, sizeof(safe), view_of(raw)); // control characters become spaces
    terminal_clear(terminal);
    bool colored = terminal->color && tone != TONE_PLAIN;
    (void)fprintf(terminal->stream, "%s%s%s\n", colored ? tone_sequence[tone] : "", safe, colored ? "\033[0m" : "");
    (void)fflush(terminal->stream);
}

static size_t columns_of(const struct terminal *terminal) {
    struct winsize size;
    if (ioctl(fileno(terminal->stream), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return 80;
}

static size_t columns_in(struct view word) {
    size_t columns = 0;
    for (size_t i = 0; i < word.length; i++)
        columns += ((unsigned char)word.data[i] & 0xc0) != 0x80; // not the first byte of a UTF-8 sequence
    return columns;
}

void terminal_wrap(struct terminal *terminal, enum tone tone, size_t first, size_t indent, const char *words) {
    size_t width = columns_of(terminal) < WRAP ? columns_of(terminal) : WRAP, column = first;
    cleanup_text struct text line = TEXT(LINE);
    text_printf(&line, "%*s", (int)first, "");
    for (bool begun = false; *words; begun = true) {
        struct view word = {words, strcspn(words, " ")};
        if (begun && column + 1 + columns_in(word) > width) {
            terminal_print(terminal, tone, "%s", text_string(&line));
            text_clear(&line);
            text_printf(&line, "%*s", (int)indent, "");
            column = indent;
        } else if (begun) {
            text_append_char(&line, ' ');
            column++;
        }
        text_append_view(&line, word);
        column += columns_in(word);
        words += word.length + strspn(words + word.length, " ");
    }
    terminal_print(terminal, tone, "%s", text_string(&line));
}

// `taken` columns of the line are drawn already.
static void draw_rest(struct terminal *terminal, size_t taken, const char *string) {
    char safe[LINE];
    size_t columns = columns_of(terminal),
           room = columns > taken + 1 ? columns - taken - 1 : 0; // never the last column
    text_copy(safe, room + 1 < sizeof(safe) ? room + 1 : sizeof(safe), view_of(string));
    (void)fputs(safe, terminal->stream);
}

void terminal_draw(struct terminal *terminal, enum tone tone, const char *format, ...) {
    char raw[LINE];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(raw, sizeof(raw), format, arguments);
    va_end(arguments);
    if (!terminal->live || length < 0)
        return;
    bool colored = terminal->color && tone != TONE_PLAIN;
    (void)fprintf(terminal->stream, "\r\033[K%s", colored ? tone_sequence[tone] : "");
    draw_rest(terminal, 0, raw);
    (void)fputs(colored ? "\033[0m" : "", terminal->stream);
    (void)fflush(terminal->stream);
    terminal->drawn = true;
}

void terminal_progress(struct terminal *terminal, size_t done, size_t total, const char *label) {
    if (!terminal->live || total == 0)
        return;
    char bar[BAR_WIDE + 1];
    size_t width = columns_of(terminal) >= WIDE ? BAR_WIDE : BAR_NARROW;
    size_t filled = done >= total ? width : done * width / total;
    memset(bar, '.', width);
    memset(bar, '#', filled);
    bar[width] = '\0';
    int numbers =
        fprintf(terminal->stream, "\r\033[K%s[%s]%s %zu/%zu ", terminal->color ? tone_sequence[TONE_GOOD] : "", bar,
                terminal->color ? "\033[0m" : "", done, total);
    size_t escapes = strlen("\r\033[K") + (terminal->color ? strlen(tone_sequence[TONE_GOOD]) + strlen("\033[0m") : 0);
    draw_rest(terminal, numbers > 0 ? (size_t)numbers - escapes : 0, label);
    (void)fflush(terminal->stream);
    terminal->drawn = true;
}
