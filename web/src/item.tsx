// An item: its attributes, what is like it by three measures side by side, and its neighborhood.
import { useState } from 'preact/hooks';
import { path, query, type Answers, type Item, type Ranked } from './api';
import { NeighborhoodPanel } from './neighborhood';
import { Bar, ItemName, Loading, Panel, Problem, figure, useLoad, type Load } from './parts';
import { link } from './router';

const K = 12;
const MEASURES = [
  { by: 'model', title: 'By the model', says: 'graph and content, as learned', color: 'var(--accent)' },
  { by: 'content', title: 'By content only', says: 'attributes, nothing else', color: 'var(--content)' },
  { by: 'walk', title: 'By walk only', says: 'who took both, nothing else', color: 'var(--walk)' },
] as const;

type Measure = (typeof MEASURES)[number];

export function ItemView({ id }: { id: string }) {
  const item = useLoad<Item>(path`/v1/items/${id}`);
  const similar = (by: string) => useLoad<Answers>(`${path`/v1/items/${id}/similar`}${query({ k: K, by })}`);
  const loads: [Measure, Load<Answers>][] = [
    [MEASURES[0], similar('model')], [MEASURES[1], similar('content')], [MEASURES[2], similar('walk')],
  ];
  const [pointed, setPointed] = useState<string | null>(null);
  if (item.problem) return <><h1 tabIndex={-1}>{id}</h1><Problem problem={item.problem} retry={item.reload} /></>;
  return (
    <>
      <Head id={id} item={item.data} />
      <section aria-labelledby="alike">
        <h2 id="alike" class="section">What is like it, by three measures</h2>
        <div class="measures">
          {loads.map(([measure, load]) => (
            <Column key={measure.by} measure={measure} load={load} others={loads.filter(([other]) => other !== measure)} pointed={pointed} point={setPointed} />
          ))}
        </div>
        <p class="small key" aria-hidden="true">
          A dot says that another column lists the item, too:{' '}
          {MEASURES.map((measure) => <span key={measure.by}><i class="dot" style={{ background: measure.color }} /> {measure.by} </span>)}
        </p>
      </section>
      <NeighborhoodPanel id={id} />
    </>
  );
}

function Head({ id, item }: { id: string; item: Item | null }) {
  const origins = { trained: 'known since training', changed: 'changed since training', fresh: 'came after training' };
  const attributes = Object.entries(item?.attributes ?? {}).filter(([, value]) => value !== null && value !== '' && value !== item?.title);
  return (
    <div class="item-head">
      <div class="heading">
        <div>
          <h1 tabIndex={-1}>{item?.title ?? id}</h1>
          <p class="facts">
            <code>{id}</code>
            {item && <span>taken by {figure(item.n_users)} {item.n_users === 1 ? 'user' : 'users'}</span>}
            {item && <span class={`tag ${item.origin}`}>{origins[item.origin]}</span>}
            {item && !item.findable && <span class="tag bad">not findable</span>}
          </p>
        </div>
        <a class="button" href={link.map(id)}>Show on the map</a>
      </div>
      {!item && <Loading rows={2} />}
      {attributes.length > 0 && (
        <dl class="attributes">
          {attributes.map(([name, value]) => <div key={name}><dt>{name}</dt><dd><Value value={value} /></dd></div>)}
        </dl>
      )}
    </div>
  );
}

function Value({ value }: { value: unknown }) {
  if (Array.isArray(value)) {
    if (value.length > 12 && value.every((v) => typeof v === 'number')) return <>a vector of {value.length} numbers</>;
    return <>{value.map((v, n) => <span class="chip" key={n}>{String(v)}</span>)}</>;
  }
  if (typeof value === 'number') return <>{Number.isInteger(value) ? value : figure(value)}</>;
  return <>{typeof value === 'string' ? value : JSON.stringify(value)}</>;
}

interface ColumnProps {
  measure: Measure;
  load: Load<Answers>;
  others: [Measure, Load<Answers>][];
  pointed: string | null;
  point: (id: string | null) => void;
}

function Column({ measure, load, others, pointed, point }: ColumnProps) {
  const items = load.data?.items ?? [];
  const most = Math.max(...items.map((item) => item.score), 0);
  return (
    <Panel id={`by-${measure.by}`} title={<><i class="dot" style={{ background: measure.color }} /> {measure.title}</>} aside={<span class="small">{measure.says}</span>}>
      {load.problem && <Problem problem={load.problem} retry={load.reload} />}
      {!load.data && !load.problem && <Loading rows={K} />}
      {load.data?.note && <p class="small">{load.data.note}</p>}
      {load.data && items.length === 0 && <p class="note">Nothing is.</p>}
      <ol class="plain ranked">
        {items.map((item) => (
          <li key={item.id} class={item.id === pointed ? 'pointed' : ''} onMouseEnter={() => point(item.id)} onMouseLeave={() => point(null)}>
            <a href={link.item(item.id)} onFocus={() => point(item.id)} onBlur={() => point(null)}>
              <span class="rank">{item.rank}</span>
              <ItemName item={item} />
              <Elsewhere item={item} others={others} />
              <span class="score">{figure(item.score)}</span>
              <Bar value={item.score} most={most} color={measure.color} />
            </a>
          </li>
        ))}
      </ol>
    </Panel>
  );
}

function Elsewhere({ item, others }: { item: Ranked; others: [Measure, Load<Answers>][] }) {
  const found = others.filter(([, load]) => load.data?.items.some((other) => other.id === item.id)).map(([measure]) => measure);
  if (found.length === 0) return null;
  return (
    <span class="elsewhere">
      <span class="unseen">, also {found.map((measure) => measure.title.toLowerCase()).join(' and ')}</span>
      {found.map((measure) => <i class="dot" key={measure.by} style={{ background: measure.color }} title={`also ${measure.title.toLowerCase()}`} />)}
    </span>
  );
}
