/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ABI of decoders: how Fairlead turns an artifact of a format it does not know by itself (a
 * delta, a vendor's own) into the bytes that must stand in the target.
 *
 * A decoder is a shared object that exports one symbol, the constant object `fl_decoder_plugin`.
 * It runs in a process of its own, fairlead-runner, which loads the object, calls `hello`, then
 * `decode` once, and ends. Results, log levels and fl_result_fail() are those of handler.h.
 *
 *   input    the artifact's bytes, by offset; every byte was checked against its signed tree before
 *            it is handed out
 *   source   what a delta is made against, by offset, read-only; nobody has checked it
 *   output   what must stand in the target; written in ascending order, one chunk per call
 *   chunk    65,536 bytes of output at a multiple of 65,536; the last may be shorter
 *   wanted   runs of whole chunks that the target lacks: only these are written
 *
 * The whole of `decode`, but for what lies between input, source and data:
 *
 *   while ((n = host->wanted(host, &offset, &len)) > 0)
 *           for each chunk of that run, in order: host->write_output(host, offset, data, n_bytes)
 *   return n == 0 ? FL_CLASS_OK : FL_CLASS_RETRY;
 *
 * Threads. Both calls come from one thread, which is the only one: none can be started. Calls may
 * block. Host functions may only be called during a call.
 *
 * Ownership. Every pointer passed to a call is borrowed for that call, except `host`, which stays
 * valid and unchanged until the process ends. What write_output gets is borrowed for that call.
 * Nothing needs to be given back at the end; the process ends.
 *
 * Repetition. SIGKILL or a power cut may come at any instant. Nothing is kept: the next process
 * begins from nothing, with the same input and source, and is asked for what lacks then. A format
 * therefore lets its decoder pass over output that is not wanted without making it, as far as it
 * can, and never reads its own output back.
 *
 * Failure. A host function that fails has noted why: return FL_CLASS_RETRY at once, whatever you
 * say beside it is not used, and every later host function fails too. The classes FL_CLASS_UNSAFE
 * and FL_CLASS_NEEDS_USER are not a decoder's to return: it touches no device.
 *
 * Memory. alloc() gives at most fl_decode_task.memory_bytes in all, as the signed release states;
 * the address space of the process ends a little above that, so malloc() and the stack fail there
 * too.
 *
 * Silence. Once the process has shown no life for its deadline (struct fl_decoder_hello) it is
 * taken as hung and killed. Life is: a chunk written, input read farther than ever before,
 * progress(), keepalive(), and any time spent waiting in wanted() or write_output() for the other
 * side. Reading the source, or the same input again, is not.
 *
 * Sandbox. That of handlers, and tighter: no descriptor but those behind the host functions, none
 * of them writable; no file, path, process, thread, socket, device control or executable memory.
 * What tries gets EPERM or EACCES. Standard error may be written to; it ends in the log.
 *
 * Belief. No byte of output reaches a target before it was compared with the signed tree, in
 * another process. A wrong chunk costs that chunk: it is fetched some other way.
 *
 * ABI. abi_major, abi_minor and size stay the first three members of struct fl_decoder and struct
 * fl_decoder_host, and size the first of every other struct that is passed, for ever. Members are
 * only appended; a member exists when `size` covers it. A host takes a plugin of its own major with
 * any minor; a plugin looks at host->size before it uses a member newer than its major's first
 * minor.
 *
 * Changelog
 *   1.0  2026-11-21  first version
 */
#ifndef FAIRLEAD_DECODER_H
#define FAIRLEAD_DECODER_H

#include <fairlead/handler.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FL_DECODER_ABI_MAJOR 1
#define FL_DECODER_ABI_MINOR 0

#define FL_DECODER_EXPORT __attribute__((visibility("default")))

#define FL_DECODER_CHUNK 65536u

/* Filled by `hello`; all zero but `size` when it is called. */
struct fl_decoder_hello {
	uint32_t size;	      /* set by the host */
	uint32_t deadline_ms; /* silence allowed; 0: FL_DEADLINE_DEFAULT_MS; at most
				 FL_DEADLINE_MAX_MS */
	/* What decode allocates at least, whatever the artifact; a release that grants less is
	 * refused ("too_large"). */
	uint64_t memory_min_bytes;
	/* The names of formats it knows ("delta"), ended by NULL; at most 16 of at most 32 bytes;
	 * kept until the process ends. */
	const char *const *formats;
	/* the first argument of decode; may be NULL */
	void *self;
};

struct fl_decoder_host {
	uint32_t abi_major, abi_minor, size; /* for ever */
	void *ctx;			     /* the host's own */
	/*
	 * Exactly len bytes at offset into data. 0, or -1: they lie (partly) past the end, which
	 * ends the activity with "format"; or they are not the signed ones, or cannot be read. Any
	 * order; ascending is cheap, going back costs a chunk of 65,536 bytes read and hashed anew.
	 */
	int (*read_input)(const struct fl_decoder_host *host, uint64_t offset, void *data,
			  uint32_t len);
	/*
	 * Exactly len bytes at offset into data. 0, or -1: past the end ("format"). What the medium
	 * cannot read any more is given as zeros, and noted: the chunks made of it are found wrong
	 * and come some other way, the others still from here.
	 */
	int (*read_source)(const struct fl_decoder_host *host, uint64_t offset, void *data,
			   uint32_t len);
	/*
	 * The next run that is to be written: it begins and ends with a chunk, and never before
	 * what was written already. 1; 0: nothing more, return FL_CLASS_OK; -1. The same until its
	 * first chunk is written, then what is left of it. Waits for the other side.
	 */
	int (*wanted)(const struct fl_decoder_host *host, uint64_t *offset, uint64_t *len);
	/*
	 * The first chunk of what is wanted, which wanted() has told: its offset, and its whole
	 * length. 0, or -1: another chunk ("plugin_contract"), another length or past the end
	 * ("size_mismatch"), or the other side is gone. Waits for the other side.
	 */
	int (*write_output)(const struct fl_decoder_host *host, uint64_t offset, const void *data,
			    uint32_t len);
	/* Memory for any type, not zeroed; NULL past the limit or for size 0. Each piece counts 32
	 * bytes more than its size. */
	void *(*alloc)(const struct fl_decoder_host *host, size_t size);
	/* Gives back what alloc() gave; NULL is fine. */
	void (*release)(const struct fl_decoder_host *host, void *data);
	/* done of total, in units of the plugin's choice (total > 0). Cheap, call it often. */
	void (*progress)(const struct fl_decoder_host *host, uint64_t done, uint64_t total);
	/* Something has moved on that progress() cannot express. Never from a timer. Cheap. */
	void (*keepalive)(const struct fl_decoder_host *host);
	/* One line, at most 400 bytes are kept; a plugin that floods loses lines, and the log says
	 * so. */
	void (*log)(const struct fl_decoder_host *host, enum fl_level level, const char *text);
	/* Not 0 once the activity is no longer wanted: return FL_CLASS_RETRY, "cancelled". Two
	 * seconds later the process is killed. */
	int (*cancelled)(const struct fl_decoder_host *host);
};

/* What is to be decoded; from signed documents. */
struct fl_decode_task {
	uint32_t size;	     /* set by the host */
	uint32_t params_len; /* at most 4,096 */
	const char *format;  /* one of hello's */
	const void *params;  /* of the format, as the release states them; NULL: none */
	uint64_t input_size, source_size /* 0: no source */, output_size;
	uint64_t memory_bytes; /* what alloc() gives in all */
};

/* The exported object. Both calls are required, return an enum fl_class, and unless that is
 * FL_CLASS_OK fill *result (all zero before). */
struct fl_decoder {
	/* for ever: FL_DECODER_ABI_MAJOR, FL_DECODER_ABI_MINOR, sizeof(struct fl_decoder) */
	uint32_t abi_major, abi_minor, size;
	const char *name;    /* "delta" */
	const char *version; /* of the plugin, for people */

	/* Who are you? Reads nothing. `host` may be kept. */
	int (*hello)(const struct fl_decoder_host *host, struct fl_decoder_hello *hello,
		     struct fl_result *result);
	/*
	 * Write what is wanted until nothing more is. FL_CLASS_PERMANENT: this artifact can never
	 * be decoded; FL_CLASS_RETRY: it may be, another time. FL_CLASS_OK before all that was
	 * wanted is written: "size_mismatch".
	 */
	int (*decode)(void *self, const struct fl_decode_task *task, struct fl_result *result);
};

/* The size of the first version: a smaller object is no decoder. */
#define FL_DECODER_SIZE_1_0 (offsetof(struct fl_decoder, decode) + sizeof(void (*)(void)))

FL_DECODER_EXPORT extern const struct fl_decoder fl_decoder_plugin;

#ifdef __cplusplus
}
#endif
#endif
