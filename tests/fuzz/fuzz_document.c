/* fuzz_document.c: what stands behind the seal of a document: compressed JSON. */
#include "engine/document.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct orch_error err = ORCH_ERROR_INIT;
    json_t *json = NULL;
    int32_t rc = document_decompress("parts/x", data, size, &json, &err);
    must((rc == ORCH_OK) == (json != NULL));
    json_decref(json);
    return 0;
}
