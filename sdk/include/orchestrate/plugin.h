/*
 * orchestrate/plugin.h: the interface between orchestrate and a plugin.
 *
 * A plugin is a shared object that exports one symbol, `orch_plugin`: a constant descriptor that
 * says what the plugin is and holds its callbacks. It is opened only in a worker process of its
 * own; it sees no repository, no key and no storage.
 *
 * Lifecycle of one instance, always on one thread, in this order:
 *
 *   backup:   open, probe, [quiesce], freeze, [resume], backup, thaw, close
 *   restore:  open, check, ............................ close           (preflight)
 *             open, [quiesce], restore, verify, [resume], settle, close (stage)
 *
 * Rules that hold for every callback:
 * - It returns 0 or a negative ORCH_E_* code, and on failure has filled `err`.
 * - All state hangs off the instance that `open` made. No memory changes owner across this
 *   boundary: what the host hands in is valid during the call only (options and the host table
 *   until `close`), and what a plugin passes to a host service is copied before that returns.
 * - Host services are called from the thread that the callback runs on, except `log` and
 *   `cancelled`, which any thread may call. A plugin may have threads of its own inside a callback.
 * - A callback that a plugin does not have is NULL.
 *
 * Compatibility: structures grow at their end only, and each carries its size. The host copies the
 * smaller of its own and the plugin's size into zeroed memory. Another ORCH_ABI_MAJOR or a bit in
 * `needs` that the host does not know is refused; everything else loads.
 *
 * All text is UTF-8. Names and keys of objects and records are bytes of any value.
 * All times are nanoseconds or milliseconds since 1970-01-01 UTC, as the name says.
 */
#ifndef ORCHESTRATE_PLUGIN_H
#define ORCHESTRATE_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#include <orchestrate/error.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ORCH_PLUGIN_MAGIC UINT64_C(0x314e474c50484352) /* "RCHPLGN1", little-endian */
#define ORCH_ABI_MAJOR 1u
#define ORCH_ABI_MINOR 1u
#define ORCH_PLUGIN_SYMBOL "orch_plugin"

/* ---- options ---------------------------------------------------------------------------- */

#define ORCH_OPTION_STRING 1u
#define ORCH_OPTION_INTEGER 2u     /* 64 bits, signed */
#define ORCH_OPTION_FLOAT 3u
#define ORCH_OPTION_BOOLEAN 4u
#define ORCH_OPTION_SIZE 5u        /* "10GB" in the configuration; bytes here */
#define ORCH_OPTION_DURATION 6u    /* "30m" in the configuration; milliseconds here */
#define ORCH_OPTION_STRING_LIST 7u
#define ORCH_OPTION_PATH 8u        /* an absolute path */
#define ORCH_OPTION_PATH_LIST 9u

#define ORCH_OPTION_REQUIRED 1u
/* The value is a secret: configured as NAME_file, NAME_env or NAME_command, never in the open. */
#define ORCH_OPTION_SECRET 2u
/* A path, or paths, whose content a restore replaces; an option `root` of type PATH is put before
 * it. A restore is refused when a repository lies there, or it in a repository; a backup warns. */
#define ORCH_OPTION_REPLACED 4u

/*
 * One declared option. A dot in the name makes a group: "embedding.model" is `model` inside
 * `embedding: { … }`. `default_value` is the text as it would stand in the configuration (lists:
 * values joined by commas), or NULL for none.
 */
struct orch_option {
    const char *name;
    uint32_t type;
    uint32_t flags;
    const char *default_value;
    const char *help; /* one sentence for `orchestrate plugin show` */
};

/* One checked value. Every option that is configured or has a default is present once. */
struct orch_value {
    const char *name;
    uint32_t type;
    uint32_t is_default;        /* 1 when it was not configured */
    const char *string;         /* STRING, PATH; else NULL */
    int64_t integer;            /* INTEGER, BOOLEAN (0 or 1), SIZE, DURATION */
    double number;              /* FLOAT */
    const char *const *strings; /* lists: `count` strings */
    uint64_t count;
};

