// Where the page is, kept in the part of the address behind #, so that links work and the service sees no route.
import { useEffect, useState } from 'preact/hooks';

export interface Place { view: string; id: string | null }

export function place(hash = location.hash): Place {
  const [view = '', ...rest] = hash.replace(/^#\/?/, '').split('/');
  return { view, id: rest.length ? decoded(rest.join('/')) : null };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // somebody typed a lone % into the address
  }
}

export const link = {
  item: (id: string) => `#/item/${encodeURIComponent(id)}`,
  user: (id: string) => `#/user/${encodeURIComponent(id)}`,
  map: (id: string) => `#/map/${encodeURIComponent(id)}`,
};

export function go(href: string): void {
  location.hash = href;
}

export function usePlace(): Place {
  const [now, setNow] = useState(place());
  useEffect(() => {
    const moved = () => setNow(place());
    addEventListener('hashchange', moved);
    return () => removeEventListener('hashchange', moved);
  }, []);
  return now;
}
