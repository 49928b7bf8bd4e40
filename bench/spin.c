/* The client that never sleeps: a closed loop over epoll with a timeout of 0, so that waking the client is on
 * nobody's account. wrk sleeps when there is nothing to read, and then each wake-up is paid by the server that
 * sends: one that sends every response when it is there pays for more of them than one that holds them back.
 *
 * usage: spin PORT CONNECTIONS SECONDS PATH DEPTH [HEADER...]
 *
 * Each connection sends DEPTH requests in one write, reads their responses, and begins again; a connection that the
 * server closes between responses is opened anew. Responses end by their Content-Length or with the connection.
 * Prints the same line as wrk.lua; a latency is that of a whole batch. */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HEAD_BYTES = 16384, READ_BYTES = 262144, LATENCIES = 1 << 24 };

typedef struct {
    int fd;
    int due;           /* responses of this batch that are not complete */
    int in_body;       /* the head has been read */
    int until_close;   /* the body ends with the connection */
    int is_last;       /* the server said that it closes */
    long body_left;
    size_t head_length;
    char head[HEAD_BYTES];
    double sent_at;
} Connection;

static char *batch;
static size_t batch_length;
static int port, depth, poll_fd;
static long completed, read_errors, wrong_statuses, latency_count;
static float *latencies;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void die(const char *what) {
    fprintf(stderr, "spin: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void fail(const char *sentence) {
    fprintf(stderr, "spin: %s\n", sentence);
    exit(1);
}

static void make_batch(const char *path, char **headers, int count) {
    size_t size = strlen(path) + 128;
    for (int i = 0; i < count; i++) size += strlen(headers[i]) + 2;
    char *request = malloc(size);
    batch = malloc(size * (size_t)depth);
    if (!request || !batch) die("malloc");
    int length = sprintf(request, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n", path, port);
    for (int i = 0; i < count; i++) length += sprintf(request + length, "%s\r\n", headers[i]);
    length += sprintf(request + length, "\r\n");
    for (int i = 0; i < depth; i++) memcpy(batch + i * length, request, (size_t)length);
    batch_length = (size_t)length * (size_t)depth;
    free(request);
}

static void send_batch(Connection *connection) {
    connection->due = depth;
    connection->in_body = connection->is_last = 0;
    connection->head_length = 0;
    connection->sent_at = now();
    /* So short that a socket without unread data always takes it whole. */
    ssize_t sent = send(connection->fd, batch, batch_length, MSG_NOSIGNAL);
    if (sent < 0 && (errno == EPIPE || errno == ECONNRESET)) return; /* the read that follows finds the end */
    if (sent != (ssize_t)batch_length) fail("a batch of requests was not taken whole");
}

static void open_connection(Connection *connection) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    connection->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connection->fd < 0) die("socket");
    if (connect(connection->fd, (struct sockaddr *)&address, sizeof address) < 0) die("connect");
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    epoll_ctl(poll_fd, EPOLL_CTL_ADD, connection->fd, &event);
    send_batch(connection);
}

static void response_complete(Connection *connection) {
    connection->in_body = 0;
    completed++;
    if (--connection->due > 0) return;
    if (latency_count < LATENCIES) latencies[latency_count++] = (float)(now() - connection->sent_at);
}

/* Takes as much as belongs to the head; true when the head is whole. */
static int read_head(Connection *connection, const char **data, size_t *length) {
    size_t room = HEAD_BYTES - 1 - connection->head_length, before = connection->head_length;
    size_t taken = *length < room ? *length : room;
    memcpy(connection->head + before, *data, taken);
    connection->head[before + taken] = 0;
    char *end = strstr(connection->head, "\r\n\r\n");
    if (!end) {
        if (taken == room) fail("the head of a response is longer than 16 KiB");
        connection->head_length += taken;
        *data += taken;
        *length -= taken;
        return 0;
    }
    size_t of_head = (size_t)(end + 4 - connection->head) - before;
    *data += of_head;
    *length -= of_head;
    connection->head_length = 0;
    end[2] = 0; /* what follows is body */
    if (strncmp(connection->head + 9, "200", 3) != 0) wrong_statuses++;
    if (strcasestr(connection->head, "\r\ntransfer-encoding:")) fail("a response is chunked, which it does not read");
    connection->is_last = strcasestr(connection->head, "\r\nconnection: close") != NULL;
    char *field = strcasestr(connection->head, "\r\ncontent-length:");
    connection->until_close = !field;
    connection->body_left = field ? atol(field + 17) : 0;
    connection->in_body = 1;
    return 1;
}

static void read_responses(Connection *connection) {
    static char buffer[READ_BYTES];
    ssize_t got = recv(connection->fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
        if (connection->in_body && connection->until_close) response_complete(connection);
        /* Ended within a response; between two of them a server may close. */
        else if (connection->in_body || connection->head_length > 0 || got < 0) read_errors++;
        close(connection->fd);
        open_connection(connection);
        return;
    }
    const char *data = buffer;
    size_t length = (size_t)got;
    while (connection->in_body || (length > 0 && read_head(connection, &data, &length))) {
        if (connection->until_close) break;
        size_t of_body = (size_t)connection->body_left < length ? (size_t)connection->body_left : length;
        connection->body_left -= (long)of_body;
        data += of_body;
        length -= of_body;
        if (connection->body_left > 0) break;
        response_complete(connection);
    }
    if (connection->due == 0 && !connection->is_last) send_batch(connection);
}

static int by_size(const void *left, const void *right) {
    float a = *(const float *)left, b = *(const float *)right;
    return (a > b) - (a < b);
}

static double percentile_ms(double share) {
    return latency_count ? 1e3 * (double)latencies[(long)((double)latency_count * share)] : 0;
}

int main(int argc, char **argv) {
    if (argc < 6) {
        fprintf(stderr, "usage: spin PORT CONNECTIONS SECONDS PATH DEPTH [HEADER...]\n");
        return 2;
    }
    int connections = atoi(argv[2]);
    double seconds = atof(argv[3]);
    port = atoi(argv[1]);
    depth = atoi(argv[5]);
    make_batch(argv[4], argv + 6, argc - 6);
    latencies = malloc(sizeof *latencies * LATENCIES);
    Connection *all = calloc((size_t)connections, sizeof *all);
    if (!latencies || !all) die("malloc");
    poll_fd = epoll_create1(0);
    double start = now();
    for (int i = 0; i < connections; i++) open_connection(&all[i]);
    struct epoll_event events[256];
    double passed;
    while ((passed = now() - start) < seconds) {
        int ready = epoll_wait(poll_fd, events, 256, 0);
        for (int i = 0; i < ready; i++) read_responses(events[i].data.ptr);
    }
    qsort(latencies, (size_t)latency_count, sizeof *latencies, by_size);
    printf("\nOUTCOME {\"requests\": %ld, \"seconds\": %.6f, \"p50_ms\": %.4f, \"p99_ms\": %.4f, \"connect\": 0, "
           "\"read\": %ld, \"write\": 0, \"status\": %ld, \"timeout\": 0}\n",
           completed, passed, percentile_ms(0.50), percentile_ms(0.99), read_errors, wrong_statuses);
    return 0;
}
