// What the page and the map's frame say to each other. Numbers only: titles and ids stay in the page.
export const N_COLORS = 8; // categories with a color of their own; the ninth is "other"

export type ToFrame =
  | { type: 'points'; x: Float32Array<ArrayBuffer>; y: Float32Array<ArrayBuffer>; category: Uint8Array<ArrayBuffer> } // x and y in [-1, 1], category in [0, N_COLORS]
  | { type: 'style'; colors: string[]; ring: string; background: string } // N_COLORS + 1 colors as #rrggbb
  | { type: 'select'; point: number | null; zoom: boolean }
  | { type: 'only'; category: number | null }
  | { type: 'zoom'; factor: number }
  | { type: 'reset' };

export type FromFrame =
  | { type: 'ready' }
  | { type: 'failed'; message: string }
  | { type: 'over'; point: number; at: [number, number] } // screen position in CSS pixels
  | { type: 'out' }
  | { type: 'pick'; point: number }
  | { type: 'view'; center: [number, number]; selected: [number, number] | null }; // center in the points' units
