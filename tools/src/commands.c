/* SPDX-License-Identifier: Apache-2.0 */
/* The table of commands: what stands here is the command line of `fairlead`. */
#include "commands.h"

#include <fairlead/blocks/search.h>

#define OPTIONS(array) (array), sizeof(array) / sizeof((array)[0])
#define NO_OPTIONS     NULL, 0

static const struct fl_tools_option keys_init[] = {
	{"product", 'p', true, "NAME", "the product that the release key may sign"},
	{"alg", 0, false, "ALG", "algorithm: ed25519 (default) or ecdsa-p256-sha256"},
};
static const struct fl_tools_option keys_generate[] = {
	{"alg", 0, false, "ALG", "algorithm: ed25519 (default) or ecdsa-p256-sha256"},
};
static const struct fl_tools_option keys_root_next[] = {
	{"output", 'o', true, "FILE", "where the unsigned root N+1 goes"},
	{"add-root", 0, false, "PUB", "one more root key (repeatable)"},
	{"add-release", 0, false, "PUB",
	 "one more release key of the first release role (repeatable)"},
	{"add-operator", 0, false, "PUB", "one more operator key (repeatable)"},
	{"add-dispatch", 0, false, "PUB", "one more dispatch key (repeatable)"},
	{"remove", 0, false, "KEYID", "take a key out of its roles (repeatable)"},
	{"revoke", 0, false, "KEYID",
	 "the same, and nothing it signed counts any more (repeatable)"},
	{"revoke-release", 0, false, "DIGEST", "this release is installed no more (repeatable)"},
	{"threshold", 0, false, "ROLE=N", "signatures that a role needs (repeatable)"},
	{"add-intent", 0, false, "ROLE=INTENT",
	 "what dispatch or operator may order, too (repeatable)"},
	{"floor", 0, false, "COMPONENT=SEQ,SECURITY",
	 "lowest release_seq and security_version of --product (repeatable)"},
	{"product", 'p', false, "NAME", "the product of --floor"},
	{"new-epoch", 0, false, NULL, "start counters and time anew (after a stolen dispatch key)"},
	{"expires-days", 0, false, "N", "days until it expires (default 1826)"},
};
static const struct fl_tools_option signing_key[] = {
	{"key", 'k', true, "KEY", "private key: a PEM file, or a URI"},
};
static const struct fl_tools_option keys_verify[] = {
	{"previous", 0, false, "ROOT", "the root document before (version N of N+1)"},
};
static const struct fl_tools_option release_create[] = {
	{"product", 'p', true, "NAME", "the product it is made for"},
	{"version", 'v', true, "VERSION", "its version, and that of its components"},
	{"component", 'c', true, "NAME=IMAGE", "a component and its image (repeatable, in order)"},
	{"class", 0, true, "UUID", "a device class it is made for (repeatable)"},
	{"hw-rev", 0, true, "MIN-MAX", "hardware revisions it is made for"},
	{"output", 'o', true, "DIR", "the folder to make"},
	{"handler", 0, false, "NAME=HANDLER", "the handler of a component (default rootfs)"},
	{"restart", 0, false, "NAME=WHAT",
	 "none, component or host (default: as the handler needs)"},
	{"slot-fill", 0, false, "NAME=WHAT", "keep (default) or zero the rest of a slot"},
	{"verity-root", 0, false, "NAME=HEX",
	 "dm-verity's root hash of an image, handed to the kernel as roothash="},
	{"delta", 0, false, "NAME=SOURCE",
	 "make a delta against an older image of a component, too (repeatable)"},
	{"component-version", 0, false, "NAME=VERSION",
	 "where a component has a version of its own"},
	{"release-seq", 0, false, "N", "must be what image-info says; needed where there is none"},
	{"security-version", 0, false, "N", "likewise"},
	{"permits-rollback-to", 0, false, "DIGEST",
	 "an older release it may go back to (repeatable)"},
	{"reach", 0, false, "RULE,...", "fleet (default), fleet-or-gateway, local"},
	{"deadline-s", 0, false, "N", "seconds from restart to commit, 30 to 86400 (default 600)"},
	{"unit", 0, false, "NAME", "a systemd unit that must run before commit (repeatable)"},
	{"soak-s", 0, false, "N",
	 "seconds that all must stay well before commit, 60 to 604800 (default none)"},
	{"soak-limit", 0, false, "WHAT=N",
	 "memory, load, round-trip: percent of before (150, 300, 500); restarts (2) (repeatable)"},
	{"kind", 0, false, "KIND", "security, functional (default) or mixed"},
	{"notes-url", 0, false, "URL", "where its notes can be read"},
	{"frame", 0, false, "BYTES", "image bytes per frame, n x 65536 (default 1048576)"},
	{"level", 0, false, "N", "zstd level, 1 to 22 (default 6)"},
	{"expires-days", 0, false, "N", "days until it can no longer be installed (default 730)"},
};
static const struct fl_tools_option release_verify[] = {
	{"root", 'r', true, "ROOT", "the root document it must be signed under"},
};
static const struct fl_tools_option delta_create[] = {
	{"output", 'o', true, "DIR", "the folder it is added to"},
};
static const struct fl_tools_option blocks_create[] = {
	{"output", 'o', true, "DIR", "the folder they are added to"},
	{"frame", 0, false, "BYTES", "image bytes per frame, n x 4096 up to 32768 (default 8192)"},
	{"level", 0, false, "N", "zstd level, 1 to 22 (default 19)"},
};
static const struct fl_tools_option blocks_plan[] = {
	{"image", 0, false, "IMAGE", "compare what is found with the image"},
};
static const struct fl_tools_option bundle_create[] = {
	{"device", 'd', true, "ID", "a device that may install it (repeatable)"},
	{"output", 'o', true, "FILE", "the bundle"},
	{"component", 'c', false, "NAME", "only this component (repeatable; default all)"},
	{"force", 0, false, NULL, "also where the fleet knows better; the device decides"},
	{"expires-s", 0, false, "N", "seconds until it can no longer be begun (default 30 days)"},
	{"key", 'k', false, "KEY",
	 "sign here, without a fleet: an operator's key, a PEM file or a URI (repeatable)"},
	{"root", 'r', false, "ROOT",
	 "with --key: the root documents, from the oldest that a device may have (repeatable)"},
	{"tenant", 0, false, "NAME", "with --key: the owner of the devices (default \"default\")"},
	{"seq", 0, false, "N", "with --key: number of the bundle (default seconds since 1970)"},
};
static const struct fl_tools_option device_enroll[] = {
	{"identity", 0, true, "sha256:HEX", "digest of the device key's SubjectPublicKeyInfo"},
};
static const struct fl_tools_option deploy[] = {
	{"device", 'd', true, "ID", "a device to deploy to (repeatable)"},
	{"artifact", 0, false, "ID", "the artifact to take (default: the gateway's choice)"},
	{"force", 0, false, NULL, "also where the fleet knows better; the device decides"},
	{"wait", 'w', false, NULL, "watch the jobs to their end"},
	{"timeout-s", 0, false, "N", "with --wait: give up after so many seconds"},
	{"expires-s", 0, false, "N", "seconds until the jobs expire"},
};
static const struct fl_tools_option jobs_list[] = {
	{"device", 'd', false, "ID", "only jobs of this device"},
	{"state", 0, false, "STATE", "only jobs in this state"},
	{"limit", 'n', false, "N", "only the newest N (default 100)"},
};
static const struct fl_tools_option jobs_watch[] = {
	{"timeout-s", 0, false, "N", "give up after so many seconds"},
};

