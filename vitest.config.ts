import { defineConfig } from 'vitest/config';

/** *unit* runs on src with the inline driver; *built* runs what users run: dist, worker threads, the command. */
export default defineConfig({
  test: {
    testTimeout: 60_000,
    hookTimeout: 120_000,
    maxWorkers: 2,
    setupFiles: ['test/seed.ts'],
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['test/{unit,properties,vectors,conformance,regressions,hostile}/**/*.test.ts'],
        },
      },
      { extends: true, test: { name: 'built', include: ['test/{cli,interop,faults,docs}/**/*.test.ts'] } },
    ],
  },
});
