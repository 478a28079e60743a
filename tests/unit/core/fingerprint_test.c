/* SPDX-License-Identifier: MIT */
/* What a fingerprint holds and what not, and the words for what changed. */
#include "core/base/file.h"
#include "tests/unit/core/step_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* A step with one of everything. */
static void make_step(struct step_fixture *f)
{
    fixture_init(f);
    fixture_command(f, STR("python3 train.py data/a.csv"));
    fixture_input(f, GRAPH_CODE, STR("train.py"), fixture_blob("code"));
    fixture_input(f, GRAPH_IN, STR("data/a.csv"), fixture_blob("a"));
    fixture_input(f, GRAPH_MENTION, STR("data/b.csv"), fixture_blob("b"));
    fixture_output(f, STR("build/model"), false);
    fixture_output(f, STR("build/all"), true);
    fixture_param(f, STR("depth"), STR("5"), 0);
    fixture_param(f, STR("eta"), STR("0.1"), GRAPH_NAMED_INFO);
    fixture_param(f, STR("mode"), STR("fast"), GRAPH_NAMED_TEXT);
    fixture_env(f, STR("LANG"), STR("C"), 0);
    fixture_env(f, STR("MODE"), STR("x"), GRAPH_NAMED_FROM_CALLER);
    fixture_probe(f, STR("libs"), STR("2.1"));
    fixture_tool(f, STR("python3"), fixture_blob("elf"));
    f->step.instance = fixture_text(f, STR("ml.m4"));
    f->step.instance_count = 2;
    fixture_image(f, STR("train.sif"));
}

static struct step_fixture *fixture_make(struct arena *a)
{
    struct step_fixture *f = ARENA_NEW(a, struct step_fixture);
    make_step(f);
    return f;
}

static bool same(const struct digest *x, const struct digest *y)
{
    return digest_eq(x, y);
}

static void fingerprint_is_the_same_with_and_without_the_declared_half(void **state)
{
    (void)state;
    struct arena a = {0};
    struct step_fixture *f = fixture_make(&a);
    struct digest late = fixture_fingerprint(f);
    fingerprint_fill_declared(&f->g);
    struct digest zero = {{0}};
    assert_false(same(&f->step.declared, &zero));
    struct digest known = fixture_fingerprint(f);
    assert_true(same(&late, &known));
    arena_free(&a);
}

static void fingerprint_declared_half_stays_open_where_something_is_late(void **state)
{
    (void)state;
    struct arena a = {0};
    struct digest zero = {{0}};
    struct step_fixture *f = fixture_make(&a);
    f->step.command_tracked.late = 1;
    fingerprint_fill_declared(&f->g);
    assert_true(same(&f->step.declared, &zero));
    struct digest before = fixture_fingerprint(f);
    f->values.command = STR("another command");
    struct digest after = fixture_fingerprint(f);
    assert_false(same(&before, &after));

    f = fixture_make(&a);
    f->named[f->step.env.first].value.late = 1;
    fingerprint_fill_declared(&f->g);
    assert_true(same(&f->step.declared, &zero));
    before = fixture_fingerprint(f);
    f->env[0] = STR("D");
    after = fixture_fingerprint(f);
    assert_false(same(&before, &after));
    arena_free(&a);
}

/* Each edit alone must change the fingerprint, with the declared half known or not. */
typedef void edit_function(struct step_fixture *f);

