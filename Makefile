# SPDX-License-Identifier: GPL-2.0-only
#
# For people. Kbuild is for the kernel's build system, which gets all variables
# of the command line: W=1, C=2, CC=clang, V=1 and so on.

KVER ?= $(shell uname -r)
KDIR ?= /lib/modules/$(KVER)/build
PREFIX ?= /usr/local
# Where runtimes look for plugins of CNI: a distribution's, or those of others.
CNI_BIN ?= $(if $(filter /usr,$(PREFIX)),/usr/lib/cni,/opt/cni/bin)
export INSTALL_MOD_PATH ?= $(DESTDIR)

.PHONY: all tools clean modules_install install install-command dkms-install dkms-uninstall deb
.PHONY: demo check check-kernels check-dkms check-command check-sanitized check-fuzz bench help
all: kdir
	$(MAKE) -C $(KDIR) M=$(CURDIR) modules

# Debian's headers come without the System.map that modules_install wants for
# depmod, and without the key that their configuration signs modules with.
modules_install: all
	$(MAKE) -C $(KDIR) M=$(CURDIR) modules_install \
		$(if $(wildcard $(KDIR)/certs/signing_key.pem),,CONFIG_MODULE_SIG_ALL=)
	depmod $(if $(INSTALL_MOD_PATH),-b $(INSTALL_MOD_PATH)) \
		$$(awk -F '"' '{ print $$2 }' $(KDIR)/include/generated/utsrelease.h)

install: modules_install install-command

# The command, the plugin of CNI, and what belongs to them: no kernel has a say in that.
tools:
	+$(MAKE) --no-print-directory -C tools

install-command: tools
	install -D -m 755 build/tools/nsgate $(DESTDIR)$(PREFIX)/sbin/nsgate
	install -D -m 755 build/tools/nsgate-cni $(DESTDIR)$(CNI_BIN)/nsgate-cni
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man8 man/nsgate.8 man/nsgate-cni.8
	install -d $(DESTDIR)$(PREFIX)/share/containers/oci/hooks.d
	sed 's,/usr/sbin/,$(PREFIX)/sbin/,' contrib/nsgate.hook.json \
		>$(DESTDIR)$(PREFIX)/share/containers/oci/hooks.d/nsgate.json
	install -D -m 644 contrib/nsgate.bash-completion \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/nsgate
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/lib/systemd/system systemd/*
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/nsgate \
		contrib/nsgate.rules.yml contrib/nsgate.dashboard.json \
		contrib/nsgate.fleet.yml contrib/nsgate.fleet.json

clean:
	rm -rf build
	if [ -d $(KDIR) ]; then $(MAKE) -C $(KDIR) M=$(CURDIR) clean; fi

demo:
	scripts/demo/demo

check:
	scripts/check/check $(if $(KIMAGE),-d $(KDIR) -k $(KIMAGE)) $(addprefix -m ,$(KMODULES)) \
		$(addprefix -r ,$(ROOT)) $(TESTS)

check-command:
	scripts/check/check-command $(TESTS)

check-sanitized:
	scripts/check/check-sanitized $(TESTS)

# Each looks for so many seconds or inputs as its script says.
check-fuzz:
	scripts/check/fuzz-command $(SECONDS)
	scripts/check/fuzz-containers $(COUNT)

check-kernels:
	scripts/check/check-kernels $(addprefix -m ,$(MINUTES)) $(addprefix -t ,$(TESTS)) $(KERNELS)

check-dkms:
	scripts/check/check-dkms

dkms-install:
	scripts/package/dkms install

dkms-uninstall:
	scripts/package/dkms uninstall

deb:
	scripts/package/deb

.PHONY: rpm
rpm:
	scripts/package/rpm

bench:
	scripts/bench/bench $(if $(KERNEL),-k '$(KERNEL)')

# Their kernels are built first, once, for 10 minutes and more.
.PHONY: check-debug check-race
check-debug:
	scripts/check/check-debug kasan $(TESTS)

check-race:
	scripts/check/check-debug kcsan $(TESTS)

.PHONY: soak coverage
soak:
	scripts/check/soak $(MINUTES)

coverage:
	scripts/check/coverage $(TESTS)

.PHONY: kdir
kdir:
	@test -e $(KDIR)/Makefile || { \
		echo "$(KDIR): no kernel to build for; install linux-headers-$(KVER), or say KDIR=DIRECTORY" >&2; \
		exit 1; }

help:
	@echo 'Build and install'
	@echo '  make                  build nsgate.ko for the running kernel'
	@echo '  make KVER=6.1.0-56-amd64, make KDIR=/usr/src/linux'
	@echo '                        build it for another kernel'
	@echo '  make tools            build the command nsgate; tools/packages has what that'
	@echo '                        needs'
	@echo '  make install          build it and install it for that kernel, and the'
	@echo '                        command nsgate with its manual page and units'
	@echo '  make modules_install  the module only'
	@echo '  make install-command  the command only'
	@echo '                        PREFIX is /usr/local if not said, DESTDIR nothing;'
	@echo '                        CNI_BIN is where the plugin of CNI goes'
	@echo '  make dkms-install     have DKMS build and install it, for this kernel and'
	@echo '                        those to come'
	@echo '  make dkms-uninstall   take it away from DKMS'
	@echo '  make deb              build the Debian packages nsgate and nsgate-dkms'
	@echo '  make rpm              build the package nsgate-dkms for the RHEL family'
	@echo '  make clean            remove what was built'
	@echo
	@echo 'Look at it'
	@echo '  make demo             see it at work, in a virtual machine'
	@echo '  make bench            what it costs, in instructions, beside nft and others'
	@echo "  make bench KERNEL='6.1.*-arm64'"
	@echo
	@echo 'Check it, in virtual machines'
	@echo '  make check            all checks and tests'
	@echo '  make check TESTS=meter.sh'
	@echo '                        the static checks and this test'
	@echo '  make check KDIR=TREE KIMAGE=IMAGE'
	@echo '                        the tests on a kernel that you built; KMODULES and ROOT'
	@echo '                        say where its modules are, and what the guest runs on'
	@echo '  make check-kernels    the tests on kernels of all Debian releases'
	@echo "  make check-kernels KERNELS='6.12 7.3-rt' TESTS=meter.sh"
	@echo '                        one test, on these only'
	@echo "  make check-kernels KERNELS='6.1-arm64 6.1-armmp 6.1-686-pae 6.1-s390x'"
	@echo '                        on other architectures'
	@echo '  make check-dkms       DKMS and the package'
	@echo '  make check-command    the command nsgate with systemd, Prometheus and others'
	@echo '  make check-sanitized  the commands with the sanitizers of gcc'
	@echo '  make check-fuzz       the commands with made-up input, for SECONDS=60; no machine'
	@echo '  make check-debug      the tests on a kernel that finds bad accesses to'
	@echo '                        memory, leaks, and wrong use of locks'
	@echo '  make check-race       the tests on a kernel that finds data races'
	@echo '  make soak             all that can happen, at once, for MINUTES=5 or as many'
	@echo '                        as you like; nothing may be left of it'
	@echo '  make coverage         which lines of the module the tests run, and which not'
	@echo
	@echo 'What each of them does is told in docs/testing.md and docs/install.md.'
