# walferry: every command of the project. `make help` lists them.
#
# Sources are found, not listed: a new .c file below lib/, sidecar/, e2e/ or bench/ is part of the
# build. Output goes to build/<variant>/; build/bin links to the release. Variants: release, asan,
# tsan, coverage, fuzz, and clang (the release, built by the other compiler).

VARIANT ?= release
export VARIANT
CLANG   := $(firstword $(shell command -v clang-19 clang 2>/dev/null) clang-19)
ifeq ($(origin CC),default)
CC := $(if $(filter fuzz clang,$(VARIANT)),$(CLANG),gcc)
endif
OUT := build/$(VARIANT)
Q   := $(if $(V),,@)
say  = $(if $(V),,@echo "  $(1)$(2)")

# Parallel without being asked; -j on the command line wins.
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell nproc)
endif

PACKAGES := libuv sqlite3 libcurl libwebsockets libcjson openssl yaml-0.1 liblz4 expat

WARNINGS := -Wall -Wextra -Werror -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes \
            -Wvla -Wformat=2 -Wswitch-enum -Wimplicit-fallthrough
HARDEN_C := -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fstack-clash-protection \
            -fcf-protection=full -ftrivial-auto-var-init=zero -fno-delete-null-pointer-checks \
            -fno-strict-overflow -fno-strict-aliasing -fexceptions -fPIE
HARDEN_L := -pie -Wl,-z,noexecstack,-z,relro,-z,now,--as-needed
ifeq ($(filter x86_64%,$(shell $(CC) -dumpmachine 2>/dev/null)),)
HARDEN_C := $(filter-out -fcf-protection=full,$(HARDEN_C))
endif
SANITIZE := -O1 -g -fno-omit-frame-pointer -fPIE

CFLAGS_release  := -O2 -g $(HARDEN_C)
CFLAGS_clang    := $(CFLAGS_release)
CFLAGS_asan     := $(SANITIZE) -fsanitize=address,undefined -fno-sanitize-recover=all
CFLAGS_tsan     := $(SANITIZE) -fsanitize=thread
CFLAGS_fuzz     := $(SANITIZE) -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
CFLAGS_coverage := -O0 -g --coverage -fPIE
LDFLAGS_release  := $(HARDEN_L)
LDFLAGS_clang    := $(HARDEN_L)
LDFLAGS_asan     := -pie -fsanitize=address,undefined
LDFLAGS_tsan     := -pie -fsanitize=thread
LDFLAGS_fuzz     := -pie -fsanitize=fuzzer,address,undefined
LDFLAGS_coverage := -pie --coverage

VERSION  ?= $(shell cat VERSION)
COMMIT   ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
PKG_CONFIG ?= pkg-config
PKG_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(PACKAGES) 2>/dev/null)
PKG_LIBS   := $(shell $(PKG_CONFIG) --libs $(PACKAGES) 2>/dev/null) -lm -lpthread

LANGUAGE    := -std=gnu17 $(WARNINGS) -D_GNU_SOURCE -I. $(PKG_CFLAGS)
BASE_CFLAGS := $(LANGUAGE) $(CFLAGS_$(VARIANT))
BASE_LIBS   := $(LDFLAGS_$(VARIANT)) $(PKG_LIBS)

find_c = $(sort $(shell find $(1) -name '*.c' ! -name '*_test.c' ! -name '*_fuzz.c' 2>/dev/null))
LIB_SRC     := $(filter-out lib/testing/%,$(call find_c,lib))
TESTING_SRC := $(filter-out sidecar/sim/main.c,$(call find_c,lib/testing sidecar/sim))
SIDECAR_SRC := $(filter-out sidecar/main.c sidecar/sim/%,$(call find_c,sidecar))
# A program is a main.c; everything else of its folder is shared by its tests.
CONTROLLER_MAINS := controller/main.c controller/plugin/main.c
CONTROLLER_SRC   := $(filter-out $(CONTROLLER_MAINS),$(call find_c,controller))
TEST_SRC    := $(sort $(shell find lib sidecar controller -name '*_test.c'))
FUZZ_SRC    := $(sort $(shell find lib sidecar controller -name '*_fuzz.c'))
E2E_SRC     := $(call find_c,e2e bench)
SHELL_TESTS := $(sort $(shell find e2e docs sidecar controller crds charts lib -name '*_test.sh' 2>/dev/null))
ALL_C       := $(sort $(shell find lib sidecar controller e2e bench -name '*.[ch]' 2>/dev/null))

