import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

export default defineConfig({
  root: fileURLToPath(new URL('.', import.meta.url)),
  cacheDir: '../node_modules/.vite-e2e',
  test: {
    environment: 'node',
    include: ['*.test.ts'],
    // One scene follows the other on the same server, so the first failure ends the play.
    bail: 1,
    testTimeout: 90_000,
    // The demo makes its history and trains before it is ready.
    hookTimeout: 240_000,
  },
})
