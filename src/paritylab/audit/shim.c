/* A library for LD_PRELOAD that lets an audit change what a process sees of its machine.
 *
 * The processor is changed for the whole life of the process, by the variable PARITYLAB_CPU: the
 * kernel makes the CPUID instruction fault (arch_prctl ARCH_SET_CPUID), and the handler answers as
 * another processor would. Only the answers change: an instruction set that this machine lacks is
 * not given to it, and what a program learns without CPUID (/proc/cpuinfo) stays true.
 *
 * Everything else is inert until a job asks for it: paritylab_shim(key, value) with
 *   clock      seconds: the wall clock runs that much ahead (or behind, with a minus)
 *   frozen     seconds since 1970: every clock stands still there
 *              (under both, waiting until a time takes as long as it would)
 *   host       the name that gethostname and uname give
 *   directory  sorted, reversed: the order in which readdir gives entries
 *   entropy    a number: getrandom, getentropy and /dev/urandom give a fixed stream
 *   pid        a number: getpid gives it
 *   user       a number: getuid and geteuid give it
 * It returns 0, or -1 for a key it does not know. C11, x86-64 Linux, glibc.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* ---- the processor ---------------------------------------------------------------------- */

enum { SET_CPUID = 0x1012 };
enum { SSE42, AVX, AVX2, AVX512 };
struct cache { unsigned type, level, kib, ways; };
struct cpu {
    const char *name;
    int amd;            /* else Intel */
    int isa;            /* the best it has */
    uint32_t signature; /* family, model, stepping as leaf 1 gives them */
    uint32_t last_leaf;
    struct cache caches[4];
};
/* Signatures and cache sizes are those of shipped processors. */
static const struct cpu cpus[] = {
    {"nehalem", 0, SSE42, 0x000106A5, 0x0B, {{1, 1, 32, 8}, {2, 1, 32, 4}, {3, 2, 256, 8}, {3, 3, 8192, 16}}},
    {"sandybridge", 0, AVX, 0x000206A7, 0x0D, {{1, 1, 32, 8}, {2, 1, 32, 8}, {3, 2, 256, 8}, {3, 3, 8192, 16}}},
    {"haswell", 0, AVX2, 0x000306C3, 0x0D, {{1, 1, 32, 8}, {2, 1, 32, 8}, {3, 2, 256, 8}, {3, 3, 8192, 16}}},
    {"skylake-x", 0, AVX512, 0x00050654, 0x16, {{1, 1, 32, 8}, {2, 1, 32, 8}, {3, 2, 1024, 16}, {3, 3, 22528, 11}}},
    {"zen2", 1, AVX2, 0x00830F10, 0x10, {{1, 1, 32, 8}, {2, 1, 32, 8}, {3, 2, 512, 8}, {3, 3, 16384, 16}}},
};
static const struct cpu *faked;

struct registers { uint32_t a, b, c, d; };

static void ask(uint32_t leaf, uint32_t sub, struct registers *r) {
    __asm__ volatile("cpuid" : "=a"(r->a), "=b"(r->b), "=c"(r->c), "=d"(r->d) : "a"(leaf), "c"(sub));
}

static long fault_on_cpuid(int fault) {
    long result;
    __asm__ volatile("syscall" : "=a"(result)
                     : "a"((long)SYS_arch_prctl), "D"((long)SET_CPUID), "S"((long)!fault)
                     : "rcx", "r11", "memory");
    return result;
}

static void cache_leaf(uint32_t sub, struct registers *r) {
    memset(r, 0, sizeof *r);
    if (sub >= 4) return;
    const struct cache *cache = &faked->caches[sub];
    r->a = cache->type | cache->level << 5 | 1u << 8;
    r->b = 63u | (cache->ways - 1) << 22;
    r->c = cache->kib * 1024 / (cache->ways * 64) - 1;
}

static void instruction_sets(uint32_t leaf, uint32_t sub, struct registers *r) {
    if (leaf == 1) {
        r->a = faked->signature;
        if (faked->isa < AVX2) r->c &= ~(1u << 12 | 1u << 22 | 1u << 29); /* FMA, MOVBE, F16C */
        if (faked->isa < AVX) r->c &= ~(1u << 25 | 1u << 26 | 1u << 27 | 1u << 28);
    } else if (sub) {
        memset(r, 0, sizeof *r);
    } else {
        /* BMI1, AVX2, BMI2; F, DQ, CD, BW, VL; IFMA, PF, ER, SHA and all later words. */
        uint32_t avx2 = 1u << 3 | 1u << 5 | 1u << 8;
        uint32_t avx512 = 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31;
        r->b &= ~(1u << 21 | 1u << 26 | 1u << 27 | 1u << 29);
        if (faked->isa < AVX512) r->b &= ~avx512;
        if (faked->isa < AVX2) r->b &= ~avx2;
        r->a = r->c = 0;
        r->d = 0;
    }
}

