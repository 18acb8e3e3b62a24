/*
 * identity.h: reads a contract out of the file or command that says which embedding model is in
 * use.
 */
#ifndef VECTORSTORE_IDENTITY_H
#define VECTORSTORE_IDENTITY_H

#include <orchestrate/plugin.h>

#include "settings.h"

/*
 * Reads fields into `contract`, over what it has, from the text of an identity file: JSON when it
 * begins with a brace, else lines KEY = VALUE with optional [sections]. `key` is the dotted key,
 * section or prefix under which the fields stand, "" for the top. ORCH_E_NOT_FOUND when nothing
 * stands there, ORCH_E_CONFIG when it makes no sense. `origin` names the source in messages.
 */
int32_t identity_parse(const char *text, size_t len, const char *key, const char *origin,
                       struct contract *contract, struct orch_error *err) ORCH_CHECKED;

/*
 * The contract in force: the options', with what the identity source says over it. With `future`,
 * the source is read as it will be after the run. When the source cannot be read or understood,
 * the code says so, and `contract` is as the options alone declare it.
 */
int32_t identity_resolve(const struct orch_host *host, const struct settings *settings, int future,
                         struct contract *contract, struct orch_error *err) ORCH_CHECKED;

#endif
