/*
 * contentgaps.c: which objects of an earlier part the repository has whole, as one thread finds out
 * while it offers them and another wants to know; see contentimpl.h.
 *
 * All objects are whole, as a rule: only the others are remembered.
 */
#include <stdlib.h>

#include "engine/content.h"
#include "engine/contentimpl.h"

void contentgaps_init(struct contentgaps *gaps)
{
    (void)pthread_mutex_init(&gaps->lock, NULL);
}

void contentgaps_clear(struct contentgaps *gaps)
{
    (void)pthread_mutex_destroy(&gaps->lock);
    free(gaps->numbers);
    gaps->numbers = NULL;
}

void contentgaps_judge(struct contentgaps *gaps, uint64_t number, bool whole)
{
    (void)pthread_mutex_lock(&gaps->lock);
    bool kept = gaps->judged == number; /* else there was no memory for one before */
    if (kept && !whole && gaps->count == gaps->capacity) {
        size_t wanted = gaps->capacity == 0 ? 64 : gaps->capacity * 2;
        uint64_t *grown =
            wanted > CONTENTGAPS_MAX ? NULL : reallocarray(gaps->numbers, wanted, sizeof(*grown));
        kept = grown != NULL;
        gaps->numbers = kept ? grown : gaps->numbers;
        gaps->capacity = kept ? wanted : gaps->capacity;
    }
    if (kept && !whole) {
        gaps->numbers[gaps->count++] = number;
    }
    gaps->judged += kept;
    (void)pthread_mutex_unlock(&gaps->lock);
}

bool content_has_whole(struct content_reader *reader, uint64_t number)
{
    struct contentgaps *gaps = &reader->gaps;
    (void)pthread_mutex_lock(&gaps->lock);
    while (gaps->passed < gaps->count && gaps->numbers[gaps->passed] < number) {
        gaps->passed++;
    }
    bool gap = gaps->passed < gaps->count && gaps->numbers[gaps->passed] == number;
    bool whole = number < gaps->judged && !gap;
    (void)pthread_mutex_unlock(&gaps->lock);
    return whole;
}
