/* tally.c: see tally.h. */
#include "tally.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <openssl/evp.h>
#include <orchestrate/support.h>

struct tally {
    struct tally_sums sums;
    EVP_MD_CTX *contexts[TALLY_DIGESTS];
    struct bytes scratch;
};

static const char *const digest_facts[TALLY_DIGESTS] = {
    "digest_entries", "digest_owners", "digest_modes", "digest_times", "digest_xattrs"};
static const char *const digest_words[TALLY_DIGESTS] = {"names, kinds, sizes or link targets",
                                                        "owners", "modes", "modification times",
                                                        "extended attributes or ACLs"};

struct count_field {
    const char *name;
    size_t offset;
};

/* The counts that are facts; all are compared but data_bytes, which depends on the file system. */
static const struct count_field count_fields[] = {
    {"files", offsetof(struct tally_sums, files)},
    {"folders", offsetof(struct tally_sums, folders)},
    {"symlinks", offsetof(struct tally_sums, symlinks)},
    {"hard_links", offsetof(struct tally_sums, hard_links)},
    {"devices", offsetof(struct tally_sums, devices)},
    {"fifos", offsetof(struct tally_sums, fifos)},
    {"bytes", offsetof(struct tally_sums, bytes)},
    {"data_bytes", offsetof(struct tally_sums, data_bytes)},
    {"entries_with_xattrs", offsetof(struct tally_sums, xattrs)},
};
#define COUNT_FIELDS (sizeof(count_fields) / sizeof(count_fields[0]))
#define COUNTS_COMPARED 7u

static uint64_t count_of(const struct tally_sums *sums, size_t field)
{
    uint64_t value = 0;
    memcpy(&value, (const char *)sums + count_fields[field].offset, sizeof(value));
    return value;
}

int32_t tally_new(struct tally **out, struct orch_error *err)
{
    struct tally *tally = calloc(1, sizeof(*tally));
    for (size_t i = 0; tally != NULL && i < TALLY_DIGESTS; i++) {
        tally->contexts[i] = EVP_MD_CTX_new();
        if (tally->contexts[i] == NULL ||
            EVP_DigestInit_ex(tally->contexts[i], EVP_sha256(), NULL) != 1) {
            tally_free(tally);
            tally = NULL;
        }
    }
    if (tally == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the digests of a tree");
    }
    *out = tally;
    return ORCH_OK;
}

void tally_free(struct tally *tally)
{
    if (tally == NULL) {
        return;
    }
    for (size_t i = 0; i < TALLY_DIGESTS; i++) {
        EVP_MD_CTX_free(tally->contexts[i]);
    }
    bytes_free(&tally->scratch);
    free(tally);
}

static void put(struct bytes *out, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        out->data[out->len++] = (uint8_t)(value >> (8 * i));
    }
}

/* Digests what is in the scratch behind the name, then goes back to the name. */
static int digest(struct tally *tally, size_t which, size_t name_end)
{
    int good =
        EVP_DigestUpdate(tally->contexts[which], tally->scratch.data, tally->scratch.len) == 1;
    tally->scratch.len = name_end;
    return good ? 0 : -1;
}

static void count(struct tally_sums *sums, uint32_t kind, uint64_t size, uint64_t data)
{
    switch (kind) {
    case META_KIND_FILE:
        sums->files++;
        sums->bytes += size;
        sums->data_bytes += data;
        break;
    case META_KIND_FOLDER:
        sums->folders++;
        break;
    case META_KIND_SYMLINK:
        sums->symlinks++;
        break;
    case META_KIND_HARD_LINK:
        sums->hard_links++;
        break;
    case META_KIND_FIFO:
        sums->fifos++;
        break;
    default:
        sums->devices++;
        break;
    }
}

static int is_compared_xattr(const struct meta_xattr *xattr)
{
    static const char *const exact[] = {"system.posix_acl_access", "system.posix_acl_default",
                                        "security.capability"};
    if (xattr->name_len > 5 && memcmp(xattr->name, "user.", 5) == 0) {
        return 1;
    }
    for (size_t i = 0; i < sizeof(exact) / sizeof(exact[0]); i++) {
        if (xattr->name_len == strlen(exact[i]) &&
            memcmp(xattr->name, exact[i], xattr->name_len) == 0) {
            return 1;
        }
    }
    return 0;
}

/* The comparable attributes, and nothing for an entry without any. */
static int add_xattrs(struct tally *tally, const struct meta *meta, size_t name_end)
{
    size_t at = 0;
    struct meta_xattr xattr;
    int any = 0;
    while (meta_xattr_next(meta->xattrs, meta->xattrs_len, &at, &xattr) > 0) {
        if (!is_compared_xattr(&xattr)) {
            continue;
        }
        any = 1;
        if (bytes_reserve(&tally->scratch, 8 + xattr.name_len + xattr.value_len) != 0) {
            return -1;
        }
        put(&tally->scratch, xattr.name_len, 4);
        put(&tally->scratch, xattr.value_len, 4);
        if (bytes_add(&tally->scratch, xattr.name, xattr.name_len) != 0 ||
            bytes_add(&tally->scratch, xattr.value, xattr.value_len) != 0) {
            return -1;
        }
    }
    tally->sums.xattrs += (uint64_t)any;
    return any ? digest(tally, TALLY_XATTRS, name_end) : 0;
}

