# herd: 'make help' says what there is. Needs GNU make; config.mk is written by ./configure, and
# by this Makefile itself where it is missing.

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
SHELL := /bin/sh

ifneq ($(filter-out clean distclean help,$(or $(MAKECMDGOALS),all)),)
include config.mk
endif

# An older config.mk is made again with the options it was made with.
config.mk: configure
	@test -f $@ || ./bootstrap
	./configure $(arguments)

version := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
target_dir := $(or $(CARGO_TARGET_DIR),target)
built := $(target_dir)/$(if $(target),$(target)/)$(profile)
programs := $(built)/daust $(built)/daustd
library := $(built)/libherd.so.$(version)
soname := libherd.so.$(firstword $(subst ., ,$(version)))
cargo_options := --locked $(if $(filter release,$(profile)),--release) $(if $(target),--target $(target))
sources := Cargo.toml Cargo.lock $(shell find src -name '*.rs')

# For containers and foreign machines: with musl where Rust has that target, else with glibc. It has
# a directory of its own: cargo would build everything anew each time the flags change.
rust_target := $(or $(target),$(shell $(CARGO) -vV 2>/dev/null | sed -n 's/^host: //p'))
musl_target := $(rust_target:%-gnu=%-musl)
has_musl = $(wildcard $(shell $(CARGO:%cargo=%rustc) --print target-libdir --target $(musl_target) 2>/dev/null))
static_target = $(if $(has_musl),$(musl_target),$(rust_target))
static_dir := $(target_dir)/static
static_programs := $(static_dir)/daust $(static_dir)/daustd

# What build scripts and daustd should know; nothing where it is as usual, so that `cargo build` by
# hand finds the same and compiles nothing twice. Cargo names the linker in capitals.
ifneq ($(CFLAGS),)
export CFLAGS
endif
ifneq ($(linker),)
export CC
linker_variable = CARGO_TARGET_$(shell printf %s '$1' | tr 'a-z-' 'A-Z_')_LINKER
export $(call linker_variable,$(rust_target)) := $(linker)
export $(call linker_variable,$(musl_target)) := $(linker)
endif
ifneq ($(sysconfdir),/etc)
export HERD_CONFIGURATION := $(sysconfdir)/daust/daustd.toml
endif
ifneq ($(localstatedir),/var)
export HERD_STATE_DIR := $(localstatedir)/lib/daust
endif

.PHONY: all library static fleet fleet-stop deb header check quick sim audit demo bench soak cost faults fmt install uninstall clean distclean dist help

help:
	@echo 'all        daust, daustd and libherd.so; library: that alone'
	@echo 'demo       a small herd behind NATs, listed, traced, broken and healed'
	@echo 'static     daust and daustd without libraries, into $(static_dir)'
	@echo 'fleet      containers that phone home to this host: make fleet N=10; fleet-stop'
	@echo 'deb        packages for Debian: daust, libherd0, libherd-dev, into $(target_dir)/deb'
	@echo 'check      every test (under 30 minutes); quick: those of a minute'
	@echo 'sim        the simulator at length: make sim SEEDS=10000'
	@echo 'audit      licences, sources and known faults of the crates, by cargo-deny (needs the network)'
	@echo 'bench      figures beside serf, into bench/RESULTS.md (20 minutes, as root)'
	@echo 'cost       what 8 to 1,000 simulated nodes cost, for the next make bench: make cost NODES="8 3000"'
	@echo 'soak       fifty daemons with churn for half an hour: make soak MINUTES=5 (as root)'
	@echo 'faults     faults beside serf, into bench/FAULTS.md (30 minutes, as root)'
	@echo 'install    also uninstall; DESTDIR= is honoured'
	@echo 'header     writes include/herd.h anew from src/ffi'
	@echo 'fmt clean distclean dist'

all: $(programs) library

# Cargo leaves a program alone that did not change; make needs to see that it is up to date.
$(programs) &: $(sources) config.mk
	$(CARGO) build $(cargo_options) --bins
	@touch $(programs)

static: $(static_programs)

$(static_programs) &: $(sources) config.mk
	RUSTFLAGS="$$RUSTFLAGS -C target-feature=+crt-static" $(CARGO) build --target-dir $(static_dir) \
	    --locked $(if $(filter release,$(profile)),--release) --target $(static_target) --bins
	@for program in $(notdir $(static_programs)); do \
	    ln -f $(static_dir)/$(static_target)/$(profile)/$$program $(static_dir)/$$program && \
	    touch $(static_dir)/$$program || exit 1; \
	    ! readelf -l $(static_dir)/$$program 2>/dev/null | grep -q INTERP || { \
	        echo "$$program is not static: it asks for an interpreter" >&2; exit 1; }; \
	done

