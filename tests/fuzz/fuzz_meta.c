/*
 * fuzz_meta.c: the metadata of an entry of a file tree, its extended attributes, and names.
 *
 * The first byte is the kind of the object. What is right must encode to the same.
 */
#include <jansson.h>
#include <string.h>

#include "fuzz.h"
#include "meta.h"
#include "name.h"

static void check_meta(const struct meta *meta, uint32_t kind)
{
    struct bytes out = {0};
    struct meta again;
    struct meta_xattr xattr;
    struct orch_error err = ORCH_ERROR_INIT;
    size_t at = 0;
    int rc = 1;
    while (rc == 1) {
        rc = meta_xattr_next(meta->xattrs, meta->xattrs_len, &at, &xattr);
        must(rc != 1 || xattr.name + xattr.name_len <= meta->xattrs + meta->xattrs_len);
    }
    must(rc == 0); /* judged by the decoder */
    must(meta_encode(meta, &out) == 0);
    must(meta_decode(out.data, out.len, kind, &again, &err) == ORCH_OK);
    must(again.mode == meta->mode && again.mtime_s == meta->mtime_s &&
         again.link_len == meta->link_len && again.xattrs_len == meta->xattrs_len);
    bytes_free(&out);
}

static void check_name(const uint8_t *name, size_t len)
{
    char shown[NAME_SHOWN_MAX];
    struct bytes json = {0};
    json_error_t why;
    must(strlen(name_shown(shown, name, len)) < sizeof(shown));
    must(name_add_json(&json, name, len) == 0);
    json_t *value =
        json_loadb((const char *)json.data, json.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
    must(json_is_string(value));
    json_decref(value);
    bytes_free(&json);
    if (name_is_valid(name, len)) {
        must(len > 0 && name[0] == '/' && name_is_within(name, len, "/", 1));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct meta meta;
    if (size == 0) {
        return 0;
    }
    int32_t rc = meta_decode(data + 1, size - 1, data[0], &meta, &err);
    must(rc == ORCH_OK || err.message[0] != 0);
    if (rc == ORCH_OK) {
        check_meta(&meta, data[0]);
    }
    check_name(data + 1, size - 1);
    return 0;
}
