/*
 * set.h: manifests. File sets/NAME.ID, the name being a timestamp; nothing but this file makes a
 * set exist. The id makes the file's name one that is never used again: who removes a set late
 * removes no other.
 */
#ifndef CORE_ENGINE_SET_H
#define CORE_ENGINE_SET_H

#include "engine/part.h"

enum set_state { SET_COMPLETED, SET_PARTIAL };

struct set_component {
    char name[64];
    char plugin[64];
    bool good; /* false: failed, `error` says why and there is no part */
    char part[ID_TEXT];
    uint32_t consistency;
    uint64_t items, size_bytes;
    char error[ORCH_ERROR_MESSAGE_MAX];
    char **depends_on; /* zero-terminated list, as configured at the backup */
};

struct set {
    char id[ID_TEXT];
    char name[32]; /* 20260131_120000, UTC; with a suffix -2, -3 … where it is taken */
    char type[16];
    char label[128];
    enum set_state state;
    char run_id[ID_TEXT];
    char lease[ID_TEXT]; /* under which it was written, or "": see docs/prune-protocol.md */
    char base[ID_TEXT];  /* set that an incremental was compared with, or "" */
    char host[256];
    char program_version[32];
    int64_t started_ns, finished_ns;
    int64_t first_freeze_ns, skew_ns;
    struct set_component *components; /* owned */
    size_t component_count;
};

#define SET_FILE_NAME 80 /* "sets/", a name, ".", an id and a zero fit */
void set_file_name(const struct set *set, char file[SET_FILE_NAME]);
/* The set's name in the name of a manifest's file, whether that can be read or not. */
void set_name_of_file(const char *file, char name[32]);

/* Fills id and name (from started_ns) and puts the manifest: atomic, if absent, durable. The name
 * is one that no other set has, unless two are stored at the same moment. */
int32_t set_store(struct repo *repo, struct set *set, struct orch_error *err) ORCH_CHECKED;
void set_free(struct set *set);
void set_cleanup(struct set **slot);

/* All valid sets (docs/prune-protocol.md), newest first (by name, then id). A damaged manifest is
 * not in the list; its file name and error go to `damaged` (NULL: the first one fails the call). */
struct set_list {
    struct set **sets;
    size_t count;
};
int32_t set_list_load(struct repo *repo,
                      void (*damaged)(void *ctx, const char *name, const struct orch_error *why),
                      void *ctx, struct set_list *out, struct orch_error *err) ORCH_CHECKED;
void set_list_free(struct set_list *list);

/* The same, and those that are not valid beside it: they count for nothing, and a prune removes
 * them. */
int32_t set_list_load_split(struct repo *repo,
                            void (*damaged)(void *ctx, const char *name,
                                            const struct orch_error *why),
                            void *ctx, struct set_list *valid, struct set_list *invalid,
                            struct orch_error *err) ORCH_CHECKED;

/*
 * Finds a set by id, unique prefix of an id, timestamp name or "latest": the newest completed set
 * that has a good part of every one of `components` (a count of 0: any). The result belongs to the
 * list. ORCH_E_NOT_FOUND, or ORCH_E_INVALID when a text fits several (they are named).
 */
int32_t set_find(const struct set_list *list, const char *text, const char *const *components,
                 size_t component_count, const struct set **out,
                 struct orch_error *err) ORCH_CHECKED;

const struct set_component *set_component_find(const struct set *set, const char *name);

#endif
