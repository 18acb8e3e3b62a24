/*
 * server.h: the worker's side, shared by server.c (start, main loop), server_reader.c (frames),
 * server_calls.c (callbacks) and services.c and services_bulk.c (what a plugin may ask for).
 *
 * Two threads: the main one runs the plugin's callbacks; the reader takes frames off the wire,
 * never waits for anything else, and puts them where the main thread looks.
 */
#ifndef CORE_PLUGIN_SERVER_H
#define CORE_PLUGIN_SERVER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "plugin/arguments.h"
#include "plugin/info.h"
#include "plugin/items.h"
#include "plugin/ring.h"
#include "plugin/stream.h"
#include "plugin/wire.h"

#define SERVER_INBOUND_MAX 64u

/* A block that the host has sent: in the ring or in `payload`. */
struct server_block {
    uint32_t slot, size;
    struct buffer payload;
};

struct server {
    struct wire *wire;
    struct ring ring;
    bool isolated; /* in a process of its own */

    /* Any thread. */
    atomic_int cancelled;
    atomic_bool leaving;
    _Atomic int64_t sent_ms;

    /* The reader fills these under the lock; `changed` tells. */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool closed; /* the host is gone */
    bool have_call;
    struct wire_frame call;
    struct buffer call_payload;
    uint32_t current; /* the id of the last call: bulk frames of another are late and dropped */
    bool have_answer;
    uint32_t answer_id;
    struct buffer answer;
    struct server_block inbound[SERVER_INBOUND_MAX];
    uint32_t inbound_head, inbound_count;
    bool have_done;
    struct buffer done;

    /* The main thread's. */
    struct orch_plugin plugin;
    struct plugin_info *info;
    void *instance;
    bool opened;
    struct arguments_options *options;
    struct orch_host host;
    const char *callback; /* the one that runs, or NULL */
    uint32_t call_id;     /* of the call that runs */
    uint32_t request_id;
    struct stream *out;
    struct orch_error bulk_error; /* sticky: a plugin may not go on after it */
    /* backup */
    struct items_encoder *encoder;
    struct buffer last_name;
    /* backup with earlier entries, or restore */
    struct items_decoder *decoder;
    uint16_t inbound_stream;
    bool holding; /* a block that the decoder reads, to be given back */
    struct server_block held;
    bool have_earlier, earlier_ended;
    struct orch_event earlier; /* the entry that the walk stands at */
    bool stream_ended;
};

/* services.c: fills server->host. */
void services_init(struct server *server);
/*
 * Copies what the plugin handed in: the smaller of its size and ours, zeroes behind. A size of 0 is
 * taken as that of ABI 1.0, in which all of these had the size they have now.
 */
int32_t services_take_struct(void *to, size_t size, const void *from, const char *what,
                             struct orch_error *err) ORCH_CHECKED;
/* ORCH_E_INVALID unless that callback runs. */
int32_t services_only_in(const struct server *server, const char *service, const char *callback,
                         struct orch_error *err) ORCH_CHECKED;
int32_t services_fail_cancelled(struct orch_error *err) ORCH_CHECKED;

/* services_bulk.c: its part of server->host. */
void services_bulk_init(struct server *server);
/* The totals in a DONE frame. */
json_t *services_totals_new(const struct items_totals *totals);
bool services_totals_parse(const json_t *json, struct items_totals *totals);

/* server_reader.c */
void *server_reader_main(void *server);
/* Drops what came in of a bulk stream. */
void server_reader_clear(struct server *server);

/* server_calls.c: runs the call named in `args`; `reply` takes what goes back. */
int32_t server_calls_run(struct server *server, const json_t *args, json_t *reply,
                         struct orch_error *err) ORCH_CHECKED;
/* Closes the instance, if there is one. */
void server_calls_close(struct server *server);

/* server.c: sends a JSON frame and notes the time. */
int32_t server_send(struct server *server, struct wire_frame frame, const json_t *message,
                    struct orch_error *err) ORCH_CHECKED;

/* server.c: serves one connection until CLOSE; takes `fd`. Returns the exit status. */
int server_run(int fd, bool isolated);

#endif
