// The map's frame: one HTML file with its script inside, so that the frame needs no network and no origin (docs/explorer.md).
import { readFileSync } from 'node:fs';
import { defineConfig, type Plugin } from 'vite';

function insideOneFile(): Plugin {
  return {
    name: 'inside-one-file',
    generateBundle: { order: 'post', handler(_, bundle) { // after the licenses have been gathered
      const [name, chunk] = Object.entries(bundle).find(([, entry]) => entry.type === 'chunk')!;
      if (chunk.type !== 'chunk') throw new Error(`${name} is no script`);
      // In a script, `</script` can only stand in a string or a regular expression, where `<\/script` means the same.
      const script = chunk.code.trim().replaceAll('</script', '<\\/script');
      const source = readFileSync('map.html', 'utf8').replace('<script></script>', () => `<script>${script}</script>`);
      delete bundle[name];
      this.emitFile({ type: 'asset', fileName: 'assets/map.html', source });
    } },
  };
}

export default defineConfig({
  plugins: [insideOneFile()],
  build: {
    outDir: '../src/pinfold/serving/web',
    emptyOutDir: false,
    license: { fileName: 'assets/licenses-map.md' },
    target: 'es2022',
    rolldownOptions: { input: 'src/map-frame.ts', output: { format: 'iife' } },
  },
});
