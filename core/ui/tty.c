/* SPDX-License-Identifier: MIT */
/* The live part is the last few lines of the screen. It is erased before anything permanent is printed, and drawn
 * anew after it, in one write: no flicker, and what scrolls away is plain lines. */
#include "core/ui/tty.h"

#include "core/base/arena.h"
#include "core/base/file.h"

#include <sys/ioctl.h>
#include <unistd.h>

enum {
    TTY_LINES_MAX = 12,
    TTY_WIDTH_MIN = 20,
    TTY_REDRAW_NS = 90 * 1000 * 1000,
    TTY_ESTIMATE_MIN_NS = 2000 * 1000 * 1000
};

struct running {
    uint32_t step;
    struct str name;
    struct str waits_for;            /* empty: it runs */
    int64_t started_ns, expected_ns; /* monotonic */
};

struct tty {
    struct listener listener;
    struct text_options options;
    struct text plain; /* for what is permanent */
    struct arena arena;
    VEC(struct running) running;
    uint32_t wanted, ended;
    int64_t began_ns, drawn_ns, estimated_ns, remaining_ns;
    uint32_t live_lines; /* drawn below the permanent ones */
};

static uint32_t screen_width(const struct tty *t, uint32_t *height)
{
    struct winsize w = {0};
    bool known = ioctl(t->options.out, TIOCGWINSZ, &w) == 0 && w.ws_col >= TTY_WIDTH_MIN;
    *height = known && w.ws_row > 3 ? w.ws_row : 24;
    return known ? w.ws_col : 80;
}

/* A line of at most width columns; a byte of a UTF-8 sequence beyond its first takes none. */
static void put_line(struct buf *b, struct str line, uint32_t width)
{
    uint32_t columns = 0;
    for (size_t i = 0; i < line.n; i++) {
        bool begins = ((unsigned char)line.s[i] & 0xc0) != 0x80;
        columns += begins;
        if (columns >= width)
            break;
        buf_put_char(b, line.s[i]);
    }
    buf_put_str(b, STR("\x1b[K\n"));
}

static void erase(struct tty *t, struct buf *b)
{
    if (t->live_lines)
        buf_printf(b, "\x1b[%uA\r\x1b[J", t->live_lines);
    t->live_lines = 0;
}

/* What the longest path may still take. */
static void put_estimate(const struct tty *t, struct buf *b, int64_t now_ns)
{
    int64_t left = t->remaining_ns - (now_ns - t->estimated_ns);
    if (t->remaining_ns < TTY_ESTIMATE_MIN_NS || left <= 0)
        return;
    buf_put_str(b, STR(", about "));
    str_put_duration(b, left);
    buf_put_str(b, STR(" left"));
}

static void put_running(struct buf *b, const struct running *r, int64_t now_ns, uint32_t width)
{
    struct buf line;
    buf_init(&line, BUF_TEXT_LIMIT);
    buf_put_str(&line, STR("  "));
    str_put_duration(&line, now_ns - r->started_ns);
    if (r->expected_ns > 0) {
        buf_put_str(&line, STR(" of "));
        str_put_duration(&line, r->expected_ns);
    }
    buf_put_str(&line, STR("  "));
    str_put_visible(&line, r->name);
    if (r->waits_for.n) {
        buf_put_str(&line, STR("  waits for "));
        str_put_visible(&line, r->waits_for);
    }
    put_line(b, buf_str(&line), width);
    buf_free(&line);
}

static uint32_t waiting_count(const struct tty *t)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < t->running.n; i++)
        n += t->running.at[i].waits_for.n > 0;
    return n;
}

static void draw(struct tty *t, struct buf *b)
{
    int64_t now_ns = time_monotonic_ns();
    uint32_t height, width = screen_width(t, &height);
    uint32_t room = height / 2 < TTY_LINES_MAX ? height / 2 : TTY_LINES_MAX;
    uint32_t shown = t->running.n < room ? t->running.n : room - 1;
    struct buf line;
    buf_init(&line, BUF_TEXT_LIMIT);
    uint32_t waiting = waiting_count(t);
    buf_printf(&line, "[%u/%u] %u running, ", t->ended, t->wanted, t->running.n - waiting);
    if (waiting)
        buf_printf(&line, "%u waiting, ", waiting);
    str_put_duration(&line, now_ns - t->began_ns);
    put_estimate(t, &line, now_ns);
    put_line(b, buf_str(&line), width);
    buf_free(&line);
    for (uint32_t i = 0; i < shown; i++)
        put_running(b, &t->running.at[i], now_ns, width);
    t->live_lines = shown + 1;
    if (shown < t->running.n) {
        buf_printf(b, "  … and %u more\x1b[K\n", t->running.n - shown);
        t->live_lines++;
    }
    t->drawn_ns = now_ns;
}

