/* A DNS load generator for one core: queries by sendmmsg, answers by recvmmsg, over UDP.
 *
 * load [options] ADDRESS PORT QUERIES
 *
 * QUERIES holds the queries ready made, each behind its length in two octets (as in DNS over TCP, RFC 1035 §4.2.2). They
 * are sent in their order, again and again, over a few connected sockets. So many are outstanding at most as the window
 * says: enough that a server never idles, too few to overflow its socket's buffer. A query without an answer within the
 * time-out is lost, and its place in the window free again.
 *
 * With a rate, queries leave at that rate instead (as far as the window allows), and the latencies tell something: without
 * one they only tell the window's length divided by the answers a second.
 *
 * It prints "go" when the measured time begins, "end" when it is over, goes on with the load for a moment, so that whoever
 * reads the processor's clocks at these lines never reads an idle server, and last prints a line of JSON.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    BATCH = 64,         /* messages a system call */
    LANES = 64,         /* sockets at most */
    LANE_WINDOW = 256,  /* outstanding queries a socket at most: a slot is the low octet of the message ID */
    QUERY_SIZE = 512,   /* octets of a query at most */
    ANSWER_SIZE = 4096, /* octets of an answer at most */
    PATIENCE = 256,     /* idle rounds before the generator sleeps */
    BUCKETS = 64 * 16,  /* latencies: 16 linear steps to each power of two nanoseconds */
    LABEL = 12,         /* octets of a unique label: 5 bits each */
};
static const uint64_t SECOND = 1000000000;
static const uint64_t TAIL = 50000000;

struct query { uint16_t size; uint8_t name_end; uint8_t data[QUERY_SIZE]; };

/* A place in the window: when its query was sent, and the ID's high octet, by which a late answer is told from a due one. */
struct slot { uint64_t sent; uint8_t generation; bool waiting; };

/* A connected socket and its part of the window. */
struct lane { int fd; unsigned free_count; uint8_t free[LANE_WINDOW]; struct slot slots[LANE_WINDOW]; };

struct counts {
    uint64_t sent, answers, lost, stray, truncated, bytes, rcodes[16], latencies[BUCKETS], slowest, idle;
    unsigned smallest, largest;
};

static struct {
    double warm, seconds, rate;
    unsigned window, lanes, timeout_ms;
    unsigned unique_at;
    bool spell;
} options = {.warm = 0.5, .seconds = 3, .window = 192, .lanes = 4, .timeout_ms = 500};

static struct query *queries;
static size_t query_count, next_query;
static struct lane lanes[LANES];
static struct counts counts;
static uint64_t label_counter, dice, started, sent_in_all;

static struct mmsghdr out[BATCH], in[BATCH];
static struct iovec out_parts[BATCH], in_parts[BATCH];
static uint8_t out_data[BATCH][QUERY_SIZE], in_data[BATCH][ANSWER_SIZE];

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(2);
}

static uint64_t clock_now(clockid_t id) {
    struct timespec time;
    clock_gettime(id, &time);
    return (uint64_t)time.tv_sec * SECOND + (uint64_t)time.tv_nsec;
}

static uint64_t roll(void) { /* xorshift64 */
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return dice;
}

static void read_queries(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) die("cannot read %s: %s", path, strerror(errno));
    size_t room = 0;
    for (int high; (high = getc(file)) != EOF; query_count++) {
        if (query_count == room) {
            room = room ? room * 2 : 1024;
            queries = realloc(queries, room * sizeof *queries);
            if (!queries) die("out of memory");
        }
        struct query *query = &queries[query_count];
        query->size = (uint16_t)(high << 8 | getc(file));
        if (query->size < 17 || query->size > QUERY_SIZE || fread(query->data, 1, query->size, file) != query->size)
            die("%s: query %zu is cut short or too long", path, query_count);
        unsigned at = 12;
        while (at < query->size && query->data[at]) at += query->data[at] + 1u;
        if (at + 5 > query->size || at > 255) die("%s: query %zu has no question", path, query_count);
        query->name_end = (uint8_t)at;
        if (options.unique_at && options.unique_at + LABEL > at) die("no room for a unique label");
    }
    if (!query_count) die("%s: no queries", path);
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

static void count_latency(uint64_t nanoseconds) {
    if (nanoseconds > counts.slowest) counts.slowest = nanoseconds;
    unsigned power = nanoseconds < 16 ? 0 : 59u - (unsigned)__builtin_clzll(nanoseconds);
    counts.latencies[power * 16 + (nanoseconds >> power)]++;
}

