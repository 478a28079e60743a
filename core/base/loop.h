/* SPDX-License-Identifier: MIT */
/* One poll: descriptors, timers, signals as descriptors. Owned by the build thread; callbacks run on it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct loop;
typedef void loop_fd_function(void *context, int fd, short revents);
typedef void loop_timer_function(void *context);
typedef void loop_signal_function(void *context, int signal_number);

struct loop *loop_open(void); /* caller owns; NULL with errno */
void loop_close(struct loop *l);

/* Watches fd for events (POLLIN, POLLOUT). One watch for a descriptor. */
void loop_add_fd(struct loop *l, int fd, short events, loop_fd_function *f, void *context);
void loop_drop_fd(struct loop *l, int fd);

typedef struct {
    uint64_t i;
} timer_id; /* 0: none */
/* Calls f once at this CLOCK_BOOTTIME instant (ns), from loop_wait. */
timer_id loop_add_timer(struct loop *l, int64_t at_ns, loop_timer_function *f, void *context);
void loop_drop_timer(struct loop *l, timer_id id); /* unknown or fired is fine */

/* Blocks the signal for normal delivery and hands it to f from loop_wait. Restored by loop_close. */
bool loop_add_signal(struct loop *l, int signal_number, loop_signal_function *f, void *context);

/* Waits for something to happen, at most max_ms (-1: no bound), and runs what is due. */
void loop_wait(struct loop *l, int max_ms);
