// Light or dark: as the system says, until the person says otherwise.
import { useEffect, useState } from 'preact/hooks';

const KEY = 'pinfold-theme';
const system = matchMedia('(prefers-color-scheme: dark)');
const listeners = new Set<() => void>();

export function isDark(): boolean {
  const chosen = document.documentElement.dataset['theme'];
  return chosen ? chosen === 'dark' : system.matches;
}

export function startTheme(): void {
  const kept = localStorage.getItem(KEY);
  if (kept === 'dark' || kept === 'light') document.documentElement.dataset['theme'] = kept;
  system.addEventListener('change', () => listeners.forEach((tell) => tell()));
}

export function toggleTheme(): void {
  const next = isDark() ? 'light' : 'dark';
  document.documentElement.dataset['theme'] = next;
  localStorage.setItem(KEY, next);
  listeners.forEach((tell) => tell());
}

export function useDark(): boolean {
  const [dark, setDark] = useState(isDark());
  useEffect(() => {
    const tell = () => setDark(isDark());
    listeners.add(tell);
    return () => { listeners.delete(tell); };
  }, []);
  return dark;
}

/** A color of style.css as the browser resolved it, for canvases. */
export function cssColor(name: string): string {
  const probe = document.createElement('span');
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const color = getComputedStyle(probe).color;
  probe.remove();
  return color;
}
