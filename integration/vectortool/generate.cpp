/* generate.cpp: see generate.h. */
#include "generate.h"

#include <cmath>
#include <cstdio>
#include <exception>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <unistd.h>
#include <vector>

#include <faiss/IndexFlat.h>
#include <faiss/IndexHNSW.h>
#include <faiss/IndexIDMap.h>
#include <faiss/IndexIVFFlat.h>
#include <faiss/IndexIVFPQ.h>
#include <faiss/IndexLSH.h>
#include <faiss/IndexPQ.h>
#include <faiss/IndexScalarQuantizer.h>
#include <faiss/index_io.h>
#include <faiss/invlists/OnDiskInvertedLists.h>

namespace
{
constexpr size_t lists = 8;

int guarded(char *why, size_t why_size, const std::function<void()> &call)
{
    try {
        call();
        return 0;
    } catch (const std::exception &e) {
        std::snprintf(why, why_size, "%s", e.what());
        return -1;
    }
}

uint64_t next_random(uint64_t &state)
{
    uint64_t z = (state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

using Made = std::unique_ptr<faiss::Index>;

Made make_lists(const std::string &type, int d, faiss::MetricType metric)
{
    auto *coarse = new faiss::IndexFlat(d, metric);
    faiss::IndexIVF *ivf = nullptr;
    if (type == "IVFSQ") {
        ivf = new faiss::IndexIVFScalarQuantizer(coarse, d, lists, faiss::ScalarQuantizer::QT_8bit,
                                                 metric);
    } else if (type == "IVFPQ") {
        ivf = new faiss::IndexIVFPQ(coarse, d, lists, 4, 4, metric);
    } else {
        ivf = new faiss::IndexIVFFlat(coarse, d, lists, metric);
    }
    ivf->own_fields = true;
    ivf->nprobe = 4;
    return Made(ivf);
}

Made make_empty(const std::string &type, int d, faiss::MetricType metric)
{
    if (type == "Flat") {
        if (metric == faiss::METRIC_L2) {
            return Made(new faiss::IndexFlatL2(d));
        }
        return Made(new faiss::IndexFlatIP(d));
    }
    if (type == "HNSW") {
        return Made(new faiss::IndexHNSWFlat(d, 16, metric));
    }
    if (type == "IDMap" || type == "IDMap2") {
        faiss::IndexIDMap *map = type == "IDMap"
                                     ? new faiss::IndexIDMap(new faiss::IndexFlat(d, metric))
                                     : new faiss::IndexIDMap2(new faiss::IndexFlat(d, metric));
        map->own_fields = true;
        return Made(map);
    }
    if (type == "SQ") {
        return Made(new faiss::IndexScalarQuantizer(d, faiss::ScalarQuantizer::QT_8bit, metric));
    }
    if (type == "PQ") {
        return Made(new faiss::IndexPQ(d, 4, 4, metric));
    }
    if (type == "LSH") {
        return Made(new faiss::IndexLSH(d, 64));
    }
    if (type == "IVF" || type == "IVFDisk" || type == "IVFSQ" || type == "IVFPQ") {
        return make_lists(type, d, metric);
    }
    throw std::runtime_error("no index type " + type);
}

void fill(faiss::Index &index, const std::string &type, const std::vector<float> &vectors,
          uint64_t count)
{
    auto n = static_cast<faiss::Index::idx_t>(count);
    if (!index.is_trained) {
        index.train(n, vectors.data());
    }
    if (type == "IDMap" || type == "IDMap2") {
        std::vector<faiss::Index::idx_t> ids(count);
        for (uint64_t i = 0; i < count; i++) {
            ids[i] = static_cast<faiss::Index::idx_t>(1000 + 7 * i);
        }
        index.add_with_ids(n, vectors.data(), ids.data());
    } else if (count > 0) {
        index.add(n, vectors.data());
    }
}

void move_to_disk(faiss::Index &index, const std::string &file)
{
    auto &ivf = dynamic_cast<faiss::IndexIVF &>(index);
    auto *disk = new faiss::OnDiskInvertedLists(ivf.nlist, ivf.code_size, file.c_str());
    disk->merge_from(const_cast<const faiss::InvertedLists **>(&ivf.invlists), 1);
    ivf.replace_invlists(disk, true);
}
} // namespace

extern "C" {

void generate_vector(uint64_t seed, uint64_t row, int dimension, float *out)
{
    uint64_t state = seed * UINT64_C(0x100000001b3) + row * UINT64_C(0x9e3779b1) + 1;
    double sum = 0;
    for (int i = 0; i < dimension; i++) {
        double value = static_cast<double>(next_random(state) >> 11) / 4503599627370496.0 - 1.0;
        out[i] = static_cast<float>(value);
        sum += value * value;
    }
    for (int i = 0; i < dimension; i++) {
        out[i] = static_cast<float>(static_cast<double>(out[i]) / std::sqrt(sum));
    }
}

int generate_index(const char *path, const char *type, uint64_t count, int dimension, int metric,
                   uint64_t seed, float scale, char *why, size_t why_size)
{
    return guarded(why, why_size, [&] {
        auto d = static_cast<size_t>(dimension);
        std::vector<float> vectors(count * d);
        for (uint64_t i = 0; i < count; i++) {
            generate_vector(seed, i, dimension, vectors.data() + i * d);
        }
        for (auto &value : vectors) {
            value *= scale;
        }
        auto index =
            make_empty(type, dimension,
                       metric == GENERATE_L2 ? faiss::METRIC_L2 : faiss::METRIC_INNER_PRODUCT);
        fill(*index, type, vectors, count);
        if (std::string(type) == "IVFDisk") {
            move_to_disk(*index, std::string(path) + ".ivfdata");
        }
        std::string fresh = std::string(path) + ".part";
        faiss::write_index(index.get(), fresh.c_str());
        if (std::rename(fresh.c_str(), path) != 0) {
            throw std::runtime_error("cannot rename " + fresh);
        }
    });
}

int generate_search(const char *path, const float *vector, int dimension, int k, int64_t *ids,
                    float *distances, char *why, size_t why_size)
{
    return guarded(why, why_size, [&] {
        Made index(
            faiss::read_index(path, faiss::IO_FLAG_READ_ONLY | faiss::IO_FLAG_ONDISK_SAME_DIR));
        if (index->d != dimension) {
            throw std::runtime_error("the index has another dimension");
        }
        index->search(1, vector, k, distances, ids);
    });
}

int generate_measure(const char *path, int *dimension, int64_t *count, char *why, size_t why_size)
{
    return guarded(why, why_size, [&] {
        Made index(
            faiss::read_index(path, faiss::IO_FLAG_READ_ONLY | faiss::IO_FLAG_ONDISK_SAME_DIR));
        *dimension = static_cast<int>(index->d);
        *count = index->ntotal;
    });
}
}