static void edit_command(struct step_fixture *f)
{
    fixture_command(f, STR("python3 train.py  data/a.csv"));
}
static void edit_kind(struct step_fixture *f)
{
    f->step.command_kind = GRAPH_COMMAND_ARGV;
}
static void edit_cwd(struct step_fixture *f)
{
    f->step.cwd = fixture_text(f, STR("sub"));
}
static void edit_param(struct step_fixture *f)
{
    f->named[0].value.bytes = fixture_text(f, STR("6"));
}
static void edit_param_type(struct step_fixture *f)
{
    f->named[0].flags |= GRAPH_NAMED_TEXT; /* "5" is not 5 */
}
static void edit_param_name(struct step_fixture *f)
{
    f->named[0].name = fixture_text(f, STR("depths"));
}
static void edit_env(struct step_fixture *f)
{
    f->env[0] = STR("D");
    f->named[f->step.env.first].value.bytes = fixture_text(f, STR("D"));
}
static void edit_env_unset(struct step_fixture *f)
{
    f->env[1] = STR("");
    f->named[f->step.env.first + 1].flags |= GRAPH_NAMED_UNSET;
}
static void edit_env_empty(struct step_fixture *f)
{
    f->env[1] = STR("");
    f->named[f->step.env.first + 1].value.bytes = (struct gtext){0, 0};
}
static void edit_probe(struct step_fixture *f)
{
    f->probe_values[0] = STR("2.2");
}
static void edit_probe_and_command(struct step_fixture *f)
{
    edit_probe(f);
    edit_command(f);
}
static void edit_tool(struct step_fixture *f)
{
    f->tool_files[0] = fixture_blob("elf2");
}
static void edit_instance(struct step_fixture *f)
{
    f->step.instance = fixture_text(f, STR("ml.m5"));
}
static void edit_count(struct step_fixture *f)
{
    f->step.instance_count = 3;
}
static void edit_image(struct step_fixture *f)
{
    f->executors[0].image = fixture_text(f, STR("other.sif"));
}
static void edit_output_path(struct step_fixture *f)
{
    f->files[f->outputs[0].file.i].path = fixture_text(f, STR("build/model2"));
}
static void edit_output_kind(struct step_fixture *f)
{
    f->files[f->outputs[0].file.i].flags = GRAPH_FILE_DIR;
}
static void edit_output_fewer(struct step_fixture *f)
{
    f->step.outputs.n--;
}
static void edit_input_content(struct step_fixture *f)
{
    f->input_files[1] = fixture_blob("A");
}
static void edit_input_kind(struct step_fixture *f)
{
    f->input_files[1].kind = REF_LIST;
}
static void edit_input_gone(struct step_fixture *f)
{
    f->input_files[2].kind = REF_NONE;
}
static void edit_input_path(struct step_fixture *f)
{
    f->files[f->inputs[1].file.i].path = fixture_text(f, STR("data/aa.csv"));
}
static void edit_input_fewer(struct step_fixture *f)
{
    f->step.inputs.n--;
}
static void edit_input_swapped(struct step_fixture *f)
{
    struct part_file x = f->input_files[1];
    f->input_files[1] = f->input_files[2];
    f->input_files[2] = x;
}
static void edit_platform(struct step_fixture *f)
{
    f->step.flags |= GRAPH_STEP_ANY_PLATFORM;
}

static void fingerprint_changes_with_each_part(void **state)
{
    (void)state;
    edit_function *const edits[] = {
        edit_command,     edit_kind,         edit_cwd,           edit_param,      edit_param_type,
        edit_param_name,  edit_env,          edit_env_unset,     edit_env_empty,  edit_probe,
        edit_tool,        edit_instance,     edit_count,         edit_image,      edit_output_path,
        edit_output_kind, edit_output_fewer, edit_input_content, edit_input_kind, edit_input_gone,
        edit_input_path,  edit_input_fewer,  edit_input_swapped, edit_platform,
    };
    enum { EDITS = sizeof edits / sizeof *edits };
    struct arena a = {0};
    struct digest seen[EDITS + 1];
    struct step_fixture *f = fixture_make(&a);
    seen[EDITS] = fixture_fingerprint(f);
    for (size_t i = 0; i < EDITS; i++) {
        make_step(f);
        edits[i](f);
        seen[i] = fixture_fingerprint(f);
        fingerprint_fill_declared(&f->g);
        struct digest filled = fixture_fingerprint(f);
        assert_true(same(&filled, &seen[i]));
    }
    for (size_t i = 0; i <= EDITS; i++) {
        for (size_t k = 0; k < i; k++) {
            if (same(&seen[i], &seen[k])) {
                fail_msg("edits %zu and %zu give one fingerprint", k, i);
            }
        }
    }
    arena_free(&a);
}

