# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The module, its parameter and its files, for lib.sh.

# The module to test: $NSGATE_KO, or what was built in the source tree that we
# are in, or else the one that is installed.
find_module()
{
	local top file

	top=$(dirname "$(dirname "$(realpath "${BASH_SOURCE[0]}")")")
	for file in ${NSGATE_KO:+"$NSGATE_KO"} "$top/build/$(uname -r)/nsgate.ko" "$top/nsgate.ko"; do
		if [[ -e $file || $file == "${NSGATE_KO-}" ]]; then
			echo "$file"
			return
		fi
	done
}

# load_nsgate [PARAMETER=VALUE...]
# shellcheck disable=SC2120 # no parameter is usual
load_nsgate()
{
	[[ ${nsgate_ko+found} ]] || nsgate_ko=$(find_module)
	if [[ $nsgate_ko ]]; then
		insmod "$nsgate_ko" "$@"
	else
		modprobe nsgate "$@"
	fi
}

unload_nsgate()
{
	rmmod nsgate
}

nsgate_loaded()
{
	[[ -e /sys/module/nsgate ]]
}

# find_test_module NAME: a module of selftests/modules, if it was built.
find_test_module()
{
	local top

	top=$(dirname "$(dirname "$(realpath "${BASH_SOURCE[0]}")")")
	echo "$top/build/$(uname -r)/selftests/$1.ko"
}

# setup_program NAME: puts in variable NAME where the program of NAME.c is (and of
# NAME_*.c, if it has such parts): beside it, or in the source tree that we are
# in, or made now.
setup_program()
{
	local directory file
	local -a sources

	directory=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
	mapfile -t sources < <(compgen -G "$directory/$1.c"; compgen -G "$directory/$1_*.c" || true)
	for file in "$directory/$1" "$directory/../build/selftests/$1"; do
		if [[ -e $file && ! $(find "${sources[@]}" -newer "$file") ]]; then
			printf -v "$1" %s "$file"
			return
		fi
	done
	checktool "cc --version" "find a C compiler"
	[[ $tmp ]] || setup_tmp
	cc -O2 -o "$tmp/$1" "${sources[@]}" || die "could not compile $1.c"
	printf -v "$1" %s "$tmp/$1"
}

# write_inode TEXT: to the parameter, in one write. Fails as the write does;
# bash says the error on stderr.
write_inode()
{
	printf '%s\n' "$1" >"$INODE_PARAM"
}

# stat_of FILE HOOK FAMILY PROTO: packets and bytes, 0 0 if there is no row.
# Execs nothing.
stat_of()
{
	local hook family proto packets bytes

	while read -r hook family proto packets bytes _; do
		if [[ "$hook $family $proto" == "$2 $3 $4" ]]; then
			echo "$packets $bytes"
			return
		fi
	done <"$1"
	echo 0 0
}

# state_of FILE KEY: its value. Execs nothing.
state_of()
{
	local key value

	while read -r key value; do
		if [[ $key == "$2" ]]; then
			echo "$value"
			return
		fi
	done <"$1"
}
