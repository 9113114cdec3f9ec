# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The machines that nsgate is built for and tested on, and what differs between them.
# Sourced after lib.sh. A kernel's version, as uname -r says it, ends with a word that
# tells what machine it is for.
#
# shellcheck disable=SC2034

# read_architecture NAME: sets, for what Debian calls so,
#   arch       NAME
#   flavours   an expression for the words that versions of its kernels end with
#   triple     what its compiler, its libraries' directory and so on are named for
#   emulator   of QEMU, and the board and processor that it plays
#   bus        what virtio devices are on there: pci, mmio or ccw
#   console    its serial line
# 1 if there is no such architecture.
read_architecture()
{
	arch=$1
	case $1 in
	amd64)
		flavours=amd64 triple=x86_64-linux-gnu
		emulator=x86_64 board=pc cpu=max bus=pci console=ttyS0
		;;
	arm64)
		# As servers have it: with LSE's atomic instructions, without what is
		# slow to emulate.
		flavours='arm64(-16k)?' triple=aarch64-linux-gnu
		emulator=aarch64 board=virt cpu=neoverse-n1 bus=pci console=ttyAMA0
		;;
	armhf)
		flavours='armmp(-lpae)?' triple=arm-linux-gnueabihf
		emulator=arm board=virt cpu=max bus=mmio console=ttyAMA0
		;;
	i386)
		# As AMD's of 32 bits, it would be one of those that can't be several.
		flavours='686(-pae)?' triple=i686-linux-gnu
		emulator=i386 board=pc cpu=max,vendor=GenuineIntel bus=pci console=ttyS0
		;;
	s390x)
		flavours=s390x triple=s390x-linux-gnu
		emulator=s390x board=s390-ccw-virtio cpu=max bus=ccw console=ttysclp0
		;;
	*)
		return 1
		;;
	esac
}

architectures=(amd64 arm64 armhf i386 s390x)

# find_architecture KVER: sets the same for what a version, or a pattern for it, or a
# series with a flavour is for. It is amd64 if it doesn't say.
find_architecture()
{
	local name

	for name in "${architectures[@]}"; do
		read_architecture "$name"
		[[ ! -$1 =~ -($flavours)$ ]] || return 0
	done
	read_architecture amd64
}