static void edit_step_name(struct step_fixture *f)
{
    f->step.name = f->step.base = f->step.about = fixture_text(f, STR("renamed"));
    f->g.name = fixture_text(f, STR("another pipeline"));
}
static void edit_info(struct step_fixture *f)
{
    f->named[1].value.bytes = fixture_text(f, STR("0.2"));
}
static void edit_input_order(struct step_fixture *f)
{
    struct graph_input x = f->inputs[0];
    f->inputs[0] = f->inputs[2];
    f->inputs[2] = x;
    struct part_file y = f->input_files[0];
    f->input_files[0] = f->input_files[2];
    f->input_files[2] = y;
}
static void edit_input_twice(struct step_fixture *f)
{
    fixture_input(f, GRAPH_IN, STR("data/a.csv"), fixture_blob("a"));
}
static void edit_code_to_input(struct step_fixture *f)
{
    f->inputs[0].kind = GRAPH_IN;
}
static void edit_output_order(struct step_fixture *f)
{
    struct graph_output x = f->outputs[0];
    f->outputs[0] = f->outputs[1];
    f->outputs[1] = x;
}
static void edit_means(struct step_fixture *f)
{
    f->step.cpus = 3;
    f->step.gpus = 1;
    f->step.memory_bytes = 1000;
    f->step.price = 0.5;
    f->step.timeout_ns = 7;
    f->step.flags |= GRAPH_STEP_HAS_CPUS | GRAPH_STEP_HAS_MEMORY;
}
static void edit_names_of_files(struct step_fixture *f)
{
    f->inputs[0].name = fixture_text(f, STR("script"));
    f->outputs[0].name = fixture_text(f, STR("model"));
}
static void edit_untracked(struct step_fixture *f)
{
    f->step.command.bytes = fixture_text(f, STR("python3 train.py --threads 8 data/a.csv"));
    f->step.flags |= GRAPH_STEP_HAS_UNTRACKED;
}

static void fingerprint_stays_with_what_does_not_count(void **state)
{
    (void)state;
    edit_function *const edits[] = {
        edit_step_name,    edit_info,  edit_input_order,    edit_input_twice, edit_code_to_input,
        edit_output_order, edit_means, edit_names_of_files, edit_untracked,
    };
    struct arena a = {0};
    struct step_fixture *f = fixture_make(&a);
    struct digest before = fixture_fingerprint(f);
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
        make_step(f);
        edits[i](f);
        struct digest after = fixture_fingerprint(f);
        if (!same(&before, &after)) {
            fail_msg("edit %zu changed the fingerprint", i);
        }
    }
    arena_free(&a);
}

static void fingerprint_platform_is_the_one_that_is_asked_for(void **state)
{
    (void)state;
    struct arena a = {0};
    struct step_fixture *f = fixture_make(&a);
    struct digest asked = fixture_fingerprint(f);
    f->values.platform = fingerprint_platform(&a);
    assert_true(str_starts(f->values.platform, STR("linux-")));
    struct digest given = fixture_fingerprint(f);
    assert_true(same(&asked, &given));
    f->values.platform = STR("linux-pdp11");
    struct digest other = fixture_fingerprint(f);
    assert_false(same(&asked, &other));
    arena_free(&a);
}

/* "a" + "bc" and "ab" + "c" must not meet. */
static void fingerprint_parts_do_not_run_together(void **state)
{
    (void)state;
    struct arena a = {0};
    struct step_fixture *f = ARENA_NEW(&a, struct step_fixture);
    fixture_init(f);
    fixture_command(f, STR("x"));
    fixture_param(f, STR("p"), STR("1"), 0);
    fixture_param(f, STR("q"), STR("2"), 0);
    struct digest two = fixture_fingerprint(f);
    fixture_init(f);
    fixture_command(f, STR("x"));
    fixture_param(f, STR("p"), STR("1\007param q\0012"), 0);
    struct digest one = fixture_fingerprint(f);
    assert_false(same(&one, &two));
    fixture_init(f);
    fixture_command(f, STR("a\0b\0"));
    f->step.command_kind = GRAPH_COMMAND_ARGV;
    struct digest words = fixture_fingerprint(f);
    fixture_init(f);
    fixture_command(f, STR("a\0b"));
    f->step.command_kind = GRAPH_COMMAND_ARGV;
    struct digest word = fixture_fingerprint(f);
    assert_false(same(&words, &word));
    arena_free(&a);
}

static void fingerprint_stands_many_inputs(void **state)
{
    (void)state;
    struct arena a = {0};
    struct step_fixture *f = ARENA_NEW(&a, struct step_fixture);
    fixture_init(f);
    fixture_command(f, STR("cat"));
    for (uint32_t i = 0; i < 200; i++) {
        struct str path = str_printf(&a, "data/%u", (unsigned)((i * 37) % 200));
        fixture_input(f, GRAPH_IN, path, fixture_blob(str_c(&a, path)));
    }
    struct digest before = fixture_fingerprint(f);
    fixture_init(f);
    fixture_command(f, STR("cat"));
    for (uint32_t i = 0; i < 200; i++) {
        struct str path = str_printf(&a, "data/%u", (unsigned)i);
        fixture_input(f, GRAPH_IN, path, fixture_blob(str_c(&a, path)));
    }
    struct digest after = fixture_fingerprint(f);
    assert_true(same(&before, &after));
    arena_free(&a);
}

/* ---- the list and the difference ---- */

