import { defineConfig } from 'vitest/config';

// One file after the other: the tests share a running system, and act on it.
export default defineConfig({
  test: {
    include: ['tests/**/*.test.ts'],
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 60_000,
  },
});
