/*
 * faiss_c_shim.cpp: the few functions of the FAISS C API that this plugin calls, for systems whose
 * FAISS package has the C headers but not their implementation. Same declarations, same meaning;
 * where libfaiss_c is installed, that is linked and this file is not built.
 *
 * No exception leaves a function: it is kept as text for faiss_get_last_error.
 */
#include <cstdio>
#include <exception>
#include <string>

#include <faiss/Index.h>
#include <faiss/IndexIDMap.h>
#include <faiss/IndexIVF.h>
#include <faiss/index_io.h>

#include <faiss/c_api/IndexIVF_c.h>
#include <faiss/c_api/Index_c.h>
#include <faiss/c_api/MetaIndexes_c.h>
#include <faiss/c_api/error_c.h>
#include <faiss/c_api/index_io_c.h>

namespace
{
thread_local std::string last_error;

int keep_error(int code, const char *what)
{
    try {
        last_error = what;
    } catch (...) {
        last_error.clear();
    }
    return code;
}

template <typename Call> int guarded(Call call)
{
    try {
        call();
        return OK;
    } catch (const faiss::FaissException &e) {
        return keep_error(FAISS_EXCEPT, e.what());
    } catch (const std::exception &e) {
        return keep_error(STD_EXCEPT, e.what());
    } catch (...) {
        return keep_error(UNKNOWN_EXCEPT, "unknown error");
    }
}

faiss::Index *of(FaissIndex *index)
{
    return reinterpret_cast<faiss::Index *>(index);
}

const faiss::Index *of(const FaissIndex *index)
{
    return reinterpret_cast<const faiss::Index *>(index);
}
} // namespace

extern "C" {

const char *faiss_get_last_error()
{
    return last_error.c_str();
}

void faiss_Index_free(FaissIndex *index)
{
    delete of(index);
}

int faiss_Index_d(const FaissIndex *index)
{
    return of(index)->d;
}

int faiss_Index_is_trained(const FaissIndex *index)
{
    return of(index)->is_trained ? 1 : 0;
}

idx_t faiss_Index_ntotal(const FaissIndex *index)
{
    return of(index)->ntotal;
}

FaissMetricType faiss_Index_metric_type(const FaissIndex *index)
{
    return static_cast<FaissMetricType>(of(index)->metric_type);
}

int faiss_Index_search(const FaissIndex *index, idx_t n, const float *x, idx_t k, float *distances,
                       idx_t *labels)
{
    return guarded([&] { of(index)->search(n, x, k, distances, labels); });
}

int faiss_Index_reconstruct(const FaissIndex *index, idx_t key, float *recons)
{
    return guarded([&] { of(index)->reconstruct(key, recons); });
}

int faiss_read_index(FILE *file, int io_flags, FaissIndex **out)
{
    return guarded(
        [&] { *out = reinterpret_cast<FaissIndex *>(faiss::read_index(file, io_flags)); });
}

int faiss_read_index_fname(const char *name, int io_flags, FaissIndex **out)
{
    return guarded(
        [&] { *out = reinterpret_cast<FaissIndex *>(faiss::read_index(name, io_flags)); });
}

FaissIndexIVF *faiss_IndexIVF_cast(FaissIndex *index)
{
    return reinterpret_cast<FaissIndexIVF *>(dynamic_cast<faiss::IndexIVF *>(of(index)));
}

int faiss_IndexIVF_make_direct_map(FaissIndexIVF *index, int maintain)
{
    return guarded(
        [&] { reinterpret_cast<faiss::IndexIVF *>(index)->make_direct_map(maintain != 0); });
}

FaissIndexIDMap *faiss_IndexIDMap_cast(FaissIndex *index)
{
    return reinterpret_cast<FaissIndexIDMap *>(dynamic_cast<faiss::IndexIDMap *>(of(index)));
}

void faiss_IndexIDMap_id_map(FaissIndexIDMap *index, idx_t **map, size_t *size)
{
    auto *id_map = reinterpret_cast<faiss::IndexIDMap *>(index);
    *map = id_map->id_map.data();
    *size = id_map->id_map.size();
}

FaissIndex *faiss_IndexIDMap_sub_index(FaissIndexIDMap *index)
{
    return reinterpret_cast<FaissIndex *>(reinterpret_cast<faiss::IndexIDMap *>(index)->index);
}
}
