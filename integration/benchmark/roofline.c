/*
 * roofline.c: how fast this machine does each piece of work that a backup cannot avoid, measured now and on the data
 * of the benchmark. usage: roofline TREE SCRATCH   (SCRATCH: a folder on the disk that the repository is on)
 *
 * Prints one JSON object. Rates are bytes a second with every core at work, the best of three tries: those of pure
 * computing by processor time, which a neighbour does not stretch, the others by the clock. machine.py makes the least
 * time of each phase out of them.
 */
#define _GNU_SOURCE
#define OPENSSL_SUPPRESS_DEPRECATED
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>
#include <zstd.h>

#define FRAME_BYTES ((size_t)1 << 20)
#define SAMPLE_FRAMES 256u
#define CHUNK_BYTES ((size_t)256 << 10)
#define CHUNK_SKIP ((size_t)192 << 10) /* of a chunk, this much is not searched for a cut */
#define THREADS_MAX 64u
#define TRIES 3
#define TRY_SECONDS 0.4
#define DISK_BYTES ((size_t)256 << 20) /* for each thread */

struct file {
    char *path;
    uint64_t size;
};

/* A mebibyte of the files laid end to end, and where chunks of it end. */
struct frame {
    uint8_t *plain, *packed;
    size_t len, packed_len;
    uint32_t ends[FRAME_BYTES / 512];
    size_t end_count;
};

struct bench {
    struct file *files;
    size_t file_count, file_capacity;
    uint64_t bytes;
    struct frame *frames;
    size_t frame_count;
    size_t sample_bytes, packed_bytes;
    uint64_t gear[256];
    const char *scratch;
    size_t threads;
    atomic_size_t next;
    atomic_bool failed;
};

struct worker {
    struct bench *bench;
    size_t number;
    uint8_t *room; /* 2 * FRAME_BYTES, aligned */
    uint64_t sink; /* so that nothing is optimised away */
    pthread_t thread;
};

