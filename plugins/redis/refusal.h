/* refusal.h: what an error reply of Redis means for us, and what the reader can do about it. */
#ifndef REDIS_REFUSAL_H
#define REDIS_REFUSAL_H

#include <orchestrate/error.h>
#include <stdint.h>

/* Fills `err` and gives the code. `server` is the address, `what` the command, `text` the reply. */
int32_t refusal_map(const char *server, const char *what, const char *text, struct orch_error *err);

/* 1 when the reply says that this user or this server does not offer the command at all. */
int refusal_is_forbidden(const char *text);

#endif
