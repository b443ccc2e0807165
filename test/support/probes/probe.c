/*
 * What a hostile task would try with system calls of its own, one attempt per line of output:
 * `<name> open` where it worked, `<name> closed <errno>` where it did not. Nothing here can do harm where it works:
 * arguments are invalid on purpose after the point where permission is checked.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static void say(const char *name, long result) {
  if (result >= 0) printf("%s open\n", name);
  else printf("%s closed %d\n", name, errno);
  fflush(stdout);
}

static void family(const char *name, int domain, int type, int protocol) {
  int fd = socket(domain, type, protocol);
  say(name, fd);
  if (fd >= 0) close(fd);
}

static int tcp(const char *address, int port) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
  inet_pton(AF_INET, address, &to.sin_addr);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  struct timeval limit = {.tv_sec = 2};
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  int result = connect(fd, (struct sockaddr *)&to, sizeof to), error = errno;
  close(fd);
  errno = error;
  return result;
}

static long udp(const char *address, int port) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
  inet_pton(AF_INET, address, &to.sin_addr);
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  long result = sendto(fd, "meca", 4, 0, (struct sockaddr *)&to, sizeof to);
  int error = errno;
  close(fd);
  errno = error;
  return result;
}

static int tcp6(const char *address, int port, int scope) {
  struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_scope_id = scope};
  inet_pton(AF_INET6, address, &to.sin6_addr);
  int fd = socket(AF_INET6, SOCK_STREAM, 0);
  struct timeval limit = {.tv_sec = 2};
  if (fd < 0) return -1;
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  int result = connect(fd, (struct sockaddr *)&to, sizeof to), error = errno;
  close(fd);
  errno = error;
  return result;
}

static long icmp(const char *address) {
  struct sockaddr_in to = {.sin_family = AF_INET};
  inet_pton(AF_INET, address, &to.sin_addr);
  unsigned char echo[8] = {8, 0, 0xf7, 0xff};
  int fd = socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
  if (fd < 0) fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
  return fd < 0 ? -1 : sendto(fd, echo, sizeof echo, 0, (struct sockaddr *)&to, sizeof to);
}

static int abstract(const char *name) {
  struct sockaddr_un to = {.sun_family = AF_UNIX};
  strncpy(to.sun_path + 1, name, sizeof to.sun_path - 2);
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  return connect(fd, (struct sockaddr *)&to, sizeof(sa_family_t) + 1 + strlen(name));
}

/* Counts what listens on this namespace's loopback. The source port is fixed: a socket could else meet itself. */
static void loopback_ports(void) {
  int found = 0, yes = 1;
  for (int port = 2; port < 65536; port++) {
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_port = htons(1)}, to = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    bind(fd, (struct sockaddr *)&from, sizeof from);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0) {
      found++;
      printf("listening on %d\n", port);
    }
    close(fd);
  }
  errno = 0;
  say("loopback-ports", found > 0 ? found : -1);
}

