/* A driver library that notes who starts it, and then says that there is no device. */
#include <stdio.h>
#include <string.h>

#define NO_DEVICE 100

int cuInit(unsigned flags) {
  FILE *log = fopen("/tmp/cuda-was-started", "a");
  (void)flags;
  if (log) {
    fputs("cuInit\n", log);
    fclose(log);
  }
  return NO_DEVICE;
}

int cuDriverGetVersion(int *version) {
  *version = 12080;
  return 0;
}

int cuDeviceGetCount(int *count) {
  cuInit(0);
  *count = 0;
  return NO_DEVICE;
}

static void *of(const char *name) {
  if (!strcmp(name, "cuInit")) return (void *)cuInit;
  if (!strcmp(name, "cuDriverGetVersion")) return (void *)cuDriverGetVersion;
  if (!strcmp(name, "cuDeviceGetCount")) return (void *)cuDeviceGetCount;
  /* CUDA's runtime asks for hundreds; whichever it calls first counts as a start. */
  return (void *)cuInit;
}

int cuGetProcAddress(const char *name, void **found, int version, unsigned long flags) {
  (void)version, (void)flags;
  *found = of(name);
  return 0;
}

int cuGetProcAddress_v2(const char *name, void **found, int version, unsigned long flags,
                        int *status) {
  (void)version, (void)flags;
  *found = of(name);
  if (status) *status = 0;
  return 0;
}
