/* A load of which every request is accounted for. Open loop: requests begin when they are due, however the server is;
 * nothing is sent twice, so what was lost is counted as lost.
 *
 * usage: load PORT NEW_PER_S KEPT KEPT_PER_S PATIENCE_S
 *
 * NEW_PER_S requests a second on a connection of their own, which say Connection: close. Beside them KEPT connections
 * that stay open, with KEPT_PER_S requests a second over all of them; which one is next is chosen at random, so that
 * they lie idle for times of all lengths. Each request has its number as the query and wants it back as the body:
 *
 *     GET /?17 HTTP/1.1   ->   200, Content-Length: 2, X-Worker: the pid of who has responded, 17
 *
 * It begins at once. At the end of file on standard input nothing new is sent; what is under way has PATIENCE_S
 * seconds, then one line of JSON says all. How a request can end:
 *
 *     right          200 and its number
 *     status         another status; body: 200 and something else
 *     refused        no connection: the server did not listen (ECONNREFUSED)
 *     unconnected    no connection for another reason, or none in PATIENCE_S: its queue was full
 *     reset, closed  the connection was there and ended without one byte of a response
 *     stale          the same on a connection that had brought a response before, as it is closed by a server that
 *                    takes it for idle
 *     cut            it ended within the response
 *     silent         the response was not complete in PATIENCE_S
 *
 * Those without a connection were never accepted; all others that are not right are the server's loss. That a server
 * ends a connection on which no request is due (closed_idle), or says that it will (announced), costs no request.
 *
 * Times are of CLOCK_MONOTONIC. `tenths` are the tenths of a second since `began`: how many requests that began in it
 * were right, the longest any of them took that was accepted (s), and how late this program itself began one (s): on a machine that
 * stands still both wait. A connection that is not there for a new request counts from when it was asked for. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 8192, HEAD_BYTES = 4096, FAILURES = 100000, TENTHS = 36000, SOURCES = 200 };

typedef enum {
    RIGHT, STATUS, BODY, REFUSED, UNCONNECTED, RESET, CLOSED, STALE, CUT, SILENT, OUTCOMES
} Outcome;
static const char *NAMES[] = {"right", "status", "body", "refused", "unconnected",
                              "reset", "closed", "stale", "cut", "silent"};

typedef enum { FREE, CONNECTING, WAITING, IDLE } State;

typedef struct {
    State state;
    int fd;
    int is_kept;
    int responses; /* that it has brought */
    long number;   /* of the request under way */
    long worker;   /* who has responded last */
    double began_s;
    size_t length;
    char data[HEAD_BYTES];
} Connection;

typedef struct {
    Outcome outcome;
    int is_kept, error, status;
    long number, worker;
    double began_s, ended_s;
    size_t bytes;
} Failure;

typedef struct {
    long right;
    double longest_s, late_s;
} Tenth;

static Connection all[MOST];
static int places[MOST], place_count; /* of connections that are not in use */
static int kept[MOST], kept_count, kept_wanted;
static Failure failures[FAILURES];
static long failure_count, counts[OUTCOMES], sent, closed_idle, announced, held_back;
static Tenth tenths[TENTHS];
static double began_s, patience_s;
static int port, poll_fd;
static long numbers;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void die(const char *what) {
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static Tenth *tenth(double at_s) {
    long index = (long)((at_s - began_s) * 10);
    return &tenths[index < 0 ? 0 : index < TENTHS ? index : TENTHS - 1];
}

/* -- how a request ends */

static void settle(Connection *connection, Outcome outcome, int error, int status) {
    double ended_s = now();
    Tenth *of = tenth(connection->began_s);
    counts[outcome]++;
    if (outcome != REFUSED && outcome != UNCONNECTED && ended_s - connection->began_s > of->longest_s) of->longest_s = ended_s - connection->began_s;
    if (outcome == RIGHT) {
        of->right++;
        return;
    }
    if (failure_count == FAILURES) return; /* counted all the same */
    failures[failure_count++] = (Failure){outcome, connection->is_kept, error, status, connection->number,
                                          connection->worker, connection->began_s, ended_s, connection->length};
}

static void drop(Connection *connection) {
    if (connection->fd >= 0) close(connection->fd);
    if (connection->is_kept) {
        for (int i = 0; i < kept_count; i++)
            if (kept[i] == connection - all) {
                kept[i] = kept[--kept_count];
                break;
            }
    }
    connection->state = FREE;
    places[place_count++] = (int)(connection - all);
}

static void lose(Connection *connection, int error) {
    Outcome outcome = connection->length > 0        ? CUT
                      : connection->responses > 0   ? STALE
                      : error == 0                  ? CLOSED
                                                    : RESET;
    settle(connection, outcome, error, 0);
    drop(connection);
}

/* -- how it goes out */

static void watch(Connection *connection, uint32_t events, int operation) {
    struct epoll_event event = {.events = events, .data.ptr = connection};
    if (epoll_ctl(poll_fd, operation, connection->fd, &event) < 0) die("epoll_ctl");
}

static void send_request(Connection *connection) {
    char request[160];
    int length = snprintf(request, sizeof request, "GET /?%ld HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%s\r\n",
                          connection->number, port, connection->is_kept ? "" : "Connection: close\r\n");
    connection->state = WAITING;
    connection->length = 0;
    ssize_t taken = send(connection->fd, request, (size_t)length, MSG_NOSIGNAL);
    /* An empty socket takes it whole; else the connection has ended. */
    if (taken != length) lose(connection, taken < 0 ? errno : EMSGSIZE);
}

static void not_connected(Connection *connection, int error) {
    settle(connection, error == ECONNREFUSED ? REFUSED : UNCONNECTED, error, 0);
    drop(connection);
}

/* Connections leave from many addresses: one has ports for a few seconds of thousands a second. */
static int open_socket(void) {
    static unsigned next;
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) die("socket");
    struct sockaddr_in source = {.sin_family = AF_INET,
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK + next++ % SOURCES)};
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&source, sizeof source) < 0) die("bind");
    return fd;
}

