/* recording_state.h - what recording_io.c and recording_cut.c share: the recording. */
#ifndef TESTS_OS_RECORDING_STATE_H
#define TESTS_OS_RECORDING_STATE_H

#include "recording_io.h"

#include <pthread.h>

#define RECORDING_SECTOR 512u /* bytes; the smallest unit of a torn write */

struct event_list {
    struct recorded *events; /* in order */
    size_t count;            /* used */
    size_t room;             /* allocated */
};

struct recording {
    pthread_mutex_t mutex;      /* around everything below */
    bool on;                    /* between start and stop */
    bool based;                 /* the base image was taken */
    dev_t device;               /* of the recorded file */
    ino_t inode;                /* of the recorded file */
    struct event_list base;     /* makes the base image out of an empty file; all durable */
    struct event_list log;      /* what happened */
    uint64_t calls;             /* so far */
    uint64_t fail_call;         /* number of the call to fail; 0: none */
    enum recording_fault fault; /* how */
    bool sticky;                /* and all later ones */
    bool watch;                 /* compare with `image` at each flush */
    unsigned char *image;       /* the file as written through us, when watching */
    uint64_t image_size;        /* bytes */
};

extern struct recording recording;

#endif
