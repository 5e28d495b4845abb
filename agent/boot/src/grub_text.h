/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The texts of the back end grub, pure: environment blocks (GRUB manual, "Environment block") of a
 * fixed size, laid out so that a value that changes never moves another one.
 */
#ifndef FAIRLEAD_BOOT_GRUB_TEXT_H
#define FAIRLEAD_BOOT_GRUB_TEXT_H

#include <fairlead/boot/boot.h>

#define GRUB_DECISION_SIZE ((size_t)4096)
#define GRUB_COUNT_SIZE	   ((size_t)1024)
#define GRUB_SUM_MAX	   ((size_t)80)

enum grub_copy {
	GRUB_FIRST,
	GRUB_SECOND,
	GRUB_COPIES,
};

extern const char *const grub_copy_names[GRUB_COPIES];

/* GRUB_DECISION_SIZE bytes; the copies differ in their name alone. */
enum fl_rc grub_print_decision(const struct fl_boot_state *state, enum grub_copy copy,
			       struct fl_buf *out, struct fl_err *err) FL_CHECKED;
/* The one line of the checksum file, as `sha256sum --check` reads it. */
enum fl_rc grub_print_sum(const struct fl_buf *decision, enum grub_copy copy, struct fl_buf *out,
			  struct fl_err *err) FL_CHECKED;
/* FL_E_CORRUPT unless it is byte by byte what print makes of what it says. */
enum fl_rc grub_parse_decision(const struct fl_buf *text, const struct fl_buf *sum,
			       enum grub_copy copy, struct fl_boot_state *ret,
			       struct fl_err *err) FL_CHECKED;

/*
 * The count: GRUB_COUNT_SIZE bytes, all that matters in the first sector. Two fields for the tries
 * that are left, of the decisions with an even and an odd number: arming the next decision's leaves
 * the present one's alone. A value is a token of (decision, tries left), so that neither damage nor
 * an old count passes as a try.
 */
#define GRUB_TOKEN_SIZE ((size_t)17) /* with the final zero */

struct grub_field {
	size_t offset, len;
};

enum fl_rc grub_token(const struct fl_boot_state *state, unsigned left, char out[GRUB_TOKEN_SIZE],
		      struct fl_err *err) FL_CHECKED;
/* A block without a try or an offer. */
enum fl_rc grub_print_count(struct fl_buf *out, struct fl_err *err) FL_CHECKED;
/* Everything but the values is where print_count puts it. */
bool grub_count_valid(const struct fl_buf *text);
/* Where the decision's tokens stand. */
struct grub_field grub_count_field(uint64_t seq);
/* Where the slots that are offered stand, twice; the line end between included. */
struct grub_field grub_offer_field(void);
/* Those bytes for a decision: its good slot, then all that are not withdrawn. */
enum fl_rc grub_print_offer(const struct fl_boot_host *host, const struct fl_boot_state *state,
			    struct fl_buf *out, struct fl_err *err) FL_CHECKED;
/* The tries that a valid count leaves to the decision's trial. */
enum fl_rc grub_tries_left(const struct fl_buf *count, const struct fl_boot_state *state,
			   unsigned *ret, struct fl_err *err) FL_CHECKED;

#endif
