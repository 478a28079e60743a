/* SPDX-License-Identifier: MIT */
/* To be loaded before a program: after the first PAWL_TEST_THREADS threads none can be started. */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

typedef int creator(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

int pthread_create(pthread_t *thread, const pthread_attr_t *how, void *(*run)(void *),
                   void *context)
{
    static atomic_long started;
    const char *text = getenv("PAWL_TEST_THREADS");
    union {
        void *found;
        creator *create;
    } next = {dlsym(RTLD_NEXT, "pthread_create")};
    if (text && atomic_fetch_add(&started, 1) >= strtol(text, NULL, 10)) {
        return EAGAIN;
    }
    return next.create(thread, how, run, context);
}
