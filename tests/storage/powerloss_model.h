/*
 * powerloss_model.h: applies a power loss to a disk, from the journal that the directory driver
 * kept (storage/powerloss.h).
 *
 * Without a seed (0) the least survives that the fsyncs promise: an entry of a folder is as it was
 * when the folder was last synced, and a file has the bytes that were synced; of the others, every
 * second torn file keeps half. With a seed, more survives, by chance and in no order: of each entry
 * the old state or the new; of the bytes of a file that were not synced all, a beginning, or all
 * with zeros or with bytes of another file at the end. Nothing that the journal does not name is
 * touched.
 */
#ifndef TESTS_STORAGE_POWERLOSS_MODEL_H
#define TESTS_STORAGE_POWERLOSS_MODEL_H

#include <stddef.h>
#include <stdint.h>

struct powerloss_result {
    size_t undone; /* entries that are not as they were: gone, back again, or older */
    size_t torn;   /* files that lost bytes, or have wrong ones */
};

/* 0, or -1 with a line on stderr. Empties the journal, and removes what it had saved. */
int powerloss_model_apply(const char *log_path, uint64_t seed, struct powerloss_result *result);

#endif
