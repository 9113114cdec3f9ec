# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What all scripts share. Each of them sources this first, and then knows
#   top    the directory of the source tree
#   cache  the directory where kernels, packages and root file systems are kept

export LC_ALL=C
# On Debian, users don't have these in their PATH.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

# shellcheck disable=SC2034 # for the script, as what follows
top=$(dirname "$(dirname "$(realpath "${BASH_SOURCE[0]}")")")
# shellcheck disable=SC2034
cache=${NSGATE_CACHE:-${XDG_CACHE_HOME:-${HOME-}/.cache}/nsgate}
# For a script whose other failures have a status of their own.
die_status=1

say()
{
	echo "${0##*/}: $*" >&2
}

die()
{
	say "$*"
	exit "$die_status"
}

# The comment at the head of the script, from "usage:" on.
usage()
{
	sed -n '/^# usage: /,/^$/s/^# \{0,1\}//p' "$0"
}
