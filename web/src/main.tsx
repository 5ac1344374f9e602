// The page: header with search, one view below it, chosen by the address.
import { render } from 'preact';
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { AddView } from './add';
import { Announcer, announce } from './announce';
import { ask, type ApiError, type Status } from './api';
import { ItemView } from './item';
import { MapView } from './map';
import { asProblem } from './parts';
import { go, link, usePlace, type Place } from './router';
import { Search } from './search';
import { StatusView } from './status';
import './style.css';
import { startTheme, toggleTheme, useDark } from './theme';
import { TokenDialog, onToken } from './token';
import { UserView } from './user';

const REFRESH_MS = 3000;
const VIEWS: Record<string, string> = { '': 'Map', user: 'User', add: 'Add an item', status: 'Status' };

function App() {
  const here = usePlace();
  const live = useStatus(here.view === 'status');
  const main = useRef<HTMLElement>(null);
  const first = useRef(true);
  const view = here.view === 'map' ? '' : here.view;
  useEffect(() => {
    const name = here.id ?? VIEWS[view] ?? 'Item';
    document.title = `${name} · Pinfold`;
    if (first.current) first.current = false;
    else {
      main.current?.querySelector('h1')?.focus({ preventScroll: true });
      scrollTo(0, 0);
      announce(name);
    }
  }, [here.view, here.id]);
  const skip = (event: Event) => {
    event.preventDefault(); // the address's # is the view
    main.current?.focus();
  };
  return (
    <>
      <a class="skip" href="#main" onClick={skip}>Skip to the content</a>
      <header class="top">
        <a class="brand" href="#/"><Mark />Pinfold</a>
        <Search label="Search items" placeholder="Search items" shortcut users onPick={(choice) => go(choice.kind === 'user' ? link.user(choice.id) : link.item(choice.id))} />
        <nav aria-label="Views">
          {Object.entries(VIEWS).map(([name, title]) => <a key={name} href={`#/${name}`} {...(view === name ? { 'aria-current': 'page' } : {})}>{title}</a>)}
        </nav>
        <ThemeButton />
      </header>
      <main id="main" ref={main} tabIndex={-1}><View here={here} live={live} /></main>
      <footer class="small">
        {live.status ? <>{live.status.model} · {live.status.generation}</> : ' '}
      </footer>
      <Announcer />
      <TokenDialog />
    </>
  );
}

function View({ here, live }: { here: Place; live: Live }) {
  if (here.view === 'item' && here.id) return <ItemView key={here.id} id={here.id} />;
  if (here.view === 'user') return <UserView id={here.id} />;
  if (here.view === 'add') return <AddView {...live} />;
  if (here.view === 'status') return <StatusView {...live} />;
  if (here.view === '' || here.view === 'map') return <MapView id={here.id} {...live} />;
  return <><h1 tabIndex={-1}>No such view</h1><p>The address names none of this page’s views. <a href="#/">To the map</a>.</p></>;
}

interface Live { status: Status | null; problem: ApiError | null; reload: () => void }

/** The service's figures: once, and every few seconds while they are looked at. */
function useStatus(watched: boolean): Live {
  const [status, setStatus] = useState<Status | null>(null);
  const [problem, setProblem] = useState<ApiError | null>(null);
  const reload = useCallback(async () => {
    try {
      setStatus(await ask<Status>('/v1/status'));
      setProblem(null);
    } catch (error) {
      setProblem(asProblem(error));
    }
  }, []);
  useEffect(() => { void reload(); return onToken(() => void reload()); }, [reload]);
  useEffect(() => {
    if (!watched) return;
    void reload();
    const timer = setInterval(() => { if (!document.hidden) void reload(); }, REFRESH_MS);
    return () => clearInterval(timer);
  }, [watched]);
  return { status, problem, reload };
}

function ThemeButton() {
  const dark = useDark();
  return (
    <button type="button" class="quiet theme" onClick={toggleTheme} aria-label={dark ? 'Light colors' : 'Dark colors'} title={dark ? 'Light colors' : 'Dark colors'}>
      <svg viewBox="0 0 20 20" width="18" height="18" aria-hidden="true"><circle cx="10" cy="10" r="7" fill="none" stroke="currentColor" stroke-width="2" /><path d="M10 3a7 7 0 0 1 0 14z" fill="currentColor" /></svg>
    </button>
  );
}

function Mark() {
  return (
    <svg viewBox="0 0 32 32" width="26" height="26" aria-hidden="true">
      <rect width="32" height="32" rx="7" fill="var(--accent)" />
      <g stroke="var(--surface)" stroke-width="2" opacity=".7"><path d="M9 9 23 12M9 9 12 23M23 12 12 23" /></g>
      <g fill="var(--surface)"><circle cx="9" cy="9" r="4" /><circle cx="23" cy="12" r="3" /><circle cx="12" cy="23" r="3" /></g>
    </svg>
  );
}

startTheme();
render(<App />, document.getElementById('app')!);
