/* SPDX-License-Identifier: MIT */
/* Tables first; everything else is made from them. */
#include "core/cli/opts.h"

#include "core/base/table.h"

#include <string.h>

#define FOR(c) (1u << COMMAND_##c)
enum {
    ALL = (1u << COMMAND_COUNT) - 1,
    BUILDS = FOR(BUILD) | FOR(STATUS) | FOR(EXPLAIN) | FOR(RESTORE),
    GRAPHS = BUILDS | FOR(LIST) | FOR(GRAPH) | FOR(CLEAN) | FOR(CHECK) | FOR(LOG) | FOR(STATS)
             | FOR(DIFF) | FOR(METRICS) | FOR(RUNS),
};

struct command_row {
    const char *name, *arguments, *does;
};

static const struct command_row commands[COMMAND_COUNT] = {
    [COMMAND_BUILD] = {"build", "[TARGET…]",
                       "bring targets up to date: steps, instances, groups or output paths"},
    [COMMAND_STATUS] = {"status", "[TARGET…]", "what a build would do, and why, without doing it"},
    [COMMAND_EXPLAIN] = {"explain", "TARGET", "what differs from the last success, part by part"},
    [COMMAND_LIST] = {"list", "[TARGET…]", "steps, with what they are for"},
    [COMMAND_GRAPH] = {"graph", "[TARGET…]", "draw the graph (--format dot, mermaid, json, svg)"},
    [COMMAND_LOG] = {"log", "STEP", "what a step printed when it last ran"},
    [COMMAND_RUNS] = {"runs", "", "past runs"},
    [COMMAND_STATS] = {"stats", "",
                       "hit rate, time and money saved, what the remote cache gave and cost"},
    [COMMAND_DIFF] = {"diff", "[RUN [RUN]]", "parameters and metrics of two runs side by side"},
    [COMMAND_METRICS] = {"metrics", "[STEP…]", "the metrics of past runs"},
    [COMMAND_RESTORE] = {"restore", "[TARGET…]",
                         "put cached outputs in place without running anything"},
    [COMMAND_CLEAN] = {"clean", "[TARGET…]", "remove outputs"},
    [COMMAND_CACHE] = {"cache", "WHAT",
                       "look after the cache: ls, gc, check, push, pull; key [new|trust|ls|vouch]"},
    [COMMAND_CHECK] = {"check", "", "check the Pipelinefile"},
    [COMMAND_FMT] = {"fmt", "[FILE…|-]", "lay Pipelinefiles out in place"},
    [COMMAND_INIT] = {"init", "", "begin a Pipelinefile here"},
    [COMMAND_COMPLETION] = {"completion", "bash|zsh|fish", "print a completion script for a shell"},
};

enum option_id {
    O_FILE,
    O_DIR,
    O_JOBS,
    O_LOAD,
    O_KEEP,
    O_DRY,
    O_PARAM,
    O_VERBOSE,
    O_QUIET,
    O_EXPLAIN,
    O_ONLY,
    O_RERUN,
    O_NO_CACHE,
    O_NO_REMOTE,
    O_WATCH,
    O_PROGRESS,
    O_JSON,
    O_FORMAT,
    O_CHECK,
    O_LIMIT,
    O_AGE,
    O_SIZE,
    O_NOW,
    O_REMOTE,
    O_HELP,
    O_VERSION,
};

struct option_row {
    enum option_id id;
    char letter;
    const char *name, *argument; /* argument NULL: takes none */
    uint32_t commands;
    const char *does;
};

