/* items_format.c: see items_format.h. */
#include "plugin/items_format.h"

#include <string.h>

#include "base/buffer.h"
#include "plugin/items.h"

#define KNOWN_OBJECT_FLAGS (ORCH_OBJECT_HAS_TOKEN | ORCH_OBJECT_IS_FILE)

void items_pack_object(const struct orch_object *o, uint8_t out[ITEMS_OBJECT_FIXED])
{
    put_le32(out, o->flags);
    put_le32(out + 4, o->kind);
    put_le32(out + 8, o->name_len);
    put_le32(out + 12, o->meta_len);
    put_le32(out + 16, o->profile);
    put_le32(out + 20, o->row_bytes);
    put_le64(out + 24, o->row_offset);
    put_le64(out + 32, o->size_bytes);
    put_le64(out + 40, (uint64_t)o->mtime_ns);
    put_le64(out + 48, o->token.size_bytes);
    put_le64(out + 56, (uint64_t)o->token.mtime_ns);
    put_le64(out + 64, (uint64_t)o->token.ctime_ns);
    put_le64(out + 72, o->token.inode);
}

void items_unpack_object(const uint8_t in[ITEMS_OBJECT_FIXED], struct orch_object *o)
{
    memset(o, 0, sizeof(*o));
    o->struct_size = (uint32_t)sizeof(*o);
    o->flags = get_le32(in);
    o->kind = get_le32(in + 4);
    o->name_len = get_le32(in + 8);
    o->meta_len = get_le32(in + 12);
    o->profile = get_le32(in + 16);
    o->row_bytes = get_le32(in + 20);
    o->row_offset = get_le64(in + 24);
    o->size_bytes = get_le64(in + 32);
    o->mtime_ns = (int64_t)get_le64(in + 40);
    o->token.size_bytes = get_le64(in + 48);
    o->token.mtime_ns = (int64_t)get_le64(in + 56);
    o->token.ctime_ns = (int64_t)get_le64(in + 64);
    o->token.inode = get_le64(in + 72);
}

void items_pack_record(const struct orch_record *r, uint8_t out[ITEMS_RECORD_FIXED])
{
    put_le32(out, r->type);
    put_le32(out + 4, r->space);
    put_le32(out + 8, r->key_len);
    put_le32(out + 12, r->extra_len);
    put_le64(out + 16, r->value_len);
    put_le64(out + 24, (uint64_t)r->expires_ms);
}

void items_unpack_record(const uint8_t in[ITEMS_RECORD_FIXED], struct orch_record *r)
{
    memset(r, 0, sizeof(*r));
    r->struct_size = (uint32_t)sizeof(*r);
    r->type = get_le32(in);
    r->space = get_le32(in + 4);
    r->key_len = get_le32(in + 8);
    r->extra_len = get_le32(in + 12);
    r->value_len = get_le64(in + 16);
    r->expires_ms = (int64_t)get_le64(in + 24);
}

int32_t items_check_object(const struct orch_object *o, struct orch_error *err)
{
    if (o->name_len == 0 || o->name_len > ITEMS_NAME_MAX) {
        return orch_fail(err, ORCH_E_INVALID,
                         "an object name of %u bytes: names have 1 to %u bytes", o->name_len,
                         ITEMS_NAME_MAX);
    }
    if (o->meta_len > ITEMS_META_MAX) {
        return orch_fail(err, ORCH_E_INVALID, "object metadata of %u bytes: at most %u may be",
                         o->meta_len, ITEMS_META_MAX);
    }
    if (o->kind < 0x21 || o->kind > 0x7e) {
        return orch_fail(err, ORCH_E_INVALID,
                         "an object kind of %u: it must be one printable ASCII character", o->kind);
    }
    if (o->profile > ORCH_PROFILE_PAGES) {
        return orch_fail(err, ORCH_E_INVALID, "an object of the unknown profile %u", o->profile);
    }
    if (o->profile != ORCH_PROFILE_CONTENT && o->row_bytes == 0) {
        return orch_fail(err, ORCH_E_INVALID, "an object of profile %u needs row_bytes",
                         o->profile);
    }
    if ((o->flags & ~KNOWN_OBJECT_FLAGS) != 0) {
        return orch_fail(err, ORCH_E_INVALID, "an object with the unknown flags %#x",
                         o->flags & ~KNOWN_OBJECT_FLAGS);
    }
    return ORCH_OK;
}

int32_t items_check_record(const struct orch_record *r, struct orch_error *err)
{
    if (r->key_len > ITEMS_KEY_MAX) {
        return orch_fail(err, ORCH_E_INVALID, "a record key of %u bytes: at most %u may be",
                         r->key_len, ITEMS_KEY_MAX);
    }
    if (r->extra_len > ITEMS_EXTRA_MAX) {
        return orch_fail(err, ORCH_E_INVALID,
                         "%u bytes of extra beside a record: at most %u may be", r->extra_len,
                         ITEMS_EXTRA_MAX);
    }
    if (r->value_len > ITEMS_CONTENT_MAX) {
        return orch_fail(err, ORCH_E_INVALID, "a record value of %llu bytes is past all limits",
                         (unsigned long long)r->value_len);
    }
    return ORCH_OK;
}
