/*
 * facts.h: what this plugin states in a part, and how it is read again.
 *
 *     stores    name -> index, type, fourcc, dimension, metric, ntotal, is_trained, loaded,
 * samples, norm_deviation, row_offset, row_bytes, size_bytes, sha256, ondisk, side_files (name ->
 * size_bytes, sha256) files     name -> size_bytes, sha256; every regular file contract, canaries,
 * canary_note, faiss_version
 *
 * Names of files are as names_escape gives them.
 */
#ifndef VECTORSTORE_FACTS_H
#define VECTORSTORE_FACTS_H

#include <jansson.h>

#include <orchestrate/plugin.h>

/* Parses and checks the parts that callers rely on: `stores` and `files` are objects of objects.
 * The value is the caller's. */
int32_t facts_parse(const struct orch_restore *restore, json_t **facts,
                    struct orch_error *err) ORCH_CHECKED;

/* States one fact. A NULL value is a failure for want of memory. `value` is released. */
int32_t facts_state(const struct orch_host *host, const char *name, json_t *value,
                    struct orch_error *err) ORCH_CHECKED;

/* The digest of the file of that plain name, or NULL. */
const char *facts_digest(const json_t *facts, const char *name);

/* Is the store among those that the restore is about? All are without a selection. */
int facts_store_selected(const struct orch_restore *restore, const char *store,
                         const json_t *store_facts);

/* Is the file (plain name)? By its own name, or by the store it belongs to. */
int facts_file_selected(const struct orch_restore *restore, const json_t *facts, const char *name);

/* A text or an integer of a JSON object; "" and `fallback` when it is none. */
const char *facts_text(const json_t *object, const char *name);
int64_t facts_integer(const json_t *object, const char *name, int64_t fallback);

#endif
