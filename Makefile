# pawl: `make help` says what there is. One flat file; objects go to build/VARIANT, and nothing else is written.
SHELL := /bin/bash
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
CC := gcc

# ---- variants: make VARIANT=asan test -------------------------------------------------------------------------------
VARIANT ?= debug
BUILD := build/$(VARIANT)
VARIANTS := debug release asan tsan coverage fuzz
ifeq ($(filter $(VARIANT),$(VARIANTS)),)
$(error VARIANT is one of: $(VARIANTS))
endif

# What every variant shares. A warning is an error: none is ignored, none is left for later.
WARNINGS := -Wall -Wextra -Werror -Wshadow -Wformat=2 -Wvla -Wundef -Wpointer-arith -Wwrite-strings -Wstrict-prototypes \
            -Wmissing-prototypes -Wold-style-definition -Wimplicit-fallthrough -Wcast-align -Wdate-time
CFLAGS := -std=c17 -D_GNU_SOURCE -Iworker $(shell pkg-config --cflags libpq 2>/dev/null) $(WARNINGS) -g -pthread -fno-common
LDFLAGS := -pthread -Wl,--as-needed -Wl,--exclude-libs,libpg_query.a:libhttp_parser.a:libevent_core.a
# Static where Debian has an archive that stands alone: fewer shared objects to open when a message wakes us from zero.
LDLIBS := -l:libpg_query.a -l:libhttp_parser.a -l:libevent_core.a -lcurl -lpq -lssl -lcrypto -lcjson -lm

CFLAGS_debug := -O1 -fno-omit-frame-pointer
# Hardening as Debian and OpenSSF ask for it.
CFLAGS_release := -O2 -flto=auto -DNDEBUG -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection \
                  -fcf-protection -fPIE -ffunction-sections -fdata-sections
LDFLAGS_release := -pie -flto=auto -Wl,-z,relro,-z,now,-z,noexecstack,-z,separate-code -Wl,--gc-sections
CFLAGS_asan := -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
LDFLAGS_asan := -fsanitize=address,undefined
CFLAGS_tsan := -O1 -fno-omit-frame-pointer -fsanitize=thread
LDFLAGS_tsan := -fsanitize=thread
CFLAGS_coverage := -O0 --coverage
LDFLAGS_coverage := --coverage
# The fuzz variant is built by clang: libFuzzer comes with it.
CFLAGS_fuzz := -O1 -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
LDFLAGS_fuzz := -fsanitize=address,undefined
ifeq ($(VARIANT),fuzz)
CC := clang
endif
# The image holds one file: STATIC is the folder of archives that infra/image/libraries built.
ifdef STATIC
CFLAGS := -I$(STATIC)/include -ffile-prefix-map=$(CURDIR)=. $(CFLAGS)
LDFLAGS_release := $(patsubst -pie,-static-pie,$(LDFLAGS_release)) -Wl,-z,pack-relative-relocs
LDLIBS := -L$(STATIC)/lib -l:libpg_query.a -l:libhttp_parser.a -l:libevent_core.a -lcurl -lpq -lpgcommon -lpgport -lssl -lcrypto -lcjson -lm
endif
CFLAGS += $(CFLAGS_$(VARIANT)) $(EXTRA_CFLAGS)
LDFLAGS += $(LDFLAGS_$(VARIANT))
VERSION ?= $(shell git describe --always --dirty 2>/dev/null || echo unknown)

