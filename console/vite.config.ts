import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';

// The development server and the preview answer the console and forward everything else to a running `psp web`, so that
// cookies, `Origin` checks and the WebSocket behave as in production.
const backend = process.env['PSP_URL'] ?? 'http://127.0.0.1:8000';
const proxy = Object.fromEntries(
  ['/api', '/ws', '/health'].map((path) => [path, { target: backend, ws: path === '/ws' }]),
);

// The policy that `psp web` sends. The preview sends it too, so that the browser tests fail on a violation.
const policy = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

export default defineConfig({
  plugins: [svelte()],
  build: {
    target: 'es2022',
    assetsInlineLimit: 0, // a data: URL would need `img-src data:` in the policy
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: { proxy },
  preview: { proxy, headers: { 'Content-Security-Policy': policy } },
  test: { include: ['src/**/*.test.ts'] },
});