/* Microseconds within which that share of the answers came. */
static double latency(double share) {
    uint64_t wanted = (uint64_t)(share * (double)counts.answers), seen = 0;
    for (unsigned bucket = 0; bucket < BUCKETS; bucket++)
        if ((seen += counts.latencies[bucket]) > wanted) {
            unsigned power = bucket < 32 ? 0 : bucket / 16 - 1;
            return (double)((uint64_t)(bucket - power * 16) << power) / 1e3;
        }
    return (double)counts.slowest / 1e3;
}

static void receive_one(struct lane *lane, const uint8_t *data, unsigned size, uint64_t now) {
    struct slot *slot = size < 12 ? NULL : &lane->slots[data[1]];
    if (!slot || !slot->waiting || slot->generation != data[0] || !(data[2] & 0x80)) {
        counts.stray++;
        return;
    }
    slot->waiting = false;
    lane->free[lane->free_count++] = data[1];
    counts.answers++;
    counts.bytes += size;
    counts.rcodes[data[3] & 15]++;
    counts.truncated += data[2] >> 1 & 1;
    if (size > counts.largest) counts.largest = size;
    if (size < counts.smallest) counts.smallest = size;
    count_latency(now - slot->sent);
}

static unsigned receive(struct lane *lane) {
    int count = recvmmsg(lane->fd, in, BATCH, MSG_DONTWAIT, NULL);
    if (count < 0) {
        if (errno == EAGAIN || errno == EINTR) return 0;
        die("receiving: %s", strerror(errno));
    }
    uint64_t now = clock_now(CLOCK_MONOTONIC);
    for (int i = 0; i < count; i++) receive_one(lane, in_data[i], in[i].msg_len, now);
    return (unsigned)count;
}

static unsigned allowed(uint64_t now) {
    if (options.rate <= 0) return BATCH;
    double due = (double)(now - started) / 1e9 * options.rate - (double)sent_in_all;
    return due < 1 ? 0 : due > BATCH ? BATCH : (unsigned)due;
}

static unsigned send_more(struct lane *lane) {
    uint64_t now = clock_now(CLOCK_MONOTONIC);
    unsigned count = allowed(now);
    if (count > lane->free_count) count = lane->free_count;
    if (!count) return 0;
    for (unsigned i = 0; i < count; i++) {
        const struct query *query = &queries[next_query];
        if (++next_query == query_count) next_query = 0;
        uint8_t number = lane->free[--lane->free_count];
        struct slot *slot = &lane->slots[number];
        slot->sent = now;
        slot->generation++;
        slot->waiting = true;
        memcpy(out_data[i], query->data, query->size);
        out_data[i][0] = slot->generation;
        out_data[i][1] = number;
        if (options.unique_at) write_unique_label(out_data[i] + options.unique_at);
        if (options.spell) spell_at_random(out_data[i], query->name_end);
        out_parts[i].iov_len = query->size;
    }
    int done = sendmmsg(lane->fd, out, count, MSG_DONTWAIT);
    if (done < 0) {
        if (errno != EAGAIN && errno != ENOBUFS && errno != EINTR) die("sending: %s", strerror(errno));
        done = 0;
    }
    for (unsigned i = count; i-- > (unsigned)done;) { /* what the kernel did not take leaves with a later batch */
        lane->slots[out_data[i][1]].waiting = false;
        lane->free[lane->free_count++] = out_data[i][1];
    }
    counts.sent += (unsigned)done;
    sent_in_all += (unsigned)done;
    return (unsigned)done;
}

static void give_up_lost(uint64_t now) {
    for (unsigned i = 0; i < options.lanes; i++)
        for (unsigned number = 0; number < options.window / options.lanes; number++) {
            struct slot *slot = &lanes[i].slots[number];
            if (!slot->waiting || now - slot->sent < options.timeout_ms * 1000000ull) continue;
            slot->waiting = false;
            lanes[i].free[lanes[i].free_count++] = (uint8_t)number;
            counts.lost++;
        }
}

static void load_until(uint64_t until) {
    static struct pollfd polls[LANES];
    static uint64_t next_check;
    uint64_t before = clock_now(CLOCK_MONOTONIC);
    for (unsigned idle = 0;;) {
        unsigned moved = 0;
        for (unsigned i = 0; i < options.lanes; i++) moved += receive(&lanes[i]) + send_more(&lanes[i]);
        uint64_t now = clock_now(CLOCK_MONOTONIC);
        if (now >= until) return;
        if (now >= next_check) {
            give_up_lost(now);
            next_check = now + 10000000;
        }
        if (!moved) counts.idle += now - before;
        before = now;
        idle = moved ? 0 : idle + 1;
        if (idle < PATIENCE || options.rate > 0) continue;
        for (unsigned i = 0; i < options.lanes; i++) polls[i] = (struct pollfd){.fd = lanes[i].fd, .events = POLLIN};
        poll(polls, options.lanes, 1);
    }
}

