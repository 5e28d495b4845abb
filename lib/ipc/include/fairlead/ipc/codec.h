/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames between the gateway's processes: one SOCK_SEQPACKET packet each, at most 128 KiB, never empty
 * (docs/internals/ipc.md). Codec only: no socket is opened here. Each side treats the other as hostile.
 */
#ifndef FAIRLEAD_IPC_CODEC_H
#define FAIRLEAD_IPC_CODEC_H

#include <fairlead/base/schema.h>
#include <fairlead/ipc/frames.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FL_FRAME_MAX	((size_t)128 * 1024)
#define FL_FRAME_HEADER 8 /* u16be type, u16be 0, u32be id */
#define FL_FRAME_FDS_MAX 8

/* The schema of a frame type; NULL for an unknown type. */
const struct fl_schema *fl_frame_schema(enum fl_frame_type type);
/* "stage_request" */
const char *fl_frame_name(enum fl_frame_type type);

/* Appends a whole frame. *in is the struct of that type. */
enum fl_rc fl_frame_encode(enum fl_frame_type type, uint32_t id, const void *in,
			   struct fl_buf *out, struct fl_err *err) FL_CHECKED;
/* The header alone: type and id. FL_E_PROTOCOL for a short frame or an unknown type. */
enum fl_rc fl_frame_peek(const void *frame, size_t len, enum fl_frame_type *type, uint32_t *id,
			 struct fl_err *err) FL_CHECKED;
/* Decodes the payload of a frame of `type` into *out; owned by the arena. FL_E_PROTOCOL; trailing bytes are one. */
enum fl_rc fl_frame_decode(enum fl_frame_type type, const void *frame, size_t len,
			   struct fl_arena *arena, void *out, struct fl_err *err) FL_CHECKED;

/*
 * One packet with descriptors through a SOCK_SEQPACKET socket; EINTR is retried. fl_frame_recv: FL_E_PEER_CLOSED at the end,
 * FL_E_BUSY when a non-blocking socket has nothing (send: no room), FL_E_PROTOCOL for a cut packet or too many descriptors (all are closed).
 * Received descriptors are O_CLOEXEC and owned by the caller; unused places are -1.
 */
enum fl_rc fl_frame_send(int sock, const void *frame, size_t len, const int *fds, size_t n_fds,
			 struct fl_err *err) FL_CHECKED;
enum fl_rc fl_frame_recv(int sock, struct fl_buf *frame, int fds[FL_FRAME_FDS_MAX], size_t *n_fds,
			 struct fl_err *err) FL_CHECKED;

/*
 * A document's payload as a memfd whose write, grow, shrink and seal seals are set; and its reading back: the seals are
 * checked, then the bytes are read once into buf.
 */
enum fl_rc fl_memfd_new(const void *data, size_t len, int *ret, struct fl_err *err) FL_CHECKED;
enum fl_rc fl_memfd_read(int fd, struct fl_buf *buf, struct fl_err *err) FL_CHECKED;

#ifdef __cplusplus
}
#endif
#endif