static struct record record_of(struct arena *a, struct step_fixture *f, bool tagged)
{
    struct part_list parts;
    fingerprint_parts(&f->g, (step_id){0}, &f->values, a, &parts);
    struct record r = {.salt = {1, 2, 3}};
    r.fingerprint = fixture_fingerprint(f);
    fingerprint_to_record(a, &parts, tagged, &r);
    return r;
}

static struct str reason_for(struct arena *a, const struct record *before, struct step_fixture *f,
                             bool whole)
{
    struct part_list now;
    fingerprint_parts(&f->g, (step_id){0}, &f->values, a, &now);
    struct part_change *changes;
    uint32_t count = fingerprint_difference(a, before, &now, whole, &changes);
    return fingerprint_reason(a, changes, count);
}

/* Makes a step, keeps its record, edits it, and asks for the reason. */
static void check_reason(edit_function *edit, bool tagged, const char *expected)
{
    struct arena a = {0};
    struct step_fixture *f = fixture_make(&a);
    struct record before = record_of(&a, f, tagged);
    edit(f);
    struct str reason = reason_for(&a, &before, f, false);
    assert_string_equal(str_c(&a, reason), expected);
    arena_free(&a);
}

static void edit_nothing(struct step_fixture *f)
{
    (void)f;
}
static void edit_info_and_command(struct step_fixture *f)
{
    edit_info(f);
    edit_command(f);
}
static void edit_info_output_and_input(struct step_fixture *f)
{
    edit_info_and_command(f);
    edit_output_path(f);
    edit_input_content(f);
}
static void edit_info_and_input(struct step_fixture *f)
{
    edit_info(f); /* used in `when` or untracked(): not the cause */
    edit_input_content(f);
}
static void edit_three(struct step_fixture *f)
{
    edit_tool(f);
    edit_input_content(f);
    f->input_files[0] = fixture_blob("code2");
}
static void edit_param_text(struct step_fixture *f)
{
    f->named[2].value.bytes =
        fixture_text(f, STR("slow but with a value so long that nobody wants to read\nall of it"));
}
static void edit_input_added(struct step_fixture *f)
{
    fixture_input(f, GRAPH_IN, STR("data/c.csv"), fixture_blob("c"));
}
static void edit_code(struct step_fixture *f)
{
    f->input_files[0] = fixture_blob("code2");
}

static void fingerprint_reason_names_the_cause(void **state)
{
    (void)state;
    check_reason(edit_nothing, false, "");
    check_reason(edit_info_and_command, false, "param eta: 0.1 -> 0.2");
    check_reason(edit_param, false, "param depth: 5 -> 6");
    check_reason(edit_param_type, false, "param depth: 5 -> \"5\"");
    check_reason(edit_param_text, false,
                 "param mode: fast -> slow but with a value so long that nobody wants …");
    check_reason(edit_command, false, "command changed");
    check_reason(edit_input_content, false, "input data/a.csv changed");
    check_reason(edit_code, false, "code train.py changed");
    check_reason(edit_input_gone, false, "input data/b.csv is gone");
    check_reason(edit_input_added, false, "input data/c.csv added");
    check_reason(edit_input_fewer, false, "input data/b.csv removed");
    check_reason(edit_output_kind, false, "output build/model: file -> dir");
    check_reason(edit_env, false, "env LANG: C -> D");
    check_reason(edit_env_unset, false, "env MODE removed");
    check_reason(edit_probe, false, "probe libs: 2.1 -> 2.2");
    check_reason(edit_probe_and_command, false, "probe libs: 2.1 -> 2.2");
    check_reason(edit_tool, false, "tool python3 changed");
    check_reason(edit_instance, false, "instance: ml.m4 -> ml.m5");
    check_reason(edit_platform, false, "platform removed");
    check_reason(edit_kind, false, "run as changed");
    check_reason(edit_code_to_input, false, "");
    check_reason(edit_info_output_and_input, false, "param eta: 0.1 -> 0.2, and 1 more");
    check_reason(edit_info_and_input, false, "input data/a.csv changed");
    check_reason(edit_three, false, "code train.py changed, and 2 more");
}

