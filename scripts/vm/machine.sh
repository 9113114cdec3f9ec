# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What the machine is made of that `vm` boots: its kernel, its initramfs with what
# it mounts, and the arguments of QEMU. Sourced by `vm`, whose variables it uses.
#
# shellcheck disable=SC2154,SC2034

# For the shell of the guest, which may be any.
quote()
{
	printf "'%s' " "${@//\'/\'\\\'\'}"
}

# A bzImage has the place, less 512, of its version at 0x20e; an ELF image has
# it in the banner that it prints first.
image_version()
{
	local offset

	case $(od -An -tx4 -N 4 "$1")$(od -An -tx4 -j 514 -N 4 "$1") in
	*" 53726448")
		read -r offset < <(od -An -tu2 -j $((0x20e)) -N 2 "$1")
		head -c $((offset + 640)) "$1" | tail -c 128 | tr '\0' ' ' | cut -d ' ' -f 1
		;;
	" 464c457f"*)
		grep -aom 1 'Linux version [0-9][^ ]*' "$1" | cut -d ' ' -f 3 || true
		;;
	esac
}

# Other images don't tell: it is the only one that there are modules for.
only_version()
{
	[[ $arch == amd64 ]] || find "$1/lib/modules/" -mindepth 1 -maxdepth 1 -printf '%f ' |
		sed -n 's/^\([^ ]*\) $/\1/p'
}

find_kernel()
{
	local assignments

	if [[ ! $kernel ]]; then
		assignments=$("$top/scripts/kernels/kernel") || die "no kernel to boot"
		eval "$assignments"
		kernel=$KIMAGE
		modules=${modules:-$KMODULES}
	fi
	[[ -r $kernel ]] || die "$kernel: no such kernel image"
	version=$(image_version "$kernel")
	[[ $version ]] || version=$(only_version "${modules:-$root}")
	[[ $version ]] || die "$kernel: not a kernel image for this machine"
	modules=$(realpath -e "${modules:-$root}")/lib/modules/$version
	[[ -d $modules ]] || modules=
	[[ -d $root || $modules ]] || die "--root $root: say by --modules where its modules are, too"
}

# A module goes into the initramfs as the plain ELF file that insmod wants.
add_module()
{
	case $1 in
	*.xz) xz -dc "$1" ;;
	*.zst) zstd -dcq "$1" ;;
	*.gz) gzip -dc "$1" ;;
	*) cat "$1" ;;
	esac >"$2"
}

# What the guest needs to get at its root. A kernel without modules, or with
# these built in, has no more to load.
add_modules()
{
	local action path n=100
	local -a wanted=(virtio_console overlay)

	[[ $modules ]] || return 0
	[[ $bus == ccw ]] || wanted+=("virtio_$bus")
	[[ ! -d $root && ! ${shares[*]} ]] || wanted+=(9pnet_virtio 9p)
	[[ -d $root ]] || wanted+=(virtio_blk "$(blkid -o value -s TYPE "$root")")
	modprobe -S "$version" -d "${modules%/lib/modules/*}" --show-depends -a "${wanted[@]}" |
		awk '!seen[$0]++' |
		while read -r action path _; do
			[[ $action == insmod ]] || continue
			add_module "$path" "$1/$((n++)).ko"
		done
}

