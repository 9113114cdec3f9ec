// SPDX-License-Identifier: GPL-2.0-only
/* The configuration of a network, as nsgate-cni gets it. */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "cni.h"
#include "show.h"

const char *const cni_versions[2] = { "0.4.0", "1.0.0" };

/* What kubelet and containerd say who were told a rate and no burst. */
#define NO_BURST INT32_MAX

#define BITS 8

static const char *const own_keys[] = {
	"ingressRate", "ingressBurst", "egressRate", "egressBurst",
	"gate", "except", "loopback", "log", "quotaIn", "quotaOut", "dryRun", "required",
};

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

static const char letters[] = LETTERS;
static const char letters_of_names[] = LETTERS "_.-";

static void check_version(struct cni_config *config)
{
	json_t *version = json_object_get(config->json, "cniVersion");
	const char *said = version ? json_string_value(version) : "0.1.0";
	size_t i;
	char *details;

	if (!said)
		cni_fail(CNI_DECODING_FAILURE, "", "cniVersion is no string");
	for (i = 0; i < ARRAY_SIZE(cni_versions); i++)
		if (!strcmp(said, cni_versions[i]))
			config->version = cni_versions[i];
	if (config->version)
		return;
	details = xasprintf("config is %s, plugin supports \"0.4.0\", \"1.0.0\"",
			    show_quoted(said));
	cni_fail(CNI_INCOMPATIBLE_VERSION, details, "incompatible CNI versions");
}

static void check_name(const struct cni_config *config)
{
	json_t *name = json_object_get(config->json, "name");
	const char *s = json_string_value(name);

	if (!name || (s && !*s))
		cni_fail(CNI_INVALID_CONFIG, "", "the name of the network is missing");
	if (!s || !strspn(s, letters) || s[strspn(s, letters_of_names)])
		cni_fail(CNI_INVALID_CONFIG, "", "name: that can't be the name of a network");
}

void cni_read_config(struct cni_config *config)
{
	json_error_t error;
	size_t length;
	char *text = read_all(STDIN_FILENO, &length);

	*config = (struct cni_config){ .required = true, .numbers = json_array() };
	if (!text)
		cni_fail(CNI_IO_FAILURE, "", "the configuration could not be read: %m");
	config->json = json_loadb(text, length, 0, &error);
	free(text);
	if (!config->json)
		cni_fail(CNI_DECODING_FAILURE, error.text, "the configuration is no JSON");
	if (!json_is_object(config->json))
		cni_fail(CNI_DECODING_FAILURE, "", "the configuration is no object");
	check_name(config);
	check_version(config);
	config->previous = json_object_get(config->json, "prevResult");
	if (json_is_null(config->previous))
		config->previous = NULL;
	if (config->previous && !json_is_object(config->previous))
		cni_fail(CNI_INVALID_CONFIG, "", "prevResult is no object");
}

void cni_free_config(struct cni_config *config)
{
	json_decref(config->json);
	json_decref(config->numbers);
	free(config->gate);
	free(config->limit);
	*config = (struct cni_config){ };
}

/* The same but for capitals and what joins words. */
static bool looks_like(const char *a, const char *b)
{
	for (;;) {
		a += strspn(a, "-_");
		b += strspn(b, "-_");
		if (!*a || tolower((unsigned char)*a) != tolower((unsigned char)*b))
			return !*a && !*b;
		a++;
		b++;
	}
}

/* Others' keys are none of ours; but one that is ours by a slip would leave a pod
 * without the limit that it was to have.
 */
static void check_keys(json_t *object)
{
	const char *key;
	json_t *value;
	char *details;
	size_t i;

	json_object_foreach(object, key, value) {
		for (i = 0; i < ARRAY_SIZE(own_keys); i++) {
			if (!strcmp(key, own_keys[i]) || !looks_like(key, own_keys[i]))
				continue;
			details = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
			cni_fail(CNI_UNSUPPORTED_FIELD, own_keys[i],
				 "unsupported field %s: %s, where this may be meant", key,
				 details ? details : "");
		}
	}
}

static json_t *own_value(json_t *object, const char *key)
{
	json_t *value = json_object_get(object, key);

	return json_is_null(value) ? NULL : value;
}

static bool flag_of(json_t *object, const char *key, bool otherwise)
{
	json_t *value = own_value(object, key);

	if (!value)
		return otherwise;
	if (!json_is_boolean(value))
		cni_fail(CNI_INVALID_CONFIG, "", "%s is neither true nor false", key);
	return json_is_true(value);
}

