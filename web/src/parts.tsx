// What several views share: loading, problems, links to items, rows with bars.
import type { ComponentChildren } from 'preact';
import { useCallback, useEffect, useState } from 'preact/hooks';
import { ApiError, ask, type Named } from './api';
import { link } from './router';
import { askAgain, onToken } from './token';

export interface Load<T> { data: T | null; problem: ApiError | null; loading: boolean; reload: () => void }

/** The answer at a path, asked anew when the path changes; null asks nothing. Old answers never overtake new ones. */
export function useLoad<T>(url: string | null): Load<T> {
  const [state, setState] = useState<{ url: string | null; data: T | null; problem: ApiError | null }>({ url: null, data: null, problem: null });
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    if (url === null) return;
    const abort = new AbortController();
    ask<T>(url, { signal: abort.signal }).then(
      (data) => abort.signal.aborted || setState({ url, data, problem: null }),
      (error: unknown) => abort.signal.aborted || setState({ url, data: null, problem: asProblem(error) }),
    );
    return () => abort.abort();
  }, [url, turn]);
  const reload = useCallback(() => setTurn((n) => n + 1), []);
  const refused = state.problem?.status === 401;
  useEffect(() => (refused ? onToken(reload) : undefined), [refused, reload]);
  const current = state.url === url;
  return { data: current ? state.data : null, problem: current ? state.problem : null, loading: url !== null && !current, reload };
}

export function asProblem(error: unknown): ApiError {
  return error instanceof ApiError ? error : new ApiError(0, String(error));
}

/** What went wrong, calmly: a sentence, and a way on where there is one. */
export function Problem({ problem, retry }: { problem: ApiError; retry?: () => void }) {
  const tokenWanted = problem.status === 401 || problem.status === 403;
  return (
    <div class={problem.status === 409 || problem.status === 422 ? 'note' : 'note bad'} role="status">
      <p>{sentence(problem.message)}</p>
      {problem.field && <p class="small">In <code>{problem.field}</code>.</p>}
      {tokenWanted && <button type="button" onClick={() => void askAgain()}>Enter a token</button>}
      {!tokenWanted && retry && problem.status !== 404 && problem.status !== 409 && problem.status !== 422 && (
        <button type="button" onClick={retry}>Try again</button>
      )}
    </div>
  );
}

function sentence(text: string): string {
  const first = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(first) ? first : `${first}.`;
}

export function Loading({ rows = 6 }: { rows?: number }) {
  return (
    <div class="loading" role="status" aria-label="Loading">
      {Array.from({ length: rows }, (_, row) => <span key={row} />)}
    </div>
  );
}

export function ItemName({ item }: { item: Named }) {
  return (
    <span class="name">
      <span class="title">{item.title ?? item.id}</span>
      {item.title !== null && item.title !== item.id && <code class="id">{item.id}</code>}
    </span>
  );
}

export function ItemLink({ item, user = false }: { item: Named; user?: boolean }) {
  return <a href={user ? link.user(item.id) : link.item(item.id)}><ItemName item={item} /></a>;
}

/** A share of the greatest as a thin bar; a number says the same, so it is hidden from screen readers. */
export function Bar({ value, most, color }: { value: number; most: number; color?: string }) {
  const share = most > 0 ? Math.min(1, Math.abs(value) / most) : 0;
  return (
    <span class={value < 0 ? 'bar minus' : 'bar'} aria-hidden="true">
      <span style={{ width: `${(100 * share).toFixed(1)}%`, ...(color ? { background: color } : {}) }} />
    </span>
  );
}

/** Three digits that matter. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return '–';
  if (Number.isInteger(value)) return value.toLocaleString('en-US');
  return Math.abs(value) >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
}

export function Panel({ title, aside, children, id }: { title: ComponentChildren; aside?: ComponentChildren; children: ComponentChildren; id?: string }) {
  return (
    <section class="panel" {...(id ? { id, 'aria-labelledby': `${id}-title` } : {})}>
      <header><h2 {...(id ? { id: `${id}-title` } : {})}>{title}</h2>{aside}</header>
      {children}
    </section>
  );
}