static void die(const char *what)
{
    (void)fprintf(stderr, "roofline: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double now(clockid_t clock)
{
    struct timespec t;
    (void)clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void *checked(void *memory)
{
    if (memory == NULL) {
        die("memory");
    }
    return memory;
}

/* ---- the data ---- */

static void list_files(struct bench *b, char *tree)
{
    char *paths[] = {tree, NULL};
    FTS *fts = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    if (fts == NULL) {
        die(tree);
    }
    for (FTSENT *entry = fts_read(fts); entry != NULL; entry = fts_read(fts)) {
        if (entry->fts_info != FTS_F) {
            continue;
        }
        if (b->file_count == b->file_capacity) {
            b->file_capacity = b->file_capacity == 0 ? 1024 : 2 * b->file_capacity;
            b->files = checked(reallocarray(b->files, b->file_capacity, sizeof(*b->files)));
        }
        b->files[b->file_count++] =
            (struct file){.path = checked(strdup(entry->fts_path)), .size = (uint64_t)entry->fts_statp->st_size};
        b->bytes += (uint64_t)entry->fts_statp->st_size;
    }
    (void)fts_close(fts);
}

static void add_piece(struct frame *frame, const struct file *file, uint64_t offset, size_t len)
{
    int fd = open(file->path, O_RDONLY);
    if (fd < 0 || pread(fd, frame->plain + frame->len, len, (off_t)offset) != (ssize_t)len) {
        die(file->path);
    }
    (void)close(fd);
    for (size_t at = 0; at < len && frame->end_count < sizeof(frame->ends) / sizeof(frame->ends[0]);) {
        size_t step = len - at < CHUNK_BYTES ? len - at : CHUNK_BYTES;
        at += step;
        frame->ends[frame->end_count++] = (uint32_t)(frame->len + at);
    }
    frame->len += len;
}

/* Frames at even distances, so that the sample is like the whole. */
static void take_sample(struct bench *b)
{
    size_t all = (size_t)((b->bytes + FRAME_BYTES - 1) / FRAME_BYTES);
    b->frame_count = all < SAMPLE_FRAMES ? all : SAMPLE_FRAMES;
    b->frames = checked(calloc(b->frame_count, sizeof(*b->frames)));
    size_t file = 0;
    uint64_t file_start = 0; /* in the files laid end to end */
    for (size_t i = 0; i < b->frame_count; i++) {
        struct frame *frame = &b->frames[i];
        uint64_t at = (uint64_t)i * all / b->frame_count * FRAME_BYTES;
        frame->plain = checked(malloc(FRAME_BYTES));
        frame->packed = checked(malloc(ZSTD_compressBound(FRAME_BYTES)));
        while (frame->len < FRAME_BYTES && file < b->file_count) {
            uint64_t end = file_start + b->files[file].size;
            if (end > at) {
                uint64_t left = end - at;
                size_t room = FRAME_BYTES - frame->len;
                size_t len = left < room ? (size_t)left : room;
                add_piece(frame, &b->files[file], at - file_start, len);
                at += len;
            }
            if (end > at) {
                break;
            }
            file_start = end;
            file++;
        }
        b->sample_bytes += frame->len;
    }
}

/* ---- pieces of work on one frame ---- */

static void work_sha256(struct worker *w, struct frame *frame)
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    (void)SHA256(frame->plain, frame->len, digest);
    w->sink += digest[0];
}

/* HMAC whose key is hashed beforehand: two more blocks for each chunk. */
static void work_hmac(struct worker *w, struct frame *frame)
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    size_t start = 0;
    for (size_t i = 0; i < frame->end_count; i++) {
        SHA256_CTX ctx;
        (void)SHA256_Init(&ctx);
        ctx.Nl = 512;
        (void)SHA256_Update(&ctx, frame->plain + start, frame->ends[i] - start);
        (void)SHA256_Final(digest, &ctx);
        (void)SHA256_Init(&ctx);
        ctx.Nl = 512;
        (void)SHA256_Update(&ctx, digest, sizeof(digest));
        (void)SHA256_Final(digest, &ctx);
        start = frame->ends[i];
        w->sink += digest[0];
    }
}

/* Two bytes a step, and not where no cut may be. */
static void work_gear(struct worker *w, struct frame *frame)
{
    const uint64_t *gear = w->bench->gear;
    size_t start = 0;
    for (size_t i = 0; i < frame->end_count; i++) {
        uint64_t hash = 0;
        for (size_t at = start + CHUNK_SKIP; at + 2 <= frame->ends[i]; at += 2) {
            uint64_t first = (hash << 1) + gear[frame->plain[at]];
            hash = (hash << 2) + ((gear[frame->plain[at]] << 1) + gear[frame->plain[at + 1]]);
            w->sink += (uint64_t)((first >> 48) == 0) + (uint64_t)((hash >> 48) == 0);
        }
        start = frame->ends[i];
    }
}

static void work_zstd(struct worker *w, struct frame *frame)
{
    static _Thread_local ZSTD_CCtx *ctx;
    ctx = ctx == NULL ? checked(ZSTD_createCCtx()) : ctx;
    size_t got =
        ZSTD_compressCCtx(ctx, frame->packed, ZSTD_compressBound(FRAME_BYTES), frame->plain, frame->len, 1);
    frame->packed_len = ZSTD_isError(got) ? 0 : got;
    atomic_store(&w->bench->failed, atomic_load(&w->bench->failed) || ZSTD_isError(got));
}

static void work_unzstd(struct worker *w, struct frame *frame)
{
    static _Thread_local ZSTD_DCtx *ctx;
    ctx = ctx == NULL ? checked(ZSTD_createDCtx()) : ctx;
    size_t got = ZSTD_decompressDCtx(ctx, w->room, FRAME_BYTES, frame->packed, frame->packed_len);
    atomic_store(&w->bench->failed, atomic_load(&w->bench->failed) || got != frame->len);
}

static void work_gcm(struct worker *w, struct frame *frame)
{
    static _Thread_local EVP_CIPHER_CTX *ctx;
    static const uint8_t key[32] = {1};
    uint8_t nonce[12] = {0};
    int len = 0;
    if (ctx == NULL) {
        ctx = checked(EVP_CIPHER_CTX_new());
        (void)EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, NULL);
    }
    bool good = EVP_EncryptInit_ex(ctx, NULL, NULL, NULL, nonce) == 1 &&
                EVP_EncryptUpdate(ctx, w->room, &len, frame->plain, (int)frame->len) == 1;
    atomic_store(&w->bench->failed, atomic_load(&w->bench->failed) || !good);
}

