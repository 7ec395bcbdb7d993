import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';

const server = process.env['MIRANTE_URL'] ?? 'http://127.0.0.1:8503';

export default defineConfig({
  // Relative asset paths let one build work at `/` and behind a proxy under any prefix.
  base: './',
  plugins: [react()],
  build: {
    outDir: '../src/mirante/server/ui',
    emptyOutDir: true,
    target: 'es2022',
    chunkSizeWarningLimit: 700,
  },
  server: {
    host: '127.0.0.1',
    port: 5173,
    strictPort: true,
    proxy: { '/api': server },
  },
  test: {
    environment: 'node',
    include: ['src/**/*.test.ts'],
    coverage: {
      provider: 'v8',
      include: ['src/lib/**/*.ts', 'src/promql/**/*.ts', 'src/api/**/*.ts', 'src/i18n/messages.ts'],
      exclude: ['src/**/*.test.ts'],
      reporter: ['text-summary'],
      thresholds: { lines: 90, functions: 90, branches: 80, statements: 90 },
    },
  },
});
