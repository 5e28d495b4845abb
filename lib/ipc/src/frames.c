/* SPDX-License-Identifier: Apache-2.0 */
/* The schema of every frame with its limits, and the table of types. The order of the rows is the order of the bytes. */
#include <fairlead/ipc/codec.h>

#define CODE_MAX     40	   /* a code's, phase's or state's name */
#define TEXT_MAX     1024  /* one line for people */
#define OBSERVED_MAX 256   /* the same, of each component */
#define VERSION_MAX  128
#define PATH_BYTES   4095
#define JOBS_MAX     32	   /* open jobs: the anchor's limit */
#define COMPS_MAX    64	   /* components: the anchor's limit */
#define DOC_TYPE_MAX 8	   /* the highest enum fl_doc_type */
#define SIGS_MAX     16
#define SIG_MAX	     64
#define SLOTS_MAX    16
#define PIECE_MAX    65536 /* one page or chunk */
#define COUNT_MAX    4096  /* pieces per need */
#define PARAMS_MAX   4096
#define MEM_MAX	     (UINT64_C(256) << 20) /* of a decoder: the limit of every runner */

static const struct fl_field empty_fields[] = {
	FL_OPT(struct fl_ipc_empty, unused, BOOL, 0, NULL, "always false"),
};
static const struct fl_schema empty_nonce =
	FL_SCHEMA("nonce", struct fl_ipc_empty, empty_fields, "asks for a nonce");
static const struct fl_schema empty_keepalive =
	FL_SCHEMA("keepalive", struct fl_ipc_empty, empty_fields, "the plugin shows life");

static const struct fl_field hello_fields[] = {
	FL_REQ(struct fl_ipc_hello, proto, U64, UINT32_MAX, NULL, "FL_IPC_PROTO"),
	FL_REQ(struct fl_ipc_hello, version, STR, VERSION_MAX, NULL, "of the agent"),
};
static const struct fl_schema hello =
	FL_SCHEMA("hello", struct fl_ipc_hello, hello_fields, "opens the connection");

static const struct fl_field reply_fields[] = {
	FL_REQ(struct fl_ipc_reply, code, STR, CODE_MAX, NULL, "a code's name, ok"),
	FL_OPT(struct fl_ipc_reply, text, STR, TEXT_MAX, NULL, "one line for people"),
};
static const struct fl_schema reply =
	FL_SCHEMA("reply", struct fl_ipc_reply, reply_fields, "the answer to a request");
static const struct fl_schema end =
	FL_SCHEMA("end", struct fl_ipc_reply, reply_fields, "no more pieces will come, and why");

static const struct fl_field open_component_fields[] = {
	FL_REQ(struct fl_ipc_open_component, name, NAME, 0, NULL, "component"),
	FL_REQ(struct fl_ipc_open_component, phase, STR, CODE_MAX, NULL, "transaction phase"),
	FL_OPT(struct fl_ipc_open_component, slot, NAME, 0, NULL, "target slot"),
};
static const struct fl_schema open_component = FL_SCHEMA(
	"open_component", struct fl_ipc_open_component, open_component_fields, "of an open job");

static const struct fl_field open_job_fields[] = {
	FL_REQ(struct fl_ipc_open_job, job, DIGEST, 0, NULL, "digest of the job"),
	FL_OPT(struct fl_ipc_open_job, release, DIGEST, 0, NULL, "digest of its release"),
	FL_REQ(struct fl_ipc_open_job, job_seq, U64, UINT64_MAX, NULL, "its sequence number"),
	FL_OPT(struct fl_ipc_open_job, components, LIST, COMPS_MAX, &open_component, "held"),
};
static const struct fl_schema open_job = FL_SCHEMA("open_job", struct fl_ipc_open_job,
						   open_job_fields, "a job open in the anchor");