struct orch_options {
    uint32_t struct_size;
    uint32_t value_size; /* stride of `values` */
    uint64_t count;
    const struct orch_value *values;
    const char *component; /* the component's name */
    const char *work_dir;  /* private folder of this component that lasts over runs, for what a
                              restore sets aside; made on first use by the plugin, mode 0700 */
};

/* ---- what moves: objects and records ---------------------------------------------------- */

#define ORCH_SIZE_UNKNOWN UINT64_MAX
#define ORCH_NO_EXPIRY INT64_MIN

/* How the engine cuts an object into chunks. */
#define ORCH_PROFILE_CONTENT 0u /* by content, 256 KiB on average */
#define ORCH_PROFILE_ROWS 1u    /* fixed cuts that hold whole rows of `row_bytes`, after `row_offset` */
#define ORCH_PROFILE_PAGES 2u   /* fixed cuts aligned to pages of `row_bytes` */

#define ORCH_OBJECT_HAS_TOKEN 1u /* `token` is set: the object can be told unchanged */
#define ORCH_OBJECT_IS_FILE 2u   /* `name` is an absolute path of a regular file with this content */

/* What tells that an object has not changed. Times are in nanoseconds. */
struct orch_token {
    uint64_t size_bytes;
    int64_t mtime_ns;
    int64_t ctime_ns;
    uint64_t inode;
};

/* A named run of bytes. Objects of one backup come in strictly ascending bytewise name order. */
struct orch_object {
    uint32_t struct_size;
    uint32_t flags;
    const uint8_t *name; /* 1 to 65535 bytes */
    uint32_t name_len;
    uint32_t kind;       /* one ASCII character, shown by `show`: 'f' file, 'd' folder, 't' table … */
    const uint8_t *meta; /* the plugin's own metadata, at most 1 MiB, or NULL */
    uint32_t meta_len;
    uint32_t profile;
    uint32_t row_bytes;
    uint32_t reserved;
    uint64_t row_offset;
    uint64_t size_bytes; /* expected size or ORCH_SIZE_UNKNOWN; the bytes sent decide */
    int64_t mtime_ns;    /* for display; 0 for none */
    struct orch_token token;
};

/* A small keyed item. Records come in any order; (space, key) is unique within a component. */
struct orch_record {
    uint32_t struct_size;
    uint32_t type;        /* the plugin's own */
    uint32_t space;       /* a database number, say */
    uint32_t key_len;
    const uint8_t *key;   /* 0 to 512 MiB */
    uint64_t value_len;   /* exact */
    int64_t expires_ms;   /* absolute, or ORCH_NO_EXPIRY */
    const uint8_t *extra; /* carried along but no part of the record's identity (idle time …) */
    uint32_t extra_len;   /* at most 64 KiB */
    uint32_t reserved;
};

/* What `next` hands out during a restore. */
#define ORCH_EVENT_END 0u      /* everything was delivered and its digest was right */
#define ORCH_EVENT_OBJECT 1u   /* `object` is set; its DATA and HOLE events follow */
#define ORCH_EVENT_RECORD 2u   /* `record` is set; its value follows as DATA events */
#define ORCH_EVENT_DATA 3u     /* `data`, `data_len` (1 byte or more) */
#define ORCH_EVENT_HOLE 4u     /* `data_len` bytes of zeros that need not be written */
#define ORCH_EVENT_ITEM_END 5u /* the object or record is complete */

/* Pointers are valid until the next call of `next`. In a RECORD event the value is not there yet. */
struct orch_event {
    uint32_t struct_size;
    uint32_t type;
    struct orch_object object;
    struct orch_record record;
    const uint8_t *data;
    uint64_t data_len;
};

