# walferry: every command of the project. `make help` lists them.
#
# Sources are found, not listed: a new .c file below lib/ or sidecar/ is part of the build.
# Output goes to build/<variant>/ (release, asan, tsan, coverage); build/bin links to the release.

VARIANT ?= release
CC      ?= gcc
CLANG   := $(firstword $(shell command -v clang-19 clang 2>/dev/null) clang)
OUT     := build/$(VARIANT)
Q       := $(if $(V),,@)

PACKAGES := libuv sqlite3 libcurl libwebsockets libcjson openssl yaml-0.1 liblz4 expat

WARNINGS := -Wall -Wextra -Werror -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes \
            -Wvla -Wformat=2 -Wswitch-enum -Wimplicit-fallthrough
HARDEN_C := -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fstack-clash-protection \
            -fcf-protection=full -ftrivial-auto-var-init=zero -fno-delete-null-pointer-checks \
            -fno-strict-overflow -fno-strict-aliasing -fexceptions -fPIE
HARDEN_L := -pie -Wl,-z,noexecstack,-z,relro,-z,now,--as-needed
ifneq ($(shell uname -m),x86_64)
HARDEN_C := $(filter-out -fcf-protection=full,$(HARDEN_C))
endif

CFLAGS_release  := -O2 -g $(HARDEN_C)
CFLAGS_asan     := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all -fPIE
CFLAGS_tsan     := -O1 -g -fno-omit-frame-pointer -fsanitize=thread -fPIE
CFLAGS_coverage := -O0 -g --coverage -fPIE
LDFLAGS_release  := $(HARDEN_L)
LDFLAGS_asan     := -pie -fsanitize=address,undefined
LDFLAGS_tsan     := -pie -fsanitize=thread
LDFLAGS_coverage := -pie --coverage

VERSION  ?= $(shell cat VERSION)
COMMIT   ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
PKG_CFLAGS = $(shell pkg-config --cflags $(PACKAGES))
PKG_LIBS   = $(shell pkg-config --libs $(PACKAGES)) -lm -lpthread

BASE_CFLAGS = -std=gnu17 $(WARNINGS) -D_GNU_SOURCE -I. $(CFLAGS_$(VARIANT)) $(PKG_CFLAGS)
BASE_LIBS   = $(LDFLAGS_$(VARIANT)) $(PKG_LIBS)

find_c = $(sort $(shell find $(1) -name '*.c' ! -name '*_test.c' ! -name '*_fuzz.c' 2>/dev/null))
LIB_SRC     := $(filter-out lib/testing/%,$(call find_c,lib))
TESTING_SRC := $(call find_c,lib/testing)
SIDECAR_SRC := $(filter-out sidecar/main.c,$(call find_c,sidecar))
TEST_SRC    := $(sort $(shell find lib sidecar -name '*_test.c'))
FUZZ_SRC    := $(sort $(shell find lib sidecar -name '*_fuzz.c'))
E2E_SRC     := $(sort $(shell find e2e -name '*.c' 2>/dev/null))
SHELL_TESTS := $(sort $(shell find e2e docs sidecar lib -name '*_test.sh' 2>/dev/null))
ALL_C       := $(sort $(shell find lib sidecar e2e bench -name '*.[ch]' 2>/dev/null))

LIB_OBJ     := $(LIB_SRC:%.c=$(OUT)/obj/%.o)
TESTING_OBJ := $(TESTING_SRC:%.c=$(OUT)/obj/%.o)
SIDECAR_OBJ := $(SIDECAR_SRC:%.c=$(OUT)/obj/%.o)
TEST_BIN    := $(TEST_SRC:%.c=$(OUT)/test/%)
E2E_BIN     := $(E2E_SRC:%.c=$(OUT)/%)

.PHONY: all help deps peers demo test test-build compare bench fuzz asan tsan lint format coverage \
        clean install golden
.DELETE_ON_ERROR:
.SECONDARY:

all: $(OUT)/bin/walferry compile_commands.json ## Build the programs into build/bin/

help: ## Show this list
	$(Q)awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

deps: ## Install what building and testing need (Debian 12 or 13; sudo when not root)
	$(Q).ci/deps

peers: ## Build the test peers (Litestream, versitygw) with Go into a cache outside the tree
	$(Q).ci/peers

# ---- programs ----------------------------------------------------------------------------------

$(OUT)/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(if $(V),,@echo "  CC    $<")
	$(Q)$(CC) $(BASE_CFLAGS) -MMD -MP -c -o $@ $<

$(OUT)/obj/sidecar/command/version.o: BASE_CFLAGS += -DWALFERRY_VERSION='"$(VERSION)"' \
                                                     -DWALFERRY_COMMIT='"$(COMMIT)"'
$(OUT)/obj/sidecar/command/version.o: VERSION