static const struct option_row options[] = {
    {O_FILE, 'f', "file", "FILE", GRAPHS | FOR(CACHE),
     "another Pipelinefile; paths are then relative to the current folder"},
    {O_DIR, 'C', "directory", "DIR", ALL, "go there first"},
    {O_JOBS, 'j', "jobs", "N", FOR(BUILD), "run up to N steps at once (one for each CPU)"},
    {O_LOAD, 'l', "load", "LOAD", FOR(BUILD),
     "start nothing more while the load average is above this"},
    {O_KEEP, 'k', "keep-going", "N", FOR(BUILD), "go on until N steps have failed; 0 for ever (1)"},
    {O_DRY, 'n', "dry-run", NULL, FOR(BUILD) | FOR(CLEAN) | FOR(CACHE),
     "only say what would be done"},
    {O_PARAM, 'p', "param", "NAME=VALUE", GRAPHS | FOR(CACHE), "give a parameter another value"},
    {O_VERBOSE, 'v', "verbose", NULL, ALL, "say more: commands, logs, steps that were up to date"},
    {O_QUIET, 'q', "quiet", NULL, FOR(BUILD) | FOR(RESTORE) | FOR(LIST) | FOR(CHECK) | FOR(CLEAN),
     "say nothing but what went wrong"},
    {O_EXPLAIN, 0, "explain", NULL, FOR(BUILD), "say of each step why it runs, part by part"},
    {O_ONLY, 0, "only", "STEP", FOR(BUILD) | FOR(STATUS),
     "take this step's inputs as they lie there"},
    {O_RERUN, 0, "rerun", "STEP", FOR(BUILD) | FOR(STATUS),
     "run this step whatever the cache says"},
    {O_NO_CACHE, 0, "no-cache", NULL, BUILDS, "neither read nor write the cache"},
    {O_NO_REMOTE, 0, "no-remote", NULL, BUILDS, "use the local cache alone"},
    {O_WATCH, 0, "watch", NULL, FOR(BUILD), "build again whenever something that counts changes"},
    {O_PROGRESS, 0, "progress", "tty|plain|none", FOR(BUILD) | FOR(RESTORE),
     "how progress is shown"},
    {O_JSON, 0, "json", NULL, ALL, "one JSON object a line"},
    {O_FORMAT, 0, "format", "FORMAT", FOR(GRAPH), "dot, mermaid, json or svg"},
    {O_CHECK, 0, "check", NULL, FOR(FMT), "only ask: exit 1 if something would change"},
    {O_LIMIT, 0, "limit", "N", FOR(RUNS) | FOR(METRICS), "at most N runs, the newest"},
    {O_AGE, 0, "age", "DURATION", FOR(CACHE), "gc: let go what was not used for so long (30d)"},
    {O_SIZE, 0, "size", "SIZE", FOR(CACHE), "gc: then the least worth first, until the rest fits"},
    {O_NOW, 0, "now", NULL, FOR(CACHE), "gc: delete at once; builds that are running may miss"},
    {O_REMOTE, 0, "remote", NULL, FOR(CACHE), "ls, gc, check: of the remote cache"},
    {O_HELP, 'h', "help", NULL, ALL, "this text"},
    {O_VERSION, 0, "version", NULL, ALL, "the version"},
};
enum { OPTION_COUNT = sizeof options / sizeof options[0] };

/* What follows 'cache', with the options that not all of them take. */
enum cache_word {
    W_LS,
    W_GC,
    W_CHECK,
    W_PUSH,
    W_PULL,
    W_KEY,
    W_NEW,
    W_TRUST,
    W_KEYS,
    W_VOUCH,
    WORDS
};
#define WORD(w) (1u << W_##w)
enum { OF_ALL = WORD(LS) | WORD(GC) | WORD(CHECK), WITH_FILE = ((1u << WORDS) - 1) & ~WORD(NEW) };

static const char *const cache_words[WORDS] = {
    [W_LS] = "ls",       [W_GC] = "gc",          [W_CHECK] = "check", [W_PUSH] = "push",
    [W_PULL] = "pull",   [W_KEY] = "key",        [W_NEW] = "key new", [W_TRUST] = "key trust",
    [W_KEYS] = "key ls", [W_VOUCH] = "key vouch"};

static const struct {
    enum option_id id;
    uint32_t words;
} cache_options[] = {{O_FILE, WITH_FILE}, {O_PARAM, WITH_FILE}, {O_DRY, WORD(GC)},
                     {O_AGE, WORD(GC)},   {O_SIZE, WORD(GC)},   {O_NOW, WORD(GC)},
                     {O_REMOTE, OF_ALL}};

const char *opts_command_name(enum command c)
{
    return commands[c].name;
}

/* ---- parsing ---- */

struct parsing {
    struct arena *arena;
    struct opts *out;
    struct diags *diags;
    int argc, at;
    char **argv;
    bool has_command;
    uint32_t given[OPTION_COUNT]; /* index of argv where each was given; 0: not */
};

