/* Sends prepared HTTP bodies as fast as the server answers, at next to no cost: one thread and one connection a file.
 *
 *     cc -O2 -pthread -o sender sender.c
 *     sender PORT PATH HEADERS FILE...
 *
 * The server is on 127.0.0.1. HEADERS are whole lines, each ending in CRLF. A file holds bodies one behind the other,
 * each after its size (four bytes, little-endian); its connection sends them in that order, each once, and waits for an
 * answer before the next. 429 and 503 are asked again after 50 ms; any other answer but 2xx ends the program with 1.
 * Prints "requests retries seconds", the seconds from the first byte sent to the last answer.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static int port;
static const char *path, *headers;

struct lane {
    const char *file;
    const unsigned char *data;
    size_t size, requests, retries;
    pthread_t thread;
};

static void fail(const char *file, const char *what) {
    fprintf(stderr, "%s: %s\n", file, what);
    exit(1);
}

static void map(struct lane *lane) {
    struct stat about;
    int fd = open(lane->file, O_RDONLY);
    if (fd < 0 || fstat(fd, &about) < 0)
        fail(lane->file, "cannot be read");
    lane->size = about.st_size;
    if (lane->size) {
        lane->data = mmap(NULL, lane->size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
        if (lane->data == MAP_FAILED)
            fail(lane->file, "cannot be mapped");
    }
    close(fd);
}

static int dial(const char *file) {
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(port)};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&server, sizeof server) < 0)
        fail(file, "cannot connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static void post(int fd, const char *file, const unsigned char *body, size_t size) {
    char head[4096];
    int length = snprintf(head, sizeof head, "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%sContent-Length: %zu\r\n\r\n",
                          path, port, headers, size);
    struct iovec parts[2] = {{head, length}, {(void *)body, size}};
    if (length >= (int)sizeof head)
        fail(file, "the headers are too long");
    while (parts[0].iov_len + parts[1].iov_len) {
        ssize_t sent = writev(fd, parts, 2);
        if (sent < 0)
            fail(file, "the connection broke while sending");
        for (int i = 0; i < 2; i++) {
            size_t part = (size_t)sent < parts[i].iov_len ? (size_t)sent : parts[i].iov_len;
            parts[i].iov_base = (char *)parts[i].iov_base + part;
            parts[i].iov_len -= part;
            sent -= part;
        }
    }
}

/* Reads one whole answer and gives its status. */
static int answer(int fd, const char *file) {
    char text[65536];
    size_t got = 0, whole = 0;
    int status = 0;
    while (!whole || got < whole) {
        ssize_t more = got < sizeof text - 1 ? read(fd, text + got, sizeof text - 1 - got) : 0;
        if (more <= 0)
            fail(file, "the answer ended early, or is too long");
        text[got += more] = 0;
        char *end = strstr(text, "\r\n\r\n");
        if (whole || !end)
            continue;
        char *length = strcasestr(text, "\r\ncontent-length:");
        if (sscanf(text, "HTTP/1.1 %d", &status) != 1)
            fail(file, "the answer is not HTTP/1.1");
        if (status != 204 && (!length || length > end))
            fail(file, "the answer has no length");
        whole = end + 4 - text + (status == 204 ? 0 : strtoul(length + 17, NULL, 10));
    }
    if (got > whole)
        fail(file, "the answer is longer than it says");
    if (status / 100 != 2 && status != 429 && status != 503)
        fail(file, text);
    return status;
}

static void *send_all(void *argument) {
    struct lane *lane = argument;
    struct timespec pause = {0, 50000000};
    int fd = dial(lane->file);
    for (size_t at = 0; at < lane->size;) {
        uint32_t size;
        if (lane->size - at < 4)
            fail(lane->file, "the file ends within a size");
        memcpy(&size, lane->data + at, 4);
        if (size > lane->size - at - 4)
            fail(lane->file, "the file ends within a body");
        for (;;) {
            post(fd, lane->file, lane->data + at + 4, size);
            if (answer(fd, lane->file) / 100 == 2)
                break;
            lane->retries++;
            nanosleep(&pause, NULL);
        }
        lane->requests++;
        at += 4 + size;
    }
    close(fd);
    return NULL;
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

int main(int count, char **arguments) {
    if (count < 5)
        fail("sender", "PORT PATH HEADERS FILE... are needed");
    port = atoi(arguments[1]), path = arguments[2], headers = arguments[3];
    int number = count - 4;
    signal(SIGPIPE, SIG_IGN); /* writev tells it better */
    struct lane *lanes = calloc(number, sizeof *lanes);
    for (int i = 0; i < number; i++) {
        lanes[i].file = arguments[4 + i];
        map(&lanes[i]);
    }
    double started = now();
    size_t requests = 0, retries = 0;
    for (int i = 0; i < number; i++)
        if (pthread_create(&lanes[i].thread, NULL, send_all, &lanes[i]))
            fail(lanes[i].file, "no thread");
    for (int i = 0; i < number; i++) {
        pthread_join(lanes[i].thread, NULL);
        requests += lanes[i].requests, retries += lanes[i].retries;
    }
    printf("%zu %zu %.6f\n", requests, retries, now() - started);
    return 0;
}
