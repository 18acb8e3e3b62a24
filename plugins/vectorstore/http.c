/* http.c: see http.h. */
#include "http.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_MS 5000L
#define ANSWER_MAX (32u << 20)

struct answer {
    char *text;
    size_t len;
    size_t room;
    int too_long;
};

struct call {
    CURL *curl;
    struct curl_slist *headers;
    struct answer answer;
    const struct orch_host *host;
    char problem[CURL_ERROR_SIZE];
};

static size_t on_data(char *data, size_t size, size_t count, void *user)
{
    struct answer *answer = user;
    size_t len = size * count;
    if (len > ANSWER_MAX - answer->len) {
        answer->too_long = 1;
        return 0;
    }
    if (answer->len + len > answer->room) {
        size_t room = answer->room == 0 ? 65536 : answer->room;
        while (room < answer->len + len) {
            room *= 2;
        }
        char *grown = realloc(answer->text, room);
        if (grown == NULL) {
            return 0;
        }
        answer->text = grown;
        answer->room = room;
    }
    memcpy(answer->text + answer->len, data, len);
    answer->len += len;
    return len;
}

static int on_progress(void *user, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const struct orch_host *host = user;
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    return host->cancelled(host->ctx) != 0;
}

static int add_header(struct call *call, const char *line)
{
    struct curl_slist *longer = curl_slist_append(call->headers, line);
    call->headers = longer == NULL ? call->headers : longer;
    return longer == NULL;
}

static int32_t prepare(struct call *call, const char *url, const char *bearer, int64_t timeout_ms,
                       const char *body, struct orch_error *err)
{
    int failed = add_header(call, "Content-Type: application/json");
    failed |= add_header(call, "Accept: application/json");
    failed |= add_header(call, "Expect:"); /* no waiting for "100 Continue" */
    if (bearer != NULL) {
        size_t size = strlen(bearer) + 32;
        char *line = malloc(size);
        if (line != NULL) {
            (void)snprintf(line, size, "Authorization: Bearer %s", bearer);
            failed |= add_header(call, line);
            explicit_bzero(line, size);
        }
        failed |= line == NULL;
        free(line);
    }
    CURL *curl = call->curl;
    failed |= curl_easy_setopt(curl, CURLOPT_URL, url) != CURLE_OK;
    failed |= curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https") != CURLE_OK;
    failed |= curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) != CURLE_OK;
    failed |= curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L) != CURLE_OK;
    failed |= curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS) != CURLE_OK;
    failed |= curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms) != CURLE_OK;
    failed |= curl_easy_setopt(curl, CURLOPT_HTTPHEADER, call->headers) != CURLE_OK;
    failed |= curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body) != CURLE_OK;
    failed |= curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data) != CURLE_OK;
    failed |= curl_easy_setopt(curl, CURLOPT_WRITEDATA, &call->answer) != CURLE_OK;
    failed |= curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, call->problem) != CURLE_OK;
    failed |= curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L) != CURLE_OK;
    failed |= curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress) != CURLE_OK;
    failed |=
        curl_easy_setopt(curl, CURLOPT_XFERINFODATA, (void *)(uintptr_t)call->host) != CURLE_OK;
    return failed ? orch_fail(err, ORCH_E_CONFIG, "libcurl does not take the request") : ORCH_OK;
}

static int32_t perform(struct call *call, const char *url, struct orch_error *err)
{
    CURLcode rc = curl_easy_perform(call->curl);
    long status = 0;
    if (call->answer.too_long) {
        return orch_fail(err, ORCH_E_PROTOCOL, "%s answers with more than 32 MiB", url);
    }
    if (rc == CURLE_ABORTED_BY_CALLBACK) {
        return orch_fail(err, ORCH_E_CANCELLED, "cancelled");
    }
    if (rc == CURLE_OPERATION_TIMEDOUT) {
        return orch_fail(err, ORCH_E_TIMEOUT, "%s does not answer in time (%s)", url,
                         call->problem);
    }
    if (rc != CURLE_OK) {
        return orch_fail(err, ORCH_E_UNREACHABLE, "%s does not answer: %s", url,
                         call->problem[0] != 0 ? call->problem : curl_easy_strerror(rc));
    }
    (void)curl_easy_getinfo(call->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status == 401 || status == 403) {
        return orch_fail(err, ORCH_E_ACCESS,
                         "%s refuses with HTTP status %ld; check embedding.api_key", url, status);
    }
    if (status != 200) {
        return orch_fail(err, ORCH_E_PROTOCOL, "%s answers with HTTP status %ld", url, status);
    }
    return ORCH_OK;
}

/* A URL without user name and password, which messages must not show. */
static void public_url(const char *url, char *out, size_t size)
{
    const char *host = strstr(url, "://");
    host = host == NULL ? url : host + 3;
    size_t length = strcspn(host, "/?#");
    const char *at = memrchr(host, '@', length);
    (void)snprintf(out, size, "%.*s%.*s", (int)(host - url), url,
                   (int)strcspn(at == NULL ? host : at + 1, "?#"), at == NULL ? host : at + 1);
}

int32_t http_post_json(const struct orch_host *host, const char *url, const char *bearer,
                       int64_t timeout_ms, const char *body, char **out, size_t *len,
                       struct orch_error *err)
{
    struct call call = {.host = host};
    char shown[512];
    public_url(url, shown, sizeof(shown));
    call.curl = curl_easy_init();
    if (call.curl == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "libcurl cannot be started");
    }
    int32_t rc = prepare(&call, url, bearer, timeout_ms, body, err);
    if (rc == ORCH_OK) {
        rc = perform(&call, shown, err);
    }
    curl_easy_cleanup(call.curl);
    curl_slist_free_all(call.headers);
    if (rc != ORCH_OK) {
        free(call.answer.text);
        return rc;
    }
    *out = call.answer.text;
    *len = call.answer.len;
    return ORCH_OK;
}
