/*
 * pattern.h: exclude patterns, matched against the path relative to a configured root.
 *
 *   *  any bytes but '/'      **  any bytes      ?  one byte but '/'      [a-z] [!a-z]  a class
 *   \x  the byte x itself     "**" and a slash also stand for no folder at all
 *   a slash at the start anchors the pattern at the root; otherwise it may begin at any element
 *   a slash at the end restricts it to folders
 *
 * What lies below an excluded folder is excluded with it.
 */
#ifndef PLUGINS_FILES_PATTERN_H
#define PLUGINS_FILES_PATTERN_H

#include <stddef.h>
#include <stdint.h>

#include <orchestrate/plugin.h>

struct patterns;

/* Copies the texts of `strings`. An empty pattern is refused. */
int32_t patterns_new(const char *const *strings, uint64_t count, struct patterns **out,
                     struct orch_error *err) ORCH_CHECKED;
void patterns_free(struct patterns *patterns); /* NULL is allowed */
size_t patterns_count(const struct patterns *patterns);
const char *patterns_text(const struct patterns *patterns, size_t index);

/* Does a pattern match the relative path `path` (no slash at either end)? NULL matches nothing.
 * Takes time in proportion to the product of the two lengths at most. */
int patterns_match(const struct patterns *patterns, const uint8_t *path, size_t len, int is_folder);

#endif
