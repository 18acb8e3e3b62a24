/* enginetest.c: see enginetest.h. */
#include "enginetest.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const uint8_t key[KEY_BYTES] = {1, 2, 3, 4, 5, 6, 7, 8};

void et_ok_at(int32_t rc, const struct orch_error *err, const char *file, int line)
{
    if (rc != ORCH_OK) {
        fprintf(stderr, "%s:%d: %s (%d)\n", file, line, err->message, (int)rc);
        ck_abort_msg("%s:%d: %s (%d)", file, line, err->message, (int)rc);
    }
}

struct repo_unlock et_unlock(bool encrypted)
{
    return (struct repo_unlock){.key = encrypted ? key : NULL};
}

void et_repo_make(struct et_repo *r, bool encrypted)
{
    struct orch_error err = ORCH_ERROR_INIT;
    memset(r, 0, sizeof(*r));
    strcpy(r->dir, "/tmp/orch-engine-XXXXXX");
    if (mkdtemp(r->dir) == NULL) {
        ck_abort_msg("cannot make a folder below /tmp");
    }
    struct repo_create_options options = {.encrypted = encrypted, .unlock = et_unlock(encrypted)};
    et_ok(storage_open(r->dir, true, &r->storage, &err), err);
    et_ok(repo_create(r->storage, &options, &err), err);
    et_ok(repo_open(r->storage, &options.unlock, NULL, &r->repo, &err), err);
}

void et_repo_remove(struct et_repo *r)
{
    char command[128];
    repo_close(r->repo);
    storage_close(r->storage);
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", r->dir);
    if (system(command) != 0) {
        ck_abort_msg("cannot remove %s", r->dir);
    }
}

void et_flip(const struct et_repo *r, const char *name, uint64_t offset, unsigned bit)
{
    char path[512];
    uint8_t byte = 0;
    (void)snprintf(path, sizeof(path), "%s/%s", r->dir, name);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    bool good = fd >= 0 && pread(fd, &byte, 1, (off_t)offset) == 1;
    byte ^= (uint8_t)(1u << bit);
    if (!good || pwrite(fd, &byte, 1, (off_t)offset) != 1 || close(fd) != 0) {
        ck_abort_msg("cannot change byte %llu of %s", (unsigned long long)offset, path);
    }
}

uint64_t et_random_next(struct et_random *random)
{
    random->state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = random->state;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

void et_random_fill(uint64_t seed, uint8_t *data, size_t len)
{
    struct et_random random = {seed};
    for (size_t i = 0; i < len; i += 8) {
        uint64_t value = et_random_next(&random);
        memcpy(data + i, &value, len - i < 8 ? len - i : 8);
    }
}

void et_text_fill(uint64_t seed, uint8_t *data, size_t len)
{
    static const char *const words[] = {"vector ", "session ", "cache ",    "the ",
                                        "of ",     "row ",     "recovery ", "point ",
                                        "set ",    "a ",       "frame ",    "index\n"};
    struct et_random random = {seed};
    size_t at = 0;
    while (at < len) {
        uint64_t value = et_random_next(&random);
        char word[32];
        int n = snprintf(word, sizeof(word), "%s%x", words[value % 12], (unsigned)(value >> 52));
        size_t take = (size_t)n < len - at ? (size_t)n : len - at;
        memcpy(data + at, word, take);
        at += take;
    }
}

struct orch_event et_event(uint32_t type)
{
    struct orch_event event = {.struct_size = sizeof(event), .type = type};
    return event;
}

struct orch_object et_object(const char *text)
{
    struct orch_object object = {.struct_size = sizeof(object), .kind = 'f'};
    object.name = (const uint8_t *)text;
    object.name_len = (uint32_t)strlen(text);
    return object;
}

static int32_t put_data(struct part_writer *part, const uint8_t *data, size_t len, size_t piece,
                        struct orch_error *err)
{
    int32_t rc = ORCH_OK;
    for (size_t at = 0; rc == ORCH_OK && at < len;) {
        struct orch_event event = et_event(ORCH_EVENT_DATA);
        event.data = data + at;
        event.data_len = piece == 0 || piece > len - at ? len - at : piece;
        rc = part_writer_put(part, &event, err);
        at += event.data_len;
    }
    return rc;
}

int32_t et_put_object(struct part_writer *part, const struct orch_object *object,
                      const uint8_t *data, size_t len, size_t piece, struct orch_error *err)
{
    struct orch_event event = et_event(ORCH_EVENT_OBJECT);
    event.object = *object;
    int32_t rc = part_writer_put(part, &event, err);
    if (rc == ORCH_OK) {
        rc = put_data(part, data, len, piece, err);
    }
    event = et_event(ORCH_EVENT_ITEM_END);
    return rc == ORCH_OK ? part_writer_put(part, &event, err) : rc;
}

int32_t et_put_record(struct part_writer *part, uint32_t space, const void *record_key,
                      size_t key_len, const void *value, size_t len, int64_t expires_ms,
                      struct orch_error *err)
{
    struct orch_event event = et_event(ORCH_EVENT_RECORD);
    event.record.struct_size = sizeof(event.record);
    event.record.type = 7;
    event.record.space = space;
    event.record.key = record_key;
    event.record.key_len = (uint32_t)key_len;
    event.record.value_len = len;
    event.record.expires_ms = expires_ms;
    int32_t rc = part_writer_put(part, &event, err);
    if (rc == ORCH_OK) {
        rc = put_data(part, value, len, 0, err);
    }
    event = et_event(ORCH_EVENT_ITEM_END);
    return rc == ORCH_OK ? part_writer_put(part, &event, err) : rc;
}

void et_backup(struct repo *repo, const struct writer_options *options, const struct part *earlier,
               et_feed feed, void *ctx, struct part *out)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct writer_options none = {.codec = CODEC_ZSTD};
    struct index *index = NULL;
    struct writer *writer = NULL;
    struct part_writer *part = NULL;
    et_ok(index_open(repo, NULL, &index, &err), err);
    et_ok(writer_open(repo, index, options == NULL ? &none : options, &writer, &err), err);
    et_ok(part_writer_open(writer, earlier, &part, &err), err);
    feed(part, ctx);
    struct orch_event end = et_event(ORCH_EVENT_END);
    et_ok(part_writer_put(part, &end, &err), err);
    memset(out, 0, sizeof(*out));
    strcpy(out->component, "test");
    et_ok(part_writer_finish(part, &out->content, &out->stats, &err), err);
    part_writer_close(part);
    et_ok(writer_finish(writer, &err), err);
    writer_close(writer);
    index_close(index);
}