static bool usage(struct parsing *p, const char *what, struct str about)
{
    struct diag *e = diag_error(p->diags, "usage", SPAN_NONE, "%s '%.*s'", what, STR_ARG(about));
    diag_help(p->diags, e, "'pawl %s%s--help' lists what there is",
              p->has_command ? commands[p->out->command].name : "", p->has_command ? " " : "");
    return false;
}

static bool parse_count(struct parsing *p, struct str text, uint32_t *out)
{
    uint64_t n;
    if (!str_parse_u64(text, &n) || n > 1000000)
        return usage(p, "not a whole number:", text);
    *out = (uint32_t)n;
    return true;
}

static bool parse_progress(struct parsing *p, struct str text)
{
    static const char *const names[] = {
        [PROGRESS_TTY] = "tty", [PROGRESS_PLAIN] = "plain", [PROGRESS_NONE] = "none"};
    for (uint32_t i = PROGRESS_TTY; i <= PROGRESS_NONE; i++) {
        if (str_eq(text, str_from(names[i]))) {
            p->out->progress = (enum progress)i;
            return true;
        }
    }
    return usage(p, "'--progress' takes tty, plain or none, not", text);
}

static bool parse_param(struct parsing *p, struct str text)
{
    struct str rest = text, name;
    if (!str_has(text, '=') || !str_cut(&rest, '=', &name) || name.n == 0)
        return usage(p, "'-p' takes NAME=VALUE, not", text);
    *VEC_PUSH(p->arena, &p->out->params) = (struct eval_param){name, rest.s ? rest : STR("")};
    return true;
}

static bool take_text(struct parsing *p, enum option_id id, struct str text)
{
    struct opts *o = p->out;
    switch (id) {
    case O_FILE: o->file = text; return true;
    case O_DIR:
        o->dir = o->dir.n && text.n && text.s[0] != '/' ? path_join(p->arena, o->dir, text) : text;
        return true;
    case O_JOBS:
        return parse_count(p, text, &o->jobs)
               && (o->jobs > 0 || usage(p, "'-j' takes at least 1, not", text));
    case O_KEEP: return parse_count(p, text, &o->keep_going);
    case O_LIMIT: return parse_count(p, text, &o->limit);
    case O_LOAD:
        return (str_parse_double(text, &o->max_load) && o->max_load > 0)
               || usage(p, "not a load:", text);
    case O_PARAM: return parse_param(p, text);
    case O_ONLY: *VEC_PUSH(p->arena, &o->only) = text; return true;
    case O_RERUN: *VEC_PUSH(p->arena, &o->rerun) = text; return true;
    case O_PROGRESS: return parse_progress(p, text);
    case O_FORMAT: o->format = text; return true;
    case O_AGE: return str_parse_duration(text, &o->age_ns) || usage(p, "not a duration:", text);
    case O_SIZE: return str_parse_size(text, &o->max_bytes) || usage(p, "not a size:", text);
    case O_DRY:
    case O_VERBOSE:
    case O_QUIET:
    case O_EXPLAIN:
    case O_NO_CACHE:
    case O_NO_REMOTE:
    case O_WATCH:
    case O_JSON:
    case O_CHECK:
    case O_NOW:
    case O_REMOTE:
    case O_HELP:
    case O_VERSION: break;
    }
    return false;
}

static void take_flag(struct opts *o, enum option_id id)
{
    switch (id) {
    case O_DRY: o->dry_run = true; break;
    case O_VERBOSE: o->verbose = true; break;
    case O_QUIET: o->quiet = true; break;
    case O_EXPLAIN: o->explain = true; break;
    case O_NO_CACHE: o->no_cache = true; break;
    case O_NO_REMOTE: o->no_remote = true; break;
    case O_WATCH: o->watch = true; break;
    case O_JSON: o->json = true; break;
    case O_CHECK: o->check = true; break;
    case O_NOW: o->now = true; break;
    case O_REMOTE: o->remote = true; break;
    case O_HELP: o->help = true; break;
    case O_VERSION: o->version = true; break;
    case O_FILE:
    case O_DIR:
    case O_JOBS:
    case O_LOAD:
    case O_KEEP:
    case O_PARAM:
    case O_ONLY:
    case O_RERUN:
    case O_PROGRESS:
    case O_FORMAT:
    case O_LIMIT:
    case O_AGE:
    case O_SIZE: break;
    }
}

