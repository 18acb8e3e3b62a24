/* arguments.h: the arguments of callbacks (options, restore) as they cross the wire. */
#ifndef CORE_PLUGIN_ARGUMENTS_H
#define CORE_PLUGIN_ARGUMENTS_H

#include <jansson.h>

#include <orchestrate/plugin.h>

/* A new object; the strings in it may be secrets: message_wipe it after sending. */
json_t *arguments_options_new(const struct orch_options *options);
json_t *arguments_restore_new(const struct orch_restore *restore, struct orch_error *err);

/* The worker's copies, with all memory that they point to. */
struct arguments_options;
int32_t arguments_options_parse(const json_t *json, struct arguments_options **out,
                                struct orch_error *err) ORCH_CHECKED;
const struct orch_options *arguments_options(const struct arguments_options *options);
void arguments_options_free(struct arguments_options *options); /* wipes; NULL is fine */

struct arguments_restore;
int32_t arguments_restore_parse(const json_t *json, struct arguments_restore **out,
                                struct orch_error *err) ORCH_CHECKED;
const struct orch_restore *arguments_restore(const struct arguments_restore *restore);
void arguments_restore_free(struct arguments_restore *restore); /* NULL is fine */
void arguments_restore_cleanup(struct arguments_restore **slot);

#endif