static const struct fl_field component_fields[] = {
	FL_REQ(struct fl_ipc_component, name, NAME, 0, NULL, "component"),
	FL_REQ(struct fl_ipc_component, handler, NAME, 0, NULL, "plugin"),
	FL_OPT(struct fl_ipc_component, slot, NAME, 0, NULL, "running slot"),
	FL_OPT(struct fl_ipc_component, version, STR, VERSION_MAX, NULL, "of the running image"),
	FL_REQ(struct fl_ipc_component, release_seq, U64, UINT64_MAX, NULL, "committed"),
	FL_REQ(struct fl_ipc_component, security_version, U64, UINT64_MAX, NULL, "running"),
	FL_REQ(struct fl_ipc_component, security_floor, U64, UINT64_MAX, NULL, "effective"),
	FL_OPT(struct fl_ipc_component, release, DIGEST, 0, NULL, "committed release"),
	FL_OPT(struct fl_ipc_component, permits_rollback_to, DIGESTS, 64, NULL, "of the committed release"),
	FL_OPT(struct fl_ipc_component, observed, STR, CODE_MAX, NULL, "what came of asking its handler"),
	FL_OPT(struct fl_ipc_component, observed_text, STR, OBSERVED_MAX, NULL, "one line for people"),
	FL_REQ(struct fl_ipc_component, source, BOOL, 0, NULL, "a decoder may read what runs"),
};
static const struct fl_schema component = FL_SCHEMA("component", struct fl_ipc_component,
						    component_fields, "a configured component");

static const struct fl_field hello_reply_fields[] = {
	FL_REQ(struct fl_ipc_hello_reply, proto, U64, UINT32_MAX, NULL, "FL_IPC_PROTO"),
	FL_REQ(struct fl_ipc_hello_reply, version, STR, VERSION_MAX, NULL, "of the helper"),
	FL_OPT(struct fl_ipc_hello_reply, boot_id, STR, VERSION_MAX, NULL, "of this boot"),
	FL_OPT(struct fl_ipc_hello_reply, boot_failure, STR, TEXT_MAX, NULL, "last failed boot"),
	FL_REQ(struct fl_ipc_hello_reply, anchor_lost, BOOL, 0, NULL, "no job is accepted"),
	FL_REQ(struct fl_ipc_hello_reply, root_version, U64, UINT64_MAX, NULL, "root document"),
	FL_REQ(struct fl_ipc_hello_reply, epoch, U64, UINT64_MAX, NULL, "of the root"),
	FL_REQ(struct fl_ipc_hello_reply, job_seq, U64, UINT64_MAX, NULL, "highest accepted"),
	FL_REQ(struct fl_ipc_hello_reply, offline_seq, U64, UINT64_MAX, NULL,
	       "the same of offline jobs"),
	FL_REQ(struct fl_ipc_hello_reply, t_min, U64, UINT64_MAX, NULL, "lower bound of time"),
	FL_REQ(struct fl_ipc_hello_reply, trial, BOOL, 0, NULL, "running slot is on trial"),
	FL_REQ(struct fl_ipc_hello_reply, trial_well, BOOL, 0, NULL, "its soak's time was added"),
	FL_REQ(struct fl_ipc_hello_reply, trial_left_ms, U64, UINT64_MAX, NULL, "until fallback"),
	FL_OPT(struct fl_ipc_hello_reply, open_jobs, LIST, JOBS_MAX, &open_job, "open jobs"),
	FL_OPT(struct fl_ipc_hello_reply, components, LIST, COMPS_MAX, &component, "components"),
	FL_OPT(struct fl_ipc_hello_reply, protections, STRINGS, 64, NULL, "in force or not"),
};
static const struct fl_schema hello_reply =
	FL_SCHEMA("hello_reply", struct fl_ipc_hello_reply, hello_reply_fields, "all it knows");

static const struct fl_field signature_fields[] = {
	FL_REQ(struct fl_ipc_signature, keyid, DIGEST, 0, NULL, "a hint"),
	FL_REQ(struct fl_ipc_signature, sig, BYTES, SIG_MAX, NULL, "64 bytes"),
};
static const struct fl_schema signature = FL_SCHEMA("signature", struct fl_ipc_signature,
						    signature_fields, "of a document");

static const struct fl_field document_fields[] = {
	FL_REQ(struct fl_ipc_document, type, U64, DOC_TYPE_MAX, NULL, "enum fl_doc_type"),
	FL_OPT(struct fl_ipc_document, sigs, LIST, SIGS_MAX, &signature, "signatures"),
};
static const struct fl_schema document = FL_SCHEMA("document", struct fl_ipc_document,
						   document_fields, "payload in a descriptor");

static const struct fl_field documents_fields[] = {
	FL_REQ(struct fl_ipc_documents, documents, LIST, FL_FRAME_FDS_MAX, &document, "in order"),
};
static const struct fl_schema present = FL_SCHEMA("present", struct fl_ipc_documents,
						  documents_fields, "roots, or a job and release");
