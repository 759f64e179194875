// What a person sees in a shell: colours where they are wanted, and one progress line that is drawn again in place. Text that is not
// ours (file names, server messages) goes through terminal_safe, so that no escape sequence of a file's name reaches the terminal.
#pragma once
#include "base/text.h"
#include <stdio.h>

enum tone { TONE_PLAIN, TONE_GOOD, TONE_BAD, TONE_WARN, TONE_DIM, TONE_BOLD };

struct terminal {
    FILE *stream;
    bool color; // escape sequences for colours
    bool live;  // a line may be drawn that is drawn again in place
    bool drawn; // one is on the screen
};

// `choice`: auto (a terminal, NO_COLOR unset, TERM not "dumb"), always, never.
struct terminal terminal_open(FILE *stream, const char *choice);
// One line that stays. It takes the place of the one that is drawn.
void terminal_print(struct terminal *terminal, enum tone tone, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
// Words that stay, wrapped at 80 columns or less: lines after the first begin with `indent` spaces.
void terminal_wrap(struct terminal *terminal, enum tone tone, size_t first, size_t indent, const char *words);
// Draws a line, cut to the terminal's width; without `live` nothing.
void terminal_draw(struct terminal *terminal, enum tone tone, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
// Draws `[#####.....] done/total label`; without `live` nothing.
void terminal_progress(struct terminal *terminal, size_t done, size_t total, const char *label);
void terminal_clear(struct terminal *terminal);