static void fingerprint_tags_hide_values_and_still_compare(void **state)
{
    (void)state;
    check_reason(edit_nothing, true, "");
    check_reason(edit_env, true, "env LANG changed");
    check_reason(edit_probe, true, "probe libs changed");
    struct arena a = {0};
    struct step_fixture *f = fixture_make(&a);
    f->env[0] = STR("not to be seen");
    struct record r = record_of(&a, f, true);
    uint32_t tags = 0;
    for (uint32_t i = 0; i < r.part_count; i++) {
        assert_int_equal(str_find(r.parts[i].value, STR("not to be seen")), -1);
        tags += r.parts[i].tag;
    }
    assert_int_equal(tags, 3);
    struct buf b;
    buf_init(&b, RECORD_BYTES_LIMIT);
    assert_true(record_put(&b, &r));
    buf_free(&b);
    arena_free(&a);
}

static void fingerprint_whole_difference_shows_the_command_too(void **state)
{
    (void)state;
    struct arena a = {0};
    struct step_fixture *f = fixture_make(&a);
    f->step.command_kind = GRAPH_COMMAND_ARGV;
    fixture_command(f, STR("echo\0a b\0"));
    struct record before = record_of(&a, f, false);
    fixture_command(f, STR("echo\0c\0"));
    edit_info(f);
    struct part_list now;
    fingerprint_parts(&f->g, (step_id){0}, &f->values, &a, &now);
    struct part_change *changes;
    assert_int_equal(fingerprint_difference(&a, &before, &now, true, &changes), 2);
    assert_string_equal(str_c(&a, changes[0].label), "param eta");
    assert_string_equal(str_c(&a, changes[1].label), "command");
    assert_string_equal(str_c(&a, changes[1].before), "echo 'a b'");
    assert_string_equal(str_c(&a, changes[1].after), "echo c");
    arena_free(&a);
}

/* However many inputs there are, the record can be kept. */
static void fingerprint_record_of_a_huge_step_stays_small(void **state)
{
    (void)state;
    struct arena a = {0};
    struct part_list parts = {0};
    parts.n = parts.cap = 50000;
    parts.at = ARENA_ARRAY(&a, struct part, parts.n);
    for (uint32_t i = 0; i < parts.n; i++) {
        parts.at[i].label = str_printf(&a, "input data/%u", (unsigned)i);
        parts.at[i].value = STR("blob 00");
    }
    char *text = arena_alloc(&a, 200000, 1);
    memset(text, 'x', 200000);
    parts.at[0] = (struct part){STR("command"), {text, 200000}, false, false};
    struct record r = {0};
    fingerprint_to_record(&a, &parts, false, &r);
    struct buf b;
    buf_init(&b, RECORD_BYTES_LIMIT);
    assert_true(record_put(&b, &r));
    buf_free(&b);
    struct part_change *changes;
    assert_int_equal(fingerprint_difference(&a, &r, &parts, false, &changes), 1);
    assert_string_equal(str_c(&a, fingerprint_reason(&a, changes, 1)), "inputs changed");
    text[150000] = 'y'; /* beyond what is kept as it is */
    assert_int_equal(fingerprint_difference(&a, &r, &parts, false, &changes), 1);
    assert_string_equal(str_c(&a, fingerprint_reason(&a, changes, 1)), "command changed");
    arena_free(&a);
}

static void fingerprint_of_ten_thousand_steps_takes_no_time(void **state)
{
    (void)state;
    struct arena a = {0};
    struct step_fixture *f = fixture_make(&a);
    fingerprint_fill_declared(&f->g);
    int64_t begin = time_monotonic_ns();
    for (int i = 0; i < 10000; i++) {
        f->input_files[0].digest.b[0] = (uint8_t)i;
        (void)fixture_fingerprint(f);
    }
    int64_t took = time_monotonic_ns() - begin;
    print_message("10,000 fingerprints: %lld us\n", (long long)(took / 1000));
    assert_true(took < 2000000000); /* generous: sanitizers, a busy machine */
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fingerprint_is_the_same_with_and_without_the_declared_half),
        cmocka_unit_test(fingerprint_declared_half_stays_open_where_something_is_late),
        cmocka_unit_test(fingerprint_changes_with_each_part),
        cmocka_unit_test(fingerprint_stays_with_what_does_not_count),
        cmocka_unit_test(fingerprint_platform_is_the_one_that_is_asked_for),
        cmocka_unit_test(fingerprint_parts_do_not_run_together),
        cmocka_unit_test(fingerprint_stands_many_inputs),
        cmocka_unit_test(fingerprint_reason_names_the_cause),
        cmocka_unit_test(fingerprint_tags_hide_values_and_still_compare),
        cmocka_unit_test(fingerprint_whole_difference_shows_the_command_too),
        cmocka_unit_test(fingerprint_record_of_a_huge_step_stays_small),
        cmocka_unit_test(fingerprint_of_ten_thousand_steps_takes_no_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
