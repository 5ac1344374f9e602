// The page itself: index.html and its assets, with the licenses of what is bundled.
import { defineConfig } from 'vite';

const SERVICE = 'http://127.0.0.1:8000'; // `npx vite` beside a running `pinfold serve`, while working on the page

export default defineConfig({
  build: {
    outDir: '../src/pinfold/serving/web',
    emptyOutDir: true,
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    license: { fileName: 'assets/licenses.md' },
    target: 'es2022',
  },
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  server: { proxy: { '/v1': SERVICE } },
});
