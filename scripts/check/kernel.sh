# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What `check-kernels` does with one kernel: builds for it, makes the disk that it
# gets, and runs the tests. Sourced by it, whose variables it uses.
#
# shellcheck disable=SC2154

declare -A trees=() # the root file systems of guests, by architecture

# Gets the root file system of an architecture's guests, and builds what the tests
# find in build/ there: the command and the programs of the tests.
prepare()
{
	read_architecture "$1"
	if [[ $arch == amd64 ]]; then
		trees[amd64]=$(scripts/vm/userland)
	else
		trees[$arch]=$(scripts/vm/userland --of "$arch")
		scripts/vm/userland --cross true
	fi
	scripts/kernels/build-tests --of "$arch"
}

# The kernel's own compiler, or else the next one: newer ones understand what
# older ones were told.
choose_compiler()
{
	local wanted

	wanted=$(sed -n 's/^CC = .*gcc-\([0-9]*\)$/\1/p' "$1/.kernelvariables")
	find "${trees[amd64]}/usr/bin" -name 'gcc-[0-9]*' -printf '%f\n' | sed 's/^gcc-//' | sort -n |
		awk -v wanted="$wanted" '{ last = $1 } $1 >= wanted { exit } END { print "gcc-" last }'
}

# Of other architectures, the release has one compiler here.
build()
{
	rm -f "$out/nsgate.ko"
	if [[ $arch == amd64 ]]; then
		compiler=$(choose_compiler "$KDIR")
		scripts/vm/userland scripts/kernels/build -o "$out" "$KDIR" CC="$compiler" KCFLAGS=-Werror
	else
		compiler=cross
		scripts/vm/userland --cross scripts/kernels/build -o "$out" "$KDIR" \
			CC="$triple-gcc" CROSS_COMPILE="$triple-" KCFLAGS=-Werror
	fi && scripts/check/packet-path --of "$arch" "$out/nsgate.ko"
}

# A disk with the userland, the kernel's modules and the tests on it. Tests take
# half of the time on it that they take on the host's directories, which not
# every kernel can see.
make_image()
{
	local tree=$1/tree size

	mkdir -p "$tree"
	cp -al "${trees[$arch]}/." "$tree"
	rm -rf "$tree"/usr/{include,lib/gcc}
	mkdir -p "$tree/lib/modules" "$tree$PWD/$out" "$tree$PWD/build/tools"
	cp -a "$KMODULES/lib/modules/$KVER" "$tree/lib/modules"
	cp -a selftests "$tree$PWD"
	cp "build/kernels/$arch/tools/nsgate" "$tree$PWD/build/tools"
	cp -a "build/kernels/$arch/selftests" "$tree$PWD/build"
	cp "$out/nsgate.ko" "$tree$PWD/$out"
	read -r size _ < <(du -sm --apparent-size "$tree")
	PATH=$PATH:/sbin mke2fs -q -t ext4 -O ^has_journal -d "$tree" "$1/image" "$((size * 5 / 4 + 64))M" >/dev/null
	rm -rf "$tree"
}

# A second processor costs a third more, and make check has one; here it is for
# those kernels that can preempt nearly everything.
run_tests()
{
	local cpus=1

	local -a userland=(scripts/vm/userland) options=()

	[[ $KVER != *-rt-* ]] || cpus=2
	if [[ $arch != amd64 ]]; then
		userland+=(--cross)
		options=(--architecture "$arch" --busybox "${trees[$arch]}/bin/busybox")
	fi
	make_image "$tmp/$KVER"
	"${userland[@]}" scripts/vm/vm "${options[@]}" --root "$tmp/$KVER/image" --kernel "$KIMAGE" \
		--modules "$KMODULES" --cpus "$cpus" --append "$append" --timeout 1500 \
		--env NSGATE_KO="$PWD/$out/nsgate.ko" -- \
		selftests/run "${tests[@]}"
}

# All that there is to do for a kernel; leaves a row of the table.
check_kernel()
{
	local KVER KIMAGE KMODULES KDIR out
	local compiler=- built=no pass=0 fail=0 skip=0 status=0

	SECONDS=0
	eval "$2"
	find_architecture "$KVER"
	out=build/kernels/$KVER
	mkdir -p "$out" "$tmp/$KVER"
	if build >"$out/build.log" 2>&1 </dev/null; then
		built=yes
		run_tests >"$out/test.log" 2>&1 </dev/null || status=$?
		read_totals "$out/test.log"
	fi
	if ((pass == 0 || (status && !fail))); then
		fail=$((fail + 1))
	fi
	rm -rf "${tmp:?}/$KVER"
	echo "$KVER $compiler $built $pass $fail $skip $SECONDS" >"$tmp/row.$1"
	tell "$built" "$fail"
}

# What a kernel that passed says is in the table. Of one that failed, all that
# doesn't belong to a test that passed.
tell()
{
	echo "# $KVER: $(if (($2)); then echo failed; else echo passed; fi), $SECONDS s"
	((!$2)) || [[ $1 == yes ]] || cat "$out/build.log"
	((!$2)) || [[ $1 != yes ]] || awk '
		{ block = block $0 "\n" }
		/^ok / { block = "" }
		/^not ok / { printf "%s", block; block = "" }
		END { printf "%s", block }' "$out/test.log"
}
