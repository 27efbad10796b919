// Makes the folders below FOLD_ROOT take names for the same that differ only in case, or in how an accent is written
// (é), as filesystems of other systems do: a call that names something gets the name of the entry that is there.
// gcc -O1 -shared -fPIC -o fold.so fold.c -ldl
// FOLD_ROOT=dir        where names are folded; a real path
// FOLD_STRICT=1        names with one of \ : * ? " < > | or that are not UTF-8 are refused with EINVAL and EILSEQ
// Only the last part of a path is folded, which is how a restore names things: from the handle of their folder.
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>
enum { PATH = 5000, FOLDED = 600 };
static const char *root;
static int strict;
// Between looking for a name and making it nobody else may make another form of it.
static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;
__attribute__((constructor)) static void init(void) {
  root = getenv("FOLD_ROOT");
  strict = getenv("FOLD_STRICT") != 0;
}
static void folded(const char *name, char *out) {
  char *end = out + FOLDED - 4;
  for (const unsigned char *p = (const unsigned char *)name; *p && out < end; p += 1) {
    if (p[0] == 0xc3 && (p[1] == 0xa9 || p[1] == 0x89)) {
      memcpy(out, "e\xcc\x81", 3);
      out += 3;
      p += 1;
    } else *out++ = *p >= 'A' && *p <= 'Z' ? *p + 32 : *p;
  }
  *out = 0;
}
static int isText(const unsigned char *p) {
  while (*p) {
    int more = *p < 0x80 ? 0 : *p < 0xc2 ? -1 : *p < 0xe0 ? 1 : *p < 0xf0 ? 2 : *p < 0xf5 ? 3 : -1;
    if (more < 0) return 0;
    for (p += 1; more > 0; more -= 1, p += 1)
      if ((*p & 0xc0) != 0x80) return 0;
  }
  return 1;
}
// The path that is meant; 0 with errno where the name cannot be.
static const char *meant(int at, const char *path, char *out) {
  if (!root || !path || !*path) return path;
  const char *slash = strrchr(path, '/');
  const char *name = slash ? slash + 1 : path;
  if (!*name || !strcmp(name, ".") || !strcmp(name, "..")) return path;
  char named[PATH], folder[PATH];
  if (slash) snprintf(named, sizeof named, "%.*s", slash == path ? 1 : (int)(slash - path), path);
  else snprintf(named, sizeof named, ".");
  if (named[0] != '/' && at != AT_FDCWD) {
    char relative[PATH];
    snprintf(relative, sizeof relative, "/proc/self/fd/%d/%.4000s", at, named);
    strcpy(named, relative);
  }
  int fd = syscall(SYS_openat, AT_FDCWD, named, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return path;
  char link[40];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t k = syscall(SYS_readlink, link, folder, sizeof folder - 1);
  folder[k < 0 ? 0 : k] = 0;
  size_t length = strlen(root);
  if (strncmp(folder, root, length) || (folder[length] && folder[length] != '/')) {
    close(fd);
    return path;
  }
  if (strict && (strpbrk(name, "\\:*?\"<>|") || !isText((const unsigned char *)name))) {
    close(fd);
    errno = isText((const unsigned char *)name) ? EINVAL : EILSEQ;
    return 0;
  }
  char wanted[FOLDED], found[FOLDED];
  folded(name, wanted);
  DIR *dir = fdopendir(fd);
  const char *result = path;
  for (struct dirent *entry; (entry = readdir(dir));) {
    folded(entry->d_name, found);
    if (strcmp(found, wanted)) continue;
    snprintf(out, PATH, "%.*s%s", (int)(name - path), path, entry->d_name);
    result = out;
    if (!strcmp(entry->d_name, name)) break;
  }
  closedir(dir);
  return result;
}
#define REAL(F) \
  static __typeof__(&F) f; \
  if (!f) f = dlsym(RTLD_NEXT, #F)
// One path P below the folder AT, which becomes p.
#define CALL(T, F, SIG, AT, P, ARGS) \
  T F SIG { \
    REAL(F); \
    char b[PATH]; \
    pthread_mutex_lock(&one); \
    const char *p = meant(AT, P, b); \
    T result = p ? f ARGS : -1; \
    int e = errno; \
    pthread_mutex_unlock(&one); \
    errno = e; \
    return result; \
  }
// Two paths, which become o and p.
#define BOTH(F, SIG, AT1, P1, AT2, P2, ARGS) \
  int F SIG { \
    REAL(F); \
    char a[PATH], b[PATH]; \
    pthread_mutex_lock(&one); \
    const char *o = meant(AT1, P1, a); \
    const char *p = o ? meant(AT2, P2, b) : 0; \
    int result = o && p ? f ARGS : -1; \
    int e = errno; \
    pthread_mutex_unlock(&one); \
    errno = e; \
    return result; \
  }
CALL(int, mkdir, (const char *q, mode_t m), AT_FDCWD, q, (p, m))
CALL(int, access, (const char *q, int m), AT_FDCWD, q, (p, m))
CALL(int, rmdir, (const char *q), AT_FDCWD, q, (p))
CALL(int, unlink, (const char *q), AT_FDCWD, q, (p))
CALL(int, symlink, (const char *to, const char *q), AT_FDCWD, q, (to, p))
CALL(int, mknod, (const char *q, mode_t m, dev_t d), AT_FDCWD, q, (p, m, d))
CALL(int, chmod, (const char *q, mode_t m), AT_FDCWD, q, (p, m))
CALL(int, chown, (const char *q, uid_t u, gid_t g), AT_FDCWD, q, (p, u, g))
CALL(int, lchown, (const char *q, uid_t u, gid_t g), AT_FDCWD, q, (p, u, g))
CALL(ssize_t, readlink, (const char *q, char *to, size_t n), AT_FDCWD, q, (p, to, n))
CALL(int, utimensat, (int at, const char *q, const struct timespec t[2], int n), at, q, (at, p, t, n))
int lsetxattr(const char *, const char *, const void *, size_t, int);
ssize_t llistxattr(const char *, char *, size_t);
ssize_t lgetxattr(const char *, const char *, void *, size_t);
CALL(int, lsetxattr, (const char *q, const char *n, const void *v, size_t s, int k), AT_FDCWD, q, (p, n, v, s, k))
CALL(ssize_t, llistxattr, (const char *q, char *v, size_t s), AT_FDCWD, q, (p, v, s))
CALL(ssize_t, lgetxattr, (const char *q, const char *n, void *v, size_t s), AT_FDCWD, q, (p, n, v, s))
BOTH(rename, (const char *s, const char *q), AT_FDCWD, s, AT_FDCWD, q, (o, p))
BOTH(link, (const char *s, const char *q), AT_FDCWD, s, AT_FDCWD, q, (o, p))
int __lxstat64(int, const char *, struct stat64 *);
CALL(int, __lxstat64, (int v, const char *q, struct stat64 *s), AT_FDCWD, q, (v, p, s))
#define MODE \
  mode_t m = 0; \
  if (n & (O_CREAT | O_TMPFILE)) { va_list l; va_start(l, n); m = va_arg(l, mode_t); va_end(l); }
#define OPEN(F, SIG, AT, ARGS) \
  int F SIG { \
    REAL(F); \
    MODE; \
    char b[PATH]; \
    pthread_mutex_lock(&one); \
    const char *p = meant(AT, q, b); \
    int result = p ? f ARGS : -1; \
    int e = errno; \
    pthread_mutex_unlock(&one); \
    errno = e; \
    return result; \
  }
OPEN(open, (const char *q, int n, ...), AT_FDCWD, (p, n, m))
OPEN(open64, (const char *q, int n, ...), AT_FDCWD, (p, n, m))
OPEN(openat, (int at, const char *q, int n, ...), at, (at, p, n, m))
OPEN(openat64, (int at, const char *q, int n, ...), at, (at, p, n, m))
// libuv makes statx without the C library's function.
long syscall(long number, ...) {
  static long (*f)(long, ...);
  if (!f) f = dlsym(RTLD_NEXT, "syscall");
  va_list l;
  va_start(l, number);
  long a[6];
  for (int i = 0; i < 6; i += 1) a[i] = va_arg(l, long);
  va_end(l);
  if (number != SYS_statx) return f(number, a[0], a[1], a[2], a[3], a[4], a[5]);
  char b[PATH];
  const char *p = meant((int)a[0], (const char *)a[1], b);
  return p ? f(number, a[0], p, a[2], a[3], a[4], a[5]) : -1;
}
