/* indexcache.c: the environment: made, opened, shared, closed; see indexcacheimpl.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/buffer.h"
#include "base/file.h"
#include "base/log.h"
#include "engine/indexcacheimpl.h"
#include "engine/indexfolder.h"
#include "engine/indexstate.h"

/* Address space, not memory. Where less is allowed, less is tried. */
#define MAP_MOST (UINT64_C(64) << 30)
#define MAP_LEAST (UINT64_C(256) << 20)
/* Several for each process: one for each thread that looks up at the same time. */
#define READERS_MAX 2048u
#define TABLES 6u
/* From here on the kernel's reading ahead only costs: lookups go all over the file. */
#define RANDOM_FROM (UINT64_C(256) << 20)
/* A cache with fewer rows is made anew after a crash of the machine sooner than it is synced by
 * every run before. */
#define SYNC_FROM_ROWS (UINT64_C(1) << 20)
#define USERS_WAIT_MS 120000

/*
 * The open caches of this process. A file may be opened once by LMDB in a process, since closing
 * one of two would take the other's locks away; so those who want the same file have to find it.
 */
static pthread_mutex_t open_lock = PTHREAD_MUTEX_INITIALIZER;
static struct indexcache *open_caches;

int32_t cache_error(const struct indexcache *cache, int code, const char *what,
                    struct orch_error *err)
{
    const char *path = cache->private ? "temporary index cache" : cache->path;
    if (code > 0) {
        return orch_fail_errno(err, code, "cannot %s %s", what, path);
    }
    return orch_fail(err, code == MDB_MAP_FULL ? ORCH_E_NO_SPACE : ORCH_E_CORRUPT,
                     "cannot %s %s: %s", what, path, mdb_strerror(code));
}

/* Opens the environment with as large a map as there is room for. */
static int env_open(const char *path, MDB_env **out)
{
    CLEANUP_FREE char *data = file_join(path, "data.mdb");
    struct stat file;
    unsigned flags = MDB_NOSYNC | MDB_NOTLS;
    int rc = ENOMEM;
    if (data != NULL && stat(data, &file) == 0 && (uint64_t)file.st_size >= RANDOM_FROM) {
        flags |= MDB_NORDAHEAD;
    }
    for (uint64_t map = MAP_MOST; rc == ENOMEM && map >= MAP_LEAST; map /= 4) {
        MDB_env *env = NULL;
        rc = mdb_env_create(&env);
        if (rc != 0) {
            return rc;
        }
        (void)mdb_env_set_maxdbs(env, TABLES);
        (void)mdb_env_set_maxreaders(env, READERS_MAX);
        rc = mdb_env_set_mapsize(env, (size_t)map);
        if (rc == 0) {
            rc = mdb_env_open(env, path, flags, 0600);
        }
        if (rc == 0) {
            *out = env;
            return 0;
        }
        mdb_env_close(env);
    }
    return rc;
}

/* Every page that the environment knows must be in the file: to touch one that is not would kill
 * the process. */
static int check_length(MDB_env *env)
{
    MDB_envinfo info;
    MDB_stat stat;
    struct stat file;
    mdb_filehandle_t fd;
    int rc = mdb_env_get_fd(env, &fd);
    if (rc == 0) {
        rc = mdb_env_info(env, &info);
    }
    if (rc == 0) {
        rc = mdb_env_stat(env, &stat);
    }
    if (rc != 0) {
        return rc;
    }
    if (fstat(fd, &file) != 0) {
        return errno;
    }
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    if ((uint64_t)file.st_size / stat.ms_psize <= info.me_last_pgno) {
        return MDB_CORRUPTED;
    }
    return 0;
}

static int open_tables(struct indexcache *cache, bool create)
{
    static const struct {
        const char *name;
        unsigned flags;
    } tables[TABLES] = {{"chunks", 0}, {"packs", MDB_INTEGERKEY}, {"frames", MDB_INTEGERKEY},
                        {"ids", 0},    {"segments", 0},           {"meta", 0}};
    MDB_dbi *const handles[TABLES] = {&cache->chunks, &cache->packs,    &cache->frames,
                                      &cache->ids,    &cache->segments, &cache->meta};
    MDB_txn *txn = NULL;
    int rc = mdb_txn_begin(cache->env, NULL, create ? 0 : MDB_RDONLY, &txn);
    for (size_t i = 0; rc == 0 && i < TABLES; i++) {
        rc = mdb_dbi_open(txn, tables[i].name, tables[i].flags | (create ? MDB_CREATE : 0),
                          handles[i]);
    }
    if (rc != 0) {
        mdb_txn_abort(txn);
        return rc;
    }
    return mdb_txn_commit(txn);
}

