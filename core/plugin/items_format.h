/* items_format.h: the fixed parts of items, for the encoder and the decoder alone. */
#ifndef CORE_PLUGIN_ITEMS_FORMAT_H
#define CORE_PLUGIN_ITEMS_FORMAT_H

#include <stdint.h>

#include <orchestrate/plugin.h>

#define ITEMS_TAG_OBJECT ((uint8_t)'O')
#define ITEMS_TAG_UNCHANGED ((uint8_t)'U')
#define ITEMS_TAG_RECORD ((uint8_t)'R')
#define ITEMS_TAG_DATA ((uint8_t)'D')
#define ITEMS_TAG_HOLE ((uint8_t)'H')
#define ITEMS_TAG_ITEM_END ((uint8_t)'I')
#define ITEMS_TAG_END ((uint8_t)'E')

#define ITEMS_OBJECT_FIXED 80u
#define ITEMS_RECORD_FIXED 32u
#define ITEMS_END_FIXED 24u
#define ITEMS_FIXED_MAX ITEMS_OBJECT_FIXED

/* All content of one stream; past it counters could wrap. */
#define ITEMS_CONTENT_MAX ((uint64_t)INT64_MAX)

void items_pack_object(const struct orch_object *object, uint8_t out[ITEMS_OBJECT_FIXED]);
void items_pack_record(const struct orch_record *record, uint8_t out[ITEMS_RECORD_FIXED]);
/* The pointers are left NULL. */
void items_unpack_object(const uint8_t in[ITEMS_OBJECT_FIXED], struct orch_object *object);
void items_unpack_record(const uint8_t in[ITEMS_RECORD_FIXED], struct orch_record *record);

/* The rules of plugin.h for the fields, pointers aside: ORCH_E_INVALID. */
int32_t items_check_object(const struct orch_object *object, struct orch_error *err);
int32_t items_check_record(const struct orch_record *record, struct orch_error *err);

#endif