$(OUT)/lib.a: $(LIB_OBJ)
$(OUT)/testing.a: $(TESTING_OBJ)
$(OUT)/sidecar.a: $(SIDECAR_OBJ)
$(OUT)/%.a:
	@mkdir -p $(@D)
	$(Q)rm -f $@ && ar rcs $@ $^

$(OUT)/bin/walferry: $(OUT)/obj/sidecar/main.o $(OUT)/sidecar.a $(OUT)/lib.a
	@mkdir -p $(@D)
	$(if $(V),,@echo "  LINK  $@")
	$(Q)$(CC) $(BASE_CFLAGS) -o $@ $^ $(BASE_LIBS)
	$(if $(filter release,$(VARIANT)),$(Q)ln -sfn release/bin build/bin)

$(OUT)/test/%: $(OUT)/obj/%.o $(OUT)/testing.a $(OUT)/sidecar.a $(OUT)/lib.a
	@mkdir -p $(@D)
	$(if $(V),,@echo "  LINK  $@")
	$(Q)$(CC) $(BASE_CFLAGS) -o $@ $(filter %.o,$^) $(OUT)/testing.a $(OUT)/sidecar.a $(OUT)/lib.a \
	    $(BASE_LIBS) -lcmocka

$(OUT)/e2e/%: $(OUT)/obj/e2e/%.o $(OUT)/lib.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(BASE_CFLAGS) -o $@ $(filter %.o,$^) $(OUT)/lib.a $(BASE_LIBS)

compile_commands.json: Makefile $(LIB_SRC) $(SIDECAR_SRC)
	$(Q).ci/compile-commands "$(CLANG)" "$(BASE_CFLAGS)" $(LIB_SRC) $(SIDECAR_SRC) sidecar/main.c \
	    $(TESTING_SRC) $(TEST_SRC) $(E2E_SRC) > $@

# ---- tests -------------------------------------------------------------------------------------

demo: ## Replicate, lose, restore and rewind a database before your eyes
	$(Q)e2e/demo/demo

test-build: all $(TEST_BIN) $(E2E_BIN)

test: ## Build and run every test; ends with "N passed, N failed, N skipped"
	$(Q).ci/deps --check || .ci/deps
	$(Q)$(MAKE) --no-print-directory -j$$(nproc) test-build
	$(Q).ci/peers || true
	$(Q)VARIANT=$(VARIANT) .ci/run-tests $(TEST_BIN) $(SHELL_TESTS)

compare: all $(E2E_BIN) ## The ways in which a replicator fails its user: walferry beside Litestream
	$(Q).ci/peers
	$(Q)e2e/peer/compare

bench: all $(E2E_BIN) ## Measure walferry and Litestream side by side on the same work
	$(Q).ci/peers
	$(Q)bench/run

asan: ## Run the tests under AddressSanitizer and UBSan
	$(Q)$(MAKE) --no-print-directory test VARIANT=asan
tsan: ## Run the tests under ThreadSanitizer
	$(Q)$(MAKE) --no-print-directory test VARIANT=tsan
coverage: ## Line coverage of lib/ and sidecar/ by the tests
	$(Q)$(MAKE) --no-print-directory test VARIANT=coverage
	$(Q).ci/coverage build/coverage

FUZZ_SECONDS ?= 60
fuzz: ## Run each fuzzer for FUZZ_SECONDS (default 60), from its kept seeds
	$(Q)CLANG="$(CLANG)" FUZZ_SECONDS=$(FUZZ_SECONDS) CFLAGS="-std=gnu17 -D_GNU_SOURCE -I. $(PKG_CFLAGS)" \
	    LIBS="$(PKG_LIBS)" .ci/fuzz $(FUZZ_SRC)

golden: all ## Rewrite the golden files from what the programs print now
	$(Q)GOLDEN=write .ci/run-tests $(SHELL_TESTS)

# ---- care --------------------------------------------------------------------------------------

lint: compile_commands.json ## clang-format, clang-tidy, shellcheck and the rules of the house
	$(Q).ci/lint $(ALL_C)

format: ## Format every C file
	$(Q)$(firstword $(shell command -v clang-format-19 clang-format 2>/dev/null)) -i $(ALL_C)

PREFIX ?= /usr/local
install: all ## Install program, man pages and completion below PREFIX (default /usr/local)
	$(Q)install -D -m 0755 build/bin/walferry $(DESTDIR)$(PREFIX)/bin/walferry
	$(Q)for page in docs/man/*.1; do install -D -m 0644 $$page $(DESTDIR)$(PREFIX)/share/man/man1/$${page##*/}; done
	$(Q)build/bin/walferry completion bash | install -D -m 0644 /dev/stdin \
	    $(DESTDIR)$(PREFIX)/share/bash-completion/completions/walferry

clean: ## Remove everything that was built
	$(Q)rm -rf build compile_commands.json

-include $(shell find build/$(VARIANT)/obj -name '*.d' 2>/dev/null)
