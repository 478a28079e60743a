/* SPDX-License-Identifier: MIT */
/* A graph of one step, made by hand: texts go into a pool, ranges are whatever was added last. */
#pragma once

#include "core/fingerprint.h"

#include <string.h>

enum { FIXTURE_ITEMS = 256, FIXTURE_POOL = 1 << 16 };

struct step_fixture {
    char pool[FIXTURE_POOL];
    uint32_t pool_n;
    struct graph_step step;
    struct graph_file files[FIXTURE_ITEMS];
    struct graph_input inputs[FIXTURE_ITEMS];
    struct graph_output outputs[FIXTURE_ITEMS];
    struct graph_named named[FIXTURE_ITEMS];
    struct graph_probe probes[FIXTURE_ITEMS];
    struct graph_executor executors[1];
    struct gtext texts[FIXTURE_ITEMS];
    uint32_t numbers[FIXTURE_ITEMS];
    struct graph g;
    struct str env[FIXTURE_ITEMS], probe_values[FIXTURE_ITEMS];
    struct part_file tool_files[FIXTURE_ITEMS], input_files[FIXTURE_ITEMS];
    struct fingerprint_values values;
};

static inline struct gtext fixture_text(struct step_fixture *f, struct str text)
{
    struct gtext t = {f->pool_n, (uint32_t)text.n};
    if (text.n) {
        memcpy(f->pool + f->pool_n, text.s, text.n);
    }
    f->pool_n += (uint32_t)text.n;
    return t;
}

static inline void fixture_init(struct step_fixture *f)
{
    memset(f, 0, sizeof *f);
    f->pool_n = 1;
    f->step.executor = GRAPH_NONE;
    f->step.pool = GRAPH_NONE;
    f->step.command_kind = GRAPH_COMMAND_SHELL;
    f->step.cwd = fixture_text(f, STR("."));
    f->g = (struct graph){.pool = f->pool,
                          .steps = &f->step,
                          .step_count = 1,
                          .files = f->files,
                          .inputs = f->inputs,
                          .outputs = f->outputs,
                          .named = f->named,
                          .probes = f->probes,
                          .executors = f->executors,
                          .texts = f->texts,
                          .numbers = f->numbers};
    f->values.env = f->env;
    f->values.probes = f->probe_values;
    f->values.tools = f->tool_files;
    f->values.inputs = f->input_files;
}

static inline void fixture_command(struct step_fixture *f, struct str text)
{
    f->step.command.bytes = f->step.command_tracked.bytes = fixture_text(f, text);
    f->values.command = graph_text(&f->g, f->step.command_tracked.bytes);
}

static inline void fixture_input(struct step_fixture *f, uint32_t kind, struct str path,
                                 struct part_file content)
{
    uint32_t file = f->g.file_count++;
    f->files[file].path = fixture_text(f, path);
    f->input_files[f->step.inputs.n] = content;
    f->inputs[f->step.inputs.n++] = (struct graph_input){.file = {file}, .kind = kind};
}

static inline void fixture_output(struct step_fixture *f, struct str path, bool dir)
{
    uint32_t file = f->g.file_count++;
    f->files[file].path = fixture_text(f, path);
    f->files[file].flags = dir ? GRAPH_FILE_DIR : 0;
    f->outputs[f->step.outputs.n++] = (struct graph_output){.file = {file}};
}

/* All params before all env. */
static inline void fixture_param(struct step_fixture *f, struct str name, struct str value,
                                 uint32_t flags)
{
    struct graph_named *n = &f->named[f->step.params.n++];
    *n = (struct graph_named){.name = fixture_text(f, name), .flags = flags};
    n->value.bytes = fixture_text(f, value);
}

static inline void fixture_env(struct step_fixture *f, struct str name, struct str value,
                               uint32_t flags)
{
    f->step.env.first = f->step.params.n;
    f->env[f->step.env.n] = value;
    struct graph_named *n = &f->named[f->step.env.first + f->step.env.n++];
    *n = (struct graph_named){.name = fixture_text(f, name), .flags = flags};
    n->value.bytes = fixture_text(f, value);
}

static inline void fixture_probe(struct step_fixture *f, struct str name, struct str value)
{
    uint32_t i = f->step.probes.n++;
    f->probes[i].name = fixture_text(f, name);
    f->numbers[i] = i;
    f->probe_values[i] = value;
}

static inline void fixture_tool(struct step_fixture *f, struct str name, struct part_file content)
{
    uint32_t i = f->step.tools.n++;
    f->texts[i] = fixture_text(f, name);
    f->tool_files[i] = content;
}

static inline void fixture_image(struct step_fixture *f, struct str image)
{
    f->step.executor = 0;
    f->executors[0].image = fixture_text(f, image);
}

static inline struct part_file fixture_blob(const char *bytes)
{
    return (struct part_file){.kind = REF_BLOB, .digest = digest_of(bytes, strlen(bytes))};
}

static inline struct digest fixture_fingerprint(struct step_fixture *f)
{
    return fingerprint_digest(&f->g, (step_id){0}, &f->values);
}
