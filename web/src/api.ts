// The service's answers as types, and the one function that asks for them.
import { askForToken, token } from './token';

export interface Named { id: string; title: string | null }
export interface Ranked extends Named { rank: number; score: number }
export interface Answers { generation: string; items: Ranked[]; note: string | null }
export interface Item extends Named {
  attributes: Record<string, unknown>;
  n_users: number;
  origin: 'trained' | 'changed' | 'fresh';
  findable: boolean;
}
export interface Accepted { id: string; sequence: number; findable: boolean; note: string | null; generation: string; seconds: number }
export interface User extends Named { history: Named[]; n_history: number }
export interface Reasons extends Named {
  score: number;
  reasons: (Named & { term: number })[];
  rest: number;
  n_rest: number;
  own: number;
}
export interface Neighborhood {
  nodes: (Named & { hop: number; visits: number })[];
  edges: { source: string; target: string; weight: number }[];
}
export interface MapPoints {
  ids: string[];
  titles: (string | null)[];
  x: number[];
  y: number[];
  categories: string[];
  category: number[];
  field: string | null;
}
export interface Status {
  generation: string;
  model: string;
  n_items: number;
  n_users: number;
  n_fresh: number;
  n_deleted: number;
  n_events: number;
  fields: string[];
  freshness: { count: number; p50: number | null; p99: number | null; last: number | null };
  started: number | string;
  requests: unknown;
}

export class ApiError extends Error {
  constructor(readonly status: number, message: string, readonly field: string | null = null) {
    super(message);
  }
}

/** A path of the service: text is put into it as data, never as a path of its own. */
export function path(parts: TemplateStringsArray, ...values: string[]): string {
  return String.raw(parts, ...values.map(encodeURIComponent));
}

/** `?a=1&b=2`, without what is undefined. */
export function query(values: Record<string, string | number | undefined>): string {
  const kept = Object.entries(values).filter((pair): pair is [string, string | number] => pair[1] !== undefined);
  return `?${new URLSearchParams(kept.map(([name, value]) => [name, String(value)]))}`;
}

interface Options { method?: string; body?: unknown; signal?: AbortSignal }

/** One answer. Where the service wants a token, the person is asked for one, and the question is put again. */
export async function ask<T>(url: string, options: Options = {}): Promise<T> {
  const response = await send(url, options);
  if (response.status === 401 && (await askForToken())) return ask(url, options);
  const body = await response.json().catch(() => null);
  if (!response.ok) {
    throw new ApiError(response.status, body?.error ?? `the service answered ${response.status}`, body?.field ?? null);
  }
  return body as T;
}

async function send(url: string, { method = 'GET', body, signal }: Options): Promise<Response> {
  const headers: Record<string, string> = { Accept: 'application/json' };
  const held = token();
  if (held) headers['Authorization'] = `Bearer ${held}`;
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  const init: RequestInit = { method, headers, credentials: 'omit' };
  if (body !== undefined) init.body = JSON.stringify(body);
  if (signal) init.signal = signal;
  try {
    return await fetch(url, init);
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, 'the service does not answer; is it running?');
  }
}