static void open_lanes(const char *address, const char *port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    if (inet_pton(AF_INET, address, &to.sin_addr) != 1) die("%s is no IPv4 address", address);
    for (unsigned i = 0; i < options.lanes; i++) {
        struct lane *lane = &lanes[i];
        int room = 4 << 20;
        lane->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (lane->fd < 0 || connect(lane->fd, (struct sockaddr *)&to, sizeof to)) die("socket: %s", strerror(errno));
        if (setsockopt(lane->fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room))
            setsockopt(lane->fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
        for (unsigned number = options.window / options.lanes; number-- > 0;)
            lane->free[lane->free_count++] = (uint8_t)number;
    }
    for (unsigned i = 0; i < BATCH; i++) {
        out_parts[i].iov_base = out_data[i];
        in_parts[i] = (struct iovec){in_data[i], ANSWER_SIZE};
        out[i].msg_hdr = (struct msghdr){.msg_iov = &out_parts[i], .msg_iovlen = 1};
        in[i].msg_hdr = (struct msghdr){.msg_iov = &in_parts[i], .msg_iovlen = 1};
    }
}

static void read_options(int count, char **values) {
    for (int option; (option = getopt(count, values, "b:s:r:w:n:t:u:c")) != -1;) switch (option) {
        case 'b': options.warm = atof(optarg); break;
        case 's': options.seconds = atof(optarg); break;
        case 'r': options.rate = atof(optarg); break;
        case 'w': options.window = (unsigned)atoi(optarg); break;
        case 'n': options.lanes = (unsigned)atoi(optarg); break;
        case 't': options.timeout_ms = (unsigned)atoi(optarg); break;
        case 'u': options.unique_at = (unsigned)atoi(optarg); break;
        case 'c': options.spell = true; break;
        default: optind = count;
        }
    if (optind != count - 3)
        die("usage: load [-b warm-up s] [-s s] [-r queries/s] [-w window] [-n sockets] [-t time-out ms]"
            " [-u offset of a unique label] [-c] ADDRESS PORT QUERIES");
    if (options.lanes < 1 || options.lanes > LANES || options.window % options.lanes ||
        options.window / options.lanes < 1 || options.window / options.lanes > LANE_WINDOW)
        die("the window must be 1 to %d times the sockets, of which there are %d at most", LANE_WINDOW, LANES);
}

static void announce(const char *line) {
    puts(line);
    fflush(stdout);
}

int main(int count, char **values) {
    read_options(count, values);
    read_queries(values[optind + 2]);
    open_lanes(values[optind], values[optind + 1]);
    label_counter = clock_now(CLOCK_REALTIME);
    dice = label_counter | 1;
    started = clock_now(CLOCK_MONOTONIC);
    load_until(started + (uint64_t)(options.warm * 1e9));
    announce("go");
    counts = (struct counts){.smallest = ANSWER_SIZE};
    uint64_t begin = clock_now(CLOCK_MONOTONIC);
    load_until(begin + (uint64_t)(options.seconds * 1e9));
    uint64_t end = clock_now(CLOCK_MONOTONIC);
    struct counts kept = counts;
    announce("end");
    load_until(end + TAIL);
    counts = kept;
    printf("{\"seconds\": %.6f, \"sent\": %lu, \"answers\": %lu, \"lost\": %lu, \"stray\": %lu, \"truncated\": %lu, "
           "\"bytes\": %lu, \"idle\": %.4f, \"smallest\": %u, \"largest\": %u, \"p50_us\": %.1f, \"p90_us\": %.1f, \"p99_us\": %.1f, "
           "\"slowest_us\": %.1f, \"rcodes\": {",
           (double)(end - begin) / 1e9, counts.sent, counts.answers, counts.lost, counts.stray, counts.truncated,
           counts.bytes, (double)counts.idle / (double)(end - begin), counts.answers ? counts.smallest : 0, counts.largest, latency(0.5), latency(0.9), latency(0.99),
           (double)counts.slowest / 1e3);
    const char *comma = "";
    for (unsigned rcode = 0; rcode < 16; rcode++)
        if (counts.rcodes[rcode]) {
            printf("%s\"%u\": %lu", comma, rcode, counts.rcodes[rcode]);
            comma = ", ";
        }
    puts("}}");
    return 0;
}
