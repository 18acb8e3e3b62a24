/*
 * main.cpp: orch-vectortool: makes, searches and digests FAISS indexes, for tests and the demo.
 *
 *     orch-vectortool make PATH [--count N] [--dim D] [--metric ip|l2] [--type Flat|HNSW|IVF|…]
 *                               [--seed S]
 *     orch-vectortool search PATH ROW [K] [--seed S]   neighbours of the vector made for ROW
 *     orch-vectortool digest PATH                      a digest of type, size and searches
 *
 * `digest` loads the index, so it tells that the content is usable, not only that bytes are equal.
 */
#include "generate.h"

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace
{
struct Options {
    uint64_t count = 1000;
    int dimension = 64;
    int metric = GENERATE_IP;
    std::string type = "Flat";
    uint64_t seed = 1;
    std::vector<std::string> words;
};

int usage()
{
    std::fprintf(stderr,
                 "usage: orch-vectortool make PATH [--count N] [--dim D] [--metric ip|l2]\n"
                 "                            [--type Flat|HNSW|IVF|IVFDisk|IDMap|IDMap2|SQ|PQ]\n"
                 "                            [--seed S]\n"
                 "       orch-vectortool search PATH ROW [K] [--seed S]\n"
                 "       orch-vectortool digest PATH\n");
    return 2;
}

bool parse(int argc, char **argv, Options &options)
{
    for (int i = 1; i < argc; i++) {
        std::string word = argv[i];
        if (word.rfind("--", 0) != 0) {
            options.words.push_back(word);
            continue;
        }
        if (++i >= argc) {
            return false;
        }
        std::string value = argv[i];
        if (word == "--count") {
            options.count = std::strtoull(value.c_str(), nullptr, 10);
        } else if (word == "--dim") {
            options.dimension = std::atoi(value.c_str());
        } else if (word == "--metric" && (value == "ip" || value == "l2")) {
            options.metric = value == "l2" ? GENERATE_L2 : GENERATE_IP;
        } else if (word == "--type") {
            options.type = value;
        } else if (word == "--seed") {
            options.seed = std::strtoull(value.c_str(), nullptr, 10);
        } else {
            return false;
        }
    }
    return options.words.size() >= 2 && options.dimension > 0 && options.dimension <= 65536;
}

int fail(const char *why)
{
    std::fprintf(stderr, "orch-vectortool: %s\n", why);
    return 1;
}

int search(const Options &options, const std::string &path, uint64_t row, int k, bool print,
           uint64_t *hash)
{
    char why[512];
    int dimension = 0;
    int64_t count = 0;
    if (generate_measure(path.c_str(), &dimension, &count, why, sizeof(why)) != 0) {
        return fail(why);
    }
    std::vector<float> vector(static_cast<size_t>(dimension));
    std::vector<int64_t> ids(static_cast<size_t>(k));
    std::vector<float> distances(static_cast<size_t>(k));
    generate_vector(options.seed, row, dimension, vector.data());
    if (generate_search(path.c_str(), vector.data(), dimension, k, ids.data(), distances.data(),
                        why, sizeof(why)) != 0) {
        return fail(why);
    }
    for (size_t i = 0; i < static_cast<size_t>(k); i++) {
        char line[64];
        std::snprintf(line, sizeof(line), "%" PRId64 " %.5f", ids[i],
                      static_cast<double>(distances[i]));
        if (print) {
            std::printf("%s\n", line);
        }
        for (const char *p = line; *p != 0; p++) {
            *hash = (*hash ^ static_cast<unsigned char>(*p)) * UINT64_C(0x100000001b3);
        }
    }
    return 0;
}

int digest(const Options &options, const std::string &path)
{
    char why[512];
    int dimension = 0;
    int64_t count = 0;
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    if (generate_measure(path.c_str(), &dimension, &count, why, sizeof(why)) != 0) {
        return fail(why);
    }
    for (uint64_t row = 0; row < 8; row++) {
        int rc = search(options, path, row * 1000003, 5, false, &hash);
        if (rc != 0) {
            return rc;
        }
    }
    std::printf("d=%d n=%" PRId64 " searches=%016" PRIx64 "\n", dimension, count, hash);
    return 0;
}
} // namespace

int main(int argc, char **argv)
{
    Options options;
    char why[512];
    if (!parse(argc, argv, options)) {
        return usage();
    }
    const std::string &command = options.words[0];
    const std::string &path = options.words[1];
    if (command == "make" && options.words.size() == 2) {
        int rc =
            generate_index(path.c_str(), options.type.c_str(), options.count, options.dimension,
                           options.metric, options.seed, 1.0F, why, sizeof(why));
        return rc == 0 ? 0 : fail(why);
    }
    if (command == "search" && options.words.size() >= 3 && options.words.size() <= 4) {
        uint64_t row = std::strtoull(options.words[2].c_str(), nullptr, 10);
        int k = options.words.size() == 4 ? std::atoi(options.words[3].c_str()) : 5;
        uint64_t hash = 0;
        return k < 1 || k > 1000 ? usage() : search(options, path, row, k, true, &hash);
    }
    return command == "digest" && options.words.size() == 2 ? digest(options, path) : usage();
}