/* ---- verdicts --------------------------------------------------------------------------- */

#define ORCH_VERDICT_GO 0u
#define ORCH_VERDICT_WARN 1u    /* go on, and say so in the summary */
#define ORCH_VERDICT_REFUSE 2u  /* preflight: stop the whole run; verify: the component failed */

#define ORCH_VERDICT_OVERRIDABLE 1u /* --allow-incompatible turns this refusal into a warning */
#define ORCH_VERDICT_AUDIT 2u       /* worth a line in the audit trail */

struct orch_verdict {
    uint32_t struct_size;
    uint32_t severity;
    uint32_t flags;
    uint32_t reserved;
    const char *code;    /* short and stable: "server-version", "embedding-incompatible" */
    const char *subject; /* what it is about (a store, a table), or NULL */
    const char *message; /* what, why, what to do */
};

/* ---- services of the host --------------------------------------------------------------- */

#define ORCH_LOG_DEBUG 0u
#define ORCH_LOG_INFO 1u
#define ORCH_LOG_WARNING 2u
#define ORCH_LOG_ERROR 3u

/* Handed to `open`; valid until `close` has returned. `ctx` goes first into every service. */
struct orch_host {
    uint32_t struct_size;
    uint32_t abi_minor;
    void *ctx;

    void (*log)(void *ctx, uint32_t level, const char *message);

    /* 1 once somebody asked to stop: return ORCH_E_CANCELLED soon. */
    int32_t (*cancelled)(void *ctx);

    /* States a fact about the component, kept in the part. `json` is one JSON value in UTF-8. In
     * any callback; a later value under the same name replaces an earlier one. */
    int32_t (*fact)(void *ctx, const char *name, const char *json, struct orch_error *err);

    /* In check and verify: a judgement. None given means "go". */
    int32_t (*verdict)(void *ctx, const struct orch_verdict *verdict, struct orch_error *err);

    /* -- in `backup` -- */

    /* Begins an object. `*unchanged` (NULL: not asked) becomes 1 when the earlier set has it under
     * the same token and the host will reuse that content: send no data, end_item() is not called. */
    int32_t (*object)(void *ctx, const struct orch_object *object, uint32_t *unchanged,
                      struct orch_error *err);
    /* Begins a record; exactly value_len bytes of data follow. */
    int32_t (*record)(void *ctx, const struct orch_record *record, struct orch_error *err);
    /* Space to fill in place: *len bytes at *space, 1 or more, at most `want` (0: any). Then commit. */
    int32_t (*reserve)(void *ctx, uint64_t want, void **space, uint64_t *len,
                       struct orch_error *err);
    /* Hands over the first `len` bytes of the reserved space, which is not touched again. */
    int32_t (*commit)(void *ctx, uint64_t len, struct orch_error *err);
    /* Copies `len` bytes. */
    int32_t (*write)(void *ctx, const void *data, uint64_t len, struct orch_error *err);
    /* `len` bytes of zeros that the source does not store. Objects only. */
    int32_t (*hole)(void *ctx, uint64_t len, struct orch_error *err);
    int32_t (*end_item)(void *ctx, struct orch_error *err);

    /* -- in `restore`; `intent` and `done` in `settle` too -- */

    /* The next event. After END, and after a failure, it must not be called again. */
    int32_t (*next)(void *ctx, struct orch_event *event, struct orch_error *err);

    /* Journals, durably, what is about to be done, before a destructive act. `action` is a short
     * word ("rename", "flush", "swap"), `target` what is hit, `aside` where the old state goes or
     * NULL. Returns once the record is on disk. */
    int32_t (*intent)(void *ctx, const char *action, const char *target, const char *aside,
                      struct orch_error *err);
    /* The act named by the last intent is done. */
    int32_t (*done)(void *ctx, const char *action, const char *target, struct orch_error *err);

    /* -- in `check` -- */