/* ---- running them ---- */

struct job {
    struct worker worker;
    void (*work)(struct worker *w, struct frame *frame);
    void (*once)(struct worker *w);
};

static void *job_main(void *arg)
{
    struct job *job = arg;
    struct bench *b = job->worker.bench;
    if (job->once != NULL) {
        job->once(&job->worker);
        return NULL;
    }
    for (size_t i = atomic_fetch_add(&b->next, 1); i < b->frame_count; i = atomic_fetch_add(&b->next, 1)) {
        job->work(&job->worker, &b->frames[i]);
    }
    return NULL;
}

/* Seconds of `clock` that `threads` threads take for one pass. */
static double pass(struct bench *b, size_t threads, clockid_t clock,
                   void (*work)(struct worker *, struct frame *), void (*once)(struct worker *))
{
    static struct job jobs[THREADS_MAX];
    atomic_store(&b->next, 0);
    for (size_t i = 0; i < threads; i++) {
        if (jobs[i].worker.room == NULL &&
            posix_memalign((void **)&jobs[i].worker.room, 4096, 2 * FRAME_BYTES) != 0) {
            die("memory");
        }
        jobs[i].worker.bench = b;
        jobs[i].worker.number = i;
        jobs[i].work = work;
        jobs[i].once = once;
    }
    double start = now(clock);
    for (size_t i = 0; i < threads; i++) {
        if (pthread_create(&jobs[i].worker.thread, NULL, job_main, &jobs[i]) != 0) {
            die("threads");
        }
    }
    for (size_t i = 0; i < threads; i++) {
        (void)pthread_join(jobs[i].worker.thread, NULL);
    }
    double seconds = now(clock) - start;
    if (atomic_load(&b->failed)) {
        errno = EIO;
        die("a piece of work");
    }
    return seconds;
}

/* Passes over the sample a second; the best of some tries, each long enough to be told from noise. */
static double rate(struct bench *b, size_t threads, void (*work)(struct worker *, struct frame *))
{
    double best = 0;
    for (int i = 0; i < TRIES; i++) {
        double seconds = 0;
        size_t passes = 0;
        for (; seconds < TRY_SECONDS; passes++) {
            seconds += pass(b, threads, CLOCK_PROCESS_CPUTIME_ID, work, NULL) / (double)threads;
        }
        best = (double)passes / seconds > best ? (double)passes / seconds : best;
    }
    return best;
}

static double best_time(struct bench *b, void (*once)(struct worker *))
{
    double best = 1e9;
    for (int i = 0; i < TRIES; i++) {
        double seconds = pass(b, b->threads, CLOCK_MONOTONIC, NULL, once);
        best = seconds < best ? seconds : best;
    }
    return best;
}

/* ---- the file system ---- */

static void once_stat(struct worker *w)
{
    struct bench *b = w->bench;
    struct stat st;
    for (size_t i = atomic_fetch_add(&b->next, 64); i < b->file_count; i = atomic_fetch_add(&b->next, 64)) {
        for (size_t k = i; k < i + 64 && k < b->file_count; k++) {
            w->sink += (uint64_t)lstat(b->files[k].path, &st);
        }
    }
}

/* Open, read, close; the room is small enough to stay in the processor's cache. */
static void once_read(struct worker *w)
{
    struct bench *b = w->bench;
    for (size_t i = atomic_fetch_add(&b->next, 1); i < b->file_count; i = atomic_fetch_add(&b->next, 1)) {
        int fd = open(b->files[i].path, O_RDONLY);
        ssize_t n = 1;
        while (fd >= 0 && n > 0) {
            n = read(fd, w->room, 256u << 10);
        }
        if (fd < 0 || n < 0) {
            atomic_store(&b->failed, true);
        }
        (void)close(fd);
    }
}