static bool take_option(struct parsing *p, uint32_t row, struct str value, bool has_value)
{
    const struct option_row *o = &options[row];
    p->given[row] = (uint32_t)p->at;
    if (!o->argument) {
        if (has_value)
            return usage(p, "this option takes no value:", str_from(p->argv[p->at]));
        take_flag(p->out, o->id);
        return true;
    }
    if (!has_value) {
        if (p->at + 1 >= p->argc)
            return usage(p, "this option wants a value:", str_from(p->argv[p->at]));
        value = str_from(p->argv[++p->at]);
    }
    return take_text(p, o->id, value);
}

static bool parse_long(struct parsing *p, struct str text)
{
    struct str name = text;
    ptrdiff_t equals = str_find(text, STR("="));
    if (equals >= 0)
        name = str_sub(text, 0, (size_t)equals);
    for (uint32_t i = 0; i < OPTION_COUNT; i++) {
        if (str_eq(name, str_from(options[i].name))) {
            return take_option(p, i, equals >= 0 ? str_tail(text, (size_t)equals + 1) : STR_NONE,
                               equals >= 0);
        }
    }
    struct diag *e =
        diag_error(p->diags, "usage", SPAN_NONE, "unknown option '--%.*s'", STR_ARG(name));
    struct table names;
    table_init(&names, p->arena);
    for (uint32_t i = 0; i < OPTION_COUNT; i++)
        (void)table_add(&names, str_from(options[i].name), NULL);
    struct str near = table_nearest(&names, name);
    if (near.n) {
        diag_help(p->diags, e, "did you mean '--%.*s'?", STR_ARG(near));
    } else {
        diag_help(p->diags, e, "'pawl --help' lists what there is");
    }
    return false;
}

/* "-j4", "-nv", "-C dir". */
static bool parse_letters(struct parsing *p, const char *letters)
{
    for (; *letters; letters++) {
        uint32_t row = 0;
        while (row < OPTION_COUNT && options[row].letter != *letters)
            row++;
        if (row == OPTION_COUNT)
            return usage(p, "unknown option", str_from(p->argv[p->at]));
        if (options[row].argument)
            return take_option(p, row, str_from(letters + 1), letters[1] != '\0');
        if (!take_option(p, row, STR_NONE, false))
            return false;
    }
    return true;
}

/* "bulid", "help": a target, it may be; if there is none, a command was meant. */
static struct str near_command(struct parsing *p, struct str word)
{
    struct table names;
    table_init(&names, p->arena);
    (void)table_add(&names, STR("help"), NULL);
    for (uint32_t i = 0; i < COMMAND_COUNT; i++)
        (void)table_add(&names, str_from(commands[i].name), NULL);
    struct str near = table_nearest(&names, word);
    return str_eq(near, STR("help")) ? STR("--help") : near;
}

static bool take_word(struct parsing *p, struct str word)
{
    if (!p->has_command && p->out->targets.n == 0) {
        p->has_command = true;
        for (uint32_t i = 0; i < COMMAND_COUNT; i++) {
            if (str_eq(word, str_from(commands[i].name))) {
                p->out->command = (enum command)i;
                p->out->named = true;
                return true;
            }
        }
        static const char *const later[] = {"verify", "wrap", "export", "import"};
        for (uint32_t i = 0; i < sizeof later / sizeof later[0]; i++) {
            if (str_eq(word, str_from(later[i]))) {
                diag_error(p->diags, "not-supported", SPAN_NONE, "'pawl %s' is not supported yet",
                           later[i]);
                return false;
            }
        }
        p->out->near = near_command(p, word);
    }
    *VEC_PUSH(p->arena, &p->out->targets) = word;
    return true;
}

/* A name that nobody looks at would be taken for one that was heeded. */
static bool check_words(struct parsing *p)
{
    const struct command_row *c = &commands[p->out->command];
    if (c->arguments[0] || p->out->targets.n == 0)
        return true;
    struct diag *e =
        diag_error(p->diags, "usage", SPAN_NONE, "'pawl %s' takes no name, as '%.*s' is", c->name,
                   STR_ARG(p->out->targets.at[0]));
    diag_help(p->diags, e, "'pawl %s --help' lists what it takes", c->name);
    return false;
}

