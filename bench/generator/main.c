/* A DNS load generator for one core: over UDP by sendmmsg and recvmmsg, or over TCP.
 *
 * load [options] ADDRESS PORT QUERIES
 *
 * QUERIES holds the queries ready made, each behind its length in two octets (as in DNS over TCP, RFC 1035 §4.2.2). They
 * are sent in their order, again and again, over a few connected sockets. So many are outstanding at most as the window
 * says: enough that a server never idles, too few to overflow its socket's buffer. A query without an answer within the
 * time-out is lost, and its place in the window free again.
 *
 * With a rate, queries leave at that rate instead (as far as the window allows), and the latencies tell something: without
 * one they only tell the window's length divided by the answers a second. A second flow of queries over UDP, at a rate of
 * its own, can go beside the first: what does a load do to those who ask little?
 *
 * It prints "go" when the measured time begins, "end" when it is over, goes on with the load for a moment, so that whoever
 * reads the processor's clocks at these lines never reads an idle server, and last prints a line of JSON.
 */
#define _GNU_SOURCE
#include "load.h"
#include <arpa/inet.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE = 256, /* idle rounds before the generator sleeps */ BESIDE_LANES = 1, BESIDE_WINDOW = 256 };
static const uint64_t TAIL = 50000000;
static const long NAP = 20000; /* nanoseconds, which the kernel makes 50 µs longer: too long to measure latencies */

static struct {
    double warm, seconds;
    unsigned timeout_ms;
    bool naps;
    const char *beside;
} options = {.warm = 0.5, .seconds = 3, .timeout_ms = 500};

static struct flow flow = {.transport = &udp, .window = 192, .lane_count = 4};
static struct flow beside = {.transport = &udp, .window = BESIDE_WINDOW, .lane_count = BESIDE_LANES, .rate = 1000};
static uint64_t started;

void die(const char *format, ...) {
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

uint64_t now_ns(void) { return clock_now(CLOCK_MONOTONIC); }

static unsigned move(struct flow *moved) { return receive_all(moved) + send_due(moved, now_ns(), started); }

static void doze(void) {
    struct pollfd polls[LANES];
    for (unsigned i = 0; i < flow.lane_count; i++) polls[i] = (struct pollfd){.fd = flow.lanes[i].fd, .events = POLLIN};
    poll(polls, flow.lane_count, 1);
}

/* The core is left to others while nothing is due. */
static void nap(void) { clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){.tv_nsec = NAP}, NULL); }

static bool is_over(void) { return flow.one_pass && flow.sent_in_all == flow.queries.count && !waiting(&flow); }

static void load_until(uint64_t until) {
    static uint64_t next_check;
    uint64_t before = now_ns();
    for (unsigned idle = 0; !is_over();) {
        unsigned moved = move(&flow);
        if (options.beside) move(&beside);
        uint64_t now = now_ns();
        if (now >= until) return;
        if (now >= next_check) {
            give_up_lost(&flow, now, options.timeout_ms * 1000000ull);
            give_up_lost(&beside, now, options.timeout_ms * 1000000ull);
            next_check = now + 10000000;
        }
        if (!moved) flow.counts.idle += now - before;
        before = now;
        idle = moved ? 0 : idle + 1;
        if (options.naps && idle) nap();
        else if (idle >= PATIENCE && flow.rate <= 0 && !options.beside) doze();
    }
}

static const struct transport *transport_named(const char *name) {
    const struct transport *all[] = {&udp, &tcp, &once};
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++)
        if (!strcmp(all[i]->name, name)) return all[i];
    die("a transport is udp, tcp, or once, not %s", name);
}

static void read_options(int count, char **values) {
    for (int option; (option = getopt(count, values, "m:b:s:r:w:n:t:u:cpzi:B:R:")) != -1;) switch (option) {
        case 'm': flow.transport = transport_named(optarg); break;
        case 'b': options.warm = atof(optarg); break;
        case 's': options.seconds = atof(optarg); break;
        case 'r': flow.rate = atof(optarg); break;
        case 'w': flow.window = (unsigned)atoi(optarg); break;
        case 'n': flow.lane_count = (unsigned)atoi(optarg); break;
        case 't': options.timeout_ms = (unsigned)atoi(optarg); break;
        case 'u': flow.queries.unique_at = (unsigned)atoi(optarg); break;
        case 'c': flow.queries.spell = true; break;
        case 'p': flow.one_pass = true; break;
        case 'z': options.naps = true; break;
        case 'i': interval_length = (uint64_t)atoi(optarg) * 1000000; break;
        case 'B': options.beside = optarg; break;
        case 'R': beside.rate = atof(optarg); break;
        default: optind = count;
        }
    if (optind != count - 3)
        die("usage: load [-m udp|tcp|once] [-b warm-up s] [-s s] [-r queries/s] [-w window] [-n sockets] [-t time-out ms]"
            " [-u offset of a unique label] [-c: case at random] [-p: each query once] [-z: naps] [-i interval ms]"
            " [-B queries beside] [-R their rate] ADDRESS PORT QUERIES");
    if (flow.lane_count < 1 || flow.lane_count > LANES || flow.window % flow.lane_count ||
        flow.window / flow.lane_count < 1 || flow.window / flow.lane_count > LANE_WINDOW)
        die("the window must be 1 to %d times the sockets, of which there are %d at most", LANE_WINDOW, LANES);
    flow.to = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(values[optind + 1]))};
    if (inet_pton(AF_INET, values[optind], &flow.to.sin_addr) != 1) die("%s is no IPv4 address", values[optind]);
    read_queries(&flow.queries, values[optind + 2]);
    beside.to = flow.to;
    if (options.beside) read_queries(&beside.queries, options.beside);
}

static void announce(const char *line) {
    puts(line);
    fflush(stdout);
}

static void measure(void) {
    announce("go");
    flow.counts = beside.counts = (struct counts){.smallest = UINT32_MAX};
    uint64_t begin = intervals_begin = now_ns();
    load_until(begin + (uint64_t)(options.seconds * 1e9));
    uint64_t end = now_ns();
    double seconds = (double)(end - begin) / 1e9;
    static struct counts kept, kept_beside;
    kept = flow.counts;
    kept_beside = beside.counts;
    announce("end");
    load_until(end + TAIL);
    putchar('{');
    print_counts(&kept, seconds);
    if (options.beside) {
        printf(", \"beside\": {");
        print_counts(&kept_beside, seconds);
        putchar('}');
    }
    puts("}");
}

int main(int count, char **values) {
    read_options(count, values);
    seed_queries(clock_now(CLOCK_REALTIME));
    open_flow(&flow);
    if (options.beside) open_flow(&beside);
    started = now_ns();
    if (options.warm > 0) load_until(started + (uint64_t)(options.warm * 1e9));
    measure();
    return 0;
}