    /* The content that the file at absolute `path` will have after this run, when a component that
     * this run restores brings it. Gives at most `capacity` bytes and the whole length in *len.
     * ORCH_E_NOT_FOUND: this run does not touch it, read the live file. */
    int32_t (*future_file)(void *ctx, const char *path, void *buffer, uint64_t capacity,
                           uint64_t *len, struct orch_error *err);

    /* -- in `backup`; since ABI 1.1 -- */

    /* Asks what object() would say of this name and token, for metadata that is dear to gather: when
     * it would be told unchanged, *meta is the metadata that it had in the earlier set, valid until
     * the next call of this or of object(); else, and when it had none, NULL. Ask in the order of
     * names, and of one name before object() is called for it. The rest of `object` is not looked
     * at. */
    int32_t (*earlier)(void *ctx, const struct orch_object *object, const uint8_t **meta,
                       uint32_t *meta_len, struct orch_error *err);
};

/* Whether the host has this service, which came with a later minor version: a host may be older than
 * the plugin. */
#define ORCH_HOST_HAS(host, service)                                                               \
    ((host)->struct_size >= offsetof(struct orch_host, service) + sizeof((host)->service) &&       \
     (host)->service != NULL)

/* ---- callback arguments ----------------------------------------------------------------- */

/* Filled by `probe`. */
struct orch_probe {
    uint32_t struct_size;
    uint32_t flags;
    uint64_t items;          /* objects and records to expect, or ORCH_SIZE_UNKNOWN */
    uint64_t size_bytes;     /* estimate, or ORCH_SIZE_UNKNOWN */
    char version[64];        /* of what is protected: "PostgreSQL 15.4" */
    char identity[256];      /* what tells this source from others: host, port, database, path */
};

#define ORCH_CONSISTENCY_FUZZY 0u    /* read while it may change */
#define ORCH_CONSISTENCY_SNAPSHOT 1u /* one point in time */
#define ORCH_CONSISTENCY_QUIESCED 2u /* writers stood still */

#define ORCH_FREEZE_COSTLY 1u /* holding the handle costs the server: drain this one first */

/* Filled by `freeze`. */
struct orch_freeze {
    uint32_t struct_size;
    uint32_t consistency;
    uint32_t flags;
    uint32_t reserved;
    char cost[128]; /* what holding it costs, for the log */
};

#define ORCH_STRATEGY_REPLACE 1u
#define ORCH_STRATEGY_MERGE_PRESERVE 2u  /* only what is missing */
#define ORCH_STRATEGY_MERGE_OVERWRITE 3u

/* What a restore, its check, its verification and its settling are about. */
struct orch_restore {
    uint32_t struct_size;
    uint32_t strategy;
    uint32_t attempt;        /* 1 for the first; a resumed run counts on */
    uint32_t data_format;    /* the format that wrote the part */
    const char *run_id;      /* hex; stays the same over attempts: build temporary and aside names
                                from it, so that a later attempt finds what an earlier one left */
    const char *facts_json;  /* the part's facts: one JSON object */
    uint64_t items;          /* objects and records in the part */
    uint64_t size_bytes;     /* their bytes */
    const char *const *selects; /* patterns to restore alone, or none (selective restore) */
    uint64_t select_count;
};

#define ORCH_SETTLE_VERIFIED 1u /* verification passed: let go of what was set aside */
#define ORCH_SETTLE_FAILED 2u   /* keep the aside; remove temporary things */

/* ---- the descriptor --------------------------------------------------------------------- */

#define ORCH_CAP_OBJECTS UINT64_C(1)     /* sends objects */
#define ORCH_CAP_RECORDS UINT64_C(2)     /* sends records */
#define ORCH_CAP_TOKENS UINT64_C(4)      /* its objects carry tokens */
#define ORCH_CAP_MERGE UINT64_C(8)       /* has the merge strategies */
#define ORCH_CAP_SELECT UINT64_C(16)     /* restores selected items */
#define ORCH_CAP_EMPTY_OK UINT64_C(32)   /* an empty part is a valid backup of an empty source */

