// A combobox over /v1/search (ARIA 1.2): type, arrow down, enter.
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { announce } from './announce';
import { ask, query, type Named } from './api';
import { ItemName } from './parts';

const PAUSE_MS = 120; // between the last key and the question

export interface Choice extends Named { kind: 'item' | 'user' }

interface Props {
  label: string;
  placeholder: string;
  onPick: (choice: Choice) => void;
  users?: boolean; // offer the text as the id of a user or collection, too
  shortcut?: boolean; // the key / leads here
}

export function Search({ label, placeholder, onPick, users = false, shortcut = false }: Props) {
  const id = useId();
  const input = useRef<HTMLInputElement>(null);
  const [text, setText] = useState('');
  const [choices, setChoices] = useState<Choice[]>([]);
  const [open, setOpen] = useState(false);
  const [active, setActive] = useState(-1);
  const hurried = useRef(false); // enter was pressed before the answer came
  const answered = useRef(''); // the text that the choices belong to

  const pick = (choice: Choice) => {
    hurried.current = false;
    setText('');
    setOpen(false);
    onPick(choice);
  };

  useEffect(() => {
    const wanted = text.trim();
    setActive(-1);
    if (!wanted) return setChoices([]);
    const abort = new AbortController();
    const timer = setTimeout(async () => {
      const found = await ask<{ items: Named[] }>(`/v1/search${query({ q: wanted, k: 12 })}`, { signal: abort.signal }).catch(() => null);
      if (abort.signal.aborted) return;
      const items = (found?.items ?? []).map((item): Choice => ({ id: item.id, title: item.title, kind: 'item' }));
      const all: Choice[] = users ? [...items, { id: wanted, title: null, kind: 'user' }] : items;
      setChoices(all);
      answered.current = wanted;
      if (hurried.current && all[0]) return pick(all[0]);
      announce(found ? `${items.length} ${items.length === 1 ? 'item' : 'items'} found` : 'The search did not answer');
    }, PAUSE_MS);
    return () => { clearTimeout(timer); abort.abort(); };
  }, [text, users]);

  useEffect(() => {
    if (!shortcut) return;
    const listen = (event: KeyboardEvent) => {
      if (event.key !== '/' || (event.target as Element).closest('input, textarea, select')) return;
      event.preventDefault();
      input.current?.focus();
    };
    addEventListener('keydown', listen);
    return () => removeEventListener('keydown', listen);
  }, [shortcut]);

  const onKeyDown = (event: KeyboardEvent) => {
    const last = choices.length - 1;
    if (event.key === 'ArrowDown') setActive(active < last ? active + 1 : 0);
    else if (event.key === 'ArrowUp') setActive(active > 0 ? active - 1 : last);
    else if (event.key === 'Enter') {
      const choice = choices[active] ?? choices[0];
      const typed = input.current?.value.trim() ?? ''; // what stands there: `text` may be a key behind
      hurried.current = answered.current !== typed;
      if (choice && typed && !hurried.current) pick(choice);
    } else if (event.key === 'Escape') {
      if (!open) setText('');
      setOpen(false);
      return;
    } else return;
    setOpen(true);
    event.preventDefault();
  };
  const shown = open && choices.length > 0;
  return (
    <div class="search" onFocusOut={() => setOpen(false)}>
      <label class="unseen" for={`${id}-input`}>{label}</label>
      <input
        id={`${id}-input`} ref={input} type="text" role="combobox" autocomplete="off" spellcheck={false} placeholder={placeholder}
        aria-expanded={shown} aria-controls={`${id}-list`} aria-autocomplete="list"
        {...(shown && active >= 0 ? { 'aria-activedescendant': `${id}-${active}` } : {})}
        value={text} onInput={(event) => { hurried.current = false; setText(event.currentTarget.value); setOpen(true); }}
        onFocus={() => setOpen(true)} onKeyDown={onKeyDown}
      />
      {shortcut && <kbd aria-hidden="true">/</kbd>}
      <ul id={`${id}-list`} role="listbox" aria-label={label} hidden={!shown}>
        {choices.map((choice, n) => (
          <li
            key={`${choice.kind} ${choice.id}`} id={`${id}-${n}`} role="option" aria-selected={n === active} class={choice.kind}
            ref={(element) => { if (n === active) element?.scrollIntoView({ block: 'nearest' }); }}
            onMouseDown={(event) => event.preventDefault()} onClick={() => pick(choice)}
          >
            {choice.kind === 'item' ? <ItemName item={choice} /> : <span>Open the user or collection <code>{choice.id}</code></span>}
          </li>
        ))}
      </ul>
    </div>
  );
}