library: $(library)

# Cargo's own link of a shared library would lose the version script without a word. What the
# exported functions do not need, the daemon above all, is dropped.
$(library): $(sources) src/ffi/libherd.map config.mk
	$(CARGO) rustc $(cargo_options) --lib --crate-type staticlib
	$(CC) $(CFLAGS) -shared -o $@ -Wl,-soname,$(soname) -Wl,--version-script,src/ffi/libherd.map \
	    -Wl,--whole-archive $(built)/libherd.a -Wl,--no-whole-archive -Wl,--gc-sections \
	    $(if $(filter release,$(profile)),-s) -Wl,-z,defs,-z,relro,-z,now \
	    -Wl,--as-needed -lgcc_s -lpthread -ldl -lm
	ln -sf $(@F) $(built)/$(soname)
	ln -sf $(soname) $(built)/libherd.so

header:
	HERD_WRITE=1 $(CARGO) test --locked --test header

check quick: config.mk
	@CARGO='$(CARGO)' TARGET_DIR='$(target_dir)' ./tests/check $@

sim: config.mk
	SIM_SEEDS='$(or $(SEEDS),10000)' SIM_LARGE=1 $(CARGO) test --locked --profile sim --features testing --test sim -- --nocapture

# No part of `make check`: what is known against a crate comes from the network, and changes. What only
# the fuzzer needs (fuzz/Cargo.lock) is in no delivery: sources and known faults are looked at there.
audit: config.mk
	@$(CARGO) deny --version >/dev/null 2>&1 || { \
	    echo 'audit: no cargo-deny: cargo install --locked cargo-deny (five minutes)' >&2; exit 1; }
	$(CARGO) deny --locked check --hide-inclusion-graph licenses bans sources
	$(CARGO) deny --locked --manifest-path fuzz/Cargo.toml check --config deny.toml sources
	@$(CARGO) deny fetch db >/dev/null 2>&1 || { \
	    echo 'audit: ADVISORIES NOT CHECKED: github.com/RustSec/advisory-db can not be fetched here' >&2; \
	    exit 1; }
	$(CARGO) deny --locked check --disable-fetch advisories
	$(CARGO) deny --locked --manifest-path fuzz/Cargo.toml check --config deny.toml \
	    --disable-fetch advisories

demo: $(programs)
	@PATH="$(abspath $(built)):$$PATH" ./demo/run

# Containers on this machine's Docker Engine; fleet/run says how they are named.
fleet: $(if $(filter 0,$(N)),,static)
	@FLEET_BUILT='$(static_dir)' FLEET_HOME='$(target_dir)/fleet' ./fleet/run '$(or $(N),10)'

fleet-stop:
	@$(MAKE) --no-print-directory fleet N=0