LIB_OBJ     := $(LIB_SRC:%.c=$(OUT)/obj/%.o)
TESTING_OBJ := $(TESTING_SRC:%.c=$(OUT)/obj/%.o)
SIDECAR_OBJ := $(SIDECAR_SRC:%.c=$(OUT)/obj/%.o)
CONTROLLER_OBJ := $(CONTROLLER_SRC:%.c=$(OUT)/obj/%.o)
TEST_BIN    := $(TEST_SRC:%.c=$(OUT)/test/%)
FUZZ_BIN    := $(FUZZ_SRC:%.c=$(OUT)/bin/%)
E2E_BIN     := $(E2E_SRC:%.c=$(OUT)/%)

.PHONY: all help deps peers demo test test-build fuzz-build compare bench bench-controller bench-instructions fuzz asan tsan lint \
        format chaos nth sim coverage clean install golden images e2e e2e-build e2e-control-plane e2e-up e2e-down e2e-shell FORCE
.DELETE_ON_ERROR:
.SECONDARY:

PROGRAMS := $(addprefix $(OUT)/bin/,walferry walferry-controller kubectl-walferry)

all: $(PROGRAMS) compile_commands.json ## Build the programs into build/bin/

help: ## Show this list
	$(Q)awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	$(Q)echo
	$(Q)echo "  V=1 shows the commands; VARIANT=asan (tsan, coverage, clang) builds into build/asan/"

deps: ## Install what building and testing need (Debian 12 or 13; sudo when not root)
	$(Q).ci/deps

peers: ## Build the test peers (Litestream, versitygw) with Go into a cache outside the tree
	$(Q).ci/peers

# ---- programs ----------------------------------------------------------------------------------

# A file that holds a text, and is touched only when the text changes: what was made from it is
# made again then. So a changed flag rebuilds objects, a deleted source its archive.
define keep
	@mkdir -p $(@D)
	@printf '%s\n' '$(1)' | cmp -s - $@ || printf '%s\n' '$(1)' >$@
endef

$(OUT)/flags: FORCE
	$(call keep,$(CC) $(BASE_CFLAGS))
$(OUT)/version: FORCE
	$(call keep,$(VERSION) $(COMMIT))
$(OUT)/lib.list: FORCE
	$(call keep,$(LIB_OBJ))
$(OUT)/testing.list: FORCE
	$(call keep,$(TESTING_OBJ))
$(OUT)/sidecar.list: FORCE
	$(call keep,$(SIDECAR_OBJ))
$(OUT)/controller.list: FORCE
	$(call keep,$(CONTROLLER_OBJ))

$(OUT)/obj/%.o: %.c $(OUT)/flags
	@mkdir -p $(@D)
	$(call say,CC    ,$<)
	$(Q)$(CC) $(BASE_CFLAGS) $(DEFINES) -MMD -MP -c -o $@ $<

$(OUT)/obj/lib/base/version.o: DEFINES = -DWALFERRY_VERSION='"$(VERSION)"' \
                                         -DWALFERRY_COMMIT='"$(COMMIT)"'
$(OUT)/obj/lib/base/version.o: $(OUT)/version

$(OUT)/lib.a: $(LIB_OBJ)
$(OUT)/testing.a: $(TESTING_OBJ)
$(OUT)/sidecar.a: $(SIDECAR_OBJ)
$(OUT)/controller.a: $(CONTROLLER_OBJ)
$(OUT)/%.a: $(OUT)/%.list
	$(Q)rm -f $@ && $(AR) rcs $@ $(filter %.o,$^)

$(OUT)/bin/walferry: $(OUT)/obj/sidecar/main.o $(OUT)/sidecar.a $(OUT)/lib.a
$(OUT)/bin/walferry-controller: $(OUT)/obj/controller/main.o $(OUT)/controller.a $(OUT)/lib.a
$(OUT)/bin/kubectl-walferry: $(OUT)/obj/controller/plugin/main.o $(OUT)/controller.a $(OUT)/lib.a
$(PROGRAMS):
	@mkdir -p $(@D)
	$(call say,LINK  ,$@)
	$(Q)$(CC) $(BASE_CFLAGS) -o $@ $^ $(BASE_LIBS)
	$(if $(filter release,$(VARIANT)),$(Q)ln -sfn release/bin build/bin)

