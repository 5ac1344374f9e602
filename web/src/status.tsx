// Health and freshness, as the service counts them.
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Status } from './api';
import type { ApiError } from './api';
import { Loading, Panel, Problem, figure } from './parts';

const N_KEPT = 60; // readings of the little curve

export function StatusView({ status, problem, reload }: { status: Status | null; problem: ApiError | null; reload: () => void }) {
  const rate = useRate(status);
  if (!status) return <><h1 tabIndex={-1}>Status</h1>{problem ? <Problem problem={problem} retry={reload} /> : <Loading />}</>;
  const { freshness } = status;
  return (
    <>
      <div class="heading">
        <div>
          <h1 tabIndex={-1}>Status</h1>
          <p class="facts">
            <span class={problem ? 'tag bad' : 'tag good'}>{problem ? 'does not answer' : 'answers'}</span>
            <span>{status.model}</span><code>{status.generation}</code><span>since {since(status.started)}</span>
          </p>
        </div>
      </div>
      {problem && <Problem problem={problem} retry={reload} />}
      <dl class="tiles">
        <Tile name="Items" value={figure(status.n_items)} />
        <Tile name="Users" value={figure(status.n_users)} />
        <Tile name="Came after training" value={figure(status.n_fresh)} />
        <Tile name="Deleted" value={figure(status.n_deleted)} />
        <Tile name="Events" value={figure(status.n_events)} />
      </dl>
      <div class="two">
        <Panel id="freshness" title="Freshness" aside={<span class="small">from accepted to in answers</span>}>
          {freshness.count === 0
            ? <p class="note">No item has arrived since the service started. <a href="#/add">Add one</a>.</p>
            : (
              <dl class="tiles inner">
                <Tile name="Half of all within" value={seconds(freshness.p50)} />
                <Tile name="99 % within" value={seconds(freshness.p99)} good={(freshness.p99 ?? 9) < 1} />
                <Tile name="The last one" value={seconds(freshness.last)} />
                <Tile name="Items counted" value={figure(freshness.count)} />
              </dl>
            )}
        </Panel>
        <Panel id="requests" title="Requests" aside={<span class="small">this page’s own among them</span>}>
          <Requests value={status.requests} />
          {rate.length > 1 && <Curve rate={rate} />}
        </Panel>
      </div>
    </>
  );
}

function Tile({ name, value, good = false }: { name: string; value: string; good?: boolean }) {
  return <div class={good ? 'tile good' : 'tile'}><dt>{name}</dt><dd>{value}</dd></div>;
}

/** A number, or numbers by name. */
function Requests({ value }: { value: unknown }) {
  if (typeof value === 'number') return <p class="big">{figure(value)}</p>;
  if (value === null || typeof value !== 'object') return <p class="big">{String(value ?? '–')}</p>;
  return (
    <table><tbody>
      {Object.entries(value).map(([name, count]) => <tr key={name}><th scope="row">{name}</th><td class="number">{typeof count === 'number' ? figure(count) : String(count)}</td></tr>)}
    </tbody></table>
  );
}

function total(requests: unknown): number | null {
  if (typeof requests === 'number') return requests;
  if (requests === null || typeof requests !== 'object') return null;
  const counts = Object.values(requests).filter((count): count is number => typeof count === 'number');
  return counts.length ? counts.reduce((sum, count) => sum + count, 0) : null;
}

/** Requests per second between two readings, the newest last. */
function useRate(status: Status | null): number[] {
  const last = useRef<{ at: number; count: number } | null>(null);
  const [rate, setRate] = useState<number[]>([]);
  useEffect(() => {
    const count = status && total(status.requests);
    if (count === null) return;
    const now = { at: performance.now() / 1000, count };
    const before = last.current;
    if (before && now.at - before.at > 0.2) setRate((kept) => [...kept, Math.max(0, (now.count - before.count) / (now.at - before.at))].slice(-N_KEPT));
    last.current = now;
  }, [status]);
  return rate;
}

function Curve({ rate }: { rate: number[] }) {
  const most = Math.max(...rate, 1e-9);
  const points = rate.map((value, n) => `${(100 * n) / (N_KEPT - 1)},${28 - (26 * value) / most}`).join(' ');
  return (
    <figure class="curve">
      <svg viewBox="0 0 100 30" preserveAspectRatio="none" aria-hidden="true"><polyline points={points} /></svg>
      <figcaption class="small">{figure(Number(rate.at(-1)!.toPrecision(3)))} requests/s now, at most {figure(Number(most.toPrecision(3)))}</figcaption>
    </figure>
  );
}

function seconds(value: number | null): string {
  if (value === null) return '–';
  return value < 1 ? `${Math.max(1, Math.round(1000 * value))} ms` : `${value.toFixed(2)} s`;
}

function since(started: number | string): string {
  const date = new Date(typeof started === 'number' ? 1000 * started : started);
  return Number.isNaN(date.getTime()) ? String(started) : date.toLocaleString();
}
