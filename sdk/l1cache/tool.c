/* tool.c: orch-l1, a cache by hand: put, get, delete, stats, dump, fill. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "l1cache.h"

static int fail(const struct orch_error *err)
{
    (void)fprintf(stderr, "orch-l1: %s\n", err->message);
    return 1;
}

static int put(struct orch_l1 *cache, int argc, char **argv)
{
    struct orch_error err = ORCH_ERROR_INIT;
    int64_t ttl_ms = argc > 5 ? strtoll(argv[5], NULL, 10) : 0;
    int32_t rc =
        orch_l1_put(cache, argv[3], strlen(argv[3]), argv[4], strlen(argv[4]), ttl_ms, &err);
    return rc == ORCH_OK ? 0 : fail(&err);
}

static int get(struct orch_l1 *cache, const char *key)
{
    struct orch_error err = ORCH_ERROR_INIT;
    static char value[1 << 20];
    uint64_t len = 0;
    int32_t rc = orch_l1_get(cache, key, strlen(key), value, sizeof(value), &len, &err);
    if (rc == ORCH_E_NOT_FOUND) {
        (void)fprintf(stderr, "orch-l1: no entry \"%s\"\n", key);
        return 1;
    }
    if (rc != ORCH_OK) {
        return fail(&err);
    }
    (void)fwrite(value, 1, len < sizeof(value) ? len : sizeof(value), stdout);
    (void)printf("\n");
    return 0;
}

static int stats(struct orch_l1 *cache)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct orch_l1_stats s;
    if (orch_l1_stats(cache, &s, &err) != ORCH_OK) {
        return fail(&err);
    }
    (void)printf("entries %" PRIu64 " of %" PRIu64 "\nused %" PRIu64 " of %" PRIu64
                 " bytes\nhits %" PRIu64 "\nmisses %" PRIu64 "\n",
                 s.entries, s.max_entries, s.used_bytes, s.size_bytes, s.hits, s.misses);
    return 0;
}

/* One line per entry: key, checksum, created, expires, hits; for comparing two caches. */
static int dump(struct orch_l1 *cache)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct orch_l1_snapshot *snapshot = NULL;
    struct orch_l1_entry e;
    int32_t rc = orch_l1_snapshot_open(cache, &snapshot, &err);
    while (rc == ORCH_OK && (rc = orch_l1_snapshot_next(snapshot, &e, &err)) == ORCH_OK) {
        (void)printf("%.*s %016" PRIx64 " %" PRId64 " %" PRId64 " %" PRIu64 "\n", (int)e.key_len,
                     (const char *)e.key, e.checksum, e.created_ms, e.expires_ms, e.hits);
    }
    orch_l1_snapshot_close(snapshot);
    return rc == ORCH_E_NOT_FOUND ? 0 : fail(&err);
}

/* Reads lines "key value" and puts each. */
static int fill(struct orch_l1 *cache, int64_t ttl_ms)
{
    struct orch_error err = ORCH_ERROR_INIT;
    static char line[65536];
    while (fgets(line, sizeof(line), stdin) != NULL) {
        size_t len = strcspn(line, "\n");
        size_t key = strcspn(line, " ");
        if (key == 0 || key >= len) {
            (void)fprintf(stderr, "orch-l1: a line must read: key value\n");
            return 1;
        }
        if (orch_l1_put(cache, line, key, line + key + 1, len - key - 1, ttl_ms, &err) != ORCH_OK) {
            return fail(&err);
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct orch_l1 *cache = NULL;
    if (argc < 3) {
        (void)fprintf(stderr,
                      "usage: orch-l1 put FOLDER KEY VALUE [TTL_MS] | get FOLDER KEY | delete "
                      "FOLDER KEY |\n       stats FOLDER | dump FOLDER | fill FOLDER [TTL_MS] "
                      "< lines of \"key value\"\n");
        return 2;
    }
    const char *action = argv[1];
    int writes = strcmp(action, "put") == 0 || strcmp(action, "fill") == 0;
    int32_t rc = writes ? orch_l1_open(argv[2], NULL, &cache, &err)
                        : orch_l1_open_existing(argv[2], &cache, &err);
    if (rc != ORCH_OK) {
        return fail(&err);
    }
    int status = 2;
    if (strcmp(action, "put") == 0 && argc >= 5) {
        status = put(cache, argc, argv);
    } else if (strcmp(action, "get") == 0 && argc == 4) {
        status = get(cache, argv[3]);
    } else if (strcmp(action, "delete") == 0 && argc == 4) {
        status = orch_l1_delete(cache, argv[3], strlen(argv[3]), &err) == ORCH_OK ? 0 : 1;
    } else if (strcmp(action, "stats") == 0) {
        status = stats(cache);
    } else if (strcmp(action, "dump") == 0) {
        status = dump(cache);
    } else if (strcmp(action, "fill") == 0) {
        status = fill(cache, argc > 3 ? strtoll(argv[3], NULL, 10) : 0);
    } else {
        (void)fprintf(stderr, "orch-l1: what is \"%s\"?\n", action);
    }
    orch_l1_close(cache);
    return status;
}
