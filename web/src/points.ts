// The map's arithmetic, apart from what draws it.
import type { MapPoints } from './api';
import { N_COLORS } from './map-messages';

export interface Legend { name: string; n: number; color: number } // color: index into categoryColors

export interface Cloud {
  ids: string[];
  titles: (string | null)[];
  x: Float32Array<ArrayBuffer>;
  y: Float32Array<ArrayBuffer>;
  category: Uint8Array<ArrayBuffer>;
  legend: Legend[];
  row: Map<string, number>; // by id
}

/** The points within [-1, 1], with the greatest categories by themselves and all small ones as one, drawn below the others. */
export function cloud(points: MapPoints): Cloud {
  const counts = new Array<number>(points.categories.length).fill(0);
  for (const c of points.category) if (c >= 0) counts[c]!++;
  const order = [...counts.keys()].sort((a, b) => counts[b]! - counts[a]!);
  const colored = order.slice(0, N_COLORS);
  const color = new Map(colored.map((c, rank) => [c, rank]));
  const unordered = points.category.map((c) => color.get(c) ?? N_COLORS);
  const drawn = [...unordered.keys()].filter((row) => unordered[row] === N_COLORS).concat([...unordered.keys()].filter((row) => unordered[row]! < N_COLORS));
  const taken = <T,>(values: T[]): T[] => drawn.map((row) => values[row]!);
  const category = Uint8Array.from(taken(unordered));
  const legend = colored.map((c, rank) => ({ name: points.categories[c]!, n: counts[c]!, color: rank }));
  const n = category.filter((c) => c === N_COLORS).length;
  const many = points.categories.length - colored.length;
  if (n) legend.push({ name: many > 0 ? `other (${many} more)` : points.field === null ? 'all items' : 'without one', n, color: N_COLORS });
  const ids = taken(points.ids);
  return { ids, titles: taken(points.titles), ...unit(taken(points.x), taken(points.y)), category, legend, row: new Map(ids.map((id, row) => [id, row])) };
}

/** Whether a field's values are categories: several, and the greatest of them together hold a third of the items. */
export function isCategorical({ categories, category }: MapPoints): boolean {
  const counts = new Array<number>(categories.length).fill(0);
  for (const c of category) if (c >= 0) counts[c]!++;
  const greatest = counts.sort((a, b) => b - a).slice(0, N_COLORS).reduce((sum, n) => sum + n, 0);
  return categories.length > 1 && greatest >= category.length / 3;
}

function unit(xs: number[], ys: number[]): Pick<Cloud, 'x' | 'y'> {
  const range = (values: number[]) => values.reduce(([low, high], v) => [Math.min(low, v), Math.max(high, v)] as const, [Infinity, -Infinity] as const);
  const [left, right] = range(xs);
  const [bottom, top] = range(ys);
  const half = Math.max(right - left, top - bottom, 1e-12) / 2;
  return {
    x: Float32Array.from(xs, (v) => (0.95 * (v - (left + right) / 2)) / half),
    y: Float32Array.from(ys, (v) => (0.95 * (v - (bottom + top) / 2)) / half),
  };
}

/** The rows of the n points nearest to a place, nearest first. One pass over all points: a millisecond for 50,000. */
export function nearest(points: Cloud, [x, y]: [number, number], n: number, only: number | null = null): number[] {
  const best: { row: number; distance: number }[] = [];
  for (let row = 0; row < points.x.length; row++) {
    if (only !== null && points.category[row] !== only) continue;
    const distance = (points.x[row]! - x) ** 2 + (points.y[row]! - y) ** 2;
    if (best.length === n && distance >= best[n - 1]!.distance) continue;
    const place = best.findIndex((other) => other.distance > distance);
    best.splice(place < 0 ? best.length : place, 0, { row, distance });
    if (best.length > n) best.pop();
  }
  return best.map((point) => point.row);
}