static const struct fl_schema heartbeat = FL_SCHEMA("heartbeat", struct fl_ipc_documents,
						    documents_fields, "one heartbeat");
static const struct fl_schema documents =
	FL_SCHEMA("documents", struct fl_ipc_documents, documents_fields, "what was asked for");

static const struct fl_field present_reply_fields[] = {
	FL_REQ(struct fl_ipc_present_reply, code, STR, CODE_MAX, NULL, "a code's name, ok"),
	FL_OPT(struct fl_ipc_present_reply, text, STR, TEXT_MAX, NULL, "one line for people"),
	FL_OPT(struct fl_ipc_present_reply, job, DIGEST, 0, NULL, "open now"),
	FL_REQ(struct fl_ipc_present_reply, known, BOOL, 0, NULL, "it was open before"),
};
static const struct fl_schema present_reply = FL_SCHEMA(
	"present_reply", struct fl_ipc_present_reply, present_reply_fields, "the verdict");

static const struct fl_field get_document_fields[] = {
	FL_REQ(struct fl_ipc_get_document, digest, DIGEST, 0, NULL, "of an open job or release"),
};
static const struct fl_schema get_document = FL_SCHEMA(
	"get_document", struct fl_ipc_get_document, get_document_fields, "asks for a document");

static const struct fl_field nonce_reply_fields[] = {
	FL_REQ(struct fl_ipc_nonce_reply, nonce, BYTES, 32, NULL, "32 bytes"),
};
static const struct fl_schema nonce_reply =
	FL_SCHEMA("nonce_reply", struct fl_ipc_nonce_reply, nonce_reply_fields, "a new nonce");

static const struct fl_field stage_fields[] = {
	FL_REQ(struct fl_ipc_stage, job, DIGEST, 0, NULL, "open job"),
	FL_REQ(struct fl_ipc_stage, component, NAME, 0, NULL, "of its release"),
	FL_OPT(struct fl_ipc_stage, artifact, NAME, 0, NULL, "artifact's id; absent: the first"),
};
static const struct fl_schema stage =
	FL_SCHEMA("stage", struct fl_ipc_stage, stage_fields, "start staging");

static const struct fl_field target_fields[] = {
	FL_OPT(struct fl_ipc_target, job, DIGEST, 0, NULL, "open job; zero for observe"),
	FL_REQ(struct fl_ipc_target, component, NAME, 0, NULL, "component"),
};
static const struct fl_schema stop =
	FL_SCHEMA("stop", struct fl_ipc_target, target_fields, "kill the runner");
static const struct fl_schema seal =
	FL_SCHEMA("seal", struct fl_ipc_target, target_fields, "read back and compare");
static const struct fl_schema observe =
	FL_SCHEMA("observe", struct fl_ipc_target, target_fields, "ask for the truth");

static const struct fl_field job_ref_fields[] = {
	FL_REQ(struct fl_ipc_job_ref, job, DIGEST, 0, NULL, "open job"),
};
static const struct fl_schema activate =
	FL_SCHEMA("activate", struct fl_ipc_job_ref, job_ref_fields, "set the boot switch");
static const struct fl_schema restart =
	FL_SCHEMA("restart", struct fl_ipc_job_ref, job_ref_fields, "restart the machine");

static const struct fl_field commit_fields[] = {
	FL_REQ(struct fl_ipc_commit, job, DIGEST, 0, NULL, "open job"),
	FL_REQ(struct fl_ipc_commit, heartbeat, BOOL, 0, NULL, "documents holds one"),
	FL_OPT(struct fl_ipc_commit, documents, LIST, 1, &document, "the heartbeat"),
};
static const struct fl_schema commit =
	FL_SCHEMA("commit", struct fl_ipc_commit, commit_fields, "make it good");

static const struct fl_field rollback_fields[] = {
	FL_REQ(struct fl_ipc_rollback, job, DIGEST, 0, NULL, "open job"),
	FL_REQ(struct fl_ipc_rollback, reason, STR, CODE_MAX, NULL, "a code's name"),
	FL_OPT(struct fl_ipc_rollback, text, STR, TEXT_MAX, NULL, "one line for people"),
};
static const struct fl_schema rollback =
	FL_SCHEMA("rollback", struct fl_ipc_rollback, rollback_fields, "back to the good slot");

