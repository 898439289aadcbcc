/*
 * Runs a program as systemd runs a service, with the restrictions that need only the kernel.
 *   confine [OPTION VALUE]... -- PROGRAM [ARGUMENT]...
 *     --cgroup DIRECTORY     joins this control group
 *     --writable DIRECTORY   all else is read-only, as by ProtectSystem=strict; private /tmp; of /proc only the own processes
 *     --devices DIRECTORY    shows this folder's devices in /dev/xen
 *     --memlock BYTES        LimitMEMLOCK
 *     --nofile COUNT         LimitNOFILE
 *     --umask OCTAL          UMask
 *     --group NUMBER         SupplementaryGroups
 *     --listen PATH          passes a socket that listens there, mode 0660, as a socket unit does
 * Always: no capability in any set, no way to get one (NoNewPrivileges), only descriptors 0 to 2 and the socket.
 */
#define _GNU_SOURCE
#include <err.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define FIRST_FD 3

static void must(int failed, const char *what)
{
    if (failed)
        err(126, "confine: %s", what);
}

static void join(const char *cgroup)
{
    char path[4096];
    FILE *procs;

    snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
    procs = fopen(path, "w");
    must(!procs || fprintf(procs, "%d\n", getpid()) < 0 || fclose(procs) != 0, path);
}

/* Private mounts, invisible outside. */
static void own_mounts(void)
{
    static int done;

    if (done++)
        return;
    must(unshare(CLONE_NEWNS), "unshare");
    must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "private mounts");
}

static void protect(const char *writable)
{
    static const char *const read_only[] = {"/", "/run"};

    own_mounts();
    must(mount("tmpfs", "/tmp", "tmpfs", 0, NULL), "private /tmp");
    must(mount("proc", "/proc", "proc", 0, "subset=pid,hidepid=invisible"), "/proc");
    must(mount(writable, writable, NULL, MS_BIND, NULL), writable);
    for (size_t i = 0; i < sizeof(read_only) / sizeof(*read_only); i++)
        must(mount(NULL, read_only[i], NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL), read_only[i]);
}

static void limit(int resource, const char *value)
{
    struct rlimit both = {strtoul(value, NULL, 10), strtoul(value, NULL, 10)};

    must(setrlimit(resource, &both), "setrlimit");
}

static void add_group(const char *number)
{
    gid_t gid = strtoul(number, NULL, 10);

    must(setgroups(1, &gid), "setgroups");
}

static int listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
    must(fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) || chmod(path, 0660) || listen(fd, 1024), path);
    return fd;
}

static void drop_capabilities(void)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct none[2];

    memset(none, 0, sizeof(none));
    must(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), "ambient capabilities");
    for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++)
        must(prctl(PR_CAPBSET_DROP, capability, 0, 0, 0), "capability bounding set");
    must(syscall(SYS_capset, &header, none), "capset");
    must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
}

/* Moves it to the first descriptor after the standard ones, and closes all others. */
static void hand_over(int socket)
{
    char pid[16];

    if (socket >= 0) {
        must(dup2(socket, FIRST_FD) < 0, "dup2");
        snprintf(pid, sizeof(pid), "%d", getpid());
        setenv("LISTEN_PID", pid, 1);
        setenv("LISTEN_FDS", "1", 1);
    }
    must(syscall(SYS_close_range, socket >= 0 ? FIRST_FD + 1 : FIRST_FD, ~0U, 0), "close_range");
}

int main(int argc, char **argv)
{
    int socket = -1;
    int at = 1;

    for (; at + 1 < argc && strcmp(argv[at], "--") != 0; at += 2) {
        const char *option = argv[at], *value = argv[at + 1];

        if (strcmp(option, "--cgroup") == 0)
            join(value);
        else if (strcmp(option, "--devices") == 0) {
            own_mounts();
            must(mount(value, "/dev/xen", NULL, MS_BIND, NULL), value);
        } else if (strcmp(option, "--listen") == 0)
            socket = listen_at(value);
        else if (strcmp(option, "--writable") == 0)
            protect(value);
        else if (strcmp(option, "--memlock") == 0)
            limit(RLIMIT_MEMLOCK, value);
        else if (strcmp(option, "--nofile") == 0)
            limit(RLIMIT_NOFILE, value);
        else if (strcmp(option, "--group") == 0)
            add_group(value);
        else if (strcmp(option, "--umask") == 0)
            umask(strtoul(value, NULL, 8));
        else
            errx(126, "no such option: %s", option);
    }
    if (at + 1 >= argc)
        errx(126, "usage: confine [OPTION VALUE]... -- PROGRAM [ARGUMENT]...");
    drop_capabilities();
    hand_over(socket);
    execvp(argv[at + 1], argv + at + 1);
    err(127, "confine: %s", argv[at + 1]);
}
