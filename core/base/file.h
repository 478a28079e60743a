/* SPDX-License-Identifier: MIT */
/* All work with the file system: read whole, write so that it appears atomically and durably, folders,
 * reflink or copy, signatures, locks, walking, staying inside the workspace. Paths are struct str,
 * relative to a folder's descriptor (FILE_CWD for the current one). Errors: false with errno kept, or
 * with a diagnostic where a struct diags is passed. Everything may be called by any thread. */
#pragma once

#include "core/base/arena.h"
#include "core/base/diag.h"
#include "core/base/digest.h"
#include "core/base/glob.h"
#include "core/base/path.h"

enum { FILE_CWD = -100 }; /* AT_FDCWD */

/* What the kernel said of a file: equal signatures mean unchanged content, unless the file was changed
 * within the clock's granularity of the moment it was hashed (file_sig_is_racy). Times in ns since 1970. */
struct file_sig {
    uint64_t dev, ino, size;
    int64_t mtime_ns, ctime_ns;
    uint32_t mode;  /* type and permission bits; 0: does not exist */
    uint32_t error; /* errno where it could not be looked at, 0 for exists or ENOENT/ENOTDIR */
};
struct file_sig file_stat(int dir, struct str path, bool follow);
bool file_sig_eq(const struct file_sig *x, const struct file_sig *y);
bool file_sig_exists(const struct file_sig *x);
bool file_sig_is_dir(const struct file_sig *x);
/* True if the file was changed so short before hashed_at_ns (realtime, taken before hashing began) that a
 * later change could have left the same signature. */
bool file_sig_is_racy(const struct file_sig *x, int64_t hashed_at_ns);

/* Whole regular file, NUL behind it (not counted). Larger than limit is an error (EFBIG). The diag code is
 * "cannot-read". errno variant: file_read_quiet. */
bool file_read(struct arena *a, int dir, struct str path, size_t limit, struct str *out,
               struct diags *d);
bool file_read_quiet(struct arena *a, int dir, struct str path, size_t limit, struct str *out);

/* Appears whole or not at all: temporary name beside it, rename. durable: fdatasync before the rename and
 * fsync of the folder behind it. mode is given to open(2). */
bool file_write(int dir, struct str path, struct str bytes, unsigned mode, bool durable);
/* A file in the folder, private to this user, for reading and writing, that goes with its descriptor. -1: errno. */
int file_open_nameless(int dir);
/* Writes all n bytes at the descriptor's place; retries short writes and EINTR. */
bool file_write_all(int fd, const void *bytes, size_t n);
/* The same at an offset, wherever the descriptor's place is. */
bool file_write_at(int fd, const void *bytes, size_t n, uint64_t offset);
/* Each durable write and rename passes here first. Where PAWL_TEST_KILL_AT=n is in the environment, the
 * n-th call ends the process by SIGKILL: the tests' way to cut anywhere. */
void file_kill_point(void);

bool file_make_dirs(int dir, struct str path, unsigned mode); /* like mkdir -p; existing is fine */
bool file_make_parents(int dir, struct str path, unsigned mode);
bool file_remove_tree(int dir, struct str path); /* absent is fine; never follows links */
bool file_remove(int dir, struct str path);      /* file, link or empty folder; absent is fine */
bool file_sync_dir(int dir, struct str path);

/* Copies bytes and permission bits: reflink (FICLONE), else copy_file_range, else read and write. The
 * target must not exist. */
bool file_copy(int from_dir, struct str from, int to_dir, struct str to, unsigned mode);

/* An exclusive advisory lock (flock) on a file made for it; its text names the holder's pid. */
struct file_lock {
    int fd; /* -1: not held */
};
enum file_lock_result { FILE_LOCK_HELD, FILE_LOCK_BUSY, FILE_LOCK_ERROR };
/* wait: block until it is free. On BUSY *holder_pid is the other's (0 if unknown). */
enum file_lock_result file_lock_open(struct file_lock *l, int dir, struct str path, bool wait,
                                     int *holder_pid);
void file_lock_close(struct file_lock *l);

/* Entries of one folder, sorted by bytes, without . and ..; false with errno if it cannot be read. */
struct file_entry {
    struct str name;
    uint8_t type; /* DT_REG, DT_DIR, DT_LNK, … ; resolved where the file system does not tell */
};
bool file_list(struct arena *a, int dir, struct str path, struct file_entry **out, uint32_t *count);

int64_t time_now_ns(void); /* CLOCK_REALTIME */
int64_t time_monotonic_ns(void);
int64_t time_boot_ns(void); /* CLOCK_BOOTTIME: counts sleep */