static bool check_options(struct parsing *p)
{
    for (uint32_t i = 0; i < OPTION_COUNT; i++) {
        if (p->given[i] && !(options[i].commands & (1u << p->out->command))) {
            struct diag *e =
                diag_error(p->diags, "usage", SPAN_NONE, "'pawl %s' does not take '--%s'",
                           commands[p->out->command].name, options[i].name);
            diag_help(p->diags, e, "'pawl %s --help' lists what it takes",
                      commands[p->out->command].name);
            return false;
        }
    }
    return true;
}

/* WORDS: none of them. */
static enum cache_word cache_word_of(const struct opts *o)
{
    struct str words[2] = {STR(""), STR("")};
    for (uint32_t i = 0; i < o->targets.n && i < 2; i++)
        words[i] = o->targets.at[i];
    for (uint32_t w = WORDS; w-- > 0;) {
        struct str name, rest = str_from(cache_words[w]);
        (void)str_cut(&rest, ' ', &name);
        if (str_eq(words[0], name) && (rest.n == 0 || str_eq(words[1], rest)))
            return (enum cache_word)w;
    }
    return WORDS;
}

static void help_with_words(struct parsing *p, struct diag *e, uint32_t words)
{
    struct buf b;
    buf_init(&b, 256);
    for (uint32_t w = 0; w < WORDS; w++) {
        if (words & (1u << w))
            buf_printf(&b, "%s'%s'", b.n ? ", " : "", cache_words[w]);
    }
    diag_help(p->diags, e, "of what 'pawl cache' does, these take it: %.*s", STR_ARG(buf_str(&b)));
    buf_free(&b);
}

static bool check_cache_options(struct parsing *p)
{
    enum cache_word word = p->out->command == COMMAND_CACHE ? cache_word_of(p->out) : WORDS;
    for (size_t i = 0; word != WORDS && i < sizeof cache_options / sizeof cache_options[0]; i++) {
        for (uint32_t row = 0; row < OPTION_COUNT; row++) {
            if (options[row].id == cache_options[i].id && p->given[row]
                && !(cache_options[i].words & (1u << word))) {
                struct diag *e =
                    diag_error(p->diags, "usage", SPAN_NONE, "'pawl cache %s' does not take '--%s'",
                               cache_words[word], options[row].name);
                help_with_words(p, e, cache_options[i].words);
                return false;
            }
        }
    }
    return true;
}

bool opts_parse(int argc, char **argv, struct arena *a, struct opts *out, struct diags *d)
{
    *out = (struct opts){.command = COMMAND_BUILD, .keep_going = 1, .age_ns = -1, .max_bytes = -1};
    struct parsing p = {.arena = a, .out = out, .diags = d, .argc = argc, .argv = argv};
    bool only_words = false;
    for (p.at = 1; p.at < argc; p.at++) {
        const char *arg = argv[p.at];
        bool ok;
        if (only_words || arg[0] != '-' || arg[1] == '\0'
            || (arg[1] >= '0' && arg[1] <= '9')) /* diff -1 */ {
            ok = take_word(&p, str_from(arg));
        } else if (strcmp(arg, "--") == 0) {
            ok = only_words = p.has_command = true;
        } else if (arg[1] == '-') {
            ok = parse_long(&p, str_from(arg + 2));
        } else {
            ok = parse_letters(&p, arg + 1);
        }
        if (!ok)
            return false;
    }
    return check_options(&p) && check_cache_options(&p) && check_words(&p);
}

/* ---- help ---- */

static void put_options(struct buf *b, uint32_t of)
{
    for (uint32_t i = 0; i < OPTION_COUNT; i++) {
        const struct option_row *o = &options[i];
        if (!(o->commands & of))
            continue;
        struct buf name;
        buf_init(&name, 128);
        if (o->letter) {
            buf_printf(&name, "-%c, ", o->letter);
        } else {
            buf_put_str(&name, STR("    "));
        }
        buf_printf(&name, "--%s%s%s", o->name, o->argument ? " " : "",
                   o->argument ? o->argument : "");
        buf_printf(b, "  %-30.*s %s\n", STR_ARG(buf_str(&name)), o->does);
        buf_free(&name);
    }
}