static void cache_free(struct indexcache *cache)
{
    while (cache->idle != NULL) {
        struct cache_reader *reader = cache->idle;
        cache->idle = reader->next;
        mdb_cursor_close(reader->chunks);
        mdb_txn_abort(reader->txn);
        free(reader);
    }
    if (cache->env != NULL) {
        mdb_env_close(cache->env);
    }
    if (cache->users_fd >= 0) {
        (void)close(cache->users_fd);
    }
    (void)pthread_mutex_destroy(&cache->lock);
    free(cache->path);
    free(cache);
}

/* Tells others that the folder is in use. */
static int32_t hold_users(struct indexcache *cache, struct orch_error *err)
{
    CLEANUP_FREE char *name = file_join(cache->path, "users");
    if (name == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the index cache");
    }
    cache->users_fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (cache->users_fd < 0) {
        return orch_fail_errno(err, errno, "cannot open %s", name);
    }
    return indexfolder_flock(cache->users_fd, LOCK_SH, USERS_WAIT_MS, name, err);
}

static struct indexcache *cache_new(const char *path)
{
    struct indexcache *cache = calloc(1, sizeof(*cache));
    struct stat folder;
    if (cache == NULL) {
        return NULL;
    }
    cache->users_fd = -1;
    cache->refs = 1;
    cache->path = strdup(path);
    (void)pthread_mutex_init(&cache->lock, NULL);
    if (cache->path == NULL || stat(path, &folder) != 0) {
        cache_free(cache);
        return NULL;
    }
    cache->device = folder.st_dev;
    cache->inode = folder.st_ino;
    return cache;
}

int32_t indexcache_create(const char *path, const char *repo_id, struct indexcache **out,
                          struct orch_error *err)
{
    struct indexcache *cache = cache_new(path);
    if (cache == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the index cache");
    }
    cache->dirty = true;
    int32_t rc = hold_users(cache, err);
    if (rc == ORCH_OK) {
        /* Need not last: a cache without it is not used. */
        rc = indexstate_write(path, false, false, err);
    }
    if (rc != ORCH_OK) {
        cache_free(cache);
        return rc;
    }
    struct cache_meta meta = {0};
    MDB_txn *txn = NULL;
    (void)strncpy(meta.repo_id, repo_id, sizeof(meta.repo_id) - 1);
    int code = env_open(path, &cache->env);
    if (code == 0) {
        code = check_length(cache->env);
    }
    if (code == 0) {
        code = open_tables(cache, true);
    }
    if (code == 0 && (code = mdb_txn_begin(cache->env, NULL, 0, &txn)) == 0) {
        code = cache_meta_put(cache, txn, &meta);
        if (code == 0) {
            code = mdb_txn_commit(txn);
        } else {
            mdb_txn_abort(txn);
        }
    }
    if (code != 0) {
        rc = cache_error(cache, code, "make", err);
        cache_free(cache);
        return rc;
    }
    (void)pthread_mutex_lock(&open_lock);
    cache->next = open_caches;
    open_caches = cache;
    (void)pthread_mutex_unlock(&open_lock);
    *out = cache;
    return ORCH_OK;
}