# ---- what is built ---------------------------------------------------------------------------------------------------
ROOMS := $(filter-out worker/main.c,$(wildcard worker/*.c worker/*/*.c))
ROOM_OBJECTS := $(ROOMS:%.c=$(BUILD)/%.o)
UNIT_TESTS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/unit/*/*_test.c))
INTEGRATION_TESTS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/integration/*/*_test.c))
# What several test programs share (a file beside them that is no test itself); each takes from the archive what it uses.
TEST_HELPERS := $(filter-out %_test.c,$(wildcard tests/unit/*/*.c tests/integration/*/*.c))
TEST_HELPER_OBJECTS := $(TEST_HELPERS:%.c=$(BUILD)/%.o)
CONTRACT_TESTS := $(wildcard tests/contract/*.t)
E2E_TESTS := $(wildcard tests/e2e/*.t) tests/soak/soak.t
HOUSE_TESTS := $(wildcard tests/house/*.t)
INFRA_TESTS := $(wildcard tests/infra/*.t)
# The image is the same whatever variant is tested: once is enough.
IMAGE_TESTS := $(if $(filter debug,$(VARIANT)),tests/image/image.t)
LOCALCLOUD_OBJECTS := $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/localcloud/*.c))
PROXY_OBJECTS := $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/fault/*.c))
FAULT_TESTS := $(wildcard tests/fault/*.t)
FUZZERS := $(patsubst %.c,$(BUILD)/%,$(filter-out tests/fuzz/standalone.c,$(wildcard tests/fuzz/*.c)))

.PHONY: all
all: $(BUILD)/pawl ## build the worker (VARIANT=debug|release|asan|tsan|coverage|fuzz)

$(BUILD)/libworker.a: $(ROOM_OBJECTS)
	@rm -f $@ && ar rcs $@ $^
$(BUILD)/pawl: $(BUILD)/worker/main.o $(ROOM_OBJECTS)
	@$(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@
$(BUILD)/localcloud: $(LOCALCLOUD_OBJECTS) $(BUILD)/libworker.a
	@$(CC) $(LDFLAGS) $^ -l:libevent_extra.a $(LDLIBS) -o $@
$(BUILD)/proxy: $(PROXY_OBJECTS) $(BUILD)/libworker.a
	@$(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@
$(BUILD)/libtests.a: $(TEST_HELPER_OBJECTS)
	@rm -f $@ && ar rcs $@ $^
$(BUILD)/tests/%_test: $(BUILD)/tests/%_test.o $(BUILD)/libtests.a $(BUILD)/libworker.a
	@$(CC) $(LDFLAGS) $^ $(LDLIBS) -lcmocka -o $@
# A fuzzer is linked to libFuzzer by VARIANT=fuzz and to a plain main that replays its corpus by every other variant.
ifeq ($(VARIANT),fuzz)
$(BUILD)/tests/fuzz/%: $(BUILD)/tests/fuzz/%.o $(BUILD)/libworker.a
	@$(CC) $(LDFLAGS) -fsanitize=fuzzer $^ $(LDLIBS) -o $@
else
$(BUILD)/tests/fuzz/%: $(BUILD)/tests/fuzz/%.o $(BUILD)/tests/fuzz/standalone.o $(BUILD)/libworker.a
	@$(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@
endif
$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC $<"
	@$(CC) $(CFLAGS) -MMD -MP -c $< -o $@
.PRECIOUS: $(BUILD)/%.o
$(BUILD)/version: FORCE
	@mkdir -p $(@D) && echo '$(VERSION)' | cmp -s - $@ || echo '$(VERSION)' >$@
$(BUILD)/worker/base/version.o: CFLAGS += -DPAWL_VERSION='"$(VERSION)"'
$(BUILD)/worker/base/version.o: $(BUILD)/version
.PHONY: FORCE
FORCE:
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

# ---- tests -----------------------------------------------------------------------------------------------------------
.PHONY: deps build-tests image-for-tests test soak test-unit fuzz build-fuzzers
deps: ## install what building and testing need (Debian packages; sudo when not root)
	@tests/deps
build-tests: $(BUILD)/pawl $(BUILD)/localcloud $(BUILD)/proxy $(UNIT_TESTS) $(INTEGRATION_TESTS) $(FUZZERS)
# Before the suites, which measure time; one that cannot be built is a failure of theirs.
image-for-tests:
	@if tests/image/able >/dev/null; then rm -f build/image/pawl/digest; infra/image/build || true; fi
test: deps ## build and run every suite; the totals come last (VARIANT=asan and tsan too)
	@$(MAKE) --no-print-directory -j$$(nproc) build-tests
	@$(if $(IMAGE_TESTS),$(MAKE) --no-print-directory image-for-tests)
	@BUILD=$(BUILD) FRESH=0 tests/run $(HOUSE_TESTS) $(INFRA_TESTS) $(UNIT_TESTS) $(FUZZERS) $(INTEGRATION_TESTS) $(CONTRACT_TESTS) $(E2E_TESTS) \
	  $(FAULT_TESTS) $(IMAGE_TESTS)
soak: deps ## 5,000 messages to workers that are killed at random, for several minutes
	@$(MAKE) --no-print-directory -j$$(nproc) $(BUILD)/pawl $(BUILD)/localcloud
	@BUILD=$(BUILD) MESSAGES=5000 SECONDS=200 tests/run tests/soak/soak.t
test-unit: $(UNIT_TESTS) ## only the tests that need no server
	@BUILD=$(BUILD) tests/run $(UNIT_TESTS)
.PHONY: fault
fault: deps ## cut the network and kill the process at every message of a run (make test: at a sample of them)
	@$(MAKE) --no-print-directory -j$$(nproc) $(BUILD)/pawl $(BUILD)/proxy
	@BUILD=$(BUILD) PAWL_FAULT_POINTS=all JOBS=1 tests/run $(FAULT_TESTS)

# ---- to see it ---------------------------------------------------------------------------------------------------------
.PHONY: demo run
demo: deps ## watch a published message migrate a real PostgreSQL; ends by itself
	@$(MAKE) --no-print-directory -j$$(nproc) $(BUILD)/pawl $(BUILD)/localcloud
	@BUILD=$(BUILD) tests/with-postgres tests/demo/demo.pl
run: deps ## leave the worker, a database and a local Pub/Sub running until Ctrl-C
	@$(MAKE) --no-print-directory -j$$(nproc) $(BUILD)/pawl $(BUILD)/localcloud
	@BUILD=$(BUILD) tests/with-postgres tests/demo/run.pl

# ---- figures ---------------------------------------------------------------------------------------------------------
.PHONY: bench
BENCH_TOOLS := $(patsubst %.c,build/release/%,$(wildcard tests/bench/*.c))
DBMATE := 2.36.0
$(BUILD)/tests/bench/%: $(BUILD)/tests/bench/%.o
	@$(CC) $(LDFLAGS) $^ -o $@
build/npm/dbmate-$(DBMATE):
	@mkdir -p $(@D)
	@if npm install --prefix $(@D) --no-audit --no-fund --silent dbmate@$(DBMATE) >/dev/null 2>&1; then touch $@; fi
bench: deps build/npm/dbmate-$(DBMATE) ## measure the release build: cold start; migrations against psql and dbmate (as ratios)
	@$(MAKE) --no-print-directory -j$$(nproc) VARIANT=release build/release/pawl build/release/proxy $(BENCH_TOOLS)
	@BUILD=build/release tests/bench/start.pl
	@BUILD=build/release tests/with-postgres tests/bench/migrations.pl
	@$(MAKE) --no-print-directory VARIANT=release build/release/localcloud && BUILD=build/release tests/with-postgres tests/bench/messages.pl
	@BUILD=build/release PAWL_TEST_FSYNC=on COUNTS=1000 NOOPS= DELAYS=0 tests/with-postgres tests/bench/migrations.pl
FUZZ_SECONDS ?= 20
fuzz: ## let clang's libFuzzer loose on every parser for FUZZ_SECONDS each; finds are kept in build/fuzz
	@$(MAKE) --no-print-directory VARIANT=fuzz -j$$(nproc) build-fuzzers
	@set -e; for target in $(notdir $(FUZZERS)); do echo "== $$target"; mkdir -p build/fuzz/corpus/$$target; \
	  build/fuzz/tests/fuzz/$$target -max_total_time=$(FUZZ_SECONDS) -timeout=10 -max_len=16384 -print_final_stats=1 -verbosity=0 \
	    -artifact_prefix=build/fuzz/$$target- build/fuzz/corpus/$$target tests/fuzz/corpus/$$target; done
build-fuzzers: $(FUZZERS)

# ---- image -----------------------------------------------------------------------------------------------------------
.PHONY: image test-image
image: ## build the container image without a Docker daemon (root, buildah) into build/image, and measure it
	@infra/image/build
	@tests/image/measure
test-image: deps $(BUILD)/localcloud ## build the image twice, push and pull it, start it as Cloud Run would, migrate with it
	@infra/image/need skopeo docker-registry
	@infra/image/build
	@BUILD=$(BUILD) tests/with-postgres prove --exec '' tests/image/image.t

# ---- housekeeping ----------------------------------------------------------------------------------------------------
.PHONY: format readme clean help
readme: $(BUILD)/pawl ## put the tables of options and errors into README.md
	@BUILD=$(BUILD) tests/house/tables.pl
format: ## lay out all C files as .clang-format says
	clang-format -i $$(git ls-files '*.c' '*.h')
clean: ## remove everything that was built
	rm -rf build
help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1|\2/' | while IFS='|' read -r name text; do \
	  printf '  make %-14s %s\n' "$$name" "$$text"; done
