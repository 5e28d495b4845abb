/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Power-cut replay: from what flshim recorded, the states in which a directory may be found when
 * the power went off after any of the calls.
 *
 * The model is what POSIX promises, no more: a file's data and length are safe by a sync of that
 * file, a name (create, rename, unlink, link) by a sync of its directory. Of the rest anything may
 * have reached the medium: of each unsynced write each sector of 512 bytes or not, of the unsynced
 * names a prefix in their order.
 */
#ifndef REPLAY_H
#define REPLAY_H

#include <stdbool.h>
#include <stdint.h>

struct replay;

/*
 * log: of the plan "record"; initial: a directory as it was when recording began, NULL: empty.
 * `ignore`: a mutant whose syncs of that path, relative to the recorded directory, have no effect
 * ("" is the directory, "*" all); NULL: none.
 */
struct replay *replay_new(const char *log, const char *initial, const char *ignore);
void replay_free(struct replay *replay);
/* Does the next recorded call; false at the end. *mark: the last flshim_mark passed. */
bool replay_step(struct replay *replay, uint64_t *mark);
/* Does anything wait for a sync? Without it all variants are the same. */
bool replay_pending(const struct replay *replay);

#define REPLAY_NOTHING 0 /* nothing unsynced is there */
#define REPLAY_ALL     1 /* everything is */
/* Puts the state into dir, which is emptied first. From variant 2 on random, by seed and variant.
 */
void replay_write(struct replay *replay, unsigned variant, uint64_t seed, const char *dir);

#endif
