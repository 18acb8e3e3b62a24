/* writer.c: the writer of one run; see writer.h. */
#include <stdlib.h>
#include <string.h>

#include "engine/writerimpl.h"

int32_t writer_open(struct repo *repo, struct index *index, const struct writer_options *options,
                    struct writer **out, struct orch_error *err)
{
    struct writer *writer = calloc(1, sizeof(*writer));
    if (writer == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the writer");
    }
    writer->repo = repo;
    writer->index = index;
    chunkid_init(&writer->hash, repo_keys(repo));
    int32_t rc = chunk_gear_init(&writer->gear, repo_keys(repo), err);
    if (rc == ORCH_OK) {
        rc = hasher_new(&writer->hash, options->jobs, &writer->hasher, err);
    }
    if (rc == ORCH_OK) {
        rc = pipeline_new(repo, index, options, &writer->pipeline, err);
    }
    if (rc != ORCH_OK) {
        hasher_free(writer->hasher);
        free(writer);
        return rc;
    }
    *out = writer;
    return ORCH_OK;
}

int32_t writer_finish(struct writer *writer, struct orch_error *err)
{
    int32_t rc = pipeline_finish(writer->pipeline, err);
    writer->finished = rc == ORCH_OK;
    return rc;
}

void writer_close(struct writer *writer)
{
    if (writer != NULL) {
        hasher_free(writer->hasher);
        pipeline_free(writer->pipeline);
        if (!writer->finished) {
            index_release_claims(writer->index);
        }
        free(writer);
    }
}

uint64_t writer_stored_bytes(struct writer *writer)
{
    return pipeline_stored_bytes(writer->pipeline);
}

const char *const *writer_packs(struct writer *writer)
{
    return pipeline_packs(writer->pipeline);
}
