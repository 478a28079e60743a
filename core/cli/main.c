/* SPDX-License-Identifier: MIT */
/* Finds the command, hands over, gives its exit code. */
#include "core/cli/commands.h"
#include "core/cli/session.h"

#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <unistd.h>

enum { LARGE_ROOM = 1 << 20, HEAPS = 2 };

static int dispatch(const struct opts *o)
{
    switch (o->command) {
    case COMMAND_BUILD:
    case COMMAND_STATUS:
    case COMMAND_EXPLAIN:
    case COMMAND_RESTORE: return cmd_build(o);
    case COMMAND_LIST: return cmd_list(o);
    case COMMAND_GRAPH: return cmd_graph(o);
    case COMMAND_LOG: return cmd_log(o);
    case COMMAND_RUNS: return cmd_runs(o);
    case COMMAND_STATS: return cmd_stats(o);
    case COMMAND_DIFF: return cmd_diff(o);
    case COMMAND_METRICS: return cmd_metrics(o);
    case COMMAND_CLEAN: return cmd_clean(o);
    case COMMAND_CACHE: return cmd_cache(o);
    case COMMAND_CHECK: return cmd_check(o);
    case COMMAND_FMT: return cmd_fmt(o);
    case COMMAND_INIT: return cmd_init(o);
    case COMMAND_COMPLETION:
    case COMMAND_COUNT: break;
    }
    return EXIT_WRONG;
}

static int complete(const struct opts *o, struct diags *d)
{
    struct buf b;
    bool known = false, shown = true;
    buf_init(&b, BUF_TEXT_LIMIT);
    if (o->targets.n == 1)
        opts_put_completion(&b, o->targets.at[0], &known);
    if (known) {
        shown = session_print(&b, d);
    } else {
        struct diag *e =
            diag_error(d, "usage", SPAN_NONE, "'pawl completion' wants the name of a shell");
        diag_help(d, e, "bash, zsh or fish");
    }
    buf_free(&b);
    return !known ? EXIT_WRONG : shown ? EXIT_DONE : EXIT_UNUSABLE;
}

/* --help or --version. */
static int answer(const struct opts *o, struct diags *d)
{
    struct buf b;
    buf_init(&b, BUF_TEXT_LIMIT);
    if (o->version)
        buf_put_str(&b, STR("pawl " PAWL_VERSION "\n"));
    else
        opts_put_help(&b, o->command, !o->named);
    bool shown = session_print(&b, d);
    buf_free(&b);
    return shown ? EXIT_DONE : EXIT_UNUSABLE;
}

/* What is opened later must not be taken for a standard stream that the caller closed. */
static void fill_standard_streams(void)
{
    int fd;
    do {
        fd = open("/dev/null", O_RDWR);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

/* Room that is asked for again and again is not given back in between; what is large is, each time. Many heaps would
 * each keep room that its own threads alone can have. */
static void set_memory(void)
{
    (void)mallopt(M_MMAP_THRESHOLD, LARGE_ROOM);
    (void)mallopt(M_TRIM_THRESHOLD, 4 * LARGE_ROOM);
    (void)mallopt(M_TOP_PAD, LARGE_ROOM);
    (void)mallopt(M_ARENA_MAX, HEAPS);
}

int main(int argc, char **argv)
{
    fill_standard_streams();
    set_memory();
    struct arena arena = {0};
    struct diags diags;
    struct opts opts;
    diags_init(&diags, &arena);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error of that write */
    int code = EXIT_WRONG;
    if (opts_parse(argc, argv, &arena, &opts, &diags)) {
        if (opts.help || opts.version)
            code = answer(&opts, &diags);
        else
            code = opts.command == COMMAND_COMPLETION ? complete(&opts, &diags) : dispatch(&opts);
    }
    struct buf b;
    buf_init(&b, BUF_TEXT_LIMIT);
    diags_render(&diags, session_color(STDERR_FILENO), &b);
    (void)!file_write_all(STDERR_FILENO, b.s, b.n);
    buf_free(&b);
    arena_free(&arena);
    return code;
}
