import { fileURLToPath } from 'node:url'
import react from '@vitejs/plugin-react'
import { defineConfig } from 'vitest/config'

/** The redflag that `npm run dev` shows. */
const server = process.env.REDFLAG_URL ?? 'http://127.0.0.1:8080'

export default defineConfig({
  plugins: [react()],
  resolve: { alias: { '@': fileURLToPath(new URL('./src', import.meta.url)) } },
  build: {
    // The oldest browsers with CSS light-dark(), which the colour tokens are written in.
    target: ['chrome123', 'firefox120', 'safari17.5'],
    // A strict content security policy then needs no exception for data: URLs.
    assetsInlineLimit: 0,
  },
  server: { proxy: { '/v1': { target: server, ws: true }, '/openapi.json': server } },
  test: { environment: 'happy-dom', include: ['src/**/*.test.{ts,tsx}'] },
})
