#!/bin/bash
# Follows docs/deployment.md word for word on one host: three machines, an origin and one's own, each a network
# namespace on a bridge that no other namespace sees. Then one machine is lost.
#
#   tests/three-machines.sh FOLDER-OF-SEAWALL [FOLDER-OF-ETCD]
#
# Ends with 0 when everything held, with 77 where namespaces are not to be had. Everything it waits for, it waits for
# at most 30 seconds; what it started it stops by its id.
set -euo pipefail

repository=$(cd "$(dirname "$0")/.." && pwd)
seawall=$(cd "$1" && pwd)
export PATH="${2:-/usr/bin}:$seawall:$PATH" SEAWALL_LOG=info
folder=$(mktemp -d /tmp/seawall-three-machines-XXXXXX)
declare -A running=()

say() { echo "three machines: $*"; }

end() {
  local code=$?
  for id in "${running[@]}"; do kill -9 "$id" 2>/dev/null || true; done
  wait 2>/dev/null || true
  for name in switch own 1 2 3; do ip netns del "sw3-$$-$name" 2>/dev/null || true; done
  if [ $code != 0 ] && [ $code != 77 ]; then tail -n 10 "$folder"/log-* 2>/dev/null || true; fi
  rm -rf "$folder"
  exit $code
}
trap end EXIT

# A namespace with an address, plugged into the switch.
machine() { # name address
  ip netns add "sw3-$$-$1"
  ip -n "sw3-$$-$1" link add eth0 type veth peer name "to-$1" netns "sw3-$$-switch"
  ip -n "sw3-$$-switch" link set "to-$1" master bridge up
  ip -n "sw3-$$-$1" addr add "$2/24" dev eth0
  ip -n "sw3-$$-$1" link set eth0 up
  ip -n "sw3-$$-$1" link set lo up
}

# The n-th block of commands of the page.
block() { awk -v wanted="$1" '/^```sh$/ { n++; inside = 1; next } /^```$/ { inside = 0 } inside && n == wanted' \
  "$repository/docs/deployment.md"; }

on() { ip netns exec "sw3-$$-$1" bash -euo pipefail -c "$2"; }

begin() { # name machine folder commands
  (cd "$3" && exec ip netns exec "sw3-$$-$2" bash -c "exec $4") >"$folder/log-$1" 2>&1 </dev/null &
  running[$1]=$!
}

lose() { for name in "etcd-$1" "cp-$1" "edge-$1"; do kill -9 "${running[$name]}"; unset "running[$name]"; done; }

until_so() { # what commands
  for _ in $(seq 300); do
    if on own "$2" >"$folder/log-last" 2>&1; then return; fi
    sleep 0.1
  done
  say "this did not come: $1"
  exit 1
}

if ! { ip netns add "sw3-$$-switch" && ip -n "sw3-$$-switch" link add bridge type bridge; } 2>/dev/null; then
  say "NOT TESTED: network namespaces are not to be had here"
  exit 77
fi
ip -n "sw3-$$-switch" link set bridge up
machine own 10.0.0.100
for n in 1 2 3; do machine $n 10.0.0.$n; done

cp -r "$repository/config" "$folder/config"
mkdir "$folder/origin"
echo 'a page' >"$folder/origin/index.html"
begin origin own "$folder/origin" "python3 -m http.server 8000 --bind 10.0.0.100"

say "on your own machine"
cd "$folder"
on own "$(block 1)" 2>"$folder/printed"
token=$(sed -n 's/^The token of operators, shown only now: //p' "$folder/printed")
cd deployment

say "on each machine"
for n in 1 2 3; do
  begin etcd-$n $n machine-$n "$(block 2)"
  begin cp-$n $n machine-$n "$(block 3)"
  begin edge-$n $n machine-$n "$(block 4)"
done
for n in 1 2 3; do
  until_so "control plane $n is ready" "curl -sf --cacert peers/authority/ca.pem https://10.0.0.$n:9080/readyz"
done

say "use it"
environment=$(block 5 | sed "s/TOKEN=TOKEN/TOKEN=$token/")
until_so "three edges are live" "$environment; seawall edges | grep -q '^3 edges: 3 live'"
on own "$environment; $(block 6)" | tee "$folder/used"
grep -q 'is complete' "$folder/used"
for n in 1 2 3; do
  until_so "edge $n serves the page" "curl -sf http://10.0.0.$n:8080/ | grep -q 'a page'"
done

say "strangers get nowhere"
refused() { if on own "$2" >/dev/null 2>&1; then say "let in: $1"; exit 1; fi; }
refused "nobody, by a control plane" "curl -sf --cacert peers/authority/ca.pem https://10.0.0.1:9080/v1/sites"
refused "nobody, by etcd" "curl -sf --cacert store/authority/ca.pem https://10.0.0.1:2379/version"
refused "an edge, by etcd" "curl -sf --cacert store/authority/ca.pem --cert peers/edge-1/cert.pem \
  --key peers/edge-1/key.pem https://10.0.0.1:2379/version"
refused "nobody, by an edge's admin address" "curl -sf http://10.0.0.1:9081/metrics"

say "a machine is lost"
lose 1
elsewhere="$environment; export SEAWALL_SERVER=https://10.0.0.2:9080"
until_so "the others take changes" "$elsewhere; sed -i 's/name = .*/name = \"other\"/; s/hosts = .*/hosts = [\"other.test\"]/' site.toml;
  seawall site delete default 2>/dev/null; seawall site put site.toml"
for n in 2 3; do
  until_so "edge $n serves the other site" "curl -sf -H 'Host: other.test' http://10.0.0.$n:8080/ | grep -q 'a page'"
  until_so "edge $n knows no more of the first" "curl -s http://10.0.0.$n:8080/ -w '%{http_code}' | grep -q '404$'"
done
until_so "the receipt names who is away" "$elsewhere; { seawall purge --all --timeout 1s || true; } 2>&1 | grep edge-1"
say "everything held"
