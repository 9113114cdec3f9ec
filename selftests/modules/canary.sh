#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# usage: canary.sh BUG
#
# A test that is right in all but the bug of canary.ko that it loads. On a kernel
# that looks for such bugs, it must fail.

# shellcheck source=../lib.sh
source "$(dirname "$(dirname "$(realpath "$0")")")/lib.sh"

ALL_TESTS=hatch
bug=${1:?which bug?}

hatch()
{
	insmod "$(find_test_module canary)" bug="$bug"
	rmmod canary
	log_test "$bug"
}

tests_run
