/* config_files.c: finds and parses the files of conf.d, each alone, and hashes them. */
#include "plan/config_internal.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/evp.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/id.h"
#include "plan/document.h"

#define FILES_MAX 1000

/* Hidden files, and what editors leave behind (x.conf~, #x.conf#, .x.conf.swp), do not end so. */
static int is_conf(const struct dirent *entry)
{
    size_t len = strlen(entry->d_name);
    return entry->d_name[0] != '.' && entry->d_name[0] != '#' && len > 5 &&
           strcmp(entry->d_name + len - 5, ".conf") == 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* Adds one file to the hash: name, length and bytes, so that no two folders look alike. */
static int hash_file(EVP_MD_CTX *hash, const char *name, const struct document *document)
{
    uint8_t len[8];
    put_le64(len, document->bytes.len);
    return EVP_DigestUpdate(hash, name, strlen(name) + 1) == 1 &&
           EVP_DigestUpdate(hash, len, sizeof(len)) == 1 &&
           (document->bytes.len == 0 ||
            EVP_DigestUpdate(hash, document->bytes.data, document->bytes.len) == 1);
}

static int32_t fail_hash(struct orch_error *err)
{
    return orch_fail(err, ORCH_E_FAILED, "cannot hash the configuration");
}

static int32_t load_file(struct config_files *files, const char *dir, const char *name,
                         EVP_MD_CTX *hash, struct orch_error *err)
{
    CLEANUP_FREE char *path = file_join(dir, name);
    struct stat st;
    if (path == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the configuration");
    }
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
        return ORCH_OK; /* a folder, a socket: not ours. A dangling link is an error below. */
    }
    int32_t rc = document_load(path, &files->documents[files->count], err);
    if (rc != ORCH_OK) {
        return rc;
    }
    const struct document *document = files->documents[files->count++];
    return hash_file(hash, name, document) ? ORCH_OK : fail_hash(err);
}

static int32_t load_named(struct config_files *files, const char *dir, struct dirent **names,
                          size_t count, EVP_MD_CTX *hash, struct orch_error *err)
{
    files->documents = calloc(count + 1, sizeof(*files->documents));
    if (hash == NULL || files->documents == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the configuration");
    }
    if (EVP_DigestInit_ex(hash, EVP_sha256(), NULL) != 1) {
        return fail_hash(err);
    }
    for (size_t i = 0; i < count; i++) {
        int32_t rc = load_file(files, dir, names[i]->d_name, hash, err);
        if (rc != ORCH_OK) {
            return rc;
        }
    }
    uint8_t digest[32];
    unsigned int len = sizeof(digest);
    if (EVP_DigestFinal_ex(hash, digest, &len) != 1) {
        return fail_hash(err);
    }
    hex_encode(digest, sizeof(digest), files->hash);
    return ORCH_OK;
}

int32_t config_files_load(const char *dir, struct config_files *files, struct orch_error *err)
{
    struct dirent **names = NULL;
    int count = scandir(dir, &names, is_conf, by_name);
    if (count < 0) {
        return orch_fail(err, ORCH_E_CONFIG,
                         "cannot read the configuration folder %s: %s; say where it is by --config "
                         "DIR",
                         dir, strerror(errno));
    }
    int32_t rc;
    if (count > FILES_MAX) {
        rc = orch_fail(err, ORCH_E_CONFIG, "%s holds %d files *.conf, more than %d", dir, count,
                       FILES_MAX);
    } else {
        EVP_MD_CTX *hash = EVP_MD_CTX_new();
        rc = load_named(files, dir, names, (size_t)count, hash, err);
        EVP_MD_CTX_free(hash);
    }
    for (int i = 0; i < count; i++) {
        free(names[i]);
    }
    free(names);
    if (rc == ORCH_OK && files->count == 0) {
        rc = orch_fail(
            err, ORCH_E_CONFIG,
            "the configuration folder %s holds no file *.conf; a sample to copy and adapt "
            "is installed in %s, and is in conf.d of the sources",
            dir, ORCHESTRATE_SAMPLE_DIR);
    }
    return rc;
}

void config_files_free(struct config_files *files)
{
    for (size_t i = 0; i < files->count; i++) {
        document_free(files->documents[i]);
    }
    free(files->documents);
    *files = (struct config_files){0};
}
