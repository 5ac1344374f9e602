// Watching a new item appear: the clock runs from before it is sent until others' answers hold it.
import { ask, path, query, type Accepted, type Answers, type ApiError, type Named } from './api';
import { asProblem } from './parts';

const PAUSE_MS = 100; // between two looks
const PATIENCE_S = 30;
const DEPTH = 100; // how far down a neighbor's list it is looked for

export interface Seen {
  accepted: Accepted | null;
  acceptedAfter: number | null; // seconds since the form was sent
  searchAfter: number | null;
  neighbor: Named | null;
  neighborAfter: number | null;
  neighborRank: number | null;
  problem: ApiError | null;
  done: boolean;
}

export const NOTHING: Seen = {
  accepted: null, acceptedAfter: null, searchAfter: null, neighbor: null, neighborAfter: null, neighborRank: null, problem: null, done: false,
};

export interface NewItem { id: string; attributes: Record<string, unknown>; collections: string[] }

/** Sends an item, and says whenever something is seen. Never throws: a problem is part of what is seen. */
export async function sendAndWatch(item: NewItem, tell: (seen: Seen) => void, signal: AbortSignal): Promise<void> {
  let seen = NOTHING;
  const see = (news: Partial<Seen>) => {
    seen = { ...seen, ...news };
    if (!signal.aborted) tell(seen);
  };
  const started = performance.now();
  const seconds = () => (performance.now() - started) / 1000;
  try {
    const accepted = await ask<Accepted>(path`/v1/items/${item.id}`, { method: 'PUT', body: { attributes: item.attributes, collections: item.collections } });
    see({ accepted, acceptedAfter: seconds() });
    while (!signal.aborted && seconds() < PATIENCE_S && (seen.searchAfter === null || seen.neighborAfter === null)) {
      if (seen.searchAfter === null && (await inSearch(item.id))) see({ searchAfter: seconds() });
      if (seen.neighborAfter === null) await inNeighbor(item.id, seen, see, seconds);
      if (!accepted.findable) break; // the service says why in its note
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  } catch (error) {
    see({ problem: asProblem(error) });
  }
  see({ done: true });
}

async function inSearch(id: string): Promise<boolean> {
  const { items } = await ask<{ items: Named[] }>(`/v1/search${query({ q: id, k: 50 })}`);
  return items.some((found) => found.id === id);
}

async function inNeighbor(id: string, seen: Seen, see: (news: Partial<Seen>) => void, seconds: () => number): Promise<void> {
  const neighbor = seen.neighbor ?? (await similar(id, 1))?.[0] ?? null;
  if (!neighbor) return;
  if (!seen.neighbor) see({ neighbor: { id: neighbor.id, title: neighbor.title } });
  const rank = (await similar(neighbor.id, DEPTH))?.find((found) => found.id === id)?.rank;
  if (rank !== undefined) see({ neighborAfter: seconds(), neighborRank: rank });
}

async function similar(id: string, k: number): Promise<Answers['items'] | null> {
  try {
    return (await ask<Answers>(`${path`/v1/items/${id}/similar`}${query({ k, by: 'model' })}`)).items;
  } catch (error) {
    if ([404, 409, 422].includes(asProblem(error).status)) return null; // not there yet, or this model says nothing of it
    throw error;
  }
}