int tally_add(struct tally *tally, const uint8_t *name, size_t name_len, uint32_t kind,
              const struct meta *meta, uint64_t size_bytes, uint64_t data_bytes)
{
    struct bytes *scratch = &tally->scratch;
    scratch->len = 0;
    if (bytes_reserve(scratch, name_len + meta->link_len + meta->hard_len + 128) != 0) {
        return -1;
    }
    count(&tally->sums, kind, size_bytes, data_bytes);
    put(scratch, name_len, 4);
    if (bytes_add(scratch, name, name_len) != 0) {
        return -1;
    }
    size_t name_end = scratch->len;
    put(scratch, kind, 4);
    put(scratch, size_bytes, 8);
    put(scratch, meta->dev_major, 4);
    put(scratch, meta->dev_minor, 4);
    put(scratch, meta->link_len, 4);
    put(scratch, meta->hard_len, 4);
    if (bytes_add(scratch, meta->link, meta->link_len) != 0 ||
        bytes_add(scratch, meta->hard, meta->hard_len) != 0 ||
        digest(tally, TALLY_ENTRIES, name_end) != 0) {
        return -1;
    }
    if (kind == META_KIND_HARD_LINK) {
        return 0; /* the rest stands with the file's first name */
    }
    put(scratch, meta->uid, 4);
    put(scratch, meta->gid, 4);
    if (digest(tally, TALLY_OWNERS, name_end) != 0) {
        return -1;
    }
    put(scratch, meta->mode, 4);
    if (digest(tally, TALLY_MODES, name_end) != 0) {
        return -1;
    }
    put(scratch, (uint64_t)meta->mtime_s, 8);
    put(scratch, meta->mtime_ns, 4);
    if (digest(tally, TALLY_TIMES, name_end) != 0) {
        return -1;
    }
    return add_xattrs(tally, meta, name_end);
}

int32_t tally_end(struct tally *tally, struct tally_sums *sums, struct orch_error *err)
{
    for (size_t i = 0; i < TALLY_DIGESTS; i++) {
        unsigned char raw[EVP_MAX_MD_SIZE];
        unsigned int len = 0;
        if (EVP_DigestFinal_ex(tally->contexts[i], raw, &len) != 1 || len != 32) {
            return orch_fail(err, ORCH_E_FAILED, "cannot finish the digest of a tree");
        }
        for (size_t j = 0; j < len; j++) {
            (void)snprintf(tally->sums.digests[i] + 2 * j, 3, "%02x", raw[j]);
        }
    }
    *sums = tally->sums;
    return ORCH_OK;
}

int32_t tally_state(const struct tally_sums *sums, const struct orch_host *host,
                    struct orch_error *err)
{
    int32_t rc = ORCH_OK;
    for (size_t i = 0; i < COUNT_FIELDS && rc == ORCH_OK; i++) {
        rc = orch_fact_integer(host, count_fields[i].name, (int64_t)count_of(sums, i), err);
    }
    for (size_t i = 0; i < TALLY_DIGESTS && rc == ORCH_OK; i++) {
        rc = orch_fact_string(host, digest_facts[i], sums->digests[i], err);
    }
    return rc;
}

static int32_t read_facts(const json_t *facts, struct tally_sums *sums, struct orch_error *err)
{
    for (size_t i = 0; i < COUNT_FIELDS; i++) {
        const json_t *value = json_object_get(facts, count_fields[i].name);
        if (!json_is_integer(value) || json_integer_value(value) < 0) {
            return orch_fail(err, ORCH_E_CORRUPT, "the part's facts lack the count \"%s\"",
                             count_fields[i].name);
        }
        uint64_t number = (uint64_t)json_integer_value(value);
        memcpy((char *)sums + count_fields[i].offset, &number, sizeof(number));
    }
    for (size_t i = 0; i < TALLY_DIGESTS; i++) {
        const char *text = json_string_value(json_object_get(facts, digest_facts[i]));
        if (text == NULL || strlen(text) != TALLY_HEX_SIZE - 1) {
            return orch_fail(err, ORCH_E_CORRUPT, "the part's facts lack \"%s\"", digest_facts[i]);
        }
        memcpy(sums->digests[i], text, TALLY_HEX_SIZE);
    }
    return ORCH_OK;
}

int32_t tally_from_facts(const char *facts_json, struct tally_sums *sums, struct orch_error *err)
{
    *sums = (struct tally_sums){0};
    json_t *facts = facts_json == NULL ? NULL : json_loads(facts_json, 0, NULL);
    int32_t rc = json_is_object(facts)
                     ? read_facts(facts, sums, err)
                     : orch_fail(err, ORCH_E_CORRUPT, "the part's facts are no JSON object");
    json_decref(facts);
    return rc;
}

int32_t tally_judge(const struct tally_sums *expected, const struct tally_sums *found,
                    uint32_t lenient, const char *why, const struct orch_host *host,
                    struct orch_error *err)
{
    int32_t rc = ORCH_OK;
    int counts_differ = 0;
    for (size_t i = 0; i < COUNTS_COMPARED && rc == ORCH_OK; i++) {
        uint64_t want = count_of(expected, i);
        uint64_t have = count_of(found, i);
        if (want != have) {
            counts_differ = 1;
            rc = orch_judge(host, ORCH_VERDICT_REFUSE, 0, "count-differs", count_fields[i].name,
                            err, "%s: the backup holds %" PRIu64 ", the target has %" PRIu64,
                            count_fields[i].name, want, have);
        }
    }
    for (size_t i = 0; i < TALLY_DIGESTS && rc == ORCH_OK; i++) {
        if (strcmp(expected->digests[i], found->digests[i]) == 0 || counts_differ) {
            continue; /* where counts differ, digests differ too and say nothing more */
        }
        int mild = (lenient & (1u << i)) != 0;
        rc = orch_judge(host, mild ? ORCH_VERDICT_WARN : ORCH_VERDICT_REFUSE, 0, "metadata-differ",
                        digest_facts[i], err, "%s of the target are not those of the backup%s%s",
                        digest_words[i], mild ? ": " : "", mild ? why : "");
    }
    return rc;
}