static int scratch_file(const struct worker *w, int flags)
{
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/roofline-%zu", w->bench->scratch, w->number);
    int fd = open(path, flags | O_DIRECT, 0600);
    return fd < 0 ? open(path, flags, 0600) : fd; /* a file system without O_DIRECT */
}

static void once_write(struct worker *w)
{
    int fd = scratch_file(w, O_WRONLY | O_CREAT | O_TRUNC);
    memset(w->room, (int)w->number + 1, FRAME_BYTES);
    bool good = fd >= 0;
    for (size_t at = 0; good && at < DISK_BYTES; at += FRAME_BYTES) {
        good = write(fd, w->room, FRAME_BYTES) == (ssize_t)FRAME_BYTES;
    }
    if (!good || fsync(fd) != 0) {
        atomic_store(&w->bench->failed, true);
    }
    (void)close(fd);
}

static void read_back(struct worker *w, bool cached)
{
    int fd = scratch_file(w, O_RDONLY);
    bool good = fd >= 0;
    if (good && cached) {
        good = fcntl(fd, F_SETFL, 0) == 0;
    }
    for (size_t at = 0; good && at < DISK_BYTES; at += FRAME_BYTES) {
        good = read(fd, w->room, FRAME_BYTES) == (ssize_t)FRAME_BYTES;
    }
    if (!good) {
        atomic_store(&w->bench->failed, true);
    }
    (void)close(fd);
}

static void once_disk_read(struct worker *w)
{
    read_back(w, false);
}

static void once_cached_read(struct worker *w)
{
    read_back(w, true);
}

static void remove_scratch(struct bench *b)
{
    for (size_t i = 0; i < b->threads; i++) {
        char path[4096];
        (void)snprintf(path, sizeof(path), "%s/roofline-%zu", b->scratch, i);
        (void)unlink(path);
    }
}

int main(int argc, char **argv)
{
    static struct bench b;
    if (argc != 3) {
        (void)fprintf(stderr, "usage: roofline TREE SCRATCH\n");
        return 2;
    }
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    b.threads = cores < 1 ? 1 : cores > (long)THREADS_MAX ? THREADS_MAX : (size_t)cores;
    b.scratch = argv[2];
    list_files(&b, argv[1]);
    take_sample(&b);
    uint64_t seed = 88172645463325252u;
    for (size_t i = 0; i < 256; i++) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        b.gear[i] = seed;
    }
    double sample = (double)b.sample_bytes;
    double disk = (double)(DISK_BYTES * b.threads);
    (void)printf("{\"cores\": %zu, \"files\": %zu, \"bytes\": %llu, \"sample_bytes\": %zu", b.threads, b.file_count,
                 (unsigned long long)b.bytes, b.sample_bytes);
    (void)printf(", \"sha256_one\": %.0f", sample * rate(&b, 1, work_sha256));
    (void)printf(", \"sha256\": %.0f", sample * rate(&b, b.threads, work_sha256));
    (void)printf(", \"hmac\": %.0f", sample * rate(&b, b.threads, work_hmac));
    (void)printf(", \"gear\": %.0f", sample * rate(&b, b.threads, work_gear));
    (void)printf(", \"zstd\": %.0f", sample * rate(&b, b.threads, work_zstd));
    for (size_t i = 0; i < b.frame_count; i++) {
        b.packed_bytes += b.frames[i].packed_len;
    }
    (void)printf(", \"zstd_share\": %.4f", (double)b.packed_bytes / sample);
    (void)printf(", \"unzstd\": %.0f", sample * rate(&b, b.threads, work_unzstd));
    (void)printf(", \"gcm\": %.0f", sample * rate(&b, b.threads, work_gcm));
    (void)printf(", \"stat_s\": %.4f", best_time(&b, once_stat));
    (void)printf(", \"read_s\": %.4f", best_time(&b, once_read));
    (void)printf(", \"disk_write\": %.0f", disk / best_time(&b, once_write));
    (void)printf(", \"disk_read\": %.0f", disk / best_time(&b, once_disk_read));
    (void)printf(", \"cached_read\": %.0f}\n", disk / best_time(&b, once_cached_read));
    remove_scratch(&b);
    return 0;
}
