/* SPDX-License-Identifier: MIT */
/* The evaluated pipeline: steps, files, edges, pools as flat arrays of plain structs with indices, in one
 * contiguous image. The image is the file `.pawl/graph`: it is mapped and used in place. A graph never
 * changes once it stands; nothing in it points outside of it. Format: docs/formats.md, "Compiled graph". */
#pragma once

#include "core/base/arena.h"
#include "core/base/diag.h"
#include "core/base/digest.h"
#include "core/base/file.h"

typedef struct {
    uint32_t i;
} step_id;
typedef struct {
    uint32_t i;
} file_id;
#define GRAPH_NONE UINT32_MAX

/* A text in the image's pool (graph_text), and a run of items in one of its arrays. */
struct gtext {
    uint32_t at, n;
};
struct grange {
    uint32_t first, n;
};
/* A place in source text: source indexes graph.sources. */
struct gspan {
    uint32_t source, begin, end;
};

/* Something known now (late false: bytes are the text itself, as it prints) or an encoded expression that
 * can be evaluated once steps have run (late true: hand bytes to value_decode, core/value.h). */
struct gexpr {
    struct gtext bytes;
    uint32_t late;
};

struct graph_file {
    struct gtext path; /* workspace-relative, normal, without a last slash; or an s3:// URI */
    uint32_t producer; /* step that makes it or the folder it lies in; GRAPH_NONE for a source */
    uint32_t inside;   /* file: the declared output folder that this path lies below; GRAPH_NONE */
    uint32_t flags;    /* GRAPH_FILE_… */
};
enum {
    GRAPH_FILE_DIR = 1, /* declared with a last slash, as an output folder */
    GRAPH_FILE_S3 = 2,
};

enum graph_input_kind {
    GRAPH_IN,      /* in */
    GRAPH_CODE,    /* code */
    GRAPH_MENTION, /* another step's output named in run or env without an in */
};
struct graph_input {
    file_id file;
    struct gtext name; /* empty where it has none */
    uint16_t kind;     /* enum graph_input_kind */
    uint16_t flags;    /* GRAPH_INPUT_… */
    struct gspan span;
};
enum {
    GRAPH_INPUT_COPY = 1, /* in S3: the command knows where its local copy lies … */
    GRAPH_INPUT_URI = 2,  /* … or what its URI is, and may read it by itself */
};

struct graph_output {
    file_id file;
    struct gtext name;
    struct gspan span;
};

enum graph_edge_kind {
    GRAPH_NEED,  /* must have succeeded (or be up to date) first, and is wanted if this is */
    GRAPH_AFTER, /* `after`: only an order, and a failure there skips this step */
};
struct graph_edge {
    step_id step; /* the other end */
    uint32_t kind;
};

/* A named text or expression: env, metric, param, for-variable, resource for reports. */
struct graph_named {
    struct gtext name;
    struct gexpr value;
    uint32_t flags; /* GRAPH_NAMED_… */
    struct gspan span;
};
enum {
    GRAPH_NAMED_FROM_CALLER =
        1,                 /* env NAME without a value: the caller's, as it was at evaluation */
    GRAPH_NAMED_UNSET = 2, /* … and it was not set there */
    GRAPH_NAMED_WHOLE_FILE = 4, /* metric without a path: each number in the file as NAME.path */
    GRAPH_NAMED_TEXT =
        8, /* for PAWL_PARAMS: the value is a string (else its text is JSON already) */
    GRAPH_NAMED_INFO =
        16, /* a parameter (or params key) that the step's expressions used without a `param`
                                  * item: not in the fingerprint, kept so that explain can name the cause */
};

enum graph_command {
    GRAPH_COMMAND_PENDING, /* a fan-out whose folder is not known yet: see graph_step.pending */
    GRAPH_COMMAND_SHELL,   /* /bin/sh -e */
    GRAPH_COMMAND_SCRIPT,  /* text that begins with #! */
    GRAPH_COMMAND_ARGV,    /* words, each ended by NUL */
    GRAPH_COMMAND_FAIL,    /* end the build with this message */
    GRAPH_COMMAND_MAKE,    /* target in command; not supported yet */
};

