// The map of the catalogue: the frame that draws it, and beside it the same in words.
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { ask, query, type ApiError, type MapPoints, type Status } from './api';
import { categoryColors } from './colors';
import type { FromFrame, ToFrame } from './map-messages';
import { ItemLink, Loading, Problem, figure, useLoad } from './parts';
import { cloud, isCategorical, nearest, type Cloud } from './points';
import { go, link } from './router';
import { cssColor, useDark } from './theme';

const N_POINTS = 50_000;
const N_NEAR = 12;
const FIELD_KEY = 'pinfold-map-field';
const N_SAMPLE = 2000; // items to see whether a field is one of categories

export function MapView({ id, status, problem: unknown, reload: again }: { id: string | null; status: Status | null; problem: ApiError | null; reload: () => void }) {
  const [chosen, setField] = useState<string | undefined>(sessionStorage.getItem(FIELD_KEY) ?? undefined);
  const found = useCategories(chosen === undefined ? (status?.fields ?? null) : null);
  const field = chosen ?? found ?? undefined;
  const known = chosen !== undefined || found !== undefined;
  const { data, problem, reload } = useLoad<MapPoints>(known ? `/v1/map${query({ n: N_POINTS, field })}` : null);
  const points = useMemo(() => data && cloud(data), [data]);
  const choose = (name: string) => {
    sessionStorage.setItem(FIELD_KEY, name);
    setField(name);
  };
  const clear = () => {
    sessionStorage.removeItem(FIELD_KEY);
    setField(undefined);
  };
  return (
    <div class="map-view">
      <div class="heading">
        <div>
          <h1 tabIndex={-1}>Map of the catalogue</h1>
          <p class="lead">
            {data ? `${figure(data.ids.length)} items` : 'The items'} as the model sees them: what lies close together tends to be taken together.
          </p>
        </div>
        {status && status.fields.length > 0 && (
          <label class="inline">
            Color by{' '}
            <select value={data?.field ?? field ?? ''} onChange={(event) => choose(event.currentTarget.value)}>
              {!(data?.field ?? field) && <option value="">nothing</option>}
              {status.fields.map((name) => <option key={name}>{name}</option>)}
            </select>
          </label>
        )}
      </div>
      {problem && <Problem problem={problem} retry={chosen === undefined ? reload : clear} />}
      {!status && unknown && <Problem problem={unknown} retry={again} />}
      {!data && !problem && !unknown && <div class="map-frame empty"><Loading rows={3} /></div>}
      {data && points && <Chart key={data.field ?? ''} field={data.field} points={points} id={id} />}
    </div>
  );
}

/** The first field whose eight most frequent values are those of many items; null if there is none, undefined until known. */
function useCategories(fields: string[] | null): string | null | undefined {
  const [found, setFound] = useState<string | null | undefined>(undefined);
  const names = fields?.join('\n');
  useEffect(() => {
    if (!fields) return;
    let left = false;
    const look = async () => {
      for (const field of fields) {
        const sample = await ask<MapPoints>(`/v1/map${query({ n: N_SAMPLE, field })}`).catch(() => null);
        if (left) return;
        if (sample && isCategorical(sample)) return setFound(field);
      }
      setFound(null);
    };
    void look();
    return () => { left = true; };
  }, [names]);
  return found;
}