static const struct fl_field close_fields[] = {
	FL_REQ(struct fl_ipc_close, job, DIGEST, 0, NULL, "open job"),
	FL_REQ(struct fl_ipc_close, state, STR, CODE_MAX, NULL, "final state"),
};
static const struct fl_schema close_job =
	FL_SCHEMA("close", struct fl_ipc_close, close_fields, "end a job");

static const struct fl_field alive_fields[] = {
	FL_REQ(struct fl_ipc_alive, job, DIGEST, 0, NULL, "on trial"),
	FL_REQ(struct fl_ipc_alive, well, BOOL, 0, NULL, "all that the release demands was seen"),
};
static const struct fl_schema alive =
	FL_SCHEMA("alive", struct fl_ipc_alive, alive_fields, "the agent lives");

static const struct fl_field slot_fields[] = {
	FL_REQ(struct fl_ipc_slot, name, NAME, 0, NULL, "slot"),
	FL_REQ(struct fl_ipc_slot, running, BOOL, 0, NULL, "it runs"),
	FL_REQ(struct fl_ipc_slot, trial, BOOL, 0, NULL, "boot tries it"),
	FL_REQ(struct fl_ipc_slot, good, BOOL, 0, NULL, "boot falls back to it"),
	FL_REQ(struct fl_ipc_slot, withdrawn, BOOL, 0, NULL, "boot never offers it"),
	FL_OPT(struct fl_ipc_slot, version, STR, VERSION_MAX, NULL, "where known"),
	FL_REQ(struct fl_ipc_slot, release_seq, U64, UINT64_MAX, NULL, "where known"),
};
static const struct fl_schema slot =
	FL_SCHEMA("slot", struct fl_ipc_slot, slot_fields, "one slot of a component");

static const struct fl_field observation_fields[] = {
	FL_REQ(struct fl_ipc_observation, code, STR, CODE_MAX, NULL, "a code's name, ok"),
	FL_OPT(struct fl_ipc_observation, text, STR, TEXT_MAX, NULL, "one line for people"),
	FL_OPT(struct fl_ipc_observation, component, NAME, 0, NULL, "component"),
	FL_OPT(struct fl_ipc_observation, phase, STR, CODE_MAX, NULL, "transaction phase"),
	FL_OPT(struct fl_ipc_observation, slots, LIST, SLOTS_MAX, &slot, "slots"),
	FL_OPT(struct fl_ipc_observation, observed, STR, CODE_MAX, NULL, "by the handler"),
};
static const struct fl_schema observation =
	FL_SCHEMA("observation", struct fl_ipc_observation, observation_fields, "the truth");

static const struct fl_field staged_fields[] = {
	FL_REQ(struct fl_ipc_staged, job, DIGEST, 0, NULL, "open job"),
	FL_REQ(struct fl_ipc_staged, component, NAME, 0, NULL, "component"),
	FL_REQ(struct fl_ipc_staged, result, STR, CODE_MAX, NULL, "class of the result"),
	FL_REQ(struct fl_ipc_staged, code, STR, CODE_MAX, NULL, "a code's name"),
	FL_OPT(struct fl_ipc_staged, text, STR, TEXT_MAX, NULL, "one line for people"),
	FL_REQ(struct fl_ipc_staged, decoder, BOOL, 0, NULL, "of the artifact, not of the release"),
};
static const struct fl_schema staged =
	FL_SCHEMA("staged", struct fl_ipc_staged, staged_fields, "a runner ended");

static const struct fl_field rotten_fields[] = {
	FL_REQ(struct fl_ipc_rotten, component, NAME, 0, NULL, "component"),
	FL_REQ(struct fl_ipc_rotten, slot, NAME, 0, NULL, "that does not run"),
};
static const struct fl_schema rotten =
	FL_SCHEMA("rotten", struct fl_ipc_rotten, rotten_fields, "no longer holds what was sealed");

static const struct fl_field phase_fields[] = {
	FL_REQ(struct fl_ipc_phase, job, DIGEST, 0, NULL, "job"),
	FL_REQ(struct fl_ipc_phase, phase, STR, CODE_MAX, NULL, "new phase"),
	FL_OPT(struct fl_ipc_phase, code, STR, CODE_MAX, NULL, "why"),
	FL_OPT(struct fl_ipc_phase, text, STR, TEXT_MAX, NULL, "one line for people"),
};
static const struct fl_schema phase =
	FL_SCHEMA("phase", struct fl_ipc_phase, phase_fields, "the helper acted by itself");