static void amd_leaf(uint32_t leaf, uint32_t sub, struct registers *r) {
    const struct cache *l1 = &faked->caches[0], *l2 = &faked->caches[2], *l3 = &faked->caches[3];
    if (leaf == 0x80000000) r->a = 0x8000001F;
    else if (leaf == 0x80000001) r->c |= 1u << 0 | 1u << 5 | 1u << 6 | 1u << 22;
    else if (leaf == 0x80000005) r->c = r->d = l1->kib << 24 | l1->ways << 16 | 1u << 8 | 64;
    else if (leaf == 0x80000006) {
        r->c = l2->kib << 16 | 6u << 12 | 1u << 8 | 64;       /* 6: eight ways */
        r->d = l3->kib / 512 << 18 | 8u << 12 | 1u << 8 | 64; /* 8: sixteen ways */
    } else if (leaf == 0x8000001D) cache_leaf(sub, r);
    else if (leaf == 4 || (leaf >= 0x8000000A && leaf <= 0x8000001F)) memset(r, 0, sizeof *r);
}

static void pretend(uint32_t leaf, uint32_t sub, struct registers *r) {
    ask(leaf, sub, r);
    if (leaf == 0) {
        r->a = faked->last_leaf;
        if (faked->amd) memcpy(&r->b, "Auth", 4), memcpy(&r->d, "enti", 4), memcpy(&r->c, "cAMD", 4);
        else memcpy(&r->b, "Genu", 4), memcpy(&r->d, "ineI", 4), memcpy(&r->c, "ntel", 4);
    } else if (leaf == 1 || leaf == 7) {
        instruction_sets(leaf, sub, r);
    } else if (leaf == 4 && !faked->amd) {
        cache_leaf(sub, r);
    } else if (leaf > faked->last_leaf && leaf < 0x40000000) {
        memset(r, 0, sizeof *r);
    } else if (faked->amd) {
        amd_leaf(leaf, sub, r);
    }
}

/* What the program itself wants done about faults; it may ask, and does not take our place. */
static struct sigaction theirs;

static int real_sigaction(int number, const struct sigaction *action, struct sigaction *old) {
    static __typeof__(&sigaction) next;
    if (!next) next = NEXT(sigaction);
    return next(number, action, old);
}

static void true_fault(int number, siginfo_t *info, void *context) {
    struct sigaction fatal = {.sa_handler = SIG_DFL};
    if (theirs.sa_flags & SA_SIGINFO && theirs.sa_sigaction) theirs.sa_sigaction(number, info, context);
    else if (theirs.sa_handler != SIG_DFL && theirs.sa_handler != SIG_IGN) theirs.sa_handler(number);
    else real_sigaction(SIGSEGV, &fatal, NULL); /* it comes again and ends the process */
}

static void on_fault(int number, siginfo_t *info, void *context) {
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    /* Only CPUID faults with this code: any other kind of address may not be read. */
    const unsigned char *code = (const unsigned char *)registers[REG_RIP];
    if (info->si_code != SI_KERNEL || code[0] != 0x0F || code[1] != 0xA2) {
        true_fault(number, info, context);
        return;
    }
    struct registers r;
    fault_on_cpuid(0);
    pretend((uint32_t)registers[REG_RAX], (uint32_t)registers[REG_RCX], &r);
    fault_on_cpuid(1);
    registers[REG_RAX] = r.a, registers[REG_RBX] = r.b;
    registers[REG_RCX] = r.c, registers[REG_RDX] = r.d;
    registers[REG_RIP] += 2;
}

static void become(const char *name) {
    for (size_t i = 0; i < sizeof cpus / sizeof *cpus; i++)
        if (!strcmp(cpus[i].name, name)) faked = &cpus[i];
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK};
    /* Without it the audit would be of this machine's own CPU: end rather than mislead. */
    if (!faked || real_sigaction(SIGSEGV, &action, NULL) || fault_on_cpuid(1)) {
        static const char words[] = "paritylab: this CPU cannot be emulated here\n";
        if (write(2, words, sizeof words - 1) < 0) _exit(71);
        _exit(71);
    }
}