static void begin_on_new(int is_kept) {
    if (place_count == 0) {
        held_back++;
        return;
    }
    Connection *connection = &all[places[--place_count]];
    connection->is_kept = is_kept;
    connection->responses = 0;
    connection->worker = 0;
    connection->length = 0;
    connection->number = numbers++;
    connection->fd = open_socket();
    if (is_kept) kept[kept_count++] = (int)(connection - all);
    sent++;
    connection->began_s = now();
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (connect(connection->fd, (struct sockaddr *)&address, sizeof address) == 0) {
        watch(connection, EPOLLIN, EPOLL_CTL_ADD);
        send_request(connection);
    } else if (errno == EINPROGRESS) {
        connection->state = CONNECTING;
        watch(connection, EPOLLOUT, EPOLL_CTL_ADD);
    } else {
        not_connected(connection, errno);
    }
}

/* What a careful client does before it uses a connection again: see whether it has been closed. */
static int has_ended(Connection *connection) {
    char byte;
    return recv(connection->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || errno != EAGAIN;
}

static void begin_on_kept(void) {
    if (kept_count < kept_wanted) {
        begin_on_new(1);
        return;
    }
    for (int tries = 0; tries < kept_wanted; tries++) {
        Connection *connection = &all[kept[rand() % kept_count]];
        if (connection->state != IDLE) continue;
        if (has_ended(connection)) {
            closed_idle++;
            drop(connection);
            begin_on_new(1);
            return;
        }
        connection->number = numbers++;
        sent++;
        connection->began_s = now();
        send_request(connection);
        return;
    }
    held_back++;
}

/* -- how the response comes in */

static void take_response(Connection *connection, int has_end) {
    connection->data[connection->length] = 0;
    char *end = strstr(connection->data, "\r\n\r\n");
    if (!end) return;
    char *body = end + 4, *field = strcasestr(connection->data, "\r\ncontent-length:");
    size_t body_length = connection->length - (size_t)(body - connection->data);
    if (!field || field > end) {
        if (!has_end) return;
    } else if (body_length < (size_t)atol(field + 17)) {
        return;
    }
    char number[24], *worker = strcasestr(connection->data, "\r\nx-worker:");
    char *close_field = strcasestr(connection->data, "\r\nconnection: close");
    if (worker && worker < end) connection->worker = atol(worker + 11);
    int is_last = (close_field && close_field < end) || strncmp(connection->data, "HTTP/1.0", 8) == 0;
    int status = atoi(connection->data + 9);
    snprintf(number, sizeof number, "%ld", connection->number);
    Outcome outcome = status != 200 ? STATUS : strcmp(body, number) != 0 ? BODY : RIGHT;
    settle(connection, outcome, 0, status);
    connection->length = 0;
    connection->responses++;
    connection->state = IDLE;
    if (connection->is_kept && is_last) announced++;
    if (!connection->is_kept || is_last || has_end || outcome == BODY) drop(connection);
}

static void readable(Connection *connection) {
    ssize_t got = recv(connection->fd, connection->data + connection->length,
                       HEAD_BYTES - 1 - connection->length, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) return;
    int error = got < 0 ? errno : 0;
    if (connection->state == IDLE) {
        /* Bytes that nobody has asked for end it as well. */
        closed_idle++;
        drop(connection);
        return;
    }
    if (got > 0) {
        connection->length += (size_t)got;
        take_response(connection, 0);
        return;
    }
    /* A response without a length ends with its connection. */
    if (error == 0 && connection->length > 0) take_response(connection, 1);
    if (connection->state == WAITING) lose(connection, error);
}

static void ready(Connection *connection) {
    if (connection->state == FREE) return;
    if (connection->state != CONNECTING) {
        readable(connection);
        return;
    }
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) {
        not_connected(connection, error);
        return;
    }
    watch(connection, EPOLLIN, EPOLL_CTL_MOD);
    send_request(connection);
}