static const struct fl_field start_fields[] = {
	FL_REQ(struct fl_ipc_start, activity, STR, CODE_MAX, NULL, "the handler's call"),
	FL_REQ(struct fl_ipc_start, plugin, STR, PATH_BYTES, NULL, "path of the .so"),
	FL_REQ(struct fl_ipc_start, component, NAME, 0, NULL, "component"),
	FL_REQ(struct fl_ipc_start, transaction, STR, 64, NULL, "the job's digest in hex"),
	FL_OPT(struct fl_ipc_start, format, STR, CODE_MAX, NULL, "of the artifact"),
	FL_REQ(struct fl_ipc_start, installed_size, U64, UINT64_MAX, NULL, "bytes"),
	FL_OPT(struct fl_ipc_start, installed_root, DIGEST, 0, NULL, "signed"),
	FL_REQ(struct fl_ipc_start, transport_size, U64, UINT64_MAX, NULL, "bytes"),
	FL_OPT(struct fl_ipc_start, transport_root, DIGEST, 0, NULL, "signed"),
	FL_REQ(struct fl_ipc_start, frame, U64, UINT32_MAX, NULL, "bytes of image per frame"),
	FL_OPT(struct fl_ipc_start, slot, NAME, 0, NULL, "target slot"),
	FL_OPT(struct fl_ipc_start, resources, STRINGS, FL_FRAME_FDS_MAX, NULL, "descriptors"),
	FL_REQ(struct fl_ipc_start, zero_tail, BOOL, 0, NULL, "zero the rest of the target"),
	FL_OPT(struct fl_ipc_start, user, STR, FL_NAME_MAX, NULL, "account to become"),
	FL_REQ(struct fl_ipc_start, require_sandbox, BOOL, 0, NULL, "fail without it"),
	FL_REQ(struct fl_ipc_start, decoder, BOOL, 0, NULL, "the content comes from a decoder"),
	FL_REQ(struct fl_ipc_start, source_size, U64, UINT64_MAX, NULL, "bytes; 0: no source"),
	FL_REQ(struct fl_ipc_start, mem_max, U64, MEM_MAX, NULL, "bytes a decoder may allocate"),
	FL_OPT(struct fl_ipc_start, params, BYTES, PARAMS_MAX, NULL, "of a decoder's format"),
};
static const struct fl_schema start =
	FL_SCHEMA("start", struct fl_ipc_start, start_fields, "what a runner is to do");

static const struct fl_field ready_fields[] = {
	FL_OPT(struct fl_ipc_ready, protections, STRINGS, 32, NULL, "in force or not"),
	FL_OPT(struct fl_ipc_ready, plugin_version, STR, VERSION_MAX, NULL, "as the plugin says"),
	FL_OPT(struct fl_ipc_ready, capabilities, STRINGS, 32, NULL, "as the plugin says"),
	FL_REQ(struct fl_ipc_ready, deadline_ms, U64, UINT32_MAX, NULL, "silence allowed"),
};
static const struct fl_schema ready =
	FL_SCHEMA("ready", struct fl_ipc_ready, ready_fields, "the sandbox stands");

static const struct fl_field log_fields[] = {
	FL_REQ(struct fl_ipc_log, level, U64, 7, NULL, "of syslog(3)"),
	FL_REQ(struct fl_ipc_log, text, STR, TEXT_MAX, NULL, "one line"),
};
static const struct fl_schema log_line =
	FL_SCHEMA("log", struct fl_ipc_log, log_fields, "a line for the log");

static const struct fl_field result_fields[] = {
	FL_REQ(struct fl_ipc_result, result, STR, CODE_MAX, NULL, "class"),
	FL_REQ(struct fl_ipc_result, code, STR, CODE_MAX, NULL, "a code's name"),
	FL_OPT(struct fl_ipc_result, text, STR, TEXT_MAX, NULL, "one line for people"),
};
static const struct fl_schema result =
	FL_SCHEMA("result", struct fl_ipc_result, result_fields, "the last frame of a runner");