write_settings()
{
	local entry

	for entry in HOME=/root USER=root SHELL=/bin/bash "LANG=${LANG:-C.UTF-8}" "TERM=${TERM:-dumb}" \
		PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		"${environment[@]}"; do
		echo "export ${entry%%=*}=$(quote "${entry#*=}")"
	done
	echo "directory=$(quote "${directory#"${root%/}"}")"
	echo "terminal=$(quote "$terminal")"
	echo "input=$input"
	# A clock that counts instructions jumps while nobody has any to execute.
	[[ $icount ]] || ((limit < 15)) || echo "report_at=$((EPOCHSECONDS + limit - 5))"
	echo "command=$(quote "$(quote "${command[@]}")")"
}

# How QEMU calls a virtio device.
device()
{
	[[ $bus == mmio ]] && echo "virtio-$1-device" || echo "virtio-$1-$bus"
}

# What the guest mounts: a tag, how, and the path in the guest.
add_disk()
{
	printf '%s\tdisk\t\n' "$1" >>"$tmp/mounts"
	qemu+=(
		-drive "if=none,id=$1,file=${2//,/,,},format=raw,readonly=on"
		-device "$(device blk),drive=$1"
	)
}

add_directory()
{
	local tag=$1 kind=$2 path=$3 source=$4 readonly=on

	[[ $kind == copy ]] || readonly=off
	printf '%s\t%s\t%s\n' "$tag" "$kind" "$path" >>"$tmp/mounts"
	qemu+=(
		-fsdev "local,id=$tag,path=${source//,/,,},security_model=none,readonly=$readonly,multidevs=remap"
		-device "$(device 9p),fsdev=$tag,mount_tag=$tag"
	)
}

# The image of a disk has all in it that the guest gets.
add_root()
{
	if [[ ! -d $root ]]; then
		add_disk root "$root"
		return
	fi
	add_directory root copy "" "$root"
	[[ $directory/ == "${root%/}"/* ]] || add_directory directory copy "$directory" "$directory"
	if [[ $modules/ == "${root%/}"/* ]]; then
		printf '%s\t%s\t%s\n' "${modules#"${root%/}"}" bind "/lib/modules/$version" >>"$tmp/mounts"
	elif [[ $modules ]]; then
		add_directory modules copy "/lib/modules/$version" "$modules"
	fi
}

add_mounts()
{
	local path n=0

	add_root
	for path in "${shares[@]}"; do
		add_directory "share$((n++))" share "$path" "$path"
	done
}

make_initramfs()
{
	local tree=$tmp/initramfs

	mkdir -p "$tree/bin" "$tree/modules"
	cp "${busybox:-$(command -v busybox)}" "$tree/bin/busybox"
	ln -s busybox "$tree/bin/sh"
	cp "$top/scripts/vm/vm-init" "$tree/init"
	mv "$tmp/mounts" "$tree/mounts"
	add_modules "$tree/modules"
	write_settings >"$tree/settings"
	(cd "$tree" && find . | cpio --quiet -o -H newc) >"$tmp/initrd"
	rm -r "$tree"
}

# The output of the command goes to a file: QEMU drops what a slow reader of
# a pipe has not taken when the machine ends. Without ioeventfd it is in the
# file before the guest goes on.
add_channels()
{
	local name

	touch "$tmp/console" "$tmp/report" "$tmp/output"
	qemu+=(-chardev "file,id=console,path=$tmp/console" -serial chardev:console)
	if [[ $bus == mmio ]]; then
		qemu+=(-global virtio-mmio.ioeventfd=off -device virtio-serial-device)
	else
		qemu+=(-device "$(device serial),ioeventfd=off")
	fi
	for name in report output; do
		qemu+=(-chardev "file,id=$name,path=$tmp/$name" -device "virtserialport,chardev=$name")
	done
	if [[ $terminal ]]; then
		qemu+=(-chardev 'stdio,id=input,signal=off,mux=on' -echr 29)
	elif [[ $input ]]; then
		qemu+=(-chardev 'stdio,id=input,signal=off')
	fi
	[[ ! $input ]] || qemu+=(-device 'virtserialport,chardev=input')
}

# A processor of QEMU before 8.1 may keep for ever what it has translated while
# another changed it. A kernel that patches itself, as it does whenever the first
# netfilter hook comes and the last one goes, then never gets past the breakpoint
# that it has set there meanwhile. Where processors take turns that can't happen.
threads()
{
	local version

	version=$("qemu-system-$emulator" --version | sed -n '1s/.* version \([0-9.]*\).*/\1/p')
	if printf '8.1\n%s\n' "$version" | sort -CV; then
		echo multi
	else
		echo single
	fi
}

# The guest has the counter of this machine. How fast that is it measures when it
# boots, and on a busy machine it can be so far off that its clock then runs at
# three times the speed. Where the frequency of a processor changes, what is told
# of it is another one.
tell_frequency()
{
	[[ -e /sys/devices/system/cpu/cpu0/cpufreq ]] ||
		sed -n 's/^cpu MHz[^0-9]*\([0-9]*\)\.\([0-9]\{3\}\)$/ tsc_early_khz=\1\2/p;T;q' /proc/cpuinfo
}

compose()
{
	# What a test machine has no use for, and what takes long under emulation.
	local parameters="mitigations=off cryptomgr.notests tsc=reliable no_timer_check"

	parameters+=" console=$console panic=-1 oops=panic panic_on_warn=1 hung_task_panic=1"

	# Warnings must reach the console, or nobody would learn what went wrong.
	[[ $verbose ]] || parameters+=" quiet loglevel=5"
	qemu=("qemu-system-$emulator" -M "$board" -nodefaults -no-user-config -display none -no-reboot
		-smp "$cpus" -m "$memory" -kernel "$kernel" -initrd "$tmp/initrd")
	if [[ $icount ]]; then
		qemu+=(-accel 'tcg,thread=single' -icount 'shift=0,sleep=off' -cpu "$cpu")
	elif [[ ${NSGATE_KVM-} == 1 ]]; then
		qemu+=(-accel kvm -cpu host)
	else
		[[ $board != pc ]] || parameters+=$(tell_frequency)
		qemu+=(-accel "tcg,thread=$(threads)" -cpu "$cpu")
	fi
	qemu+=(-append "$parameters$append")
	add_channels
	add_mounts
	make_initramfs
	qemu+=("${qemu_extra[@]}")
}
