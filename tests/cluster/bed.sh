# shellcheck shell=bash disable=SC2016 # what stands in single quotes expands on a node
# What `up`, `down` and `fault` share: where the test bed lies, what it is called, how one gets into a node.
# A node is an overlay of this machine's root on a disk of its own, in namespaces of its own (mounts, processes,
# host name, network). Killing its first process therefore ends all that runs there and unmounts all that it mounted.

prefix=${SPARK_CLUSTER_PREFIX:-sparktest}
management=${SPARK_CLUSTER_MANAGEMENT:-10.77.0}
fabric=${SPARK_CLUSTER_FABRIC:-192.168.177}
disk_size=${SPARK_CLUSTER_DISK:-8G}
nodes=(n1 n2 n3 n4)
podman_node=n4
# Interfaces are called as a Spark calls them.
management_interface=enP7s7
fabric_interface=enp1s0f0np0
# What a switch takes. A node's own MTU is 1500, as its maker leaves it.
switch_mtu=9000

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
target=${CARGO_TARGET_DIR:-$here/../../target}
# Two test beds, two folders.
state=$(realpath -m "${SPARK_CLUSTER_STATE:-$target/cluster${SPARK_CLUSTER_PREFIX:+-$SPARK_CLUSTER_PREFIX}}")
cache=$(realpath -m "${SPARKTUNE_CACHE:-$target/spark-cache}/cluster")
# Short, because a socket's path may have 107 bytes.
runtime=/run/$prefix
switch=$prefix-switch

node_path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

refuse() {
  printf 'error: %s\n' "$2" >&2
  exit "$1"
}

# An interface's name has 15 bytes, and `-mgmt` comes behind the prefix.
[[ $prefix =~ ^[a-z][a-z0-9]{0,9}$ ]] ||
  refuse 2 "SPARK_CLUSTER_PREFIX is \`$prefix\`: at most ten lower-case letters and digits, a letter first"
