// The clock of a real server under test: whatever gettimeofday would say, it says what the first eight bytes of the
// file $VALKEY_SIM_CLOCK say, in microseconds since 1970. Preloaded into the server by real.rs, which writes the file.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>

static const volatile uint64_t *now_us;

__attribute__((constructor)) static void open_clock(void) {
    const char *path = getenv("VALKEY_SIM_CLOCK");
    int file = path ? open(path, O_RDONLY) : -1;
    if (file < 0) abort();
    void *page = mmap(NULL, sizeof *now_us, PROT_READ, MAP_SHARED, file, 0);
    if (page == MAP_FAILED) abort();
    now_us = page;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    (void)zone;
    uint64_t now = *now_us;
    time->tv_sec = now / 1000000;
    time->tv_usec = now % 1000000;
    return 0;
}