static int under_way(void) {
    int count = 0;
    for (int i = 0; i < MOST; i++) count += all[i].state == CONNECTING || all[i].state == WAITING;
    return count;
}

static void give_up_on(double before_s) {
    for (int i = 0; i < MOST; i++) {
        Connection *connection = &all[i];
        if (connection->began_s > before_s) continue;
        if (connection->state == CONNECTING) {
            not_connected(connection, ETIMEDOUT);
        } else if (connection->state == WAITING) {
            settle(connection, SILENT, 0, 0);
            drop(connection);
        }
    }
}

/* -- the whole */

typedef struct {
    double every_s, due_s;
    int catches_up; /* begins what it is late with, all at once */
} Timer;

static void begin_due(Timer *timer, void (*begin)(void)) {
    double at_s;
    while (timer->every_s > 0 && (at_s = now()) >= timer->due_s) {
        Tenth *of = tenth(at_s);
        if (at_s - timer->due_s > of->late_s) of->late_s = at_s - timer->due_s;
        begin();
        timer->due_s += timer->every_s;
        if (!timer->catches_up && timer->due_s < at_s) timer->due_s = at_s;
    }
}

static void begin_new(void) { begin_on_new(0); }

static void print(double ended_s) {
    printf("{\"sent\": %ld, \"began_s\": %.6f, \"ended_s\": %.6f, \"closed_idle\": %ld, \"announced\": %ld, "
           "\"held_back\": %ld, \"counts\": {",
           sent, began_s, ended_s, closed_idle, announced, held_back);
    for (int i = 0; i < OUTCOMES; i++) printf("%s\"%s\": %ld", i ? ", " : "", NAMES[i], counts[i]);
    printf("}, \"failures\": [");
    for (long i = 0; i < failure_count; i++) {
        Failure *of = &failures[i];
        printf("%s{\"outcome\": \"%s\", \"number\": %ld, \"is_kept\": %s, \"worker\": %ld, \"began_s\": %.6f, "
               "\"ended_s\": %.6f, \"bytes\": %zu, \"error\": %d, \"status\": %d}",
               i ? ", " : "", NAMES[of->outcome], of->number, of->is_kept ? "true" : "false", of->worker,
               of->began_s, of->ended_s, of->bytes, of->error, of->status);
    }
    printf("], \"tenths\": [");
    long last = tenth(ended_s) - tenths;
    for (long i = 0; i <= last; i++)
        printf("%s[%ld, %.6f, %.6f]", i ? ", " : "", tenths[i].right, tenths[i].longest_s, tenths[i].late_s);
    printf("]}\n");
}

int main(int argc, char **argv) {
    if (argc != 6) {
        fprintf(stderr, "usage: load PORT NEW_PER_S KEPT KEPT_PER_S PATIENCE_S\n");
        return 2;
    }
    double new_per_s = atof(argv[2]), kept_per_s = atof(argv[4]);
    port = atoi(argv[1]);
    kept_wanted = atoi(argv[3]);
    patience_s = atof(argv[5]);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max < MOST + 64 ? files.rlim_max : MOST + 64;
    setrlimit(RLIMIT_NOFILE, &files);
    int most = (int)files.rlim_cur - 32;
    for (int i = 0; i < MOST && i < most; i++) places[place_count++] = i;
    if ((poll_fd = epoll_create1(EPOLL_CLOEXEC)) < 0) die("epoll_create1");

    struct epoll_event events[256];
    struct pollfd input = {.fd = 0, .events = POLLIN};
    began_s = now();
    Timer of_new = {new_per_s > 0 ? 1 / new_per_s : 0, began_s, 1};
    /* All at once would want more connections than are kept. */
    Timer of_kept = {kept_per_s > 0 ? 1 / kept_per_s : 0, began_s, 0};
    double look_s = began_s, ends_s = 0;
    while (!ends_s || under_way()) {
        if (!ends_s) {
            begin_due(&of_new, begin_new);
            begin_due(&of_kept, begin_on_kept);
        }
        int count = epoll_wait(poll_fd, events, 256, 1);
        if (count < 0 && errno != EINTR) die("epoll_wait");
        for (int i = 0; i < count; i++) ready(events[i].data.ptr);
        double at_s = now();
        if (at_s < look_s) continue;
        look_s = at_s + 0.02;
        give_up_on(at_s - patience_s);
        if (!ends_s && poll(&input, 1, 0) > 0) ends_s = at_s;
    }
    print(ends_s);
    return 0;
}
