/* suggest.h: "did you mean …?" for a word that is not known. */
#ifndef CORE_PLAN_SUGGEST_H
#define CORE_PLAN_SUGGEST_H

#include <stddef.h>

#include "base/buffer.h"

/* The one of `words` that is nearest to `word` and near enough to be meant, or NULL. NULL entries
 * are skipped. */
const char *suggest_nearest(const char *word, const char *const *words, size_t count);

/* Appends "; did you mean X?" or, when nothing is near, "; known are: a, b, c" (cut after a few),
 * or nothing when there are no words. */
void suggest_append(struct buffer *text, const char *word, const char *const *words, size_t count);

#endif
