/* The limit: one epoll loop that sends a canned response to whatever it reads, and does nothing
 * else. What a server spends beyond this is its own doing; what is below it is the kernel's.
 *
 * usage: epoll_limit PORT BODY_BYTES|chunked
 *
 * It relies on what the load generator does: one request at a time, each in one segment. A request
 * that says "Connection: close" is served and closed. */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_FDS = 65536, READ_BYTES = 16384, BLOCKS = 20, BLOCK_BYTES = 100 };

static char *reply[2]; /* [0] keep-alive, [1] with Connection: close */
static size_t reply_length[2];
static size_t unsent[MAX_FDS]; /* bytes of the reply still to send, per connection */

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void make_replies(const char *body) {
    for (int closing = 0; closing < 2; closing++) {
        const char *connection = closing ? "Connection: close\r\n" : "";
        int chunked = strcmp(body, "chunked") == 0;
        size_t size = chunked ? BLOCKS * (BLOCK_BYTES + 8) + 8 : strtoul(body, NULL, 10);
        char *text = malloc(size + 512);
        if (!text) die("malloc");
        int head = sprintf(text,
            "HTTP/1.1 200 OK\r\nServer: limit\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
            "Content-Type: text/plain\r\n%s", connection);
        if (chunked) {
            head += sprintf(text + head, "Transfer-Encoding: chunked\r\n\r\n");
            for (int i = 0; i < BLOCKS; i++) {
                head += sprintf(text + head, "64\r\n");
                memset(text + head, 'x', BLOCK_BYTES - 1);
                text[head + BLOCK_BYTES - 1] = '\n';
                head += BLOCK_BYTES;
                head += sprintf(text + head, "\r\n");
            }
            head += sprintf(text + head, "0\r\n\r\n");
            reply_length[closing] = (size_t)head;
        } else {
            head += sprintf(text + head, "Content-Length: %zu\r\n\r\n", size);
            memset(text + head, 'x', size);
            if (size == 13) memcpy(text + head, "Hello, World!", 13);
            reply_length[closing] = (size_t)head + size;
        }
        reply[closing] = text;
    }
}

static void send_reply(int poll, int fd, int closing) {
    while (unsent[fd] > 0) {
        ssize_t sent = send(fd, reply[closing] + reply_length[closing] - unsent[fd], unsent[fd], MSG_NOSIGNAL);
        if (sent < 0) {
            struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.fd = fd};
            if (errno == EAGAIN) epoll_ctl(poll, EPOLL_CTL_MOD, fd, &event);
            else close(fd);
            return;
        }
        unsent[fd] -= (size_t)sent;
    }
    if (closing) close(fd);
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: epoll_limit PORT BODY_BYTES|chunked\n");
        return 2;
    }
    make_replies(argv[2]);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[1])),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0) die("bind");
    if (listen(listener, 4096) < 0) die("listen");
    int poll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[256];
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
    static char request[READ_BYTES];
    for (;;) {
        int ready = epoll_wait(poll, events, 256, -1);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                int accepted = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
                if (accepted < 0) continue;
                if (accepted >= MAX_FDS) { close(accepted); continue; }
                setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                unsent[accepted] = 0;
                event.events = EPOLLIN;
                event.data.fd = accepted;
                epoll_ctl(poll, EPOLL_CTL_ADD, accepted, &event);
                continue;
            }
            if (events[i].events & EPOLLOUT) {
                event.events = EPOLLIN;
                event.data.fd = fd;
                epoll_ctl(poll, EPOLL_CTL_MOD, fd, &event);
                send_reply(poll, fd, 0);
                continue;
            }
            ssize_t got = recv(fd, request, READ_BYTES, 0);
            if (got < 0 && errno == EAGAIN) continue;
            if (got <= 0) { close(fd); continue; }
            int closing = memmem(request, (size_t)got, "Connection: close", 17) != NULL;
            unsent[fd] = reply_length[closing];
            send_reply(poll, fd, closing);
        }
    }
}