/* path, arguments, how many at least and at most, fleet?, summary, options, function */
const struct fl_tools_command fl_tools_commands[] = {
	{"keys init", "DIR", 1, 1, false,
	 "Make the keys of a new fleet and its first root document", OPTIONS(keys_init),
	 fl_tools_keys_init},
	{"keys generate", "FILE", 1, 1, false, "Make one key: FILE, and its public half FILE.pub",
	 OPTIONS(keys_generate), fl_tools_keys_generate},
	{"keys show", "FILE", 1, 1, false, "Show a key, or the keys and roles of a root document",
	 NO_OPTIONS, fl_tools_keys_show},
	{"keys root-next", "ROOT", 1, 1, false, "Make the unsigned root document N+1",
	 OPTIONS(keys_root_next), fl_tools_keys_root_next},
	{"keys sign", "FILE", 1, 1, false, "Add a signature to a document", OPTIONS(signing_key),
	 fl_tools_keys_sign},
	{"keys verify", "ROOT", 1, 1, false, "Check the signatures of a root document",
	 OPTIONS(keys_verify), fl_tools_keys_verify},

	{"release create", "", 0, 0, false, "Make an unsigned release from images",
	 OPTIONS(release_create), fl_tools_release_create},
	{"release sign", "DIR|FILE", 1, 1, false, "Check every digest of a release and sign it",
	 OPTIONS(signing_key), fl_tools_release_sign},
	{"release verify", "DIR|FILE", 1, 1, false,
	 "Check the signatures and every digest of a release", OPTIONS(release_verify),
	 fl_tools_release_verify},
	{"release show", "DIR|FILE", 1, 1, false, "Show what a release holds", NO_OPTIONS,
	 fl_tools_release_show},
	{"release publish", "DIR", 1, 1, true, "Bring a release and its content to the fleet",
	 NO_OPTIONS, fl_tools_release_publish},
	{"release list", "", 0, 0, true, "List the releases that the fleet has", NO_OPTIONS,
	 fl_tools_release_list},
	{"root publish", "FILE", 1, 1, true, "Bring the next root document to the fleet",
	 NO_OPTIONS, fl_tools_root_publish},

	{"delta create", "SOURCE IMAGE", 2, 2, false, "Make what turns one image into the next",
	 OPTIONS(delta_create), fl_tools_delta_create},
	{"blocks create", "IMAGE", 1, 1, false,
	 "Make the blocks of an image, for devices that have anything", OPTIONS(blocks_create),
	 fl_tools_blocks_create},
	{"blocks plan", "INDEX BASE...", 2, 1 + FL_BLOCKS_BASES_MAX, false,
	 "Show what a device that has BASE would fetch", OPTIONS(blocks_plan),
	 fl_tools_blocks_plan},

	{"bundle create", "DIR", 1, 1, true, "Make one file that installs a release without a network",
	 OPTIONS(bundle_create), fl_tools_bundle_create},
	{"bundle show", "FILE", 1, 1, false, "Show what a bundle holds", NO_OPTIONS,
	 fl_tools_bundle_show},

	{"device enroll", "ID", 1, 1, true, "Let a device with this identity enroll",
	 OPTIONS(device_enroll), fl_tools_device_enroll},
	{"device revoke", "ID", 1, 1, true, "Shut a device out for good", NO_OPTIONS,
	 fl_tools_device_revoke},
	{"device list", "", 0, 0, true, "List the devices", NO_OPTIONS, fl_tools_device_list},
	{"device show", "ID", 1, 1, true, "Show a device, its events and its jobs", NO_OPTIONS,
	 fl_tools_device_show},

	{"deploy", "DIGEST|DIR", 1, 1, true, "Have devices install a release", OPTIONS(deploy),
	 fl_tools_deploy},
	{"jobs list", "", 0, 0, true, "List jobs", OPTIONS(jobs_list), fl_tools_jobs_list},
	{"jobs show", "ID", 1, 1, true, "Show a job and its history", NO_OPTIONS,
	 fl_tools_jobs_show},
	{"jobs watch", "ID", 1, 1, true, "Follow a job to its end", OPTIONS(jobs_watch),
	 fl_tools_jobs_watch},
	{"jobs cancel", "ID", 1, 1, true, "Withdraw a job", NO_OPTIONS, fl_tools_jobs_cancel},
	{"status", "", 0, 0, true, "Show the state of the fleet", NO_OPTIONS, fl_tools_status},
};
const size_t fl_tools_n_commands = sizeof(fl_tools_commands) / sizeof(fl_tools_commands[0]);
