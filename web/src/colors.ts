// Paul Tol's schemes for color-blind readers (SRON/EPS/TN/09-002): "muted" on light ground, "light" on dark ground.
const MUTED = ['#332288', '#44aa99', '#cc6677', '#999933', '#88ccee', '#117733', '#882255', '#ddcc77'];
const LIGHT = ['#77aadd', '#ee8866', '#44bb99', '#eedd88', '#ffaabb', '#bbcc33', '#99ddff', '#aaaa00'];

/** The colors of the greatest categories, and last that of all others. */
export function categoryColors(dark: boolean): string[] {
  return dark ? [...LIGHT, '#5d6570'] : [...MUTED, '#c4c6c9'];
}
