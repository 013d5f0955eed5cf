import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.{ts,tsx}'],
    // A test that fails once has failed: it is looked at, not repeated.
    retry: 0,
    restoreMocks: true,
    unstubGlobals: true,
  },
});
