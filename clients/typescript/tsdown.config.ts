import { defineConfig } from 'tsdown';

export default defineConfig({
  entry: ['src/index.ts', 'src/stream.ts', 'src/swr.ts', 'src/react.ts', 'src/server.ts'],
  format: 'esm',
  platform: 'neutral',
  target: 'es2022',
  // One file out per file in: `"use client"` stays on top of its module, and file names stay the same between releases.
  unbundle: true,
  dts: true,
});
