/* What is counted of the answers, and the line of JSON that tells it. */
#include "load.h"

uint64_t interval_length, intervals_begin;

static void count_latency(struct counts *counts, uint64_t nanoseconds) {
    if (nanoseconds > counts->slowest) counts->slowest = nanoseconds;
    unsigned power = nanoseconds < 16 ? 0 : 59u - (unsigned)__builtin_clzll(nanoseconds);
    counts->latencies[power * 16 + (nanoseconds >> power)]++;
}

void count_answer(struct counts *counts, const uint8_t *data, unsigned size, uint64_t latency, uint64_t now) {
    counts->answers++;
    counts->bytes += size;
    counts->rcodes[data[3] & 15]++;
    counts->truncated += data[2] >> 1 & 1;
    if (size > counts->largest) counts->largest = size;
    if (size < counts->smallest) counts->smallest = size;
    count_latency(counts, latency);
    if (interval_length && (now - intervals_begin) / interval_length < INTERVALS)
        counts->intervals[(now - intervals_begin) / interval_length]++;
}

/* Microseconds within which that share of the answers came. */
static double latency(const struct counts *counts, double share) {
    uint64_t wanted = (uint64_t)(share * (double)counts->answers), seen = 0;
    for (unsigned bucket = 0; bucket < BUCKETS; bucket++)
        if ((seen += counts->latencies[bucket]) > wanted) {
            unsigned power = bucket < 32 ? 0 : bucket / 16 - 1;
            return (double)((uint64_t)(bucket - power * 16) << power) / 1e3;
        }
    return (double)counts->slowest / 1e3;
}

/* Fields of a JSON object, without its braces. */
void print_counts(const struct counts *counts, double seconds) {
    printf("\"seconds\": %.6f, \"sent\": %lu, \"answers\": %lu, \"lost\": %lu, \"stray\": %lu, \"truncated\": %lu, ",
           seconds, counts->sent, counts->answers, counts->lost, counts->stray, counts->truncated);
    printf("\"bytes\": %lu, \"idle\": %.4f, \"smallest\": %u, \"largest\": %u, ", counts->bytes,
           (double)counts->idle / seconds / 1e9, counts->answers ? counts->smallest : 0, counts->largest);
    printf("\"p50_us\": %.1f, \"p90_us\": %.1f, \"p99_us\": %.1f, \"slowest_us\": %.1f, \"rcodes\": {",
           latency(counts, 0.5), latency(counts, 0.9), latency(counts, 0.99), (double)counts->slowest / 1e3);
    const char *comma = "";
    for (unsigned rcode = 0; rcode < 16; rcode++)
        if (counts->rcodes[rcode]) {
            printf("%s\"%u\": %lu", comma, rcode, counts->rcodes[rcode]);
            comma = ", ";
        }
    printf("}, \"intervals\": [");
    unsigned whole = interval_length ? (unsigned)(seconds * 1e9 / (double)interval_length) : 0;
    for (unsigned i = 0; i < whole && i < INTERVALS; i++) printf("%s%lu", i ? ", " : "", counts->intervals[i]);
    printf("]");
}
