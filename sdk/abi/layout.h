/*
 * layout.h: the layout of ABI 1.1, written down. A change that moves or removes a field does not
 * compile; one that adds a field at an end changes a size, which is allowed in a minor version:
 * then ABI_SIZE says so with the new number, and ORCH_ABI_MINOR is raised.
 *
 * For C and C++; 64-bit machines.
 */
#ifndef SDK_ABI_LAYOUT_H
#define SDK_ABI_LAYOUT_H

#include <stddef.h>

#include <orchestrate/plugin.h>

#ifdef __cplusplus
#define ABI_ASSERT static_assert
#else
#define ABI_ASSERT _Static_assert
#endif

#define ABI_SIZE(type, size) ABI_ASSERT(sizeof(struct type) == (size), "size of struct " #type)
#define ABI_FIELD(type, field, offset)                                                             \
    ABI_ASSERT(offsetof(struct type, field) == (offset), "place of " #type "." #field)

ABI_ASSERT(ORCH_ABI_MAJOR == 1, "this is the layout of ABI 1");
ABI_ASSERT(sizeof(void *) == 8, "this is the layout on 64-bit machines");

ABI_SIZE(orch_option, 32);
ABI_FIELD(orch_option, name, 0);
ABI_FIELD(orch_option, type, 8);
ABI_FIELD(orch_option, flags, 12);
ABI_FIELD(orch_option, default_value, 16);
ABI_FIELD(orch_option, help, 24);

ABI_SIZE(orch_value, 56);
ABI_FIELD(orch_value, name, 0);
ABI_FIELD(orch_value, type, 8);
ABI_FIELD(orch_value, is_default, 12);
ABI_FIELD(orch_value, string, 16);
ABI_FIELD(orch_value, integer, 24);
ABI_FIELD(orch_value, number, 32);
ABI_FIELD(orch_value, strings, 40);
ABI_FIELD(orch_value, count, 48);

ABI_SIZE(orch_options, 40);
ABI_FIELD(orch_options, struct_size, 0);
ABI_FIELD(orch_options, value_size, 4);
ABI_FIELD(orch_options, count, 8);
ABI_FIELD(orch_options, values, 16);
ABI_FIELD(orch_options, component, 24);
ABI_FIELD(orch_options, work_dir, 32);

ABI_SIZE(orch_token, 32);
ABI_FIELD(orch_token, size_bytes, 0);
ABI_FIELD(orch_token, mtime_ns, 8);
ABI_FIELD(orch_token, ctime_ns, 16);
ABI_FIELD(orch_token, inode, 24);

ABI_SIZE(orch_object, 104);
ABI_FIELD(orch_object, struct_size, 0);
ABI_FIELD(orch_object, flags, 4);
ABI_FIELD(orch_object, name, 8);
ABI_FIELD(orch_object, name_len, 16);
ABI_FIELD(orch_object, kind, 20);
ABI_FIELD(orch_object, meta, 24);
ABI_FIELD(orch_object, meta_len, 32);
ABI_FIELD(orch_object, profile, 36);
ABI_FIELD(orch_object, row_bytes, 40);
ABI_FIELD(orch_object, reserved, 44);
ABI_FIELD(orch_object, row_offset, 48);
ABI_FIELD(orch_object, size_bytes, 56);
ABI_FIELD(orch_object, mtime_ns, 64);
ABI_FIELD(orch_object, token, 72);

ABI_SIZE(orch_record, 56);
ABI_FIELD(orch_record, struct_size, 0);
ABI_FIELD(orch_record, type, 4);
ABI_FIELD(orch_record, space, 8);
ABI_FIELD(orch_record, key_len, 12);
ABI_FIELD(orch_record, key, 16);
ABI_FIELD(orch_record, value_len, 24);
ABI_FIELD(orch_record, expires_ms, 32);
ABI_FIELD(orch_record, extra, 40);
ABI_FIELD(orch_record, extra_len, 48);
ABI_FIELD(orch_record, reserved, 52);

ABI_SIZE(orch_event, 184);
ABI_FIELD(orch_event, struct_size, 0);
ABI_FIELD(orch_event, type, 4);
ABI_FIELD(orch_event, object, 8);
ABI_FIELD(orch_event, record, 112);
ABI_FIELD(orch_event, data, 168);
ABI_FIELD(orch_event, data_len, 176);

ABI_SIZE(orch_verdict, 40);
ABI_FIELD(orch_verdict, struct_size, 0);
ABI_FIELD(orch_verdict, severity, 4);
ABI_FIELD(orch_verdict, flags, 8);
ABI_FIELD(orch_verdict, reserved, 12);
ABI_FIELD(orch_verdict, code, 16);
ABI_FIELD(orch_verdict, subject, 24);
ABI_FIELD(orch_verdict, message, 32);

ABI_SIZE(orch_host, 144);
ABI_FIELD(orch_host, struct_size, 0);
ABI_FIELD(orch_host, abi_minor, 4);
ABI_FIELD(orch_host, ctx, 8);
ABI_FIELD(orch_host, log, 16);
ABI_FIELD(orch_host, cancelled, 24);
ABI_FIELD(orch_host, fact, 32);
ABI_FIELD(orch_host, verdict, 40);
ABI_FIELD(orch_host, object, 48);
ABI_FIELD(orch_host, record, 56);
ABI_FIELD(orch_host, reserve, 64);
ABI_FIELD(orch_host, commit, 72);
ABI_FIELD(orch_host, write, 80);
ABI_FIELD(orch_host, hole, 88);
ABI_FIELD(orch_host, end_item, 96);
ABI_FIELD(orch_host, next, 104);
ABI_FIELD(orch_host, intent, 112);
ABI_FIELD(orch_host, done, 120);
ABI_FIELD(orch_host, future_file, 128);
ABI_FIELD(orch_host, earlier, 136);

ABI_SIZE(orch_probe, 344);
ABI_FIELD(orch_probe, struct_size, 0);
ABI_FIELD(orch_probe, flags, 4);
ABI_FIELD(orch_probe, items, 8);
ABI_FIELD(orch_probe, size_bytes, 16);
ABI_FIELD(orch_probe, version, 24);
ABI_FIELD(orch_probe, identity, 88);

ABI_SIZE(orch_freeze, 144);
ABI_FIELD(orch_freeze, struct_size, 0);
ABI_FIELD(orch_freeze, consistency, 4);
ABI_FIELD(orch_freeze, flags, 8);
ABI_FIELD(orch_freeze, reserved, 12);
ABI_FIELD(orch_freeze, cost, 16);

ABI_SIZE(orch_restore, 64);
ABI_FIELD(orch_restore, struct_size, 0);
ABI_FIELD(orch_restore, strategy, 4);
ABI_FIELD(orch_restore, attempt, 8);
ABI_FIELD(orch_restore, data_format, 12);
ABI_FIELD(orch_restore, run_id, 16);
ABI_FIELD(orch_restore, facts_json, 24);
ABI_FIELD(orch_restore, items, 32);
ABI_FIELD(orch_restore, size_bytes, 40);
ABI_FIELD(orch_restore, selects, 48);
ABI_FIELD(orch_restore, select_count, 56);

ABI_SIZE(orch_plugin, 192);
ABI_FIELD(orch_plugin, magic, 0);
ABI_FIELD(orch_plugin, abi_major, 8);
ABI_FIELD(orch_plugin, abi_minor, 12);
ABI_FIELD(orch_plugin, struct_size, 16);
ABI_FIELD(orch_plugin, option_size, 20);
ABI_FIELD(orch_plugin, capabilities, 24);
ABI_FIELD(orch_plugin, needs, 32);
ABI_FIELD(orch_plugin, name, 40);
ABI_FIELD(orch_plugin, version, 48);
ABI_FIELD(orch_plugin, summary, 56);
ABI_FIELD(orch_plugin, data_format, 64);
ABI_FIELD(orch_plugin, data_format_oldest, 68);
ABI_FIELD(orch_plugin, options, 72);
ABI_FIELD(orch_plugin, option_count, 80);
ABI_FIELD(orch_plugin, open, 88);
ABI_FIELD(orch_plugin, close, 96);
ABI_FIELD(orch_plugin, probe, 104);
ABI_FIELD(orch_plugin, freeze, 112);
ABI_FIELD(orch_plugin, thaw, 120);
ABI_FIELD(orch_plugin, backup, 128);
ABI_FIELD(orch_plugin, check, 136);
ABI_FIELD(orch_plugin, restore, 144);
ABI_FIELD(orch_plugin, verify, 152);
ABI_FIELD(orch_plugin, quiesce, 160);
ABI_FIELD(orch_plugin, resume, 168);
ABI_FIELD(orch_plugin, settle, 176);
ABI_FIELD(orch_plugin, scratch, 184);

ABI_SIZE(orch_error, 1032);
ABI_FIELD(orch_error, code, 0);
ABI_FIELD(orch_error, os_errno, 4);
ABI_FIELD(orch_error, message, 8);

#endif