# Tests, fuzzers and the programs of e2e/ and bench/ are one source file each; from the archives
# they take what they name.
ARCHIVES := $(OUT)/testing.a $(OUT)/sidecar.a $(OUT)/controller.a $(OUT)/lib.a
define link_one
	@mkdir -p $(@D)
	$(call say,LINK  ,$@)
	$(Q)$(CC) $(BASE_CFLAGS) -o $@ $(filter %.o %.a,$^) $(BASE_LIBS) -lcmocka
endef

$(OUT)/test/%: $(OUT)/obj/%.o $(ARCHIVES)
	$(link_one)
# Tests named *_nth_test fail the n-th allocation (lib/testing/fault_alloc.h): what they link of the
# programs calls fault_malloc() and its like instead.
$(OUT)/%.nth.a: $(OUT)/%.a
	$(Q)objcopy $(foreach f,malloc calloc realloc reallocarray strdup strndup,--redefine-sym $f=fault_$f) $< $@
$(OUT)/test/%_nth_test: $(OUT)/obj/%_nth_test.o $(OUT)/testing.a $(OUT)/sidecar.nth.a $(OUT)/controller.nth.a $(OUT)/lib.nth.a
	$(link_one)
$(OUT)/e2e/%: $(OUT)/obj/e2e/%.o $(ARCHIVES)
	$(link_one)
$(OUT)/bench/%: $(OUT)/obj/bench/%.o $(ARCHIVES)
	$(link_one)
$(OUT)/bin/%_fuzz: $(OUT)/obj/%_fuzz.o $(ARCHIVES)
	$(link_one)
$(OUT)/bin/walferry-sim: $(OUT)/obj/sidecar/sim/main.o $(ARCHIVES)
	$(link_one)

# Warnings and language, no optimisation: what clang's tools need to know.
compile_commands.json: FORCE
	@.ci/compile-commands "$(CLANG)" "$(LANGUAGE)" $(LIB_SRC) $(SIDECAR_SRC) sidecar/main.c \
	    $(CONTROLLER_SRC) $(CONTROLLER_MAINS) sidecar/sim/main.c $(TESTING_SRC) $(TEST_SRC) $(FUZZ_SRC) $(E2E_SRC)

# ---- tests -------------------------------------------------------------------------------------

demo: ## Replicate, lose, restore and rewind a database before your eyes
	$(Q)e2e/demo/demo

test-build: all $(TEST_BIN) $(E2E_BIN)

test: ## Build and run every test; ends with "N passed, N failed, N skipped"
	$(Q).ci/deps --check || .ci/deps
	$(Q)$(MAKE) --no-print-directory test-build
	$(if $(filter release,$(VARIANT)),$(Q)$(MAKE) --no-print-directory fuzz-build VARIANT=fuzz)
	$(Q).ci/peers || true
	$(Q).ci/run-tests $(TEST_BIN) $(SHELL_TESTS)

compare: all $(E2E_BIN) ## The ways in which a replicator fails its user: walferry beside Litestream
	$(Q).ci/peers
	$(Q)e2e/peer/compare

bench-instructions: all $(E2E_BIN) ## Count instructions per page and commit, compare with what is kept
	$(Q)bench/instructions

bench: all $(E2E_BIN) ## Measure walferry and Litestream side by side, and the operator
	$(Q).ci/peers
	$(Q)$(OUT)/bench/admission
	$(Q)bench/run

bench-controller: all $(E2E_BIN) ## Measure the controller with 5,000 resources and pods (real API server, kwok)
	$(Q)REPORT=bench/controller.md bench/operator/run

IMAGE_ARCH ?= amd64
images: ## Build the images into build/images/ (IMAGE_ARCH=arm64 cross-compiles)
	$(Q)images/build --arch $(IMAGE_ARCH)

CLUSTER ?= build/cluster
e2e-build: all $(E2E_BIN) ## Build what scenarios stand on: programs, Kubernetes, a Debian for the images
	$(Q)e2e/cluster/can_run node || e2e/cluster/can_run control-plane || true
e2e-control-plane: all $(E2E_BIN) ## Scenarios against a real API server (built from Go modules)
	$(Q)e2e/cluster/run control-plane
e2e: all $(E2E_BIN) ## Scenarios on a real Kubernetes node, with the images of this tree
	$(Q)e2e/cluster/run node
e2e-up: all $(E2E_BIN) ## Start a cluster to play with, walferry and an object store in it
	$(Q)e2e/cluster/can_run node
	$(Q)WORK=$(CLUSTER) e2e/cluster/cluster up
	$(Q)WORK=$(CLUSTER) e2e/cluster/node_setup
	$(Q)echo "reach it by: WORK=$(CLUSTER) e2e/cluster/cluster kubectl get nodes"
	$(Q)echo "the tour:    WORK=$(CLUSTER) e2e/cluster/tour"
	$(Q)echo "a shell:     make e2e-shell"
