/*
 * repo_config.h: file `config`: what a repository is, in the clear, with a sealed copy inside.
 *
 * Text of four runs, each byte of which is covered:
 *   head      a JSON object up to and including `"sealed": "`; its SHA-256 is in the sealed copy
 *   sealed    lower-case hexadecimal: salt, sealed copy, tag
 *   middle    fixed: `",` newline `  "checksum": "`
 *   checksum  SHA-256, in hexadecimal, of all before it; finds damage before a passphrase is asked
 * and the fixed end `"` newline `}` newline.
 */
#ifndef CORE_ENGINE_REPO_CONFIG_H
#define CORE_ENGINE_REPO_CONFIG_H

#include "engine/keyslot.h"

#define REPO_CONFIG_NAME "config"
#define REPO_CONFIG_MAX ((size_t)256 * 1024)
#define REPO_CONFIG_SLOTS_MAX 8u
#define REPO_CONFIG_SHA_BYTES 32

/* Required features that this program knows: none yet. */
#define REPO_FEATURES_KNOWN UINT64_C(0)

struct repo_config {
    uint64_t required_features;
    char id[ID_TEXT];
    uint32_t algorithm;                          /* SEAL_* */
    struct keyslot slots[REPO_CONFIG_SLOTS_MAX]; /* those of a known type */
    size_t slot_count;
    uint8_t head_sha256[REPO_CONFIG_SHA_BYTES]; /* filled by parse */
    json_t *head;                               /* the fields of the head; filled by parse */
    struct buffer sealed;                       /* filled by parse */
};

void repo_config_clear(struct repo_config *config);
#define CLEANUP_REPO_CONFIG CLEANUP(repo_config_clear)

/* The text of a config; `keys` seal the copy. Appends to `out`. */
int32_t repo_config_format(const struct repo_config *config, const struct keys *keys,
                           struct buffer *out, struct orch_error *err) ORCH_CHECKED;
/* Reads a text and checks all that can be checked without a key. `out` is zeroed; clear it, also
 * after a failure. ORCH_E_CORRUPT: damaged; ORCH_E_VERSION: a newer format or an unknown required
 * feature. */
int32_t repo_config_parse(const void *text, size_t len, struct repo_config *out,
                          struct orch_error *err) ORCH_CHECKED;
/* Compares what was parsed with the sealed copy. */
int32_t repo_config_verify(const struct repo_config *config, const struct keys *keys,
                           struct orch_error *err) ORCH_CHECKED;

#endif