static void put_command(struct buf *b, const struct command_row *c)
{
    enum { COLUMN = 15 };
    buf_printf(b, "  %-10s %s", c->name, c->arguments);
    uint32_t columns = 0;
    for (const char *p = c->arguments; *p; p++)
        columns += ((unsigned char)*p & 0xc0) != 0x80; /* "…" is one */
    for (; columns < COLUMN; columns++)
        buf_put_char(b, ' ');
    buf_printf(b, "%s\n", c->does);
}

void opts_put_help(struct buf *b, enum command c, bool whole)
{
    if (!whole) {
        const char *does = commands[c].does;
        buf_printf(b, "usage: pawl %s [OPTION…]%s%s\n\n%c%s.\n\n", commands[c].name,
                   commands[c].arguments[0] ? " " : "", commands[c].arguments, does[0] - 'a' + 'A',
                   does + 1);
        put_options(b, 1u << c);
        return;
    }
    buf_put_str(
        b,
        STR("usage: pawl [OPTION…] [build] [TARGET…]\n       pawl COMMAND [OPTION…] [ARGUMENT…]\n\n"
            "Builds what a Pipelinefile describes, and nothing twice.\n\nCommands:\n"));
    for (uint32_t i = 0; i < COMMAND_COUNT; i++)
        put_command(b, &commands[i]);
    buf_put_str(b, STR("\nOptions of 'build':\n"));
    put_options(b, FOR(BUILD));
    buf_put_str(
        b,
        STR("\n'pawl COMMAND --help' says more. Exit codes: 0 up to date or answered, 1 a step failed,\n"
            "2 wrong command line or Pipelinefile, 3 unusable workspace, 130 interrupted.\n"));
}

/* Never compgen -W: it would expand what a file's name, and so an instance's, holds. Bash breaks words at '='. What a
 * word means depends on the words said before it; options and their values are none. */
static const char completion_begin[] =
    "    local line=${COMP_LINE:0:COMP_POINT} before=${COMP_WORDS[COMP_CWORD - 1]} word words= cut=\n"
    "    local cur=${line##* } quoted= said= skip= i\n"
    "    [[ $cur == [\\'\\\"]* ]] && quoted=1 cur=${cur:1}\n"
    "    cur=${cur//\\\\/}\n"
    "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
    "        word=${COMP_WORDS[i]}\n"
    "        if [[ $word == = ]]; then\n"
    "            skip=1\n"
    "        elif [[ -n $skip ]]; then\n"
    "            skip=\n"
    "        elif [[ $valued == *$'\\n'\"$word\"$'\\n'* ]]; then\n"
    "            skip=1\n"
    "        elif [[ $word != -* ]]; then\n"
    "            said+=\" $word\"\n"
    "        fi\n"
    "    done\n"
    "    [[ $cur == -* ]] && said=-\n"
    "    [[ $cur == --*=* ]] && before=${cur%%=*} cur=${cur#*=}\n"
    "    COMPREPLY=()\n"
    "    case $before in\n"
    "    -f | --file | -C | --directory) said=FILE ;;\n"
    "    --format | --progress) said=$before ;;\n"
    "    esac\n"
    "    case $said in\n"
    "    FILE | ' cache key new' | ' cache key trust'*) ;;\n"
    "    --format) words=$'dot\\nmermaid\\njson\\nsvg' ;;\n"
    "    --progress) words=$'tty\\nplain\\nnone' ;;\n"
    "    -) words=$options ;;\n"
    "    ' cache') words=$'ls\\ngc\\ncheck\\npush\\npull\\nkey' ;;\n"
    "    ' cache key') words=$'new\\ntrust\\nls\\nvouch' ;;\n"
    "    ' completion') words=$'bash\\nzsh\\nfish' ;;\n"
    "    ' cache '* | ' completion '*) return 0 ;;\n"
    "    *)\n"
    "        words=$(pawl list -q 2>/dev/null)\n"
    "        [[ -n $said ]] || words=$commands$'\\n'$words\n"
    "        ;;\n"
    "    esac\n";
