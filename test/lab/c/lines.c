/*
 * A client of a Unix socket that knows no protocol.
 *   lines PATH       sends stdin unchanged, half-closes, and prints the reply until the other side closes
 */
#include <err.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void copy(int from, int to)
{
    char chunk[65536];
    ssize_t got;

    while ((got = read(from, chunk, sizeof(chunk))) > 0)
        for (ssize_t at = 0, put; at < got; at += put)
            if ((put = write(to, chunk + at, got - at)) < 0)
                err(1, "write");
    if (got < 0)
        err(1, "read");
}

int main(int argc, char **argv)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    if (argc != 2)
        errx(2, "usage: lines PATH");
    strncpy(address.sun_path, argv[1], sizeof(address.sun_path) - 1);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        err(1, "%s", argv[1]);
    copy(STDIN_FILENO, fd);
    shutdown(fd, SHUT_WR);
    copy(fd, STDOUT_FILENO);
    return 0;
}
