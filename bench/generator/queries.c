/* The queries: read from a file, and varied as they leave. */
#include "load.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint64_t label_counter, dice;

void seed_queries(uint64_t nanoseconds) {
    label_counter = nanoseconds;
    dice = nanoseconds | 1;
}

static uint64_t roll(void) { /* xorshift64 */
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return dice;
}

void read_queries(struct queries *queries, const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) die("cannot read %s: %s", path, strerror(errno));
    size_t room = 0;
    for (int high; (high = getc(file)) != EOF; queries->count++) {
        if (queries->count == room) {
            room = room ? room * 2 : 1024;
            queries->all = realloc(queries->all, room * sizeof *queries->all);
            if (!queries->all) die("out of memory");
        }
        struct query *query = &queries->all[queries->count];
        query->size = (uint16_t)(high << 8 | getc(file));
        if (query->size < 17 || query->size > QUERY_SIZE || fread(query->data, 1, query->size, file) != query->size)
            die("%s: query %zu is cut short or too long", path, queries->count);
        unsigned at = 12;
        while (at < query->size && query->data[at]) at += query->data[at] + 1u;
        if (at + 5 > query->size || at > 255) die("%s: query %zu has no question", path, queries->count);
        query->name_end = (uint8_t)at;
        if (queries->unique_at && queries->unique_at + LABEL > at) die("no room for a unique label");
    }
    if (!queries->count) die("%s: no queries", path);
    fclose(file);
}

/* A label that no run has used: a one-to-one scrambling (all steps can be undone in 60 bits) of a counter that begins with
 * the nanoseconds of the clock and grows slower than the clock does. */
static void write_unique_label(uint8_t *label) {
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";
    const uint64_t mask = (1ull << 60) - 1;
    uint64_t x = label_counter++ & mask;
    x ^= x >> 30;
    x = x * 0xbf58476d1ce4e5b9ull & mask;
    x ^= x >> 27;
    x = x * 0x94d049bb133111ebull & mask;
    x ^= x >> 31;
    for (int i = 0; i < LABEL; i++, x >>= 5) label[i] = (uint8_t)alphabet[x & 31];
}

/* Upper and lower case at random in the name (label lengths are below 64, so never letters). */
static void spell_at_random(uint8_t *data, unsigned end) {
    uint64_t bits = 0;
    for (unsigned at = 13, left = 0; at < end; at++, left--, bits >>= 1) {
        if (!left) { bits = roll(); left = 64; }
        uint8_t lower = data[at] | 0x20;
        if (lower >= 'a' && lower <= 'z') data[at] = (uint8_t)(lower ^ ((bits & 1) << 5));
    }
}

/* Write the next query, all but its ID; returns its octets. */
unsigned write_query(struct queries *queries, uint8_t *to) {
    const struct query *query = &queries->all[queries->next];
    if (++queries->next == queries->count) queries->next = 0;
    memcpy(to, query->data, query->size);
    if (queries->unique_at) write_unique_label(to + queries->unique_at);
    if (queries->spell) spell_at_random(to, query->name_end);
    return query->size;
}
