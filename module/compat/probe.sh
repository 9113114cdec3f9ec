# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# usage: sh probe.sh PROBES COMPILER [FLAGS...]
#
# Prints a word for each thing that the kernel has, of those that PROBES names;
# no-API for an API of which it has no variant; and "broken" if the compiler refuses
# more than probes. Writes nothing.

export LC_ALL=C
file=$1
shift
{
	cat "$file"
	"$@" -fsyntax-only -Wno-error -Werror=implicit-function-declaration \
		-Werror=incompatible-pointer-types -Werror=int-conversion -x c "$file" 2>&1
} | awk -v name="${file##*/}" '
	# The probes themselves, ...
	/^(NEEDS|ONE_OF|MAY_HAVE)\(/ && !diagnostics {
		split($0, word, /[(,] */)
		variant[NR] = word[1] == "ONE_OF" ? word[3] : word[2]
		api[NR] = word[1] == "MAY_HAVE" ? "" : word[2]
		told[NR] = word[1] != "NEEDS"
	}
	# ... and then what the compiler says of them. An error in a macro of a header
	# is followed by the place where the macro stands.
	{ line = match($0, name ":[0-9]+:") ? substr($0, RSTART + length(name) + 1) + 0 : 0 }
	/^[^ ].*: (fatal )?error: / {
		diagnostics = 1
		broken += elsewhere
		elsewhere = !(line in variant)
		refused[line] = 1
	}
	/: note: / && elsewhere && line in variant {
		refused[line] = 1
		elsewhere = 0
	}
	/^[a-z0-9-]+: error: / { broken++ } # of the compiler itself
	END {
		for (line in variant) {
			known += 0
			if (!(line in refused)) {
				if (told[line])
					print variant[line]
				has[api[line]] = 1
			}
		}
		for (line in variant)
			if (api[line] != "" && !(api[line] in has) && !missed[api[line]]++)
				print "no-" api[line]
		if (broken + elsewhere)
			print "broken"
	}'