function Chart({ field, points, id }: { field: string | null; points: Cloud; id: string | null }) {
  const dark = useDark();
  const frame = useRef<HTMLIFrameElement>(null);
  const [ready, setReady] = useState(false);
  const [failure, setFailure] = useState<string | null>(null);
  const [over, setOver] = useState<{ point: number; at: [number, number] } | null>(null);
  const [view, setView] = useState<{ center: [number, number]; selected: [number, number] | null }>({ center: [0, 0], selected: null });
  const [only, setOnly] = useState<number | null>(null);
  const chosen = id === null ? null : (points.row.get(id) ?? null);
  const colors = categoryColors(dark);
  const tell = (message: ToFrame) => frame.current?.contentWindow?.postMessage(message, '*'); // a sandbox has no origin to name

  useLayoutEffect(() => { // before the frame can have loaded
    const hear = (event: MessageEvent<FromFrame>) => {
      if (event.source !== frame.current?.contentWindow) return;
      const message = event.data;
      if (message.type === 'ready') setReady(true);
      else if (message.type === 'failed') setFailure(message.message);
      else if (message.type === 'over') setOver(message);
      else if (message.type === 'out') setOver(null);
      else if (message.type === 'pick') go(link.item(points.ids[message.point]!));
      else if (message.type === 'view') setView(message);
    };
    addEventListener('message', hear);
    return () => removeEventListener('message', hear);
  }, [points]);
  useEffect(() => { if (ready) tell({ type: 'style', colors, ring: dark ? '#ffffff' : '#000000', background: hex(cssColor('--surface')) }); }, [ready, dark]);
  useEffect(() => { if (ready) tell({ type: 'points', x: points.x, y: points.y, category: points.category }); }, [ready, points]);
  useEffect(() => { if (ready) tell({ type: 'select', point: chosen, zoom: true }); }, [ready, points, chosen]);
  useEffect(() => { if (ready) tell({ type: 'only', category: only }); }, [ready, points, only]);

  const name = (point: number) => points.titles[point] ?? points.ids[point]!;
  return (
    <div class="map-columns">
      <div class="map-frame" data-ready={ready}>
        {failure === null
          ? <iframe ref={frame} src="/assets/map.html" sandbox="allow-scripts" title="Map of the catalogue; the lists beside it say the same in words" />
          : <div class="note"><p>The map needs WebGL, which this browser does not offer ({failure}). The list beside it does not.</p></div>}
        {view.selected && chosen !== null && <><span class="ring" style={place(view.selected)} /><span class="pin" style={place(view.selected)}>{name(chosen)}</span></>}
        {over && <span class={over.at[1] < 48 ? 'tip below' : 'tip'} style={place(over.at)}>{name(over.point)}</span>}
        <div class="tools" role="group" aria-label="Map">
          <button type="button" aria-label="Zoom in" onClick={() => tell({ type: 'zoom', factor: 0.6 })}>+</button>
          <button type="button" aria-label="Zoom out" onClick={() => tell({ type: 'zoom', factor: 1.7 })}>−</button>
          <button type="button" aria-label="Show all" onClick={() => tell({ type: 'reset' })}>⤢</button>
        </div>
      </div>
      <aside>
        {id !== null && chosen === null && <p class="note">The item <code>{id}</code> is not on the map: it came after training, or lies outside the {figure(points.ids.length)} items shown.</p>}
        <section aria-labelledby="legend-title">
          <h2 id="legend-title">{field ?? 'Items'}</h2>
          <ul class="legend">
            {points.legend.map((entry) => (
              <li key={entry.color}>
                <button type="button" aria-pressed={only === entry.color} onClick={() => setOnly(only === entry.color ? null : entry.color)}>
                  <span class="swatch" style={{ background: colors[entry.color]! }} />
                  <span class="title">{entry.name}</span>
                  <span class="number">{figure(entry.n)}</span>
                </button>
              </li>
            ))}
          </ul>
        </section>
        <section aria-labelledby="near-title">
          <h2 id="near-title">In the middle of the view</h2>
          <Near points={points} center={view.center} only={only} colors={colors} />
        </section>
      </aside>
    </div>
  );
}

function Near({ points, center, only, colors }: { points: Cloud; center: [number, number]; only: number | null; colors: string[] }) {
  const rows = useMemo(() => nearest(points, center, N_NEAR, only), [points, center[0], center[1], only]);
  return (
    <ol class="plain near">
      {rows.map((row) => (
        <li key={row}>
          <span class="swatch" style={{ background: colors[points.category[row]!]! }} />
          <ItemLink item={{ id: points.ids[row]!, title: points.titles[row] ?? null }} />
        </li>
      ))}
    </ol>
  );
}

function place([x, y]: [number, number]): { left: string; top: string } {
  return { left: `${x}px`, top: `${y}px` };
}

function hex(color: string): string {
  const numbers = color.match(/\d+(\.\d+)?/g)?.slice(0, 3).map(Number) ?? [255, 255, 255];
  return `#${numbers.map((n) => Math.round(n).toString(16).padStart(2, '0')).join('')}`;
}