# Packages for Debian and its like, of what `make` built; debian/rules has their places.
deb: all
	@[ '$(sysconfdir) $(localstatedir) $(profile)' = '/etc /var release' ] || { \
	    echo 'deb: a package is for /etc and /var: run ./configure without --prefix and --enable-debug' >&2; exit 1; }
	@command -v dh >/dev/null || { echo 'deb: no debhelper: apt-get install debhelper' >&2; exit 1; }
	@rm -rf '$(target_dir)/deb' && mkdir -p '$(target_dir)/deb'
	@MAKEFLAGS= MAKEOVERRIDES= debian/rules binary destination='$(abspath $(target_dir))/deb' \
	    >'$(target_dir)/deb/log' 2>&1 || { \
	    cat '$(target_dir)/deb/log' >&2; exit 1; }
	@dh_clean
	@ls '$(target_dir)'/deb/*.deb

# Neither is a part of `make check`: figures mean something only on a machine with nothing else to do.
bench: $(programs)
	@BENCH_BUILT='$(abspath $(built))' ./bench/pipes
	@BENCH_BUILT='$(abspath $(built))' ./bench/run

soak: $(programs)
	@BENCH_BUILT='$(abspath $(built))' ./bench/soak $(MINUTES)

faults: $(programs)
	$(CARGO) build --locked --release --example forger
	@BENCH_BUILT='$(abspath $(built))' ./bench/faults

cost: config.mk
	SIM_COST='$(or $(NODES),8 100 1000)' $(CARGO) test --locked --profile sim --features large --test sim -- \
	    --exact cost::cost --nocapture >$(target_dir)/simulated.txt
	@sed -n 's/^cost //p' $(target_dir)/simulated.txt >bench/simulated.txt

fmt:
	$(CARGO) fmt

# From, below DESTDIR, mode or link: one line a file, for install and uninstall alike.
define installed
$(built)/daust|$(bindir)/daust|755
daust|$(bindir)/herd|link
daust|$(bindir)/daustify|link
$(built)/daustd|$(sbindir)/daustd|755
$(library)|$(libdir)/$(notdir $(library))|755
$(notdir $(library))|$(libdir)/$(soname)|link
$(soname)|$(libdir)/libherd.so|link
include/herd.h|$(includedir)/herd.h|644
man/libherd.3|$(mandir)/man3/libherd.3|644
man/daust.1|$(mandir)/man1/daust.1|644
man/daustd.8|$(mandir)/man8/daustd.8|644
man/herd.7|$(mandir)/man7/herd.7|644
completions/daust.bash|$(datarootdir)/bash-completion/completions/daust|644
daust|$(datarootdir)/bash-completion/completions/herd|link
completions/_daust|$(datarootdir)/zsh/site-functions/_daust|644
endef
export installed
sysusersdir := $(unitdir:%/systemd/system=%/sysusers.d)

install: all
	@printf '%s\n' "$$installed" | while IFS='|' read -r from to mode; do \
	    echo "install $(DESTDIR)$$to"; \
	    case $$mode in \
	    link) ln -sf "$$from" "$(DESTDIR)$$to" ;; \
	    *) install -D -m "$$mode" "$$from" "$(DESTDIR)$$to" ;; \
	    esac || exit 1; \
	done
	@sed -i 's|/etc/daust|$(sysconfdir)/daust|; s|/var/lib/daust|$(localstatedir)/lib/daust|' \
	    '$(DESTDIR)$(mandir)/man8/daustd.8'
	@mkdir -p '$(DESTDIR)$(libdir)/pkgconfig'
	sed 's|@prefix@|$(prefix)|; s|@libdir@|$(libdir)|; s|@includedir@|$(includedir)|; s|@version@|$(version)|' \
	    herd.pc.in >'$(DESTDIR)$(libdir)/pkgconfig/herd.pc'
ifneq ($(unitdir),no)
	$(call service,systemd/daustd.service.in,$(unitdir)/daustd.service,644)
	install -D -m 644 systemd/daust.conf '$(DESTDIR)$(sysusersdir)/daust.conf'
	@# A package does this when it is installed.
	@[ -n '$(DESTDIR)' ] || ! command -v systemd-sysusers >/dev/null || systemd-sysusers '$(sysusersdir)/daust.conf' || :
endif
ifneq ($(userunitdir),no)
	$(call service,systemd/daustd-user.service.in,$(userunitdir)/daustd.service,644)
endif
ifneq ($(openrcdir),no)
	$(call service,openrc/daustd.in,$(openrcdir)/daustd,755)
endif

# From, to, mode: what a service manager reads, with the places of this installation.
define service
@echo 'install $(DESTDIR)$2'
@mkdir -p '$(DESTDIR)$(dir $2)'
@sed 's|@sbindir@|$(sbindir)|g; s|@statedir@|$(localstatedir)/lib/daust|g' $1 >'$(DESTDIR)$2'
@chmod $3 '$(DESTDIR)$2'
endef

uninstall:
	@printf '%s\n' "$$installed" | while IFS='|' read -r from to mode; do \
	    rm -f "$(DESTDIR)$$to" || exit 1; \
	done
	@rm -f '$(DESTDIR)$(libdir)/pkgconfig/herd.pc' '$(DESTDIR)$(unitdir)/daustd.service' \
	    '$(DESTDIR)$(sysusersdir)/daust.conf' '$(DESTDIR)$(userunitdir)/daustd.service' \
	    '$(DESTDIR)$(openrcdir)/daustd'

clean:
	rm -rf '$(target_dir)'

distclean: clean
	rm -f config.mk config.log herd-*.tar.gz

# The source as committed, with all crates: it builds without a network.
dist_name := herd-$(version)
dist_dir := $(target_dir)/dist
dist: config.mk
	@rm -rf '$(dist_dir)' && mkdir -p '$(dist_dir)'
	git archive --prefix=$(dist_name)/ HEAD | tar -x -C '$(dist_dir)'
	@mkdir '$(dist_dir)/$(dist_name)/.cargo'
	cd '$(dist_dir)/$(dist_name)' && $(CARGO) vendor --locked --versioned-dirs vendor \
	    >.cargo/config.toml 2>../log || { cat ../log >&2; exit 1; }
	tar -C '$(dist_dir)' --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$$(git log -1 --format=%ct)" \
	    -c $(dist_name) | gzip -9n >$(dist_name).tar.gz
	@rm -rf '$(dist_dir)'
	@ls -l $(dist_name).tar.gz