static int in_child(int (*attempt)(void)) {
  pid_t child = fork();
  if (child == 0) {
    int result = attempt();
    _exit(result < 0 ? (errno == 0 ? 255 : errno) : 0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  errno = WIFEXITED(status) ? WEXITSTATUS(status) : 254;
  return errno == 0 ? 0 : -1;
}

static int user_namespace(void) { return unshare(CLONE_NEWUSER); }
static int mount_namespace(void) { return unshare(CLONE_NEWNS); }
static int clone_namespace(void) { return (int)syscall(SYS_clone, CLONE_NEWUSER | 17, 0, 0, 0, 0); }
static int mount_tmpfs(void) { return mount("none", "/tmp", "tmpfs", 0, ""); }
static int change_root(void) { return chroot("/"); }
static int trace_child(void) {
  pid_t child = fork();
  if (child == 0) {
    pause();
    _exit(0);
  }
  int result = (int)ptrace(PTRACE_ATTACH, child, 0, 0), error = errno;
  kill(child, 9);
  errno = error;
  return result;
}
static int become_root(void) { return setresuid(0, 0, 0) == 0 && geteuid() == 0 ? 0 : -1; }

/* Permission is checked before arguments: EPERM (or ENOSYS) is closed, a complaint about arguments is open. */
static void checked(const char *name, long result) {
  if (result < 0 && errno != EPERM && errno != EACCES && errno != ENOSYS) result = 0;
  say(name, result);
}

int main(int argc, char **argv) {
  const char *gateway = getenv("GATEWAY"), *neighbour = getenv("NEIGHBOUR"), *name = getenv("ABSTRACT");
  if (argc > 1) {
    say("setuid-file", become_root());
    return 0;
  }
  int api = atoi(getenv("API_PORT")), loop = atoi(getenv("LOOPBACK_PORT"));
  say("lan-tcp", tcp(neighbour, 8080));
  say("lan-udp", udp(neighbour, 5353));
  say("metadata", tcp("169.254.169.254", 80));
  say("public-tcp", tcp("192.0.2.1", 80));
  say("public-udp", udp("192.0.2.1", 53));
  say("embedded-dns", tcp("127.0.0.11", 53));
  say("gateway-api", tcp(gateway, api));
  say("engine-tcp", tcp(gateway, 2375));
  say("host-loopback", tcp("127.0.0.1", loop));
  say("ipv6-link-local", tcp6("fe80::1", api, 2));
  say("ipv6-global", tcp6("2001:db8::1", 80, 0));
  say("icmp-echo", icmp(neighbour));
  family("raw", AF_INET, SOCK_RAW, IPPROTO_ICMP);
  family("packet", AF_PACKET, SOCK_RAW, 0);
  family("vsock", AF_VSOCK, SOCK_STREAM, 0);
  family("alg", 38, SOCK_SEQPACKET, 0);
  family("netlink-netfilter", AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
  family("netlink-audit", AF_NETLINK, SOCK_RAW, NETLINK_AUDIT);
  family("bluetooth", 31, SOCK_RAW, 0);
  family("tipc", 30, SOCK_RDM, 0);
  say("abstract-socket", abstract(name));
  if (getenv("SCAN") != NULL) loopback_ports();
  say("user-namespace", in_child(user_namespace));
  say("clone-namespace", in_child(clone_namespace));
  say("mount-namespace", in_child(mount_namespace));
  say("mount", in_child(mount_tmpfs));
  checked("pivot-root", syscall(SYS_pivot_root, "/no/such", "/no/such"));
  say("chroot", in_child(change_root));
  say("ptrace", in_child(trace_child));
  char buffer[64];
  struct { void *base; size_t length; } vector = {buffer, sizeof buffer};
  say("vm-read", syscall(SYS_process_vm_readv, getpid(), &vector, 1, &vector, 1, 0));
  char handle[128] = {0};
  *(unsigned *)handle = 64;
  int mount_id;
  checked("name-to-handle", syscall(SYS_name_to_handle_at, AT_FDCWD, "/", handle, &mount_id, 0));
  checked("open-by-handle", syscall(SYS_open_by_handle_at, AT_FDCWD, handle, O_RDONLY));
  checked("bpf", syscall(SYS_bpf, 0, 0, 0));
  checked("perf", syscall(SYS_perf_event_open, 0, 0, -1, -1, 0));
  checked("userfaultfd", syscall(SYS_userfaultfd, 1));
  checked("io-uring", syscall(SYS_io_uring_setup, 1, 0));
  checked("keyring", syscall(SYS_keyctl, 0, -3, 0));
  checked("add-key", syscall(SYS_add_key, "user", "meca", "x", 1, -3));
  checked("module", syscall(SYS_delete_module, "meca_no_such_module", 0));
  checked("reboot", syscall(SYS_reboot, 0, 0, 0, 0));
  checked("hostname", sethostname("", 0));
  checked("swap", syscall(SYS_swapoff, "/no/such/file"));
  checked("kernel-log", klogctl(10, 0, 0));
  checked("iopl", iopl(3));
  checked("setns", syscall(SYS_setns, open("/proc/self/ns/uts", O_RDONLY), 0));
  checked("mknod-block", mknod("/tmp/disk", S_IFBLK | 0600, (254 << 8) | 0));
  checked("mknod-char", mknod("/tmp/mem", S_IFCHR | 0600, (1 << 8) | 1));
  checked("oom-score", write(open("/proc/self/oom_score_adj", O_WRONLY), "-1000", 5));
  return 0;
}
