/*
 * The floor: what a C program needs for the work that no backup of this kind can leave out. Reads every file below
 * the given paths, hashes it (XXH64), compresses it (LZ4, level 1), seals it (AES-256-GCM) and writes the result to
 * one file, which is synced at the end. No deduplication, no chunk boundaries, no verification, no lists of files,
 * one thread. Small files share a record of 1 MiB. With -s, holes of sparse files are skipped instead of read.
 *
 *   cc -O2 floor.c -o floor -l:liblz4.so.1 -l:libxxhash.so.0 -l:libcrypto.so.3
 *   ./floor [-s] OUTPUT PATH...
 *
 * Uses the libraries' shared objects without their headers, so that no development packages are needed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

extern int LZ4_compress_default(const char *src, char *dst, int srcSize, int dstCapacity);
extern int LZ4_compressBound(int inputSize);
extern void *XXH64_createState(void);
extern int XXH64_reset(void *state, uint64_t seed);
extern int XXH64_update(void *state, const void *input, size_t length);
extern uint64_t XXH64_digest(const void *state);
extern const void *EVP_aes_256_gcm(void);
extern void *EVP_CIPHER_CTX_new(void);
extern int EVP_EncryptInit_ex(void *ctx, const void *type, void *engine, const unsigned char *key,
                              const unsigned char *iv);
extern int EVP_EncryptUpdate(void *ctx, unsigned char *out, int *outl, const unsigned char *in, int inl);
extern int EVP_EncryptFinal_ex(void *ctx, unsigned char *out, int *outl);
extern int EVP_CIPHER_CTX_ctrl(void *ctx, int type, int arg, void *ptr);

enum { RECORD = 1 << 20, SMALL = 256 << 10, OUT = 4 << 20, GET_TAG = 0x10 };

static char *record, *coded, *out;
static int filled, outFilled, output, skipHoles;
static uint64_t counter, readBytes, wroteBytes, hashes;
static void *state, *cipher;
static const unsigned char key[32] = "the same key every time";

static void die(const char *what) {
  perror(what);
  exit(1);
}

static void flush(void) {
  for (int done = 0; done < outFilled;) {
    ssize_t n = write(output, out + done, outFilled - done);
    if (n < 0) die("write");
    done += n;
  }
  wroteBytes += outFilled;
  outFilled = 0;
}

/* Compresses and seals what is in the record. */
static void seal(void) {
  if (filled == 0) return;
  if (outFilled + RECORD + 4096 + 16 > OUT) flush();
  int size = LZ4_compress_default(record, coded, filled, filled - 1);
  const char *plain = size > 0 ? coded : record;
  if (size <= 0) size = filled;
  unsigned char nonce[12] = {0};
  memcpy(nonce, &counter, sizeof counter);
  counter++;
  int length = 0;
  EVP_EncryptInit_ex(cipher, counter == 1 ? EVP_aes_256_gcm() : NULL, NULL, key, nonce);
  EVP_EncryptUpdate(cipher, (unsigned char *)out + outFilled, &length, (const unsigned char *)plain, size);
  outFilled += length;
  EVP_EncryptFinal_ex(cipher, (unsigned char *)out + outFilled, &length);
  EVP_CIPHER_CTX_ctrl(cipher, GET_TAG, 16, out + outFilled);
  outFilled += 16;
  filled = 0;
}

static void one(const char *path, off_t size) {
  int fd = open(path, O_RDONLY | O_NOFOLLOW);
  if (fd < 0) die(path);
  if (size >= SMALL || filled + size > RECORD) seal();
  XXH64_reset(state, 0);
  off_t at = 0;
  for (;;) {
    if (skipHoles && size >= SMALL && filled == 0) {
      off_t data = lseek(fd, at, SEEK_DATA);
      if (data < 0 && errno == ENXIO) break;
      if (data > at) at = lseek(fd, data, SEEK_SET);
    }
    ssize_t n = read(fd, record + filled, RECORD - filled);
    if (n < 0) die(path);
    if (n == 0) break;
    XXH64_update(state, record + filled, n);
    filled += n;
    at += n;
    readBytes += n;
    if (filled == RECORD) seal();
  }
  hashes ^= XXH64_digest(state);
  if (size >= SMALL) seal();
  close(fd);
}

static int visit(const char *path, const struct stat *st, int type, struct FTW *ftw) {
  (void)type, (void)ftw;
  if (S_ISREG(st->st_mode) && st->st_size > 0) one(path, st->st_size);
  return 0;
}

int main(int argc, char **argv) {
  int first = 1;
  if (argc > first && strcmp(argv[first], "-s") == 0) skipHoles = first++;
  if (argc < first + 2) return fprintf(stderr, "usage: floor [-s] OUTPUT PATH...\n"), 2;
  output = open(argv[first], O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (output < 0) die(argv[first]);
  record = malloc(RECORD);
  coded = malloc(LZ4_compressBound(RECORD));
  out = malloc(OUT);
  state = XXH64_createState();
  cipher = EVP_CIPHER_CTX_new();
  for (int i = first + 1; i < argc; i++)
    if (nftw(argv[i], visit, 64, FTW_PHYS)) die(argv[i]);
  seal();
  flush();
  if (fsync(output)) die("fsync");
  printf("{\"read\":%llu,\"wrote\":%llu,\"hashes\":\"%016llx\"}\n", (unsigned long long)readBytes,
         (unsigned long long)wroteBytes, (unsigned long long)hashes);
  return 0;
}
