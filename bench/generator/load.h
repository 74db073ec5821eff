/* What the generator's parts share: queries, flows of them over lanes, transports, counts. */
#ifndef LOAD_H
#define LOAD_H
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum {
    BATCH = 64,         /* messages a system call */
    LANES = 64,         /* sockets of a flow at most */
    LANE_WINDOW = 256,  /* outstanding queries a socket at most: a slot is the low octet of the message ID */
    QUERY_SIZE = 512,   /* octets of a query at most */
    ANSWER_SIZE = 4096, /* octets of an answer over UDP at most */
    BUCKETS = 64 * 16,  /* latencies: 16 linear steps to each power of two nanoseconds */
    LABEL = 12,         /* octets of a unique label: 5 bits each */
    INTERVALS = 1024,   /* that are counted apart, at most */
};
static const uint64_t SECOND = 1000000000;

struct query { uint16_t size; uint8_t name_end; uint8_t data[QUERY_SIZE]; };

struct queries {
    struct query *all;
    size_t count, next;
    unsigned unique_at; /* where a label is written that was never used before; 0: nowhere */
    bool spell;         /* upper and lower case at random */
};

struct counts {
    uint64_t sent, answers, lost, stray, truncated, bytes, rcodes[16], latencies[BUCKETS], slowest, idle;
    uint64_t intervals[INTERVALS];
    unsigned smallest, largest;
};

/* A place in the window: when its query was sent, and the ID's high octet, by which a late answer is told from a due one. */
struct slot { uint64_t sent; uint8_t generation; bool waiting; };

struct octets { uint8_t *data; unsigned begin, end; };

/* A socket and its part of the window. Over TCP: what the kernel has not taken yet, and the beginning of an answer. */
struct lane {
    int fd;
    unsigned number, window, free_count;
    uint8_t free[LANE_WINDOW];
    struct slot slots[LANE_WINDOW];
    struct octets out, in;
};

struct flow;

/* How messages travel. `receive` and `send` return how many they moved, and never wait. */
struct transport {
    const char *name;
    void (*open)(struct flow *, struct lane *);
    unsigned (*receive)(struct flow *, struct lane *);
    unsigned (*send)(struct flow *, struct lane *, unsigned count);
    void (*lose)(struct flow *, struct lane *); /* after queries of that lane were given up */
};
extern const struct transport udp, tcp, once;

/* Queries in their order, over a few lanes. */
struct flow {
    struct sockaddr_in to;
    const struct transport *transport;
    struct queries queries;
    double rate;    /* queries a second; 0: as many as are answered */
    bool one_pass;  /* each query once */
    unsigned window, lane_count;
    uint64_t sent_in_all;
    struct lane lanes[LANES];
    struct counts counts;
};

__attribute__((noreturn, format(printf, 1, 2))) void die(const char *format, ...);
uint64_t now_ns(void);

/* queries.c */
void read_queries(struct queries *, const char *path);
void seed_queries(uint64_t nanoseconds);
unsigned write_query(struct queries *, uint8_t *to);

/* counts.c */
extern uint64_t interval_length, intervals_begin;
void count_answer(struct counts *, const uint8_t *data, unsigned size, uint64_t latency, uint64_t now);
void print_counts(const struct counts *, double seconds);

/* lanes.c */
void open_flow(struct flow *);
unsigned receive_all(struct flow *);
unsigned send_due(struct flow *, uint64_t now, uint64_t started);
void give_up_lost(struct flow *, uint64_t now, uint64_t patience);
unsigned waiting(const struct flow *);
unsigned write_next(struct flow *, struct lane *, uint8_t *to, uint64_t now);
void take_back(struct lane *, uint8_t number);
void receive_one(struct flow *, struct lane *, const uint8_t *data, unsigned size, uint64_t now);
#endif