static void begin_running(struct tty *t, const struct event *e)
{
    struct running *r = VEC_PUSH(&t->arena, &t->running);
    *r = (struct running){.step = e->step,
                          .name = str_copy(&t->arena, e->name),
                          .started_ns = time_monotonic_ns(),
                          .expected_ns = e->expected_ns};
}

/* It is looked at again and again: only the first time begins the waiting. */
static void wait_running(struct tty *t, const struct event *e)
{
    struct running *r = NULL;
    for (uint32_t i = 0; i < t->running.n; i++) {
        if (t->running.at[i].step == e->step)
            r = &t->running.at[i];
    }
    if (!r) {
        begin_running(t, e);
        r = &t->running.at[t->running.n - 1];
    }
    if (!str_eq(r->waits_for, e->text))
        r->waits_for = str_copy(&t->arena, e->text);
}

static void end_running(struct tty *t, uint32_t step)
{
    for (uint32_t i = 0; i < t->running.n; i++) {
        if (t->running.at[i].step == step) {
            for (t->running.n--; i < t->running.n; i++)
                t->running.at[i] = t->running.at[i + 1];
            return;
        }
    }
}

static void follow(struct tty *t, const struct event *e)
{
    switch (e->kind) {
    case EVENT_BUILD_BEGIN:
        t->wanted = e->wanted;
        t->remaining_ns = e->remaining_ns;
        t->estimated_ns = time_monotonic_ns();
        break;
    case EVENT_STEP_START:
        end_running(t, e->step);
        begin_running(t, e);
        break;
    case EVENT_STEP_WAIT:
        if (e->text.n) {
            wait_running(t, e);
        } else {
            end_running(t, e->step);
        }
        break;
    case EVENT_STEP_END:
        t->ended++;
        end_running(t, e->step);
        break;
    case EVENT_NOTICE:
    case EVENT_SUMMARY: break;
    }
}

static void tell(struct listener *self, const struct event *e)
{
    struct tty *t = (struct tty *)self;
    follow(t, e);
    bool permanent =
        e->kind == EVENT_NOTICE || e->kind == EVENT_SUMMARY
        || (e->kind == EVENT_STEP_END && (e->result != EVENT_UP_TO_DATE || t->options.verbose));
    bool early = time_monotonic_ns() - t->drawn_ns < TTY_REDRAW_NS;
    if (!permanent && early)
        return;
    struct buf b;
    buf_init(&b, BUF_TEXT_LIMIT);
    erase(t, &b);
    if (permanent) {
        (void)!file_write_all(t->options.out, b.s, b.n);
        buf_clear(&b);
        t->plain.listener.tell(&t->plain.listener, e);
    }
    if (e->kind != EVENT_SUMMARY && t->wanted > t->ended)
        draw(t, &b);
    (void)!file_write_all(t->options.out, b.s, b.n);
    buf_free(&b);
}

static void tick(struct listener *self)
{
    struct tty *t = (struct tty *)self;
    if (t->running.n == 0 || time_monotonic_ns() - t->drawn_ns < TTY_REDRAW_NS)
        return;
    struct buf b;
    buf_init(&b, BUF_TEXT_LIMIT);
    erase(t, &b);
    draw(t, &b);
    (void)!file_write_all(t->options.out, b.s, b.n);
    buf_free(&b);
}

struct tty *tty_open(const struct text_options *o)
{
    struct tty *t = mem_alloc(sizeof *t);
    t->listener = (struct listener){tell, tick};
    t->options = *o;
    t->began_ns = time_monotonic_ns();
    text_init(&t->plain, o);
    return t;
}

void tty_close(struct tty *t)
{
    struct buf b;
    buf_init(&b, BUF_TEXT_LIMIT);
    erase(t, &b);
    (void)!file_write_all(t->options.out, b.s, b.n);
    buf_free(&b);
    arena_free(&t->arena);
    mem_free(t);
}

struct listener *tty_listener(struct tty *t)
{
    return &t->listener;
}
