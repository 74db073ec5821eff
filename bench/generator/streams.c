/* The transports over TCP (RFC 7766): `tcp`, connections that stay, with queries pipelined; `once`, one query each.
 *
 * A client of `once` closes first, as resolvers do, and its port then waits (TIME-WAIT) before it is used again: so each
 * lane has an address of its own to connect from, and with it its own range of ports. */
#define _GNU_SOURCE
#include "load.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ROOM = 1 << 17 }; /* the longest message behind its length fits, whatever came before it */

static void connect_lane(struct flow *flow, struct lane *lane) {
    int on = 1;
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + lane->number)};
    lane->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (lane->fd < 0) die("socket: %s", strerror(errno));
    setsockopt(lane->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    setsockopt(lane->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (bind(lane->fd, (struct sockaddr *)&from, sizeof from)) die("bind: %s", strerror(errno));
    if (connect(lane->fd, (struct sockaddr *)&flow->to, sizeof flow->to) && errno != EINPROGRESS)
        die("connect: %s", strerror(errno));
    lane->in.begin = lane->in.end = lane->out.begin = lane->out.end = 0;
}

static void make_room(struct lane *lane) {
    lane->in.data = malloc(ROOM);
    lane->out.data = malloc(ROOM);
    if (!lane->in.data || !lane->out.data) die("out of memory");
}

/* End a connection; what it still owes is lost. */
static void hang_up(struct flow *flow, struct lane *lane) {
    close(lane->fd);
    lane->fd = -1;
    for (unsigned number = 0; number < lane->window; number++)
        if (lane->slots[number].waiting) {
            take_back(lane, (uint8_t)number);
            flow->counts.lost++;
        }
}

/* Give the kernel what it takes of the queries; whether the connection still stands. */
static bool flush(struct lane *lane) {
    if (lane->out.begin == lane->out.end) return true;
    ssize_t done = send(lane->fd, lane->out.data + lane->out.begin, lane->out.end - lane->out.begin, MSG_NOSIGNAL);
    if (done < 0) return errno == EAGAIN || errno == EINTR;
    lane->out.begin += (unsigned)done;
    if (lane->out.begin == lane->out.end) lane->out.begin = lane->out.end = 0;
    return true;
}

static unsigned read_answers(struct flow *flow, struct lane *lane, bool *stands) {
    *stands = flush(lane);
    ssize_t got = *stands ? recv(lane->fd, lane->in.data + lane->in.end, ROOM - lane->in.end, 0) : 0;
    if (got <= 0) {
        *stands = *stands && got < 0 && (errno == EAGAIN || errno == EINTR);
        return 0;
    }
    lane->in.end += (unsigned)got;
    uint64_t now = now_ns();
    unsigned count = 0, at = 0;
    for (; lane->in.end - at >= 2; count++) {
        unsigned size = (unsigned)(lane->in.data[at] << 8 | lane->in.data[at + 1]);
        if (lane->in.end - at - 2 < size) break;
        receive_one(flow, lane, lane->in.data + at + 2, size, now);
        at += 2 + size;
    }
    memmove(lane->in.data, lane->in.data + at, lane->in.end -= at);
    return count;
}

static void write_framed(struct flow *flow, struct lane *lane, uint64_t now) {
    uint8_t *to = lane->out.data + lane->out.end;
    unsigned size = write_next(flow, lane, to + 2, now);
    to[0] = (uint8_t)(size >> 8);
    to[1] = (uint8_t)size;
    lane->out.end += 2 + size;
}

static void tcp_open(struct flow *flow, struct lane *lane) {
    make_room(lane);
    connect_lane(flow, lane);
}

static unsigned tcp_receive(struct flow *flow, struct lane *lane) {
    bool stands;
    unsigned count = read_answers(flow, lane, &stands);
    if (!stands) {
        hang_up(flow, lane);
        connect_lane(flow, lane);
    }
    return count;
}

static unsigned tcp_send(struct flow *flow, struct lane *lane, unsigned count) {
    if (lane->out.end + count * (2 + QUERY_SIZE) > ROOM) return 0;
    uint64_t now = now_ns();
    for (unsigned i = 0; i < count; i++) write_framed(flow, lane, now);
    flush(lane); /* a broken connection is seen by the next reader */
    return count;
}

const struct transport tcp = {"tcp", tcp_open, tcp_receive, tcp_send, NULL};

static void once_open(struct flow *flow, struct lane *lane) {
    (void)flow;
    if (lane->window != 1) die("one query a connection: the window must be as many as the sockets");
    make_room(lane);
    lane->fd = -1;
}

static unsigned once_receive(struct flow *flow, struct lane *lane) {
    bool stands;
    if (lane->fd < 0) return 0;
    unsigned count = read_answers(flow, lane, &stands);
    if (count || !stands) hang_up(flow, lane);
    return count;
}

static unsigned once_send(struct flow *flow, struct lane *lane, unsigned count) {
    uint64_t now = now_ns();
    if (lane->fd >= 0) return 0;
    connect_lane(flow, lane);
    write_framed(flow, lane, now);
    flush(lane);
    return count;
}

static void once_lose(struct flow *flow, struct lane *lane) {
    if (lane->fd >= 0) hang_up(flow, lane);
}

const struct transport once = {"once", once_open, once_receive, once_send, once_lose};