e2e-down: ## Stop and remove it
	$(Q)WORK=$(CLUSTER) e2e/cluster/cluster clean
e2e-shell: ## A shell inside it, with kubectl, helm and the plug-in
	$(Q)PATH="$(CURDIR)/build/bin:$$PATH" WORK=$(CLUSTER) e2e/cluster/cluster shell

asan: ## Run the tests under AddressSanitizer and UBSan
	$(Q)$(MAKE) --no-print-directory test VARIANT=asan
tsan: ## Run the tests under ThreadSanitizer
	$(Q)$(MAKE) --no-print-directory test VARIANT=tsan
coverage: ## Line coverage of lib/ and sidecar/ by the tests
	$(Q)find build/coverage -name '*.gcda' -delete 2>/dev/null || true
	$(Q)$(MAKE) --no-print-directory test VARIANT=coverage || echo "coverage: some tests failed"
	$(Q).ci/coverage build/coverage

CHAOS_ROUNDS ?= 1000
chaos: all $(E2E_BIN) ## Kill application, sidecar, store and disk CHAOS_ROUNDS times (default 1000)
	$(Q).ci/peers || true
	$(Q)CHAOS_ROUNDS=$(CHAOS_ROUNDS) CHAOS_SEED=$(CHAOS_SEED) e2e/crash/chaos_test.sh

sim: $(OUT)/bin/walferry-sim ## Play lives of walferry in a simulated world (SIM_SEEDS=n, SIM_SEED=n SIM_TRACE=1)
	$(Q)$(OUT)/bin/walferry-sim

NTH_FOLDER ?= /dev/shm
nth: test-build ## Each allocation, file operation and request fails once, each change is a death once
	$(Q).ci/peers || true
	$(Q)TMPDIR=$(NTH_FOLDER) NTH=1 KILL_EACH=1 TEST_TIMEOUT=36000 .ci/run-tests e2e/crash/nth_test.sh \
	    $(filter %_nth_test %_kill_test,$(TEST_BIN))

FUZZ_SECONDS ?= 60
fuzz: ## Run each fuzzer for FUZZ_SECONDS (default 60), from its kept seeds
	$(Q)$(MAKE) --no-print-directory fuzz-build VARIANT=fuzz
	$(Q)FUZZ_SECONDS=$(FUZZ_SECONDS) .ci/fuzz $(FUZZ_SRC:.c=)

fuzz-build: $(FUZZ_BIN)

golden: all ## Rewrite the golden files from what the programs print now
	$(Q)GOLDEN=write .ci/run-tests $(SHELL_TESTS)

# ---- care --------------------------------------------------------------------------------------

lint: compile_commands.json ## clang-format, clang-tidy, shellcheck and the rules of the house
	$(Q).ci/lint $(ALL_C)

format: ## Format every C file
	$(Q).ci/braces --fix $(ALL_C)
	$(Q)$(firstword $(shell command -v clang-format-19 clang-format 2>/dev/null) clang-format-19) -i $(ALL_C)

PREFIX ?= /usr/local
# install_completion SHELL,PATH: made by the program, into the folder where the shell looks.
define install_completion
	$(Q)$(OUT)/bin/walferry completion $(1) >$(OUT)/completion.$(1)
	$(Q)install -D -m 0644 $(OUT)/completion.$(1) $(DESTDIR)$(PREFIX)/share/$(2)
endef
install: all ## Install programs, man pages and completions below PREFIX (default /usr/local)
	$(Q)install -D -m 0755 -t $(DESTDIR)$(PREFIX)/bin $(PROGRAMS)
	$(Q)for page in $(wildcard docs/man/*.[1-8]); do \
	    install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/man/man$${page##*.} $$page || exit; done
	$(call install_completion,bash,bash-completion/completions/walferry)
	$(call install_completion,zsh,zsh/site-functions/_walferry)
	$(call install_completion,fish,fish/vendor_completions.d/walferry.fish)
	$(Q)ln -sfn kubectl-walferry $(DESTDIR)$(PREFIX)/bin/kubectl_complete-walferry

clean: ## Remove everything that was built
	$(Q)rm -rf build compile_commands.json

-include $(shell find $(OUT)/obj -name '*.d' 2>/dev/null)
