// Counts the mutating system calls of a process below FAIL_ROOT and makes one of them fail or die.
// gcc -O1 -shared -fPIC -o failn.so failn.c -ldl
// FAIL_ROOT=dir        what counts
// FAIL_AT=n            the call that is hit; default action: SIGKILL before the call is made
// FAIL_ERR=errno       fail with this error instead; FAIL_STICKY=1: all calls from there on
// FAIL_TORN=1          write half of the bytes, then SIGKILL
// FAIL_ONLY=name,...   count and hit these calls only; FAIL_NOT=name,...: never count or hit these
// FAIL_LOG=file        a line "number call path" for each counted call
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>
static atomic_int n;
static int at, err, torn, sticky, logfd = -1;
static const char *root, *only, *not;
__attribute__((constructor)) static void init(void) {
  char *e;
  root = getenv("FAIL_ROOT");
  only = getenv("FAIL_ONLY");
  not= getenv("FAIL_NOT");
  at = (e = getenv("FAIL_AT")) ? atoi(e) : -1;
  err = (e = getenv("FAIL_ERR")) ? atoi(e) : 0;
  torn = getenv("FAIL_TORN") != 0;
  sticky = getenv("FAIL_STICKY") != 0;
  if ((e = getenv("FAIL_LOG"))) logfd = syscall(SYS_openat, AT_FDCWD, e, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}
static int in(const char *p) { return root && p && !strncmp(p, root, strlen(root)); }
static const char *of(int fd, char *b) {
  char l[40];
  snprintf(l, 40, "/proc/self/fd/%d", fd);
  ssize_t k = readlink(l, b, 599);
  b[k < 0 ? 0 : k] = 0;
  return b;
}
static int listed(const char *list, const char *name) {
  size_t k = strlen(name);
  for (const char *p = list; p && (p = strstr(p, name)); p += k)
    if ((p == list || p[-1] == ',') && (p[k] == 0 || p[k] == ',')) return 1;
  return 0;
}
static void die(void) { kill(getpid(), SIGKILL); for (;;) pause(); }
// 0: make the call; 1: fail it; 2: half of it, then die
static int hit(const char *name, const char *path, int writes) {
  // Names below the handle of a folder, as a restore uses them.
  char full[1300], folder[600];
  int fd, rest = 0;
  if (!strncmp(path, "/proc/self/fd/", 14) && sscanf(path + 14, "%d%n", &fd, &rest) == 1) {
    snprintf(full, sizeof full, "%s%s", of(fd, folder), path + 14 + rest);
    path = full;
  }
  if (!in(path) || (only && !listed(only, name)) || listed(not, name)) return 0;
  int k = ++n;
  if (logfd >= 0) {
    char b[800];
    int l = snprintf(b, sizeof b, "%d %s %s\n", k, name, path);
    if (syscall(SYS_write, logfd, b, l) < 0) return 0;
  }
  if (k != at && !(sticky && err && at > 0 && k > at)) return 0;
  if (err) return 1;
  if (torn && writes) return 2;
  die();
  return 0;
}
#define CALL(T, F, SIG, ARGS, NAME, PATH, W, TORN) \
  T F SIG { \
    static T(*f) SIG; \
    if (!f) f = dlsym(RTLD_NEXT, #F); \
    char b[600]; \
    (void)b; \
    int h = hit(NAME, PATH, W); \
    if (h == 1) { errno = err; return -1; } \
    if (h == 2) { TORN; die(); } \
    return f ARGS; \
  }
#define HALFV \
  struct iovec one = v[0]; \
  one.iov_len /= 2; \
  if (c > 1) one = v[0]; \
  if (write(fd, one.iov_base, one.iov_len) < 0) die()
CALL(int, fsync, (int fd), (fd), "fsync", of(fd, b), 0, )
CALL(int, fdatasync, (int fd), (fd), "fdatasync", of(fd, b), 0, )
CALL(int, ftruncate, (int fd, off_t l), (fd, l), "ftruncate", of(fd, b), 0, )
CALL(int, ftruncate64, (int fd, off64_t l), (fd, l), "ftruncate", of(fd, b), 0, )
CALL(ssize_t, write, (int fd, const void *p, size_t c), (fd, p, c), "write", of(fd, b), 1, f(fd, p, c / 2))
CALL(ssize_t, pwrite64, (int fd, const void *p, size_t c, off64_t o), (fd, p, c, o), "write", of(fd, b), 1, f(fd, p, c / 2, o))
CALL(ssize_t, writev, (int fd, const struct iovec *v, int c), (fd, v, c), "write", of(fd, b), 1, HALFV)
CALL(ssize_t, pwritev64, (int fd, const struct iovec *v, int c, off64_t o), (fd, v, c, o), "write", of(fd, b), 1, )
CALL(int, rename, (const char *o, const char *p), (o, p), "rename", p, 0, )
CALL(int, link, (const char *o, const char *p), (o, p), "link", p, 0, )
CALL(int, symlink, (const char *o, const char *p), (o, p), "symlink", p, 0, )
CALL(int, unlink, (const char *p), (p), "unlink", p, 0, )
CALL(int, rmdir, (const char *p), (p), "rmdir", p, 0, )
CALL(int, mkdir, (const char *p, mode_t m), (p, m), "mkdir", p, 0, )
#define OPEN(F) \
  int F(const char *p, int o, ...) { \
    static int (*f)(const char *, int, ...); \
    if (!f) f = dlsym(RTLD_NEXT, #F); \
    mode_t m = 0; \
    if (o & (O_CREAT | O_TMPFILE)) { va_list l; va_start(l, o); m = va_arg(l, mode_t); va_end(l); } \
    if ((o & O_CREAT) && hit("open", p, 0)) { errno = err; return -1; } \
    return f(p, o, m); \
  }
OPEN(open)
OPEN(open64)
