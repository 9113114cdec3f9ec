// SPDX-License-Identifier: GPL-2.0-only
/* The file has a cookie, a blank, "pod " for a pod of Kubernetes, and KIND:NAME for
 * each target, ended by NUL.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "names.h"

#define FILE_NAME RUN_DIRECTORY "/names"
#define POD "pod "

static int compare_cookies(const void *a, const void *b)
{
	const struct record *x = a, *y = b;

	if (x->cookie != y->cookie)
		return x->cookie < y->cookie ? -1 : 1;
	return x->new - y->new;
}

static void put(struct records *records, uint64_t cookie, const char *name, bool pod, bool new)
{
	records->rows = grow(records->rows, records->count, &records->room,
			     sizeof(*records->rows));
	records->rows[records->count++] = (struct record){
		.cookie = cookie,
		.name = xstrdup(name),
		.pod = pod,
		.new = new,
	};
	records->sorted = false;
}

/* Of two of a cookie, the one that is new stands. */
static void sort(struct records *records)
{
	size_t i, kept = 0;

	if (records->sorted || !records->count)
		return;
	qsort(records->rows, records->count, sizeof(*records->rows), compare_cookies);
	for (i = 1; i < records->count; i++) {
		if (records->rows[i].cookie == records->rows[kept].cookie)
			free(records->rows[kept].name);
		else
			kept++;
		records->rows[kept] = records->rows[i];
	}
	records->count = kept + 1;
	records->sorted = true;
}

static void read_into(struct records *records)
{
	size_t length;
	char *text = read_file(AT_FDCWD, FILE_NAME, &length), *s, *blank;
	uint64_t cookie;
	bool pod;

	for (s = text; text && s < text + length; s += strlen(s) + 1) {
		blank = strchr(s, ' ');
		if (!blank)
			continue;
		*blank = '\0';
		pod = starts_with(blank + 1, POD);
		if (parse_u64(s, &cookie))
			put(records, cookie, blank + 1 + (pod ? strlen(POD) : 0), pod, false);
		s = blank + 1;
	}
	free(text);
	sort(records);
}

void records_read(struct records *records)
{
	*records = (struct records){ };
	read_into(records);
}

void records_add(struct records *records, uint64_t cookie, const char *name, bool pod)
{
	put(records, cookie, name, pod, true);
}

static const struct record *find(struct records *records, uint64_t cookie)
{
	size_t low = 0, high;

	sort(records);
	for (high = records->count; low < high;) {
		size_t middle = low + (high - low) / 2;
		const struct record *record = &records->rows[middle];

		if (record->cookie == cookie)
			return record;
		if (record->cookie < cookie)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

const char *records_find(struct records *records, uint64_t cookie)
{
	const struct record *record = find(records, cookie);

	return record ? record->name : NULL;
}

/* NAMESPACE/POD, or as CRI-O has it: k8s_CONTAINER_POD_NAMESPACE_UID_ATTEMPT, in
 * which no part has a _ itself.
 */
bool records_pod(struct records *records, uint64_t cookie, char **namespace, char **pod)
{
	const struct record *record = find(records, cookie);
	const char *name, *slash;

	if (!record || !record->pod)
		return false;
	name = strchr(record->name, ':') + 1;
	slash = strchr(name, '/');
	if (slash) {
		*namespace = xasprintf("%.*s", (int)(slash - name), name);
		*pod = xstrdup(slash + 1);
		return true;
	}
	*namespace = NULL;
	*pod = NULL;
	if (sscanf(name, "k8s_%*[^_]_%m[^_]_%m[^_]_", pod, namespace) == 2)
		return true;
	free(*pod);
	return false;
}

const char *records_name(struct records *records, const struct target *target)
{
	const char *name = records_find(records, target->cookie);
	const struct name *found;
	size_t count;
	char *record;

	if (!name && target->live) {
		if (!records->looked)
			names_read(&records->names);
		records->looked = true;
		found = names_of(&records->names, target->inode, &count);
		if (count) {
			record = xasprintf("%s:%s", found->kind, found->name);
			records_add(records, target->cookie, record, found->pod);
			free(record);
			name = records_find(records, target->cookie);
		}
	}
	return name ? strchr(name, ':') + 1 : "";
}

static int compare_u64(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* The cookies of all targets, in order. */
static uint64_t *list_cookies(size_t *count)
{
	struct strings directories;
	struct target target;
	uint64_t *cookies;
	size_t i;

	kernel_list_targets(&directories);
	cookies = xmalloc(directories.count * sizeof(*cookies));
	*count = 0;
	for (i = 0; i < directories.count; i++) {
		if (!target_read(&target, directories.s[i], READ_STATE))
			continue;
		cookies[(*count)++] = target.cookie;
		target_free(&target);
	}
	strings_free(&directories);
	qsort(cookies, *count, sizeof(*cookies), compare_u64);
	return cookies;
}

static bool save(const struct records *records)
{
	FILE *file = fopen(FILE_NAME ".new", "we");
	uint64_t *cookies;
	size_t i, count;
	bool failed;

	if (!file)
		return false;
	cookies = list_cookies(&count);
	for (i = 0; i < records->count; i++) {
		const struct record *record = &records->rows[i];

		if (bsearch(&record->cookie, cookies, count, sizeof(*cookies), compare_u64))
			fprintf(file, "%" PRIu64 " %s%s%c", record->cookie, record->pod ? POD : "",
				record->name, '\0');
	}
	free(cookies);
	failed = ferror(file);
	return !fclose(file) && !failed && !rename(FILE_NAME ".new", FILE_NAME);
}

static bool has_new(const struct records *records)
{
	size_t i;

	for (i = 0; i < records->count; i++)
		if (records->rows[i].new)
			return true;
	return false;
}

/* Others may have written meanwhile: what they did is kept. That names can't be
 * kept is told, but keeps nobody from his figures.
 */
void records_write(struct records *records)
{
	struct records merged = { };
	size_t i;
	int lock;

	if (!has_new(records))
		return;
	mkdir(RUN_DIRECTORY, 0755);
	lock = open(RUN_DIRECTORY "/lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (lock < 0 || flock(lock, LOCK_EX))
		goto err_close;
	read_into(&merged);
	for (i = 0; i < records->count; i++) {
		if (!records->rows[i].new)
			continue;
		records_add(&merged, records->rows[i].cookie, records->rows[i].name,
			    records->rows[i].pod);
		records->rows[i].new = false;
	}
	sort(&merged);
	if (!save(&merged))
		goto err_close;
	records_free(&merged);
	close(lock);
	return;

err_close:
	fprintf(stderr, "nsgate: what targets are called could not be kept in " FILE_NAME ": %m\n");
	records_free(&merged);
	if (lock >= 0)
		close(lock);
}

void records_free(struct records *records)
{
	size_t i;

	for (i = 0; i < records->count; i++)
		free(records->rows[i].name);
	free(records->rows);
	if (records->looked)
		names_free(&records->names);
	*records = (struct records){ };
}
