/* Flows over lanes: windows, pace, lost queries; and the transport UDP. */
#define _GNU_SOURCE
#include "load.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

void open_flow(struct flow *flow) {
    for (unsigned i = 0; i < flow->lane_count; i++) {
        struct lane *lane = &flow->lanes[i];
        lane->number = i;
        lane->window = flow->window / flow->lane_count;
        for (unsigned number = lane->window; number-- > 0;) lane->free[lane->free_count++] = (uint8_t)number;
        flow->transport->open(flow, lane);
    }
    flow->counts.smallest = UINT32_MAX;
}

void take_back(struct lane *lane, uint8_t number) {
    lane->slots[number].waiting = false;
    lane->free[lane->free_count++] = number;
}

/* Write the next query with an ID of its own; returns its octets. */
unsigned write_next(struct flow *flow, struct lane *lane, uint8_t *to, uint64_t now) {
    uint8_t number = lane->free[--lane->free_count];
    struct slot *slot = &lane->slots[number];
    unsigned size = write_query(&flow->queries, to);
    slot->sent = now;
    slot->waiting = true;
    to[0] = ++slot->generation;
    to[1] = number;
    return size;
}

void receive_one(struct flow *flow, struct lane *lane, const uint8_t *data, unsigned size, uint64_t now) {
    struct slot *slot = size < 12 ? NULL : &lane->slots[data[1]];
    if (!slot || !slot->waiting || slot->generation != data[0] || !(data[2] & 0x80)) {
        flow->counts.stray++;
        return;
    }
    take_back(lane, data[1]);
    count_answer(&flow->counts, data, size, now - slot->sent, now);
}

unsigned receive_all(struct flow *flow) {
    unsigned moved = 0;
    for (unsigned i = 0; i < flow->lane_count; i++) moved += flow->transport->receive(flow, &flow->lanes[i]);
    return moved;
}

static uint64_t allowed(const struct flow *flow, uint64_t now, uint64_t started) {
    uint64_t most = UINT64_MAX;
    if (flow->one_pass) most = flow->queries.count - flow->sent_in_all;
    if (flow->rate <= 0) return most;
    double due = (double)(now - started) / 1e9 * flow->rate - (double)flow->sent_in_all;
    uint64_t paced = due < 1 ? 0 : (uint64_t)due;
    return paced < most ? paced : most;
}

unsigned send_due(struct flow *flow, uint64_t now, uint64_t started) {
    unsigned moved = 0;
    for (unsigned i = 0; i < flow->lane_count; i++) {
        struct lane *lane = &flow->lanes[i];
        uint64_t most = allowed(flow, now, started);
        unsigned count = lane->free_count < BATCH ? lane->free_count : BATCH;
        if (count > most) count = (unsigned)most;
        if (!count) continue;
        unsigned done = flow->transport->send(flow, lane, count);
        flow->counts.sent += done;
        flow->sent_in_all += done;
        moved += done;
    }
    return moved;
}

void give_up_lost(struct flow *flow, uint64_t now, uint64_t patience) {
    for (unsigned i = 0; i < flow->lane_count; i++) {
        struct lane *lane = &flow->lanes[i];
        uint64_t before = flow->counts.lost;
        for (unsigned number = 0; number < lane->window; number++) {
            if (!lane->slots[number].waiting || now - lane->slots[number].sent < patience) continue;
            take_back(lane, (uint8_t)number);
            flow->counts.lost++;
        }
        if (flow->counts.lost != before && flow->transport->lose) flow->transport->lose(flow, lane);
    }
}

unsigned waiting(const struct flow *flow) {
    unsigned count = 0;
    for (unsigned i = 0; i < flow->lane_count; i++) count += flow->lanes[i].window - flow->lanes[i].free_count;
    return count;
}

/* UDP: a connected socket a lane, batches by sendmmsg and recvmmsg. */

static struct mmsghdr out[BATCH], in[BATCH];
static struct iovec out_parts[BATCH], in_parts[BATCH];
static uint8_t out_data[BATCH][QUERY_SIZE], in_data[BATCH][ANSWER_SIZE];

static void udp_open(struct flow *flow, struct lane *lane) {
    int room = 4 << 20;
    lane->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (lane->fd < 0 || connect(lane->fd, (struct sockaddr *)&flow->to, sizeof flow->to)) die("socket: %s", strerror(errno));
    if (setsockopt(lane->fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room))
        setsockopt(lane->fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    for (unsigned i = 0; i < BATCH; i++) {
        out_parts[i].iov_base = out_data[i];
        in_parts[i] = (struct iovec){in_data[i], ANSWER_SIZE};
        out[i].msg_hdr = (struct msghdr){.msg_iov = &out_parts[i], .msg_iovlen = 1};
        in[i].msg_hdr = (struct msghdr){.msg_iov = &in_parts[i], .msg_iovlen = 1};
    }
}

static unsigned udp_receive(struct flow *flow, struct lane *lane) {
    int count = recvmmsg(lane->fd, in, BATCH, MSG_DONTWAIT, NULL);
    if (count < 0) {
        if (errno == EAGAIN || errno == EINTR) return 0;
        die("receiving: %s", strerror(errno));
    }
    uint64_t now = now_ns();
    for (int i = 0; i < count; i++) receive_one(flow, lane, in_data[i], in[i].msg_len, now);
    return (unsigned)count;
}

static unsigned udp_send(struct flow *flow, struct lane *lane, unsigned count) {
    uint64_t now = now_ns();
    for (unsigned i = 0; i < count; i++) out_parts[i].iov_len = write_next(flow, lane, out_data[i], now);
    int done = sendmmsg(lane->fd, out, count, MSG_DONTWAIT);
    if (done < 0) {
        if (errno != EAGAIN && errno != ENOBUFS && errno != EINTR) die("sending: %s", strerror(errno));
        done = 0;
    }
    for (unsigned i = count; i-- > (unsigned)done;) take_back(lane, out_data[i][1]); /* what the kernel did not take */
    return (unsigned)done;
}

const struct transport udp = {"udp", udp_open, udp_receive, udp_send, NULL};