/* A number as a string, which is freed with the configuration. */
static const char *keep_number(struct cni_config *config, uint64_t number)
{
	char s[24];

	snprintf(s, sizeof(s), "%" PRIu64, number);
	json_array_append_new(config->numbers, json_string(s));
	return json_string_value(json_array_get(config->numbers,
						json_array_size(config->numbers) - 1));
}

/* A string, or a number that stands for one. */
static const char *string_of(struct cni_config *config, const char *key)
{
	json_t *value = own_value(config->json, key);

	if (!value)
		return NULL;
	if (json_is_integer(value) && json_integer_value(value) >= 0)
		return keep_number(config, json_integer_value(value));
	if (!json_is_string(value))
		cni_fail(CNI_INVALID_CONFIG, "", "%s is no string", key);
	return json_string_value(value);
}

static const char *text_of(json_t *object, const char *key)
{
	json_t *value = own_value(object, key);

	if (value && !json_is_string(value))
		cni_fail(CNI_INVALID_CONFIG, "", "%s is no string", key);
	return json_string_value(value);
}

/* 0 is none, as it is to the plugin bandwidth. */
static uint64_t bits_of(json_t *object, const char *key)
{
	json_t *value = own_value(object, key);

	if (value && (!json_is_integer(value) || json_integer_value(value) < 0))
		cni_fail(CNI_INVALID_CONFIG, "", "%s is no number of bits", key);
	return json_integer_value(value);
}

static void read_rate(struct cni_config *config, json_t *bandwidth, struct said *rate,
		      struct said *burst)
{
	uint64_t rate_bits = bits_of(bandwidth, rate->name);
	uint64_t burst_bits = bits_of(bandwidth, burst->name);

	if (rate_bits)
		rate->value = keep_number(config, rate_bits);
	if (burst_bits && burst_bits != NO_BURST)
		burst->value = keep_number(config, (burst_bits + BITS - 1) / BITS);
	if (!rate_bits)
		return;
	if (rate_bits < BITS)
		cni_fail(CNI_INVALID_CONFIG, "", "%s is less than a byte a second", rate->name);
}

/* What the owner of the node has fixed comes before what a pod asks for, as it does
 * with the plugin bandwidth.
 */
static json_t *find_bandwidth(json_t *json)
{
	json_t *runtime = own_value(json, "runtimeConfig"), *bandwidth;

	if (runtime && !json_is_object(runtime))
		cni_fail(CNI_INVALID_CONFIG, "", "runtimeConfig is no object");
	bandwidth = own_value(runtime, "bandwidth");
	if (bandwidth && !json_is_object(bandwidth))
		cni_fail(CNI_INVALID_CONFIG, "", "bandwidth is no object");
	if (own_value(json, "ingressRate") || own_value(json, "ingressBurst") ||
	    own_value(json, "egressRate") || own_value(json, "egressBurst"))
		return json;
	return bandwidth ? bandwidth : json;
}

static void read_limit(struct cni_config *config)
{
	struct limit_options limit = {
		.in.rate.name = "ingressRate",
		.in.burst.name = "ingressBurst",
		.in.quota.name = "quotaIn",
		.out.rate.name = "egressRate",
		.out.burst.name = "egressBurst",
		.out.quota.name = "quotaOut",
		.dry = flag_of(config->json, "dryRun", false),
	};
	json_t *bandwidth = find_bandwidth(config->json);

	check_keys(bandwidth);
	read_rate(config, bandwidth, &limit.in.rate, &limit.in.burst);
	read_rate(config, bandwidth, &limit.out.rate, &limit.out.burst);
	limit.in.quota.value = string_of(config, "quotaIn");
	limit.out.quota.value = string_of(config, "quotaOut");
	config->limit = limit_text(&limit);
}

static void read_gate(struct cni_config *config)
{
	const char *policy = text_of(config->json, "gate");
	struct gate_options options = {
		.except = { "except", text_of(config->json, "except") },
		.log = { "log", string_of(config, "log") },
		.loopback = { "loopback", flag_of(config->json, "loopback", false) ? "" : NULL },
		.dry = flag_of(config->json, "dryRun", false),
	};

	if (!policy && (options.except.value || options.log.value || options.loopback.value))
		cni_fail(CNI_INVALID_CONFIG, "",
			 "except, log and loopback are for a gate, which is missing");
	if (!policy)
		return;
	if (starts_with(policy, "dry ")) {
		policy += 4;
		options.dry = true;
	}
	config->gate = gate_text("gate", policy, &options);
}

void cni_read_wanted(struct cni_config *config)
{
	check_keys(config->json);
	config->required = flag_of(config->json, "required", true);
	read_limit(config);
	read_gate(config);
}
