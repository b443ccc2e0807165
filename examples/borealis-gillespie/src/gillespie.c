/*
 * A gene that is read and translated, molecule by molecule (Gillespie's direct method): mRNA is made and decays, protein is
 * made from mRNA and decays. Reads its parameters as lines of "name value", writes one trajectory per cell and a summary.
 *
 * The same seed gives the same bytes on every machine: the generator and the logarithm are written here, and the program is
 * compiled without contracted floating-point operations.
 *
 *   gillespie PARAMETERS FOLDER
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REACTIONS = 4, MAX_CELLS = 10000 };

typedef struct {
  double seed, cells, minutes, every;
  double transcription, mrna_decay, translation, protein_decay;
} Parameters;

static const struct { const char *name; size_t at; } NAMES[] = {
  {"seed", offsetof(Parameters, seed)},
  {"cells", offsetof(Parameters, cells)},
  {"minutes", offsetof(Parameters, minutes)},
  {"every", offsetof(Parameters, every)},
  {"transcription", offsetof(Parameters, transcription)},
  {"mrna_decay", offsetof(Parameters, mrna_decay)},
  {"translation", offsetof(Parameters, translation)},
  {"protein_decay", offsetof(Parameters, protein_decay)},
};

static void fail(const char *what, const char *value) {
  fprintf(stderr, "gillespie: %s: %s\n", what, value);
  exit(2);
}

static void set(Parameters *p, const char *name, double value) {
  for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
    if (strcmp(NAMES[i].name, name) == 0) {
      *(double *)((char *)p + NAMES[i].at) = value;
      return;
    }
  }
  fail("unknown parameter", name);
}

static Parameters read_parameters(const char *path) {
  Parameters p = {1, 4, 120, 10, 0.5, 0.1, 2, 0.05};
  FILE *file = fopen(path, "r");
  if (file == NULL) fail("cannot read", path);
  char name[64];
  double value;
  int got;
  while ((got = fscanf(file, "%63s %lf", name, &value)) == 2) set(&p, name, value);
  if (got != EOF) fail("a parameter without a number", name);
  fclose(file);
  if (p.cells < 1 || p.cells > MAX_CELLS || !(p.every > 0) || !(p.minutes >= 0)) fail("out of range", path);
  return p;
}

/* splitmix64: every seed gives a good row of numbers. */
static uint64_t state;

static double uniform(void) {
  uint64_t z = (state += 0x9e3779b97f4a7c15ULL);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return (double)((z ^ (z >> 31)) >> 11) / 9007199254740992.0;
}

/* The natural logarithm of what lies in (0, 1], by its series around 1 after halving out the exponent. */
static double natural_log(double x) {
  double halves = 0;
  while (x < 0.70710678118654752) {
    x *= 2;
    halves -= 1;
  }
  double y = (x - 1) / (x + 1), square = y * y, sum = 0, power = y;
  for (int k = 1; k < 40; k += 2, power *= square) sum += power / k;
  return 2 * sum + halves * 0.69314718055994531;
}

/* One cell: the counts at every step of the clock go to `file`, the last ones are left in the pointers. */
static void simulate(const Parameters *p, int cell, FILE *file, long *mrna, long *protein) {
  double time = 0, next = 0;
  *mrna = *protein = 0;
  for (;;) {
    double rate[REACTIONS] = {p->transcription, p->mrna_decay * *mrna, p->translation * *mrna, p->protein_decay * *protein};
    double total = rate[0] + rate[1] + rate[2] + rate[3];
    double step = total > 0 ? -natural_log(1 - uniform()) / total : p->minutes + p->every;
    for (; next <= p->minutes && next <= time + step; next += p->every)
      fprintf(file, "%d\t%.1f\t%ld\t%ld\n", cell, next, *mrna, *protein);
    time += step;
    if (time > p->minutes) return;
    double pick = uniform() * total;
    int reaction = 0;
    while (reaction < REACTIONS - 1 && pick >= rate[reaction]) pick -= rate[reaction++];
    *mrna += reaction == 0 ? 1 : reaction == 1 ? -1 : 0;
    *protein += reaction == 2 ? 1 : reaction == 3 ? -1 : 0;
  }
}

static FILE *create(const char *folder, const char *name) {
  char path[4096];
  if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path) fail("too long", folder);
  FILE *file = fopen(path, "w");
  if (file == NULL) fail("cannot write", path);
  return file;
}

int main(int count, char **words) {
  if (count != 3) fail("usage", "gillespie PARAMETERS FOLDER");
  Parameters p = read_parameters(words[1]);
  state = (uint64_t)p.seed;
  FILE *trajectory = create(words[2], "trajectory.tsv");
  FILE *summary = create(words[2], "summary.tsv");
  fprintf(trajectory, "cell\tminutes\tmrna\tprotein\n");
  fprintf(summary, "cell\tmrna\tprotein\n");
  for (int cell = 1; cell <= (int)p.cells; cell++) {
    long mrna, protein;
    simulate(&p, cell, trajectory, &mrna, &protein);
    fprintf(summary, "%d\t%ld\t%ld\n", cell, mrna, protein);
    printf("cell %d: %ld mRNA, %ld protein\n", cell, mrna, protein);
  }
  if (fclose(trajectory) != 0 || fclose(summary) != 0) fail("cannot write", words[2]);
  return 0;
}
