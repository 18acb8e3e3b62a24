/*
 * fuzz_keyslot.c: key slots: the JSON of one, and what it asks of the machine when it is opened.
 *
 * A slot that was read is opened with a passphrase, a key file and nothing, as far as that takes
 * little memory and time; and a sound slot that was changed must not open.
 */
#include <string.h>

#include "engine/keyslot.h"
#include "fuzz.h"

#define ID "00112233445566778899aabbccddeeff"
#define COST_MAX 20000u /* N * r * p: a few milliseconds */

static const uint8_t master[KEY_BYTES] = {7, 7, 7};
static const uint8_t key_file[KEY_BYTES] = {9, 8, 7};
static const struct repo_unlock by_passphrase = {.passphrase = "correct horse"};
static const struct repo_unlock by_key = {.key = key_file};
static const struct repo_unlock by_nothing = {0};

static bool cheap(const struct keyslot *slot)
{
    return slot->type != KEYSLOT_SCRYPT ||
           (UINT64_C(1) << slot->log_n) * slot->r * slot->p <= COST_MAX;
}

static void check_bounds(const struct keyslot *slot)
{
    must(slot->type != KEYSLOT_SCRYPT ||
         (slot->log_n >= 1 && slot->log_n <= KEYSLOT_LOG_N_MAX && slot->r >= 1 &&
          slot->r <= KEYSLOT_R_MAX && slot->p >= 1 && slot->p <= KEYSLOT_P_MAX &&
          (UINT64_C(128) << slot->log_n) * slot->r <= KEYSLOT_MEMORY_MAX));
}

/* The same key comes out as when `sound` was made if the slots are equal; none otherwise. */
static void open_slot(const struct keyslot *slot, const struct repo_unlock *unlock)
{
    uint8_t opened[KEY_BYTES];
    struct orch_error err = ORCH_ERROR_INIT;
    int32_t rc = keyslot_open(slot, ID, unlock, opened, &err);
    must(rc == ORCH_OK || rc == ORCH_E_ACCESS || rc == ORCH_E_NOMEM);
    must(rc != ORCH_OK || slot->type == KEYSLOT_CLEAR || memcmp(opened, master, KEY_BYTES) == 0);
}

/* A sound slot with the fields of the input laid over it: `changes`, of its 32 + 12 + 48 bytes. */
static void try_changed(const struct repo_unlock *unlock, const uint8_t *data, size_t size)
{
    struct keyslot slot;
    uint8_t opened[KEY_BYTES];
    struct orch_error err = ORCH_ERROR_INIT;
    must(keyslot_make(ID, unlock, 1, master, &slot, &err) == ORCH_OK);
    size_t salt = size < sizeof(slot.salt) ? size : sizeof(slot.salt);
    bool changed = overlay(slot.salt, sizeof(slot.salt), data, salt);
    size_t nonce = size - salt < sizeof(slot.nonce) ? size - salt : sizeof(slot.nonce);
    changed |= overlay(slot.nonce, sizeof(slot.nonce), data + salt, nonce);
    changed |=
        overlay(slot.wrapped, sizeof(slot.wrapped), data + salt + nonce, size - salt - nonce);
    int32_t rc = keyslot_open(&slot, ID, unlock, opened, &err);
    must(rc == (changed ? ORCH_E_ACCESS : ORCH_OK));
    must(changed || memcmp(opened, master, KEY_BYTES) == 0);
}

static void try_json(const json_t *json)
{
    struct keyslot slot, again;
    struct orch_error err = ORCH_ERROR_INIT;
    int32_t rc = keyslot_from_json(json, &slot, &err);
    must(rc == ORCH_OK || rc == ORCH_E_CORRUPT || rc == ORCH_E_VERSION);
    if (rc != ORCH_OK) {
        return;
    }
    check_bounds(&slot);
    json_t *text = keyslot_to_json(&slot);
    must(keyslot_from_json(text, &again, &err) == ORCH_OK &&
         memcmp(&slot, &again, sizeof(slot)) == 0);
    json_decref(text);
    open_slot(&slot, &by_nothing);
    open_slot(&slot, &by_key);
    if (cheap(&slot)) {
        open_slot(&slot, &by_passphrase);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *json = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
    if (json != NULL) {
        try_json(json);
        json_decref(json);
    } else if (size < 128) {
        try_changed(&by_key, data, size);
        try_changed(&by_passphrase, data, size);
    }
    return 0;
}
