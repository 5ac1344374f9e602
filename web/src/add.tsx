// A form for a new item, and a clock that stops when the others' answers hold it.
import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { announce } from './announce';
import { ask, path, query, type ApiError, type Item, type Status } from './api';
import { kindOf, meant, parts, shown, type Kind } from './fields';
import { ItemLink, Loading, Panel, Problem, asProblem, useLoad } from './parts';
import { link } from './router';
import { Search } from './search';
import { NOTHING, sendAndWatch, type Seen } from './watch';

export function AddView({ status, problem, reload }: { status: Status | null; problem: ApiError | null; reload: () => void }) {
  const sample = useLoad<{ ids: string[] }>(`/v1/map${query({ n: 1 })}`);
  const first = sample.data?.ids[0];
  const example = useLoad<Item>(first === undefined ? null : path`/v1/items/${first}`);
  const settled = sample.problem || example.problem || example.data || (sample.data && first === undefined);
  return (
    <>
      <h1 tabIndex={-1}>Add an item</h1>
      <p class="lead">It is on disk when the service has accepted it, and in everyone’s answers a moment later. Watch.</p>
      {!status && problem && <Problem problem={problem} retry={reload} />}
      {!status || !settled ? !problem && <Loading /> : <Form status={status} example={example.data} />}
    </>
  );
}

function Form({ status, example }: { status: Status; example: Item | null }) {
  const [id, setId] = useState(`new-item-${Date.now().toString(36).slice(-4)}`);
  const [model, setModel] = useState<Item | null>(example);
  const [texts, setTexts] = useState<Record<string, string>>({});
  const [collections, setCollections] = useState('');
  const [sent, setSent] = useState<string | null>(null);
  const [seen, setSeen] = useState<Seen>(NOTHING);
  const abort = useRef<AbortController | null>(null);
  useEffect(() => () => abort.current?.abort(), []);

  const kind = (name: string): Kind => kindOf(model?.attributes[name] ?? example?.attributes[name]);
  const copy = async (from: string) => {
    const item = await ask<Item>(path`/v1/items/${from}`).catch(() => null);
    if (!item) return;
    setModel(item);
    setTexts(Object.fromEntries(status.fields.map((name) => [name, shown(item.attributes[name])])));
    announce(`The form holds the attributes of ${item.title ?? item.id}`);
  };
  const submit = (event: Event) => {
    event.preventDefault();
    const filled = Object.entries(texts).filter(([, text]) => text.trim() !== '');
    const attributes = Object.fromEntries(filled.map(([name, text]) => [name, meant(text, kind(name))]));
    abort.current?.abort();
    abort.current = new AbortController();
    setSent(id.trim());
    setSeen(NOTHING);
    void sendAndWatch({ id: id.trim(), attributes, collections: parts(collections) }, setSeen, abort.current.signal);
  };
  return (
    <div class="add-columns">
      <form class="panel" onSubmit={submit}>
        <div class="copy"><span class="label">Start from the attributes of</span><Search label="Copy the attributes of" placeholder="an item that is there" onPick={(choice) => copy(choice.id)} /></div>
        <label>Id <input type="text" required maxLength={200} value={id} spellcheck={false} onInput={(event) => setId(event.currentTarget.value)} /></label>
        {status.fields.map((name) => (
          <Field key={name} name={name} kind={kind(name)} hint={shown(example?.attributes[name])} text={texts[name] ?? ''} change={(text) => setTexts({ ...texts, [name]: text })} />
        ))}
        <label>
          Collections that hold it already
          <input type="text" value={collections} spellcheck={false} placeholder="ids, with commas between; may stay empty" onInput={(event) => setCollections(event.currentTarget.value)} />
        </label>
        <div class="row end"><button type="submit" class="primary" disabled={sent !== null && !seen.done}>Add it</button></div>
      </form>
      <Panel id="watch" title="What happens">
        <Watch key={sent ?? ''} id={sent} seen={seen} />
      </Panel>
    </div>
  );
}

function Field({ name, kind, hint, text, change }: { name: string; kind: Kind; hint: string; text: string; change: (text: string) => void }) {
  const long = kind === 'text' && (hint.length > 40 || text.length > 60);
  const placeholder = hint ? `such as ${hint.slice(0, 60)}` : '';
  const says = { text: '', number: 'a number', boolean: 'true or false', list: 'several, with commas between', numbers: 'numbers, with commas between' }[kind];
  return (
    <label>
      <span>{name} {says && <span class="small">{says}</span>}</span>
      {long
        ? <textarea rows={2} value={text} placeholder={placeholder} onInput={(event) => change(event.currentTarget.value)} />
        : <input type="text" inputMode={kind === 'number' ? 'decimal' : 'text'} value={text} placeholder={placeholder} onInput={(event) => change(event.currentTarget.value)} />}
    </label>
  );
}

function Watch({ id, seen }: { id: string | null; seen: Seen }) {
  const [gone, setGone] = useState(false);
  const [problem, setProblem] = useState<ApiError | null>(null);
  useEffect(() => { if (seen.searchAfter !== null) announce(`${id} is found by search after ${time(seen.searchAfter)}`); }, [seen.searchAfter]);
  useEffect(() => { if (seen.neighborAfter !== null) announce(`${id} is found among similar items after ${time(seen.neighborAfter)}`); }, [seen.neighborAfter]);
  const remove = async () => {
    if (id === null) return;
    try {
      await ask(path`/v1/items/${id}`, { method: 'DELETE' });
      setGone(true);
      announce(`${id} is deleted`);
    } catch (error) {
      setProblem(asProblem(error));
    }
  };
  const refused = seen.problem !== null && seen.accepted === null;
  const state = { idle: id === null, failed: refused, over: seen.done };
  return (
    <>
      <ol class="steps">
        <Step done={seen.acceptedAfter} {...state}>
          Accepted, and on disk
          {seen.accepted && <span class="small"> as number {seen.accepted.sequence}; the service worked for {time(seen.accepted.seconds)}</span>}
        </Step>
        <Step done={seen.searchAfter} {...state}>Found by search</Step>
        <Step done={seen.neighborAfter} {...state}>
          {seen.neighbor ? <>Among what is like <ItemLink item={seen.neighbor} />, its nearest item</> : <>Among what is like its nearest item</>}
          {seen.neighborRank !== null && <span class="small"> at rank {seen.neighborRank}</span>}
        </Step>
      </ol>
      {seen.accepted?.note && <p class="note">{seen.accepted.note}</p>}
      {seen.problem && <Problem problem={seen.problem} />}
      {problem && <Problem problem={problem} />}
      {id !== null && seen.accepted && !gone && (
        <div class="row"><a class="button" href={link.item(id)}>Open it</a><button type="button" onClick={remove}>Delete it again</button></div>
      )}
      {gone && <p class="note good" role="status">Deleted. No answer holds it any more.</p>}
    </>
  );
}

interface StepProps { done: number | null; idle: boolean; failed: boolean; over: boolean; children: ComponentChildren }

function Step({ done, idle, failed, over, children }: StepProps) {
  const state = done !== null ? 'done' : idle || failed || over ? 'missed' : 'waiting';
  const word = done !== null ? time(done) : idle ? '' : failed ? 'refused' : over ? 'not seen' : 'waiting';
  return <li class={state}><span class="what">{children}</span><span class="when">{word}</span></li>;
}

function time(seconds: number): string {
  return seconds < 1 ? `${Math.round(1000 * seconds)} ms` : `${seconds.toFixed(2)} s`;
}