/* The rest of opening, with the list locked. */
static int32_t open_locked(struct indexcache *cache, const char *repo_id, struct orch_error *err)
{
    int32_t rc = hold_users(cache, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    enum index_state state = indexstate_read(cache->path);
    cache->dirty = state == INDEX_STATE_DIRTY;
    if (state == INDEX_STATE_BAD) {
        return orch_fail(err, ORCH_E_CORRUPT, "it was not synced before the machine went down");
    }
    int code = env_open(cache->path, &cache->env);
    if (code == 0) {
        code = check_length(cache->env);
    }
    if (code == 0) {
        int dead = 0;
        code = mdb_reader_check(cache->env, &dead); /* of killed processes: they hold pages */
    }
    if (code == 0) {
        code = open_tables(cache, false);
    }
    struct cache_meta meta = {0};
    MDB_txn *txn = NULL;
    if (code == 0 && (code = mdb_txn_begin(cache->env, NULL, MDB_RDONLY, &txn)) == 0) {
        code = cache_meta_get(cache, txn, &meta);
        mdb_txn_abort(txn);
    }
    if (code == MDB_NOTFOUND || code == MDB_CORRUPTED || code == MDB_INVALID ||
        code == MDB_VERSION_MISMATCH || code == MDB_INCOMPATIBLE || code == MDB_PAGE_NOTFOUND) {
        return orch_fail(err, ORCH_E_CORRUPT, "it is damaged or of another version (%s)",
                         mdb_strerror(code));
    }
    if (code != 0) {
        return cache_error(cache, code, "open", err);
    }
    if (strcmp(meta.repo_id, repo_id) != 0) {
        return orch_fail(err, ORCH_E_CORRUPT, "it is another repository's");
    }
    return ORCH_OK;
}

int32_t indexcache_open(const char *path, const char *repo_id, struct indexcache **out,
                        struct orch_error *err)
{
    struct indexcache *cache = cache_new(path);
    if (cache == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the index cache");
    }
    (void)pthread_mutex_lock(&open_lock);
    struct indexcache *other = open_caches;
    while (other != NULL &&
           (other->private || other->device != cache->device || other->inode != cache->inode)) {
        other = other->next;
    }
    int32_t rc = ORCH_OK;
    if (other != NULL) {
        other->refs++;
        *out = other;
    } else {
        rc = open_locked(cache, repo_id, err);
    }
    if (other == NULL && rc == ORCH_OK) {
        cache->next = open_caches;
        open_caches = cache;
        *out = steal_ptr(&cache);
    }
    (void)pthread_mutex_unlock(&open_lock);
    if (cache != NULL) {
        cache_free(cache);
    }
    return rc;
}

struct indexcache *indexcache_share(struct indexcache *cache)
{
    if (cache != NULL) {
        (void)pthread_mutex_lock(&open_lock);
        cache->refs++;
        (void)pthread_mutex_unlock(&open_lock);
    }
    return cache;
}

/* The last user of a large cache syncs it, so that it outlives a crash of the machine. */
static void settle(struct indexcache *cache)
{
    struct cache_totals totals = {0};
    struct orch_error ignored = ORCH_ERROR_INIT;
    if (cache->private || !cache->dirty || cache->failed ||
        indexcache_totals(cache, &totals, &ignored) != ORCH_OK || totals.rows < SYNC_FROM_ROWS ||
        flock(cache->users_fd, LOCK_EX | LOCK_NB) != 0) {
        return;
    }
    if (mdb_env_sync(cache->env, 1) != 0 ||
        indexstate_write(cache->path, true, true, &ignored) != ORCH_OK) {
        log_info("index",
                 "the cache %s could not be synced: it will be made anew when this "
                 "machine has been started again",
                 cache->path);
    }
}

void indexcache_close(struct indexcache *cache)
{
    if (cache == NULL) {
        return;
    }
    /* Kept to the end: nobody may open it again before it is closed. */
    (void)pthread_mutex_lock(&open_lock);
    if (--cache->refs == 0) {
        struct indexcache **slot = &open_caches;
        while (*slot != cache) {
            slot = &(*slot)->next;
        }
        *slot = cache->next;
        settle(cache);
        cache_free(cache);
    }
    (void)pthread_mutex_unlock(&open_lock);
}

bool indexcache_is_private(const struct indexcache *cache)
{
    return cache->private;
}

void indexcache_make_private(struct indexcache *cache)
{
    cache->private = true;
}

const char *indexcache_path(const struct indexcache *cache)
{
    return cache->path;
}

int32_t indexcache_moved(struct indexcache *cache, const char *path, struct orch_error *err)
{
    char *copy = strdup(path);
    if (copy == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the index cache");
    }
    free(cache->path);
    cache->path = copy;
    return ORCH_OK;
}