EXPORT int sigaction(int number, const struct sigaction *action, struct sigaction *old) {
    if (!faked || number != SIGSEGV) return real_sigaction(number, action, old);
    if (old) *old = theirs;
    if (action) theirs = *action;
    return 0;
}

EXPORT sighandler_t signal(int number, sighandler_t handler) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART}, old;
    return sigaction(number, &action, &old) ? SIG_ERR : old.sa_handler;
}

/* ---- what a job may ask for ------------------------------------------------------------- */

static long ahead, frozen = -1, fixed_pid, fixed_user = -1;
static uint64_t stream;
static int fixed_entropy;
static char host[65];
static enum { AS_IS, SORTED, REVERSED } order;

static long number_of(const char *text) {
    long sign = *text == '-' ? -1 : 1, value = 0;
    for (text += *text == '-'; *text >= '0' && *text <= '9'; text++) value = value * 10 + (*text - '0');
    return sign * value;
}

EXPORT int paritylab_shim(const char *key, const char *value) {
    if (!strcmp(key, "clock")) ahead = number_of(value);
    else if (!strcmp(key, "frozen")) frozen = number_of(value);
    else if (!strcmp(key, "host")) strncpy(host, value, sizeof host - 1);
    else if (!strcmp(key, "directory")) order = strcmp(value, "reversed") ? SORTED : REVERSED;
    else if (!strcmp(key, "entropy")) fixed_entropy = 1, stream = (uint64_t)number_of(value);
    else if (!strcmp(key, "pid")) fixed_pid = number_of(value);
    else if (!strcmp(key, "user")) fixed_user = number_of(value);
    else return -1;
    return 0;
}

/* What CPUID answers in this process: vendor and signature, such as `AuthenticAMD 00830f10`. */
EXPORT int paritylab_cpu(char *text, int size) {
    struct registers zero, one;
    ask(0, 0, &zero), ask(1, 0, &one);
    return snprintf(text, (size_t)size, "%.4s%.4s%.4s %08x", (char *)&zero.b, (char *)&zero.d,
                    (char *)&zero.c, one.a);
}

__attribute__((constructor)) static void begin(void) {
    char *name = getenv("PARITYLAB_CPU");
    if (name && *name) become(name);
    /* It is for this process and its forks; what they execute starts without. */
    unsetenv("PARITYLAB_CPU"), unsetenv("PARITYLAB_SHIM"), unsetenv("LD_PRELOAD");
}

/* ---- clocks ----------------------------------------------------------------------------- */

EXPORT int clock_gettime(clockid_t which, struct timespec *now) {
    static __typeof__(&clock_gettime) next;
    if (!next) next = NEXT(clock_gettime);
    if (frozen >= 0) {
        now->tv_sec = frozen, now->tv_nsec = 0;
        return 0;
    }
    int result = next(which, now);
    if (!result && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE)) now->tv_sec += ahead;
    return result;
}

EXPORT int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec precise;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &precise)) return -1;
    now->tv_sec = precise.tv_sec, now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}

EXPORT time_t time(time_t *where) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (where) *where = now.tv_sec;
    return now.tv_sec;
}

EXPORT clock_t clock(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return now.tv_sec * CLOCKS_PER_SEC + now.tv_nsec / (1000000000 / CLOCKS_PER_SEC);
}

/* ---- waiting until a time ---------------------------------------------------------------- */

/* A deadline was computed from the clock that we pretend, and the kernel has the true one: without
 * this, who waits for a second under a clock 400 days ahead waits for 400 days. */
static const struct timespec *truly(clockid_t which, const struct timespec *until,
                                    struct timespec *own) {
    struct timespec now;
    if (!until || (frozen < 0 && (!ahead || which != CLOCK_REALTIME))) return until;
    *own = *until;
    if (frozen < 0) {
        own->tv_sec -= ahead;
        return own;
    }
    NEXT(clock_gettime)(which, &now); /* what is left to wait counts from now */
    own->tv_sec += now.tv_sec - frozen, own->tv_nsec += now.tv_nsec;
    if (own->tv_nsec >= 1000000000) own->tv_sec++, own->tv_nsec -= 1000000000;
    return own;
}

EXPORT int pthread_cond_timedwait(pthread_cond_t *restrict cond, pthread_mutex_t *restrict mutex,
                                  const struct timespec *restrict until) {
    static __typeof__(&pthread_cond_timedwait) next;
    /* An older version of it, for conditions of another layout, is still in the library. */
    if (!next) next = (__typeof__(next))dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
    if (!next) next = NEXT(pthread_cond_timedwait);
    clockid_t which = cond->__data.__wrefs & 2 ? CLOCK_MONOTONIC : CLOCK_REALTIME;
    struct timespec own;
    return next(cond, mutex, truly(which, until, &own));
}