static const struct fl_field need_fields[] = {
	FL_REQ(struct fl_ipc_need, object, U64, FL_OBJECT_OUTPUT, NULL, "enum fl_ipc_object"),
	FL_REQ(struct fl_ipc_need, first, U64, UINT32_MAX, NULL, "first page or chunk"),
	FL_REQ(struct fl_ipc_need, count, U64, COUNT_MAX, NULL, "how many"),
};
static const struct fl_schema need =
	FL_SCHEMA("need", struct fl_ipc_need, need_fields, "asks for pieces");

static const struct fl_field piece_fields[] = {
	FL_REQ(struct fl_ipc_piece, object, U64, FL_OBJECT_OUTPUT, NULL, "enum fl_ipc_object"),
	FL_REQ(struct fl_ipc_piece, index, U64, UINT32_MAX, NULL, "page or chunk"),
	FL_OPT(struct fl_ipc_piece, data, BYTES, PIECE_MAX, NULL, "may be empty"),
};
static const struct fl_schema piece =
	FL_SCHEMA("piece", struct fl_ipc_piece, piece_fields, "a page or a chunk");

static const struct fl_field progress_fields[] = {
	FL_REQ(struct fl_ipc_progress, step, STR, CODE_MAX, NULL, "hashing, staging"),
	FL_REQ(struct fl_ipc_progress, done_bytes, U64, UINT64_MAX, NULL, "right in the target"),
	FL_REQ(struct fl_ipc_progress, total_bytes, U64, UINT64_MAX, NULL, "installed size"),
	FL_REQ(struct fl_ipc_progress, kept_bytes, U64, UINT64_MAX, NULL, "right from the start"),
};
static const struct fl_schema progress =
	FL_SCHEMA("progress", struct fl_ipc_progress, progress_fields, "how far it is");

static const struct fl_field bad_fields[] = {
	FL_REQ(struct fl_ipc_bad, first, U64, UINT32_MAX, NULL, "first chunk"),
	FL_REQ(struct fl_ipc_bad, count, U64, UINT32_MAX, NULL, "how many"),
};
static const struct fl_schema bad =
	FL_SCHEMA("bad", struct fl_ipc_bad, bad_fields, "chunks that the decoder made wrong");

static const struct fl_schema *const schemas[] = {
	[FL_FRAME_HELLO] = &hello,
	[FL_FRAME_PRESENT] = &present,
	[FL_FRAME_GET_DOCUMENT] = &get_document,
	[FL_FRAME_NONCE] = &empty_nonce,
	[FL_FRAME_HEARTBEAT] = &heartbeat,
	[FL_FRAME_STAGE] = &stage,
	[FL_FRAME_STOP] = &stop,
	[FL_FRAME_SEAL] = &seal,
	[FL_FRAME_ACTIVATE] = &activate,
	[FL_FRAME_RESTART] = &restart,
	[FL_FRAME_COMMIT] = &commit,
	[FL_FRAME_ROLLBACK] = &rollback,
	[FL_FRAME_CLOSE] = &close_job,
	[FL_FRAME_OBSERVE] = &observe,
	[FL_FRAME_ALIVE] = &alive,
	[FL_FRAME_REPLY] = &reply,
	[FL_FRAME_HELLO_REPLY] = &hello_reply,
	[FL_FRAME_PRESENT_REPLY] = &present_reply,
	[FL_FRAME_NONCE_REPLY] = &nonce_reply,
	[FL_FRAME_DOCUMENTS] = &documents,
	[FL_FRAME_OBSERVATION] = &observation,
	[FL_FRAME_STAGED] = &staged,
	[FL_FRAME_ROTTEN] = &rotten,
	[FL_FRAME_PHASE] = &phase,
	[FL_FRAME_START] = &start,
	[FL_FRAME_READY] = &ready,
	[FL_FRAME_KEEPALIVE] = &empty_keepalive,
	[FL_FRAME_LOG] = &log_line,
	[FL_FRAME_RESULT] = &result,
	[FL_FRAME_NEED] = &need,
	[FL_FRAME_PROGRESS] = &progress,
	[FL_FRAME_BAD] = &bad,
	[FL_FRAME_PIECE] = &piece,
	[FL_FRAME_END] = &end,
};

const struct fl_schema *fl_frame_schema(enum fl_frame_type type)
{
	size_t i = (size_t)type;
	return i < sizeof(schemas) / sizeof(schemas[0]) ? schemas[i] : NULL;
}

const char *fl_frame_name(enum fl_frame_type type)
{
	const struct fl_schema *schema = fl_frame_schema(type);
	return schema == NULL ? "unknown" : schema->name;
}