byte='(25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])'
for subnet in "SPARK_CLUSTER_MANAGEMENT $management" "SPARK_CLUSTER_FABRIC $fabric"; do
  [[ ${subnet#* } =~ ^($byte\.){2}$byte$ ]] ||
    refuse 2 "${subnet% *} is \`${subnet#* }\`: the first three numbers of an IPv4 subnet, like 10.77.0"
done
[ "$management" != "$fabric" ] || refuse 2 "SPARK_CLUSTER_MANAGEMENT and SPARK_CLUSTER_FABRIC are the same subnet"

# The images alone take a third of a gigabyte on the node with two engines.
[[ $disk_size =~ ^[1-9][0-9]{0,3}G$ ]] ||
  refuse 2 "SPARK_CLUSTER_DISK is \`$disk_size\`: gigabytes, from 1G on"

# One at a time, whoever starts it: the names are the machine's.
lock() {
  # Who waited for one that `down` removed in the end takes the new one.
  until [ "/run/$prefix.lock" -ef /proc/self/fd/9 ]; do
    exec 9>"/run/$prefix.lock"
    flock -w 300 9 || refuse 3 "another \`up\` or \`down\` of \`$prefix\` has held /run/$prefix.lock for 5 minutes"
  done
}

# When a process started, in ticks since boot; fails where it is gone or waits to be buried.
started() {
  local fields
  fields=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  read -ra fields <<<"${fields##*) }"
  [ "${fields[0]}" != Z ] && printf '%s' "${fields[19]}"
}

# What tells a process from a later one that got its number.
identity() {
  printf '%s %s %s' "$1" "$(started "$1")" "$(</proc/sys/kernel/random/boot_id)"
}

# The number of a node's first process; fails where the node is not up.
first_process() {
  local pid rest
  read -r pid rest 2>/dev/null <"$runtime/$1/first" || return 1
  [ "$(identity "$pid")" = "$pid $rest" ] && printf '%s' "$pid"
}

# Runs a program on a node, with nothing of the caller's environment.
inside() {
  local node=$1 pid
  shift
  pid=$(first_process "$node") || refuse 3 "node $node is not up: tests/cluster/up"
  nsenter --target "$pid" --mount --uts --net --pid -- \
    env -i PATH="$node_path" HOME=/root LANG=C.UTF-8 "$@" 9>&-
}

# Likewise, a program that stays; what it says goes to a log on the node.
stay_inside() {
  local node=$1 log=$2
  shift 2
  inside "$node" setsid -f bash -c 'exec "$@" >>"$0" 2>&1 </dev/null' "$log" "$@"
}

# Waits up to $1 seconds until the rest of the line succeeds.
within() {
  local until=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$until" ] || return 1
    sleep 0.1
  done
}

# A node's engine, without the network of its own that Docker would make; containers go by `--network host`.
# The cgroups' parent bears the node's name, so that what a killed engine leaves can be found.
start_engine() {
  inside "$1" docker --host unix:///run/docker.sock version >/dev/null 2>&1 ||
    stay_inside "$1" /var/log/dockerd.log dockerd --bridge none --iptables=false --cgroup-parent "/$prefix-$1" \
      --host unix:///run/docker.sock --host tcp://0.0.0.0:2376 --tlsverify \
      --tlscacert /etc/docker/tls/ca.pem --tlscert /etc/docker/tls/cert.pem --tlskey /etc/docker/tls/key.pem
  within 60 curl --silent --fail --max-time 5 --unix-socket "$runtime/$1/run/docker.sock" http://d/_ping ||
    refuse 3 "dockerd of $1 does not answer: $(inside "$1" tail -n 3 /var/log/dockerd.log)"
  if [ "$1" = "$podman_node" ] && ! podman_answers; then
      stay_inside "$1" /var/log/podman.log bash -c 'echo $$ >/run/podman/service.pid
      exec podman --cgroup-manager cgroupfs system service --time=0 unix:///run/podman/podman.sock'
    within 30 podman_answers || refuse 3 "podman of $1 does not answer: $(inside "$1" tail -n 3 /var/log/podman.log)"
  fi
}

podman_answers() {
  curl --silent --fail --max-time 5 --unix-socket "$runtime/$podman_node/run/podman/podman.sock" http://d/_ping
}

# Ends the program $2 of a node with the signal $4, by the file $3 that holds its number, and waits until it is gone.
end_inside() {
  inside "$1" bash -c '
    pid=$(cat "$1" 2>/dev/null) && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$0" ] && kill "$2" "$pid" || exit 0
    for ((tenths = 0; tenths < 300; tenths++)); do
      kill -0 "$pid" 2>/dev/null || exit 0
      sleep 0.1
    done
    exit 1' "$2" "$3" "$4"
}

# With the signal $2. A killed dockerd leaves containers, and its containerd, which the next one finds.
stop_engine() {
  end_inside "$1" podman /run/podman/service.pid "$2"
  end_inside "$1" dockerd /run/docker.pid "$2"
}

sshd_runs() {
  inside "$1" bash -c 'kill -0 "$(cat /run/sshd.pid)"' 2>/dev/null
}

restore_host_key() {
  install -m 600 "$state/$1/host_key" "/proc/$(first_process "$1")/root/etc/ssh/ssh_host_ed25519_key"
}

start_sshd() {
  inside "$1" /usr/sbin/sshd -E /var/log/sshd.log
  within 10 listens "$1" 22 || refuse 3 "sshd of $1 does not answer"
}

restart_sshd() {
  end_inside "$1" sshd /run/sshd.pid -TERM
  start_sshd "$1"
}

on_node() {
  ssh -F "$state/ssh_config" -o BatchMode=yes -o ConnectTimeout=5 "$@" </dev/null
}

# Undoes what `fault` did.
heal() {
  local node=$1 root interface
  root=/proc/$(first_process "$node")/root
  inside "$node" bash -c 'kill -CONT -1 2>/dev/null; rm -f /var/lib/docker/fill'
  free_port "$node"
  full_rate "$node"
  for interface in "$management_interface" "$fabric_interface"; do
    inside "$node" ip link set "$interface" mtu 1500
  done
  plug_in "$node" mgmt "$management"
  plug_in "$node" fab "$fabric"
  if ! cmp -s "$state/$node/host_key" "$root/etc/ssh/ssh_host_ed25519_key" ||
    ! cmp -s "$root/etc/ssh/sshd_config.made" "$root/etc/ssh/sshd_config" || ! sshd_runs "$node"; then
    restore_host_key "$node"
    inside "$node" cp /etc/ssh/sshd_config.made /etc/ssh/sshd_config
    restart_sshd "$node"
  fi
  start_engine "$node"
}

# A cable into the switch, `mgmt` or `fab`; done when the node is heard. Who looked for it in vain looks anew.
plug_in() {
  local address=$3.${1#n}
  ip -n "$switch" link set "$1-$2" up
  ip neighbour flush to "$address"
  within 10 ping -c 1 -W 1 "$address" || refuse 3 "$1 is not heard at $address"
}

full_rate() {
  local end
  for end in "$prefix-$1 $management_interface" "$prefix-$1 $fabric_interface" "$switch $1-mgmt" "$switch $1-fab"; do
    tc -n "${end% *}" qdisc delete dev "${end#* }" root 2>/dev/null || true
  done
}

set_rate() {
  local end
  for end in "$prefix-$1 $management_interface" "$prefix-$1 $fabric_interface" "$switch $1-mgmt" "$switch $1-fab"; do
    tc -n "${end% *}" qdisc replace dev "${end#* }" root tbf rate "$2mbit" burst 64kbit latency 400ms
  done
}

listens() {
  inside "$1" bash -c '</dev/tcp/127.0.0.1/$0' "$2" 2>/dev/null
}

take_port() {
  stay_inside "$1" /var/log/port.log bash -c 'echo $$ >"/run/port-$0.pid" && exec python3 -c "
import socket, sys, time
listener = socket.create_server((\"\", int(sys.argv[1])))
time.sleep(1e9)" "$0"' "$2"
  within 10 listens "$1" "$2" || refuse 3 "nobody listens on port $2 of $1"
}

free_port() {
  local port
  for port in "/proc/$(first_process "$1")/root/run"/port-*.pid; do
    [ ! -e "$port" ] || end_inside "$1" python3 "/run/${port##*/}" -KILL
    rm -f "$port"
  done
}

# ---- Taking it down, whatever state it is in.

# The first processes of a node: the one on record, and any in the node's network namespace that bears its name as the
# last argument, for an `up` that was killed before it was on record. Nothing else is ever ended.
first_processes() {
  local pid arguments
  first_process "$1" && printf '\n'
  for pid in $(ip netns pids "$prefix-$1" 2>/dev/null); do
    mapfile -d '' arguments 2>/dev/null <"/proc/$pid/cmdline" || continue
    [ ${#arguments[@]} -eq 0 ] || [ "${arguments[-1]}" != "$prefix-$1" ] || printf '%s\n' "$pid"
  done
}

no_first_process() {
  [ -z "$(first_processes "$1")" ]
}

tear_down() {
  local node pid device path
  rm -f "$state/cluster.json"
  for node in "${nodes[@]}"; do
    for pid in $(first_processes "$node"); do
      kill -KILL "$pid" 2>/dev/null || true
    done
  done
  for node in "${nodes[@]}"; do
    within 20 no_first_process "$node" || refuse 1 "a process of $node does not end: $(first_processes "$node")"
    if ip netns pids "$prefix-$node" 2>/dev/null | grep -q .; then
      # The kernel ends what is left of a node after its first process.
      within 20 no_process "$node" ||
        refuse 1 "in the network namespace $prefix-$node there are processes that this test bed did not start"
    fi
  done
  for node in "${nodes[@]}" switch machine; do
    [ ! -e "/run/netns/$prefix-$node" ] || ip netns delete "$prefix-$node"
  done
  for path in "$prefix-mgmt" "$prefix-fab"; do
    [ ! -e "/sys/class/net/$path" ] || ip link delete "$path"
  done
  # The kernel lets go of mounts and loop devices a moment after the last process.
  for node in "${nodes[@]}"; do
    [ -e "$state/$node/disk" ] || continue
    within 10 no_loop_device "$node" || for device in $(losetup --noheadings --output NAME -j "$state/$node/disk"); do
      losetup --detach "$device"
    done
  done
  remove_cgroups
  for node in "${nodes[@]}"; do
    rm -rf --one-file-system "${state:?}/$node"
  done
  rm -f "$state"/{ssh_config,known_hosts,client_key,client_key.pub} "$state"/tls/{ca,ca-key,cert,key}.pem
  [ ! -d "$state/tls" ] || rmdir "$state/tls"
  rmdir "$state" 2>/dev/null || true
  rm -rf --one-file-system "${runtime:?}"
}

# A killed engine leaves its cgroups behind. Docker's lie below one of the node's name; Podman's bear its containers'
# numbers, which are on its disk, and lie in a folder that goes where nobody else uses it.
remove_cgroups() {
  local node name containers=()
  for node in "${nodes[@]}"; do
    containers+=(-o -path "*/$prefix-$node" -o -path "*/$prefix-$node/*")
  done
  for name in $(podman_containers); do
    containers+=(-o -path "*/libpod_parent/libpod-$name" -o -path "*/libpod_parent/libpod-$name/*")
  done
  containers+=(-o -path '*/libpod_parent/conmon' -o -path '*/libpod_parent')
  # Only what is empty lets itself be removed.
  find /sys/fs/cgroup -depth -type d \( "${containers[@]:1}" \) -exec rmdir {} \; 2>/dev/null || true
}

podman_containers() {
  [ ! -e "$state/$podman_node/disk" ] ||
    debugfs -R 'ls -p /containers/storage/overlay-containers' "$state/$podman_node/disk" 2>/dev/null |
    grep --only-matching --extended-regexp '[0-9a-f]{64}' || true
}

no_process() {
  ! ip netns pids "$prefix-$1" 2>/dev/null | grep -q .
}

no_loop_device() {
  [ -z "$(losetup -j "$state/$1/disk")" ]
}