EXPORT int pthread_mutex_timedlock(pthread_mutex_t *restrict mutex,
                                   const struct timespec *restrict until) {
    static __typeof__(&pthread_mutex_timedlock) next;
    if (!next) next = NEXT(pthread_mutex_timedlock);
    struct timespec own;
    return next(mutex, truly(CLOCK_REALTIME, until, &own));
}

EXPORT int sem_timedwait(sem_t *restrict sem, const struct timespec *restrict until) {
    static __typeof__(&sem_timedwait) next;
    if (!next) next = NEXT(sem_timedwait);
    struct timespec own;
    return next(sem, truly(CLOCK_REALTIME, until, &own));
}

#if __GLIBC_PREREQ(2, 30)
EXPORT int pthread_cond_clockwait(pthread_cond_t *restrict cond, pthread_mutex_t *restrict mutex,
                                  clockid_t which, const struct timespec *restrict until) {
    static __typeof__(&pthread_cond_clockwait) next;
    if (!next) next = NEXT(pthread_cond_clockwait);
    struct timespec own;
    return next(cond, mutex, which, truly(which, until, &own));
}

EXPORT int sem_clockwait(sem_t *restrict sem, clockid_t which,
                         const struct timespec *restrict until) {
    static __typeof__(&sem_clockwait) next;
    if (!next) next = NEXT(sem_clockwait);
    struct timespec own;
    return next(sem, which, truly(which, until, &own));
}
#endif

EXPORT int clock_nanosleep(clockid_t which, int flags, const struct timespec *until,
                           struct timespec *left) {
    static __typeof__(&clock_nanosleep) next;
    if (!next) next = NEXT(clock_nanosleep);
    struct timespec own;
    return next(which, flags, flags & TIMER_ABSTIME ? truly(which, until, &own) : until, left);
}

/* TensorFlow's locks (nsync) and Abseil's wait by this. */
EXPORT long syscall(long number, ...) {
    va_list rest;
    long a[6];
    va_start(rest, number);
    for (int i = 0; i < 6; i++) a[i] = va_arg(rest, long);
    va_end(rest);
    struct timespec own;
    if (number == SYS_futex && (a[1] & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET) {
        clockid_t which = a[1] & FUTEX_CLOCK_REALTIME ? CLOCK_REALTIME : CLOCK_MONOTONIC;
        a[3] = (long)truly(which, (const struct timespec *)a[3], &own);
    }
    long result;
    register long r10 __asm__("r10") = a[3];
    register long r8 __asm__("r8") = a[4];
    register long r9 __asm__("r9") = a[5];
    __asm__ volatile("syscall" : "=a"(result)
                     : "a"(number), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    if (result < 0 && result > -4096) {
        errno = (int)-result;
        return -1;
    }
    return result;
}

/* ---- names and numbers ------------------------------------------------------------------ */

EXPORT int gethostname(char *name, size_t size) {
    static __typeof__(&gethostname) next;
    if (!next) next = NEXT(gethostname);
    if (!*host) return next(name, size);
    strncpy(name, host, size);
    return 0;
}

EXPORT int uname(struct utsname *name) {
    static __typeof__(&uname) next;
    if (!next) next = NEXT(uname);
    int result = next(name);
    if (!result && *host) memcpy(name->nodename, host, sizeof name->nodename);
    return result;
}

EXPORT pid_t getpid(void) { return fixed_pid ? (pid_t)fixed_pid : (pid_t)syscall(SYS_getpid); }
EXPORT uid_t getuid(void) { return fixed_user >= 0 ? (uid_t)fixed_user : (uid_t)syscall(SYS_getuid); }
EXPORT uid_t geteuid(void) { return fixed_user >= 0 ? (uid_t)fixed_user : (uid_t)syscall(SYS_geteuid); }

/* ---- entropy ---------------------------------------------------------------------------- */

static void fill(void *buffer, size_t size) {
    /* Sebastiano Vigna's SplitMix64, a byte of each number. */
    for (unsigned char *at = buffer; size--; at++) {
        uint64_t z = __atomic_add_fetch(&stream, 0x9E3779B97F4A7C15u, __ATOMIC_RELAXED);
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
        z = (z ^ z >> 27) * 0x94D049BB133111EBu;
        *at = (unsigned char)(z >> 56);
    }
}

EXPORT ssize_t getrandom(void *buffer, size_t size, unsigned flags) {
    if (!fixed_entropy) return syscall(SYS_getrandom, buffer, size, flags);
    fill(buffer, size);
    return (ssize_t)size;
}

EXPORT int getentropy(void *buffer, size_t size) {
    if (size > 256) return errno = EIO, -1;
    return getrandom(buffer, size, 0) == (ssize_t)size ? 0 : -1;
}

static int is_entropy(const char *path) {
    return fixed_entropy && (!strcmp(path, "/dev/urandom") || !strcmp(path, "/dev/random"));
}

static int entropy_file(void) {
    static unsigned char bytes[1 << 16];
    int file = memfd_create("entropy", MFD_CLOEXEC);
    fill(bytes, sizeof bytes);
    if (file >= 0 && (write(file, bytes, sizeof bytes) < 0 || lseek(file, 0, SEEK_SET) < 0)) return -1;
    return file;
}

static int mode_of(int flags, va_list rest) {
    return flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, int) : 0;
}

#define OPEN(name)                                                  \
    EXPORT int name(const char *path, int flags, ...) {             \
        va_list rest;                                               \
        va_start(rest, flags);                                      \
        int mode = mode_of(flags, rest);                            \
        va_end(rest);                                               \
        if (is_entropy(path)) return entropy_file();                \
        return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode); \
    }