struct orch_plugin {
    uint64_t magic;       /* ORCH_PLUGIN_MAGIC */
    uint32_t abi_major;   /* ORCH_ABI_MAJOR */
    uint32_t abi_minor;   /* ORCH_ABI_MINOR */
    uint32_t struct_size; /* sizeof(struct orch_plugin) */
    uint32_t option_size; /* sizeof(struct orch_option): stride of `options` */
    uint64_t capabilities;
    uint64_t needs;       /* host features that the plugin cannot do without; none defined yet */

    const char *name;     /* [a-z][a-z0-9-]{0,62}, the file's name without .so */
    const char *version;
    const char *summary;  /* one line */

    uint32_t data_format;        /* the format that backup writes */
    uint32_t data_format_oldest; /* the oldest that restore reads; all between are read too */

    const struct orch_option *options;
    uint64_t option_count;

    /* Makes an instance. Connects to nothing yet. */
    int32_t (*open)(const struct orch_host *host, const struct orch_options *options,
                    void **instance, struct orch_error *err);
    /* Frees the instance and whatever it still holds. Never fails. */
    void (*close)(void *instance);

    /* Is it reachable and healthy, what is it, how much is there. Changes nothing. */
    int32_t (*probe)(void *instance, struct orch_probe *probe, struct orch_error *err);

    /* Takes a point-in-time handle that `backup` reads from. NULL: the backup is fuzzy. */
    int32_t (*freeze)(void *instance, struct orch_freeze *freeze, struct orch_error *err);
    /* Lets the handle go. Called after backup, also after a failed one. */
    int32_t (*thaw)(void *instance, struct orch_error *err);

    /* Streams everything through the host's services. */
    int32_t (*backup)(void *instance, struct orch_error *err);

    /* Before anything is touched: does this part fit the live target? Gives verdicts. */
    int32_t (*check)(void *instance, const struct orch_restore *restore, struct orch_error *err);
    /* Applies what `next` delivers. Idempotent: a second attempt starts from the part again. The old
     * state is set aside, under a name made from run_id, before it is replaced, and only once. */
    int32_t (*restore)(void *instance, const struct orch_restore *restore,
                       struct orch_error *err);
    /* Measures the target and compares it with the part's facts. Gives verdicts. */
    int32_t (*verify)(void *instance, const struct orch_restore *restore,
                      struct orch_error *err);

    /* Stop and start what writes to the component. Idempotent. */
    int32_t (*quiesce)(void *instance, struct orch_error *err);
    int32_t (*resume)(void *instance, struct orch_error *err);

    /* After verification, with ORCH_SETTLE_*: deal with what the restore set aside. */
    int32_t (*settle)(void *instance, const struct orch_restore *restore, uint32_t outcome,
                      struct orch_error *err);

    /* Makes a throw-away target of its own for a drill and points the instance at it. */
    int32_t (*scratch)(void *instance, const char *directory, struct orch_error *err);
};

/* Writes the start of a descriptor: `const struct orch_plugin orch_plugin = { ORCH_PLUGIN_HEADER, …`. */
#define ORCH_PLUGIN_HEADER                                                                         \
    .magic = ORCH_PLUGIN_MAGIC, .abi_major = ORCH_ABI_MAJOR, .abi_minor = ORCH_ABI_MINOR,         \
    .struct_size = (uint32_t)sizeof(struct orch_plugin),                                          \
    .option_size = (uint32_t)sizeof(struct orch_option)

#if defined(__GNUC__)
#define ORCH_EXPORT __attribute__((visibility("default")))
#else
#define ORCH_EXPORT
#endif

extern ORCH_EXPORT const struct orch_plugin orch_plugin;

#ifdef __cplusplus
}
#endif

#endif