enum {
    GRAPH_STEP_CACHE_OFF = 1,
    GRAPH_STEP_NO_LOCAL = 2, /* cache { local = false } */
    GRAPH_STEP_ANY_PLATFORM = 4,
    GRAPH_STEP_TRACE = 8,
    GRAPH_STEP_HAS_CPUS =
        16, /* resources were declared, so they are kept within the machine's means */
    GRAPH_STEP_HAS_MEMORY = 32,
    GRAPH_STEP_HAS_UNTRACKED =
        64, /* command holds untracked(): command_tracked differs from command */
    GRAPH_STEP_REMOTE_UNHEARD = 128, /* a remote policy was said, and cannot be: NO_LOCAL */
};
enum graph_remote {
    GRAPH_REMOTE_OFF,
    GRAPH_REMOTE_READ,
    GRAPH_REMOTE_WRITE,
    GRAPH_REMOTE_READ_WRITE
};

struct graph_step {
    struct gtext name;        /* "train[depth=5,eta=0.1]" or, in an include, "prep.clean" */
    struct gtext base;        /* "train" */
    struct gtext about;       /* what it is for */
    struct gspan span;        /* of its name */
    struct grange inputs;     /* graph.inputs; duplicates of one file are given once */
    struct grange outputs;    /* graph.outputs */
    struct grange needs;      /* graph.edges: what this step waits for (NEED and AFTER) */
    struct grange dependents; /* graph.back_edges: who waits for this step */
    struct grange variables;  /* graph.named: its for-variables */
    struct grange
        params;        /* graph.named: `param NAME` and INFO ones, sorted by name; value as text */
    struct grange env; /* graph.named, sorted by name */
    struct grange metrics;        /* graph.named */
    struct grange secrets;        /* graph.texts: names */
    struct grange tools;          /* graph.texts: program names or paths */
    struct grange probes;         /* graph.numbers: indices into graph.probes */
    struct grange depfiles;       /* graph.numbers: file ids */
    uint32_t command_kind;        /* enum graph_command */
    struct gexpr command;         /* what is run */
    struct gexpr command_tracked; /* what the fingerprint sees: untracked() values left out */
    struct gtext cwd;             /* "." is the root */
    struct gexpr when;            /* prints "true" or "false"; empty: always */
    struct gspan command_span, when_span;
    struct gtext instance; /* resources.instance */
    struct gtext pending_variable;
    struct gtext checkpoint; /* path; not supported yet */
    uint32_t pending;        /* file id of the folder whose listing is awaited; GRAPH_NONE */
    uint32_t pool;           /* graph.pools; GRAPH_NONE */
    uint32_t executor;       /* graph.executors; GRAPH_NONE is local */
    uint32_t flags;          /* GRAPH_STEP_… */
    uint32_t remote;         /* enum graph_remote */
    uint32_t retries;
    uint32_t instance_count; /* resources.count; 0: not declared */
    uint32_t gpus;
    double cpus;
    double price; /* for an hour; 0: not declared */
    uint64_t memory_bytes;
    int64_t expire_ns;  /* 0: never */
    int64_t timeout_ns; /* 0: none */
    int64_t backoff_ns;
    /* Of all that is constant in the fingerprint (fingerprint.c): saves work when nothing changed; zeros
     * when some part is late. */
    struct digest declared;
};

struct graph_pool {
    struct gtext name;
    uint32_t limit;
};
struct graph_probe {
    struct gtext name;
    struct gexpr command;
    struct gspan span;
};
struct graph_executor {
    struct gtext name, kind, image;
    struct gspan span;
};
struct graph_group {
    struct gtext name;
    struct grange steps; /* graph.numbers */
};

/* What evaluation looked at. The graph is current while all of these are as they were. */
enum graph_origin_kind {
    GRAPH_ORIGIN_FILE, /* Pipelinefile, include, params file, read()/json() of a source: digest of content */
    GRAPH_ORIGIN_ABSENT,  /* a file that was asked for and was not there */
    GRAPH_ORIGIN_ENV,     /* variable: digest of value, zeros if unset */
    GRAPH_ORIGIN_GLOB,    /* pattern: digest of the sorted result */
    GRAPH_ORIGIN_OPTIONS, /* -p values in order: digest */
    GRAPH_ORIGIN_LISTING, /* an output folder's file names, for a late fan-out: digest; checked once its step is done */
};
struct graph_origin {
    uint32_t kind;
    struct gtext name;
    struct digest digest;
    struct file_sig sig; /* FILE */
    int64_t looked_ns;   /* FILE: when, for file_sig_is_racy */
};

struct graph_remote_place {
    struct gtext url, region, endpoint, profile;
    uint32_t path_style;
    struct grange trust;   /* texts: paths of key files */
    uint32_t only_trusted; /* there is a list, be it empty */
    struct gspan span, trust_span;
};

