/*
 * What an edit costs by size of chunk: cuts two files with FastCDC as SPEC.md has it (appendix C, with an unkeyed
 * random table), and counts what of the second is not in the first. Every chunk is compressed with LZ4 at level 1.
 *
 *   cc -O2 chunk-sizes.c -o chunk-sizes -l:liblz4.so.1 -l:libxxhash.so.0
 *   ./chunk-sizes BEFORE AFTER MIN NORMAL MAX STRICT LOOSE     (sizes in KiB, numbers of zero bits)
 *   ./chunk-sizes linux.tar linux-edited.tar 256 1024 4096 22 18
 *
 * The sizes of `fastcdc-1` are those of the last line. Figures: docs/decisions/0150-chunks-stay-large.md.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

extern int LZ4_compress_default(const char *src, char *dst, int srcSize, int dstCapacity);
extern int LZ4_compressBound(int inputSize);
extern uint64_t XXH64(const void *input, size_t length, uint64_t seed);

enum { SLOTS = 1 << 20, WINDOW = 64 };

static uint64_t gear[256];
static uint64_t known[SLOTS];

static uint64_t noise(void) {
  static uint64_t x = 88172645463325252u;
  x ^= x << 13;
  x ^= x >> 7;
  x ^= x << 17;
  return x * 2685821657736338717u;
}

/* Whether this is new; it is known from then on. */
static int add(uint64_t hash) {
  hash |= 1;
  size_t i = hash % SLOTS;
  for (; known[i] != 0; i = (i + 1) % SLOTS)
    if (known[i] == hash) return 0;
  known[i] = hash;
  return 1;
}

static const uint8_t *map(const char *path, size_t *size) {
  struct stat info;
  int fd = open(path, O_RDONLY);
  if (fd < 0 || fstat(fd, &info) != 0) {
    perror(path);
    exit(1);
  }
  *size = (size_t)info.st_size;
  return mmap(NULL, *size, PROT_READ, MAP_PRIVATE, fd, 0);
}

static size_t cut(const uint8_t *data, size_t left, size_t min, size_t normal, size_t max, int strict, int loose) {
  size_t end = left < max ? left : max;
  uint64_t hash = 0;
  if (min >= end) return end;
  for (size_t i = min > WINDOW ? min - WINDOW : 0; i < min; i += 1) hash = (hash << 1) + gear[data[i]];
  for (size_t i = min; i < end; i += 1) {
    if (hash >> (64 - (i < normal ? strict : loose)) == 0) return i;
    hash = (hash << 1) + gear[data[i]];
  }
  return end;
}

int main(int argc, char **argv) {
  if (argc != 8) {
    fputs("usage: chunk-sizes BEFORE AFTER MIN NORMAL MAX STRICT LOOSE\n", stderr);
    return 2;
  }
  size_t min = strtoul(argv[3], NULL, 10) << 10;
  size_t normal = strtoul(argv[4], NULL, 10) << 10;
  size_t max = strtoul(argv[5], NULL, 10) << 10;
  int room = LZ4_compressBound((int)max);
  char *out = malloc((size_t)room);
  for (int i = 0; i < 256; i += 1) gear[i] = noise();
  for (int file = 0; file < 2; file += 1) {
    size_t size, chunks = 0, fresh = 0, raw = 0, stored = 0;
    const uint8_t *data = map(argv[1 + file], &size);
    for (size_t at = 0, length; at < size; at += length) {
      length = cut(data + at, size - at, min, normal, max, atoi(argv[6]), atoi(argv[7]));
      chunks += 1;
      if (!add(XXH64(data + at, length, 0))) continue;
      fresh += 1;
      raw += length;
      stored += (size_t)LZ4_compress_default((const char *)data + at, out, (int)length, room);
    }
    printf("%s: %zu chunks, %zu KiB on average; new: %zu chunks, %.1f MB, compressed %.1f MB\n", argv[1 + file], chunks,
           size / chunks / 1024, fresh, raw / 1e6, stored / 1e6);
  }
  return 0;
}
