/**
 * The list of what a hostile task tries (security.md 4.2), and where each attempt must succeed, so that the list is
 * known to test something: `plain` is `docker run` with nothing set, `host` shares the host's network and processes,
 * `privileged` has the capabilities that a container needs to be dangerous, no seccomp list and no masked paths.
 */

export type Control = 'plain' | 'host' | 'privileged'

export type Probe = {
  number: number
  title: string
  /** A line of shell that succeeds where the attack does; or the name that probe.c prints. */
  shell?: string
  native?: string
  open?: Control
}

/** In pieces, so that the size of the place decides and not a limit on one file. */
const big = (path: string, mib: number) =>
  `for i in $(seq ${mib}); do dd if=/dev/zero of=${path}$i bs=1M count=1 2>/dev/null || exit 1; done`

export const PROBES: readonly Probe[] = [
  {
    number: 1,
    title: 'TCP to another machine',
    shell: 'nc -w 2 $NEIGHBOUR 8080 </dev/null',
    open: 'plain',
  },
  { number: 1, title: 'TCP to another machine, by system call', native: 'lan-tcp', open: 'plain' },
  { number: 2, title: 'UDP to another machine', native: 'lan-udp', open: 'plain' },
  { number: 3, title: 'the metadata address', native: 'metadata' },
  { number: 4, title: 'a public address', native: 'public-tcp' },
  { number: 4, title: 'any route at all', shell: 'ip route | grep -q .', open: 'plain' },
  { number: 5, title: 'ICMP echo', shell: 'ping -c 1 -W 2 $NEIGHBOUR >/dev/null', open: 'plain' },
  { number: 5, title: 'ICMP echo, by system call', native: 'icmp-echo', open: 'plain' },
  { number: 6, title: 'DNS by the embedded resolver', native: 'embedded-dns' },
  { number: 7, title: 'DNS straight to a public server', native: 'public-udp', open: 'plain' },
  { number: 8, title: 'the bridge gateway on a port of the node', native: 'gateway-api', open: 'plain' },
  {
    number: 9,
    title: 'any gateway: there is no interface but loopback',
    shell: 'ls /sys/class/net | grep -qv "^lo$"',
    open: 'plain',
  },
  { number: 10, title: "the host's own address", shell: 'nc -w 2 $GATEWAY $API_PORT </dev/null', open: 'plain' },
  { number: 11, title: "the host's loopback", native: 'host-loopback', open: 'host' },
  { number: 12, title: "another task's port", shell: 'nc -w 2 $OTHER_TASK 8080 </dev/null' },
  { number: 12, title: 'another task by name', shell: 'nslookup neighbour | grep -q "^Name:"' },
  { number: 13, title: "a port of the sidecar's", native: 'loopback-ports' },
  { number: 14, title: 'an IPv6 link-local address', native: 'ipv6-link-local' },
  { number: 15, title: 'an IPv6 global address', native: 'ipv6-global' },
  { number: 16, title: 'a raw socket', native: 'raw', open: 'plain' },
  { number: 16, title: 'a packet socket', native: 'packet', open: 'plain' },
  { number: 17, title: 'AF_VSOCK', native: 'vsock', open: 'privileged' },
  { number: 18, title: 'an abstract unix socket of the host', native: 'abstract-socket', open: 'host' },
  {
    number: 19,
    title: "an engine's socket",
    shell: 'ls /var/run/docker.sock /run/docker.sock /run/containerd/containerd.sock 2>/dev/null | grep -q sock',
  },
  { number: 20, title: "the engine's TCP port", native: 'engine-tcp' },
  {
    number: 22,
    title: 'any capability, effective or in reach',
    shell: 'grep -E "Cap(Eff|Prm|Bnd|Inh|Amb)" /proc/self/status | grep -qv "0000000000000000"',
    open: 'plain',
  },
  { number: 23, title: 'a new user namespace', shell: 'unshare -U true', open: 'privileged' },
  { number: 23, title: 'a new user namespace, by unshare and by clone', native: 'user-namespace', open: 'privileged' },
  { number: 23, title: 'a new user namespace by clone', native: 'clone-namespace', open: 'privileged' },
  { number: 24, title: 'a mount namespace', native: 'mount-namespace', open: 'privileged' },
  { number: 24, title: 'mounting a tmpfs', native: 'mount', open: 'privileged' },
  { number: 24, title: 'mounting proc', shell: 'mkdir -p /tmp/p && mount -t proc p /tmp/p', open: 'privileged' },
  {
    number: 25,
    title: 'remounting the root writable',
    shell: 'mount -o remount,rw / && touch /written',
    open: 'privileged',
  },
  {
    number: 26,
    title: 'a masked path',
    shell: 'umount /proc/timer_list || grep -q . /proc/timer_list',
    open: 'privileged',
  },
  { number: 27, title: 'pivot_root', native: 'pivot-root', open: 'privileged' },
  { number: 27, title: 'chroot', shell: 'chroot / true', open: 'plain' },
  {
    number: 28,
    title:
      'mknod of a device of the host, and reading it (the kernel log, where a disk may be out of reach for anybody)',
    shell: 'mknod /tmp/kmsg c 1 11 && head -c 1 /tmp/kmsg | grep -q .',
    open: 'privileged',
  },
  { number: 28, title: 'mknod of a block device', native: 'mknod-block', open: 'plain' },
  { number: 28, title: 'mknod of a character device', native: 'mknod-char', open: 'plain' },
  {
    number: 29,
    title: 'a device node that the image carries',
    shell: 'head -c 1 /image-device | grep -q .',
    open: 'privileged',
  },
  { number: 30, title: 'name_to_handle_at', native: 'name-to-handle', open: 'privileged' },
  { number: 30, title: 'open_by_handle_at', native: 'open-by-handle', open: 'privileged' },
  { number: 31, title: 'bpf', native: 'bpf', open: 'privileged' },
  { number: 32, title: 'perf_event_open', native: 'perf', open: 'privileged' },
  { number: 33, title: 'userfaultfd', native: 'userfaultfd', open: 'privileged' },
  { number: 34, title: 'io_uring', native: 'io-uring', open: 'privileged' },
  { number: 35, title: "the host's keyring", native: 'keyring', open: 'privileged' },
  { number: 35, title: 'adding a key', native: 'add-key', open: 'privileged' },
  { number: 36, title: 'ptrace', native: 'ptrace', open: 'plain' },
  { number: 36, title: 'process_vm_readv', native: 'vm-read', open: 'privileged' },
  { number: 37, title: 'unloading a module', native: 'module' },
  { number: 37, title: 'reboot', native: 'reboot', open: 'privileged' },
  { number: 37, title: 'swapoff', native: 'swap', open: 'privileged' },
  { number: 38, title: 'setting the host name', native: 'hostname', open: 'privileged' },
  { number: 39, title: 'the kernel log', native: 'kernel-log', open: 'privileged' },
  { number: 40, title: 'iopl', native: 'iopl' },
  { number: 41, title: 'setns', native: 'setns', open: 'privileged' },
  { number: 42, title: 'AF_ALG', native: 'alg' },
  { number: 42, title: 'Bluetooth', native: 'bluetooth' },
  { number: 42, title: 'TIPC', native: 'tipc' },
  { number: 43, title: 'netlink to netfilter', native: 'netlink-netfilter', open: 'plain' },
  { number: 43, title: 'netlink to audit', native: 'netlink-audit', open: 'plain' },
  { number: 44, title: 'writing the root file system', shell: 'touch /written', open: 'plain' },
  {
    number: 44,
    title: "writing the host's files behind /etc/hosts and /etc/resolv.conf",
    shell: 'echo "# x" >> /etc/hosts || echo "# x" >> /etc/resolv.conf',
    open: 'plain',
  },
  {
    number: 46,
    title: 'core_pattern',
    shell: 'cat /proc/sys/kernel/core_pattern > /proc/sys/kernel/core_pattern',
    open: 'privileged',
  },
  {
    number: 47,
    title: 'the limits of its cgroup',
    shell:
      'for f in /sys/fs/cgroup/cgroup.procs /sys/fs/cgroup/*/cgroup.procs; do mount -o remount,rw ${f%/*}; echo $$ > $f && exit 0; done; exit 1',
    open: 'privileged',
  },
  { number: 48, title: 'kcore', shell: 'head -c 4 /proc/kcore | grep -q ELF' },
  {
    number: 49,
    title: 'a mount of the disk of the host other than the three network files',
    shell:
      'grep -E "^[0-9]+ [0-9]+ [1-9][0-9]*:" /proc/self/mountinfo | grep -qvE " /etc/(hosts|hostname|resolv.conf) "',
    open: 'plain',
  },
  { number: 51, title: "the host's processes", shell: '[ $(ls /proc | grep -c "^[0-9]") -gt 12 ]', open: 'host' },
  {
    number: 52,
    title: 'block devices, kvm, fuse, tun',
    shell: 'ls -l /dev | grep -q "^b" || ls /dev/kvm /dev/fuse /dev/net/tun 2>/dev/null | grep -q .',
  },
  {
    number: 53,
    title: "the host's secrets in environment or command line",
    shell: 'cat /proc/*/environ /proc/*/cmdline 2>/dev/null | tr "\\0" "\\n" | grep -q "canary-of-the-[h]ost"',
  },
  {
    number: 54,
    title: "the host's name",
    shell: '[ "$(hostname)" = "$HOST_NAME" ] || grep -qw "$HOST_NAME" /etc/hosts /etc/hostname',
    open: 'host',
  },
  {
    number: 55,
    title: 'more than 64 processes',
    shell: 'for i in $(seq 100); do sleep 2 & done; [ $(ls /proc | grep -c "^[0-9]") -gt 80 ]',
    open: 'plain',
  },
  {
    number: 56,
    title: 'more memory than it has',
    shell: 'dd if=/dev/zero of=/dev/null bs=300M count=1 2>/dev/null',
    open: 'plain',
  },
  { number: 57, title: 'more scratch space than it has', shell: big('/tmp/big', 16), open: 'plain' },
  {
    number: 58,
    title: 'more files than it has',
    shell: 'mkdir /tmp/many && cd /tmp/many && i=0; while [ $i -lt 66000 ]; do : > $i || exit 1; i=$((i+1)); done',
  },
  { number: 59, title: 'more open files than 4096', shell: '[ $(ulimit -n) -gt 4096 ]', open: 'plain' },
  { number: 60, title: "the host's disk through a volume of the image", shell: big('/data/big', 16), open: 'plain' },
  {
    number: 64,
    title: 'more shared memory than 64 MiB',
    shell: big('/dev/shm/big', 65),
  },
  { number: 65, title: 'core dumps', shell: '[ "$(ulimit -c)" != 0 ]' },
  { number: 66, title: 'a lower score for the out-of-memory killer', native: 'oom-score' },
]