/* The pieces of the image as typed pointers; the same struct whether mapped or just made. */
struct graph {
    const char *pool;
    struct gtext name; /* the pipeline's */
    const struct gtext *sources;
    uint32_t source_count; /* paths of the Pipelinefiles */
    const struct graph_step *steps;
    uint32_t step_count;
    const struct graph_file *files;
    uint32_t file_count;
    const struct graph_input *inputs;
    uint32_t input_count;
    const struct graph_output *outputs;
    uint32_t output_count;
    const struct graph_edge *edges;
    uint32_t edge_count;
    const struct graph_edge *back_edges;
    uint32_t back_edge_count;
    const struct graph_named *named;
    uint32_t named_count;
    const struct gtext *texts;
    uint32_t text_count;
    const uint32_t *numbers;
    uint32_t number_count;
    const struct graph_pool *pools;
    uint32_t pool_count;
    const struct graph_probe *probes;
    uint32_t probe_count;
    const struct graph_executor *executors;
    uint32_t executor_count;
    const struct graph_group *groups;
    uint32_t group_count;
    const struct graph_named *params;
    uint32_t param_count; /* the pipeline's, with the values in force */
    const uint32_t *defaults;
    uint32_t default_count; /* steps; none: every step */
    const struct graph_origin *origins;
    uint32_t origin_count;
    const struct graph_remote_place *remote; /* NULL: none */
    const uint32_t *order;                   /* step_count ids: each after all that it waits for */
    const void *image;
    size_t image_bytes;
    bool mapped;
};

static inline struct str graph_text(const struct graph *g, struct gtext t)
{
    return (struct str){g->pool + t.at, t.n};
}
static inline const struct graph_step *graph_step(const struct graph *g, step_id s)
{
    return &g->steps[s.i];
}
static inline const struct graph_file *graph_file(const struct graph *g, file_id f)
{
    return &g->files[f.i];
}
static inline struct str graph_path(const struct graph *g, file_id f)
{
    return graph_text(g, g->files[f.i].path);
}

/* Maps an image that graph_write wrote. false, without a word: absent, of another version, damaged (its
 * checksum and every index and range are verified first, so that the rest of the program need not). */
bool graph_open(struct graph *g, int root, struct str path);
void graph_close(struct graph *g);
bool graph_write(const struct graph *g, int root, struct str path);

/* GRAPH_NONE if there is none. Exact name of a step or instance; path of a declared file. */
step_id graph_find_step(const struct graph *g, struct str name);
file_id graph_find_file(const struct graph *g, struct str path);

/* Adds the steps that a target names (step, base name, instance or partial selection 'train[depth=5]',
 * group, include, output path) to out, in order. false with a diagnostic ("unknown-target", with the nearest
 * name). An empty target list: the defaults, else every step. */
struct step_list {
    step_id *at;
    uint32_t n, cap;
    struct arena *arena;
};
bool graph_select(const struct graph *g, const struct str *targets, uint32_t count,
                  struct step_list *out, struct diags *d);

/* For messages while building: a span in diags' terms, its source read from the workspace on demand. */
struct span graph_span(const struct graph *g, struct gspan at, int root, struct diags *d);

/* Making one: eval fills these growing arrays in an arena; graph_finish checks (cycles are an error that names
 * the whole circle, "step-cycle"), orders, makes back edges, lays out the image. false: there is a mistake, and
 * what was laid out has no good order. */
struct graph_draft {
    struct arena *arena;
    struct buf pool; /* gtext{0,0} is the empty text */
    struct gtext name;
    VEC(struct gtext) sources;
    VEC(struct graph_step) steps;
    VEC(struct graph_file) files;
    VEC(struct graph_input) inputs;
    VEC(struct graph_output) outputs;
    VEC(struct graph_edge) edges;
    VEC(struct graph_named) named;
    VEC(struct gtext) texts;
    VEC(uint32_t) numbers;
    VEC(struct graph_pool) pools;
    VEC(struct graph_probe) probes;
    VEC(struct graph_executor) executors;
    VEC(struct graph_group) groups;
    VEC(struct graph_named) params;
    VEC(uint32_t) defaults;
    VEC(struct graph_origin) origins;
    struct graph_remote_place remote;
    bool has_remote;
};
void graph_draft_init(struct graph_draft *g, struct arena *a);
struct gtext graph_draft_text(struct graph_draft *g,
                              struct str text); /* equal texts need not be shared */
bool graph_finish(struct graph_draft *draft, struct arena *a, struct graph *out, struct diags *d);
void graph_draft_free(struct graph_draft *g);