static const char completion_end[] =
    "    [[ -z $quoted && $cur == *=* ]] && cut=${cur%\"${cur##*=}\"}\n"
    "    while IFS= read -r word; do\n"
    "        [[ -n $word && $word == \"$cur\"* ]] || continue\n"
    "        word=${word#\"$cut\"}\n"
    "        [ -n \"$quoted\" ] || printf -v word %q \"$word\"\n"
    "        COMPREPLY+=(\"$word\")\n"
    "    done <<<\"$words\"\n"
    "    [ ${#COMPREPLY[@]} -eq 0 ] || return 0\n"
    "    type compopt >/dev/null 2>&1 && compopt -o filenames\n"
    "    while IFS= read -r word; do COMPREPLY+=(\"$word\"); done < <(compgen -f -- \"$cur\")\n"
    "}\n"
    "complete -F _pawl pawl\n";

/* Whether the words said so far fit one of the patterns. */
static const char fish_said[] = "    set -l said\n"
                                "    set -l skip\n"
                                "    set -l words (commandline -opc)\n"
                                "    set -e words[1]\n"
                                "    for word in $words\n"
                                "        if test -n \"$skip\"\n"
                                "            set skip\n"
                                "        else if contains -- $word $valued\n"
                                "            set skip 1\n"
                                "        else if not string match -q -- '-*' $word\n"
                                "            set said $said $word\n"
                                "        end\n"
                                "    end\n"
                                "    for pattern in $argv\n"
                                "        string match -q -- $pattern \"$said\"; and return 0\n"
                                "    end\n"
                                "    return 1\n"
                                "end\n";
static const char fish_words[] =
    "complete -c pawl -f\n"
    "complete -c pawl -n '__pawl_said cache' -a 'ls gc check push pull key'\n"
    "complete -c pawl -n '__pawl_said \"cache key\"' -a 'new trust ls vouch'\n"
    "complete -c pawl -n '__pawl_said \"cache key new\" \"cache key trust*\"' -F\n"
    "complete -c pawl -n '__pawl_said completion' -a 'bash zsh fish'\n"
    "complete -c pawl -n 'not __pawl_said cache \"cache *\" completion \"completion *\"' "
    "-a '(pawl list -q 2>/dev/null)'\n";

static void put_valued(struct buf *b, const char *between)
{
    for (uint32_t i = 0; i < OPTION_COUNT; i++) {
        if (options[i].argument && options[i].letter)
            buf_printf(b, "-%c%s", options[i].letter, between);
        if (options[i].argument)
            buf_printf(b, "--%s%s", options[i].name, between);
    }
}

static void put_fish(struct buf *b)
{
    buf_put_str(b, STR("function __pawl_said\n    set -l valued "));
    put_valued(b, " ");
    buf_put_char(b, '\n');
    buf_put_str(b, str_from(fish_said));
    for (uint32_t i = 0; i < COMMAND_COUNT; i++) {
        buf_printf(b, "complete -c pawl -n \"__pawl_said ''\" -a %s -d '%s'\n", commands[i].name,
                   commands[i].does);
    }
    for (uint32_t i = 0; i < OPTION_COUNT; i++) {
        buf_printf(b, "complete -c pawl -l %s%s\n", options[i].name,
                   options[i].argument ? " -r" : "");
    }
    buf_put_str(b, str_from(fish_words));
}

void opts_put_completion(struct buf *b, struct str shell, bool *known)
{
    bool bash = str_eq(shell, STR("bash")), zsh = str_eq(shell, STR("zsh")),
         fish = str_eq(shell, STR("fish"));
    *known = bash || zsh || fish;
    if (fish) {
        put_fish(b);
        return;
    }
    if (zsh)
        buf_put_str(b, STR("autoload -U +X bashcompinit && bashcompinit\n"));
    buf_put_str(b, STR("_pawl() {\n    local commands=$'"));
    for (uint32_t i = 0; i < COMMAND_COUNT; i++)
        buf_printf(b, "%s%s", i ? "\\n" : "", commands[i].name);
    buf_put_str(b, STR("'\n    local options=$'"));
    for (uint32_t i = 0; i < OPTION_COUNT; i++)
        buf_printf(b, "%s--%s", i ? "\\n" : "", options[i].name);
    buf_put_str(b, STR("' valued=$'\\n"));
    put_valued(b, "\\n");
    buf_put_str(b, STR("'\n"));
    buf_put_str(b, str_from(completion_begin));
    buf_put_str(b, str_from(completion_end));
}
