/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reports on their way to the fleet: signed with the device key, numbered, kept in the store until the fleet has
 * acknowledged them, sent one window at a time in order.
 */
#ifndef FAIRLEAD_DAEMON_OUTBOX_H
#define FAIRLEAD_DAEMON_OUTBOX_H

#include "db.h"

struct fl_agent;
struct fl_job_run;

struct fl_outbox_read {
	struct fl_db_op op;
	struct fl_agent *agent;
	uint64_t after, report_seq, acked;
	struct fl_buf text;
};

struct fl_outbox {
	struct fl_agent *agent;
	uint64_t report_seq; /* the last one given out */
	uint64_t sent;	     /* over the present connection */
	uint64_t acked;
	bool reading, acking, wake_again;
	struct fl_outbox_read read, ack;
};

enum fl_rc fl_outbox_open(struct fl_outbox *outbox, struct fl_agent *agent, struct fl_err *err)
	FL_CHECKED;
void fl_outbox_done(struct fl_outbox *outbox);

/* Makes the signed report of the job as it is now, under the next number. */
enum fl_rc fl_outbox_make_report(struct fl_outbox *outbox, const struct fl_job_run *run,
				 uint64_t *report_seq, struct fl_buf *text, struct fl_err *err)
	FL_CHECKED;
/* Queues a report of the job as it is now. */
void fl_outbox_job(struct fl_outbox *outbox, const struct fl_job_run *run);
/* Queues a report of what was refused before a job could be named. */
void fl_outbox_refused(struct fl_outbox *outbox, const struct fl_err *err);
/* Something was stored, or the link is up: send what the fleet has not got. */
void fl_outbox_wake(struct fl_outbox *outbox);
void fl_outbox_on_link_up(struct fl_outbox *outbox);
/* The fleet keeps everything up to report_seq. */
void fl_outbox_on_ack(struct fl_outbox *outbox, uint64_t report_seq);

#endif