OPEN(open)
OPEN(open64)

#define FOPEN(name)                                                         \
    EXPORT FILE *name(const char *restrict path, const char *restrict how) { \
        static __typeof__(&fopen) next;                                     \
        if (!next) next = (__typeof__(&fopen))dlsym(RTLD_NEXT, #name);       \
        return is_entropy(path) ? fdopen(entropy_file(), "rb") : next(path, how); \
    }
FOPEN(fopen)
FOPEN(fopen64)

/* ---- directories ------------------------------------------------------------------------ */

struct listing {
    DIR *folder;
    struct dirent **entries;
    size_t count, next;
    struct listing *rest;
};
static struct listing *listings;
static pthread_mutex_t listings_lock = PTHREAD_MUTEX_INITIALIZER;

static int by_name(const void *a, const void *b) {
    const struct dirent *const *x = a, *const *y = b;
    return strcmp((*x)->d_name, (*y)->d_name) * (order == REVERSED ? -1 : 1);
}

static struct dirent *real_readdir(DIR *folder) {
    static __typeof__(&readdir) next;
    if (!next) next = NEXT(readdir);
    return next(folder);
}

static void read_all(struct listing *listing) {
    for (struct dirent *entry; (entry = real_readdir(listing->folder));) {
        struct dirent **more = realloc(listing->entries, (listing->count + 1) * sizeof *more);
        struct dirent *copy = malloc(entry->d_reclen);
        if (!more || !copy) break;
        listing->entries = more;
        more[listing->count++] = memcpy(copy, entry, entry->d_reclen);
    }
    if (listing->count) qsort(listing->entries, listing->count, sizeof *listing->entries, by_name);
}

static struct listing *listing_of(DIR *folder) {
    for (struct listing *at = listings; at; at = at->rest)
        if (at->folder == folder) return at;
    struct listing *made = calloc(1, sizeof *made);
    if (!made) return NULL;
    made->folder = folder, made->rest = listings, listings = made;
    read_all(made);
    return made;
}

static void forget(DIR *folder) {
    pthread_mutex_lock(&listings_lock);
    for (struct listing **at = &listings; *at; at = &(*at)->rest) {
        struct listing *found = *at;
        if (found->folder != folder) continue;
        for (size_t i = 0; i < found->count; i++) free(found->entries[i]);
        *at = found->rest;
        free(found->entries), free(found);
        break;
    }
    pthread_mutex_unlock(&listings_lock);
}

EXPORT struct dirent *readdir(DIR *folder) {
    if (order == AS_IS) return real_readdir(folder);
    pthread_mutex_lock(&listings_lock);
    struct listing *listing = listing_of(folder);
    int more = listing && listing->next < listing->count;
    struct dirent *entry = more ? listing->entries[listing->next++] : NULL;
    pthread_mutex_unlock(&listings_lock);
    return entry;
}

EXPORT struct dirent64 *readdir64(DIR *folder) {
    return (struct dirent64 *)readdir(folder); /* one layout on x86-64 */
}

EXPORT void rewinddir(DIR *folder) {
    forget(folder);
    NEXT(rewinddir)(folder);
}

EXPORT int closedir(DIR *folder) {
    forget(folder);
    return NEXT(closedir)(folder);
}
