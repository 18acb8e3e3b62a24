/* suggest.c: see suggest.h. */
#include "plan/suggest.h"

#include <ctype.h>
#include <string.h>

#define WORD_MAX 64   /* longer words are not compared */
#define LISTED_MAX 24 /* known words that are listed */

static size_t min3(size_t a, size_t b, size_t c)
{
    size_t m = a < b ? a : b;
    return m < c ? m : c;
}

/* Edit distance with swaps of neighbours (optimal string alignment), case ignored. */
static size_t distance(const char *a, size_t na, const char *b, size_t nb)
{
    size_t row[3][WORD_MAX + 1];
    for (size_t j = 0; j <= nb; j++) {
        row[0][j] = j;
    }
    for (size_t i = 1; i <= na; i++) {
        size_t *now = row[i % 3];
        const size_t *before = row[(i + 2) % 3];
        const size_t *earlier = row[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            int x = tolower((unsigned char)a[i - 1]);
            int y = tolower((unsigned char)b[j - 1]);
            now[j] = min3(before[j] + 1, now[j - 1] + 1, before[j - 1] + (x != y));
            if (i > 1 && j > 1 && x == tolower((unsigned char)b[j - 2]) &&
                y == tolower((unsigned char)a[i - 2]) && earlier[j - 2] + 1 < now[j]) {
                now[j] = earlier[j - 2] + 1;
            }
        }
    }
    return row[na % 3][nb];
}

const char *suggest_nearest(const char *word, const char *const *words, size_t count)
{
    size_t len = strlen(word);
    const char *best = NULL;
    size_t best_distance = (len < 3 ? 1 : len / 3) + 1; /* a third may be wrong, or one letter */
    if (len > WORD_MAX) {
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        size_t other = words[i] == NULL ? WORD_MAX + 1 : strlen(words[i]);
        if (other > WORD_MAX) {
            continue;
        }
        size_t d = distance(word, len, words[i], other);
        if (d < best_distance && d < (len > other ? len : other)) {
            best = words[i];
            best_distance = d;
        }
    }
    return best;
}

void suggest_append(struct buffer *text, const char *word, const char *const *words, size_t count)
{
    const char *nearest = suggest_nearest(word, words, count);
    if (nearest != NULL) {
        buffer_printf(text, "; did you mean %s?", nearest);
        return;
    }
    size_t listed = 0;
    for (size_t i = 0; i < count; i++) {
        if (words[i] == NULL) {
            continue;
        }
        if (listed++ == LISTED_MAX) {
            buffer_printf(text, ", …");
            return;
        }
        buffer_printf(text, "%s%s", listed == 1 ? "; known are: " : ", ", words[i]);
    }
}
