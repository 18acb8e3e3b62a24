/*
 * sha256lanes.c: see sha256lanes.h.
 *
 * Word i of sixteen messages lies in one register: the rounds of FIPS 180-4 are written once and
 * work on all of them. Messages of different lengths take turns in the sixteen lanes.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "engine/sha256lanes.h"

#include <openssl/sha.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>

#define LANES 16u
#define WIDE __attribute__((target("avx512f,avx512bw")))
#define WIDE_INLINE WIDE __attribute__((always_inline)) static inline

static const uint32_t constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

/* Sixteen messages under way: word k of the state of lane l is state[k][l]. */
struct lanes {
    _Alignas(64) uint32_t state[8][LANES];
    const uint8_t *data[LANES];
};

/* Row i of the matrix becomes column i. */
WIDE_INLINE void transpose(__m512i r[16])
{
    __m512i a[16];
    __m512i b[16];
    for (size_t i = 0; i < 16; i += 2) {
        a[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        a[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
    for (size_t i = 0; i < 16; i += 4) {
        b[i] = _mm512_unpacklo_epi64(a[i], a[i + 2]);
        b[i + 1] = _mm512_unpackhi_epi64(a[i], a[i + 2]);
        b[i + 2] = _mm512_unpacklo_epi64(a[i + 1], a[i + 3]);
        b[i + 3] = _mm512_unpackhi_epi64(a[i + 1], a[i + 3]);
    }
    for (size_t i = 0; i < 4; i++) {
        a[i] = _mm512_shuffle_i32x4(b[i], b[i + 4], 0x88);
        a[i + 4] = _mm512_shuffle_i32x4(b[i], b[i + 4], 0xdd);
        a[i + 8] = _mm512_shuffle_i32x4(b[i + 8], b[i + 12], 0x88);
        a[i + 12] = _mm512_shuffle_i32x4(b[i + 8], b[i + 12], 0xdd);
    }
    for (size_t i = 0; i < 4; i++) {
        r[i] = _mm512_shuffle_i32x4(a[i], a[i + 8], 0x88);
        r[i + 8] = _mm512_shuffle_i32x4(a[i], a[i + 8], 0xdd);
        r[i + 4] = _mm512_shuffle_i32x4(a[i + 4], a[i + 12], 0x88);
        r[i + 12] = _mm512_shuffle_i32x4(a[i + 4], a[i + 12], 0xdd);
    }
}

/* The next block of each lane: word i of all lanes in w[i]. */
WIDE_INLINE void load(__m512i w[16], const struct lanes *lanes, size_t offset)
{
    const __m512i big_endian = _mm512_set4_epi32(0x0c0d0e0f, 0x08090a0b, 0x04050607, 0x00010203);
    for (size_t i = 0; i < 16; i++) {
        const uint8_t *at = lanes->data[i] + offset;
        w[i] = _mm512_shuffle_epi8(_mm512_loadu_si512(at), big_endian);
        _mm_prefetch((const char *)at + 512, _MM_HINT_T0);
    }
    transpose(w);
}

WIDE_INLINE __m512i add(__m512i a, __m512i b)
{
    return _mm512_add_epi32(a, b);
}

WIDE_INLINE __m512i xor3(__m512i a, __m512i b, __m512i c)
{
    return _mm512_ternarylogic_epi32(a, b, c, 0x96);
}

/* s[0..7] are a to h, as they stand before round `turn`: the letters move, not the registers. */
WIDE_INLINE void do_round(__m512i s[8], size_t turn, __m512i word, uint32_t constant)
{
    __m512i *a = &s[(8 - turn) & 7];
    __m512i *b = &s[(9 - turn) & 7];
    __m512i *c = &s[(10 - turn) & 7];
    __m512i *d = &s[(11 - turn) & 7];
    __m512i *e = &s[(12 - turn) & 7];
    __m512i *f = &s[(13 - turn) & 7];
    __m512i *g = &s[(14 - turn) & 7];
    __m512i *h = &s[(15 - turn) & 7];
    __m512i choose = _mm512_ternarylogic_epi32(*e, *f, *g, 0xca);
    __m512i most = _mm512_ternarylogic_epi32(*a, *b, *c, 0xe8);
    __m512i sum1 =
        xor3(_mm512_ror_epi32(*e, 6), _mm512_ror_epi32(*e, 11), _mm512_ror_epi32(*e, 25));
    __m512i sum0 =
        xor3(_mm512_ror_epi32(*a, 2), _mm512_ror_epi32(*a, 13), _mm512_ror_epi32(*a, 22));
    __m512i first = add(add(add(*h, word), add(_mm512_set1_epi32((int)constant), choose)), sum1);
    *d = add(*d, first);
    *h = add(add(first, sum0), most);
}

/* The word that comes sixteen rounds after w[i]. */
WIDE_INLINE __m512i next_word(const __m512i w[16], size_t i)
{
    __m512i x = w[(i + 1) & 15];
    __m512i y = w[(i + 14) & 15];
    __m512i small0 = xor3(_mm512_ror_epi32(x, 7), _mm512_ror_epi32(x, 18), _mm512_srli_epi32(x, 3));
    __m512i small1 =
        xor3(_mm512_ror_epi32(y, 17), _mm512_ror_epi32(y, 19), _mm512_srli_epi32(y, 10));
    return add(add(w[i], w[(i + 9) & 15]), add(small0, small1));
}

/* Two rounds; `k` is where their constants begin. */
WIDE_INLINE void two_rounds(__m512i s[8], __m512i w[16], size_t i, const uint32_t *k, bool more)
{
    do_round(s, i & 7, w[i], k[i]);
    w[i] = more ? next_word(w, i) : w[i];
    do_round(s, (i + 1) & 7, w[i + 1], k[i + 1]);
    w[i + 1] = more ? next_word(w, i + 1) : w[i + 1];
}

/* Written out: as loops, compilers keep the words in memory. */
WIDE_INLINE void sixteen_rounds(__m512i s[8], __m512i w[16], const uint32_t *k, bool more)
{
    two_rounds(s, w, 0, k, more);
    two_rounds(s, w, 2, k, more);
    two_rounds(s, w, 4, k, more);
    two_rounds(s, w, 6, k, more);
    two_rounds(s, w, 8, k, more);
    two_rounds(s, w, 10, k, more);
    two_rounds(s, w, 12, k, more);
    two_rounds(s, w, 14, k, more);
}

/* `blocks` blocks of every lane. */
WIDE static void compress(struct lanes *lanes, size_t blocks)
{
    __m512i state[8];
    for (size_t i = 0; i < 8; i++) {
        state[i] = _mm512_load_si512(lanes->state[i]);
    }
    for (size_t n = 0; n < blocks; n++) {
        __m512i w[16];
        __m512i s[8];
        load(w, lanes, n * SHA256LANES_BLOCK);
        memcpy(s, state, sizeof(s));
        sixteen_rounds(s, w, constants, true);
        sixteen_rounds(s, w, constants + 16, true);
        sixteen_rounds(s, w, constants + 32, true);
        sixteen_rounds(s, w, constants + 48, false);
        for (size_t i = 0; i < 8; i++) {
            state[i] = add(state[i], s[i]);
        }
    }
    for (size_t i = 0; i < 8; i++) {
        _mm512_store_si512(lanes->state[i], state[i]);
    }
}

static void put_in(struct lanes *lanes, size_t lane, const struct sha256lanes_run *run)
{
    for (size_t k = 0; k < 8; k++) {
        lanes->state[k][lane] = run->state[k];
    }
    lanes->data[lane] = run->data;
}

static void take_out(const struct lanes *lanes, size_t lane, struct sha256lanes_run *run)
{
    for (size_t k = 0; k < 8; k++) {
        run->state[k] = lanes->state[k][lane];
    }
    run->data = lanes->data[lane];
}

static int longest_first(const void *a, const void *b)
{
    size_t x = (*(struct sha256lanes_run *const *)a)->blocks;
    size_t y = (*(struct sha256lanes_run *const *)b)->blocks;
    return (x < y) - (x > y);
}

/* Gives free lanes messages that wait; returns how many lanes have one. */
static size_t fill(struct lanes *lanes, struct sha256lanes_run *held[LANES],
                   struct sha256lanes_run *const *runs, size_t count, size_t *next)
{
    size_t active = 0;
    const uint8_t *some = NULL;
    for (size_t i = 0; i < LANES; i++) {
        while (held[i] == NULL && *next < count) {
            held[i] = runs[(*next)++];
            put_in(lanes, i, held[i]);
        }
        if (held[i] != NULL) {
            active++;
            some = lanes->data[i];
        }
    }
    for (size_t i = 0; i < LANES; i++) {
        if (held[i] == NULL) {
            lanes->data[i] = some; /* goes along; what comes of it is forgotten */
        }
    }
    return active;
}

/* Long messages come first: else one that comes last would keep a single lane busy. */
static void work_sorted(struct sha256lanes_run *const *runs, size_t count)
{
    struct lanes lanes = {0};
    struct sha256lanes_run *held[LANES] = {0};
    size_t next = 0;
    while (fill(&lanes, held, runs, count, &next) >= SHA256LANES_LEAST) {
        size_t steps = SIZE_MAX;
        for (size_t i = 0; i < LANES; i++) {
            steps = held[i] != NULL && held[i]->blocks < steps ? held[i]->blocks : steps;
        }
        compress(&lanes, steps);
        for (size_t i = 0; i < LANES; i++) {
            if (held[i] == NULL) {
                continue;
            }
            held[i]->blocks -= steps;
            lanes.data[i] += steps * SHA256LANES_BLOCK;
            if (held[i]->blocks == 0) {
                take_out(&lanes, i, held[i]);
                held[i] = NULL;
            }
        }
    }
    for (size_t i = 0; i < LANES; i++) {
        if (held[i] != NULL) {
            take_out(&lanes, i, held[i]);
        }
    }
}

void sha256lanes_work(struct sha256lanes_run *runs, size_t count)
{
    struct sha256lanes_run *sorted[SHA256LANES_MOST];
    size_t some = 0;
    for (size_t i = 0; i < count && some < SHA256LANES_MOST; i++) {
        if (runs[i].blocks > 0) {
            sorted[some++] = &runs[i];
        }
    }
    qsort(sorted, some, sizeof(sorted[0]), longest_first);
    work_sorted(sorted, some);
}

/* A first try beside OpenSSL: whatever may be wrong with processor, compiler or this file, a digest
 * that is not SHA-256 never comes into a repository. */
static bool agrees_with_openssl(void)
{
    uint8_t data[LANES + SHA256LANES_BLOCK * 3];
    struct sha256lanes_run runs[LANES];
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t)(i * 167 + 13);
    }
    SHA256_CTX ctx;
    (void)SHA256_Init(&ctx);
    for (size_t i = 0; i < LANES; i++) {
        runs[i] = (struct sha256lanes_run){.data = data + i, .blocks = 3};
        memcpy(runs[i].state, ctx.h, sizeof(ctx.h));
    }
    sha256lanes_work(runs, LANES);
    bool good = true;
    for (size_t i = 0; i < LANES; i++) {
        (void)SHA256_Init(&ctx);
        (void)SHA256_Update(&ctx, data + i, 3 * SHA256LANES_BLOCK);
        good = good && runs[i].blocks == 0 && memcmp(ctx.h, runs[i].state, sizeof(ctx.h)) == 0;
    }
    return good;
}

static pthread_once_t tried = PTHREAD_ONCE_INIT;
static bool usable;

static void try_once(void)
{
    usable = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             agrees_with_openssl();
}

bool sha256lanes_available(void)
{
    (void)pthread_once(&tried, try_once);
    return usable;
}

#else

bool sha256lanes_available(void)
{
    return false;
}

void sha256lanes_work(struct sha256lanes_run *runs, size_t count)
{
    (void)runs;
    (void)count;
}

#endif
