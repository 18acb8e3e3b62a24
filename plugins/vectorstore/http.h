/*
 * http.h: one POST with JSON to a configured URL, within limits.
 */
#ifndef VECTORSTORE_HTTP_H
#define VECTORSTORE_HTTP_H

#include <stddef.h>

#include <orchestrate/plugin.h>

/*
 * Posts `body` and gives the answer's body (*out is freed by the caller; *len bytes). Connecting
 * may take 5 s, all of it `timeout_ms`; an answer over 32 MiB, a redirect, and any status but 200
 * are failures. `bearer` may be NULL; no message contains it.
 */
int32_t http_post_json(const struct orch_host *host, const char *url, const char *bearer,
                       int64_t timeout_ms, const char *body, char **out, size_t *len,
                       struct orch_error *err) ORCH_CHECKED;

#endif
