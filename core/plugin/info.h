/*
 * info.h: what the host knows of a plugin: its descriptor, as data that a worker sent.
 */
#ifndef CORE_PLUGIN_INFO_H
#define CORE_PLUGIN_INFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include <orchestrate/plugin.h>

struct plugin_option {
    char *name;
    uint32_t type; /* ORCH_OPTION_STRING … */
    uint32_t flags;
    char *default_value; /* or NULL */
    char *help;
};

/* Which optional callbacks there are. */
#define PLUGIN_HAS_FREEZE 1u
#define PLUGIN_HAS_QUIESCE 2u
#define PLUGIN_HAS_SETTLE 4u
#define PLUGIN_HAS_SCRATCH 8u

struct plugin_info {
    char *name;
    char *version;
    char *summary;
    char *path; /* of the shared object */
    uint32_t abi_major, abi_minor;
    uint64_t capabilities; /* ORCH_CAP_* */
    uint32_t callbacks;    /* PLUGIN_HAS_* */
    uint32_t data_format, data_format_oldest;
    struct plugin_option *options;
    size_t option_count;
};

void plugin_info_free(struct plugin_info *info); /* NULL is fine */
/* The type as it stands in documents: "string", "size", "list of paths" … */
const char *plugin_option_type_name(uint32_t type);

/* To and from the JSON that crosses the wire; from_json checks everything. */
int32_t plugin_info_from_json(const json_t *json, struct plugin_info **out,
                              struct orch_error *err) ORCH_CHECKED;
json_t *plugin_info_to_json(const struct plugin_info *info);

#endif
