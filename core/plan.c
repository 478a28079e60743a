/* SPDX-License-Identifier: MIT */
/* The decision, in the order of the contract: in place and matching, else a result in the cache, else run. */
#include "core/plan.h"

enum { PLAN_FUTURE_MS = 10 * 60 * 1000 };

bool plan_is_expired(int64_t success_ms, int64_t now_ms, int64_t expire_ms)
{
    if (expire_ms == 0)
        return false;
    return success_ms > now_ms + PLAN_FUTURE_MS || now_ms - success_ms > expire_ms;
}

int64_t plan_not_before_ms(int64_t now_ms, int64_t expire_ms)
{
    return expire_ms == 0 ? INT64_MIN : now_ms - expire_ms;
}

static struct str expired_reason(struct arena *a, const struct plan_facts *f)
{
    struct buf b;
    buf_init(&b, 256);
    buf_put_str(&b, STR("the last result is older than expire_after "));
    str_put_duration(&b, f->expire_ms * 1000000);
    struct str reason = str_copy(a, buf_str(&b));
    buf_free(&b);
    return reason;
}

/* Why a step whose fingerprint is that of its last success still is not up to date; empty: it is. */
static struct str odd_reason(struct arena *a, const struct plan_facts *f)
{
    if (plan_is_expired(f->last->success_ms, f->now_ms, f->expire_ms))
        return expired_reason(a, f);
    if (!f->inputs_match)
        return str_printf(a, "input %.*s changed", STR_ARG(f->odd_path));
    switch (f->outputs) {
    case PLAN_OUTPUTS_MISSING: return str_printf(a, "output %.*s is missing", STR_ARG(f->odd_path));
    case PLAN_OUTPUTS_CHANGED:
        return str_printf(a, "output %.*s was changed", STR_ARG(f->odd_path));
    case PLAN_OUTPUTS_MATCH: break;
    }
    if (f->distrusted)
        return STR("its result came from somebody who is not trusted");
    return STR("");
}

struct plan plan_decide(struct arena *a, const struct plan_facts *f)
{
    if (f->rerun)
        return (struct plan){PLAN_RUN, STR("asked for by --rerun")};
    if (f->cache_off)
        return (struct plan){PLAN_RUN, STR("cache off")};
    struct plan p = {f->no_cache ? PLAN_RUN : PLAN_LOOKUP, STR("")};
    if (!f->last) {
        p.reason = STR("no earlier result");
        return p;
    }
    if (!digest_eq(&f->last->fingerprint, f->fingerprint))
        return p;
    p.reason = odd_reason(a, f);
    if (p.reason.n == 0)
        p.verdict = PLAN_UP_TO_DATE;
    return p;
}
