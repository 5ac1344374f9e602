// A user or a collection: what it holds, what it is recommended and why, and which others are like it.
import { useState } from 'preact/hooks';
import { path, query, type Answers, type Ranked, type Reasons, type User } from './api';
import { Bar, ItemLink, Loading, Panel, Problem, figure, useLoad } from './parts';
import { go, link } from './router';

const N_HISTORY = 15; // shown at first

export function UserView({ id }: { id: string | null }) {
  if (id === null || id === '') return <Ask />;
  return <Known key={id} id={id} />;
}

function Ask() {
  const [text, setText] = useState('');
  const submit = (event: Event) => {
    event.preventDefault();
    if (text.trim()) go(link.user(text.trim()));
  };
  return (
    <>
      <h1 tabIndex={-1}>A user or collection</h1>
      <p class="lead">A user is whoever collects: a person, a basket, a playlist, a package with its dependencies.</p>
      <form class="row" onSubmit={submit}>
        <label class="inline">Id <input type="text" value={text} autocomplete="off" spellcheck={false} onInput={(event) => setText(event.currentTarget.value)} /></label>
        <button type="submit" class="primary">Open</button>
      </form>
    </>
  );
}

function Known({ id }: { id: string }) {
  const user = useLoad<User>(path`/v1/users/${id}`);
  if (user.problem) return <><h1 tabIndex={-1}>{id}</h1><Problem problem={user.problem} retry={user.reload} /></>;
  return (
    <>
      <div class="heading">
        <div>
          <h1 tabIndex={-1}>{user.data?.title ?? id}</h1>
          <p class="facts"><code>{id}</code>{user.data && <span>{figure(user.data.n_history)} {user.data.n_history === 1 ? 'item' : 'items'} taken</span>}</p>
        </div>
      </div>
      <div class="user-columns">
        <Recommended id={id} />
        <div>
          <History user={user.data} />
          <Related id={id} />
        </div>
      </div>
    </>
  );
}

function History({ user }: { user: User | null }) {
  const [all, setAll] = useState(false);
  const shown = all ? user?.history : user?.history.slice(0, N_HISTORY);
  return (
    <Panel id="history" title="History">
      {!user && <Loading />}
      {user?.history.length === 0 && <p class="note">Nothing yet.</p>}
      <ol class="plain tight">{shown?.map((item) => <li key={item.id}><ItemLink item={item} /></li>)}</ol>
      {user && !all && user.history.length > N_HISTORY && (
        <button type="button" class="quiet" onClick={() => setAll(true)}>Show all {figure(user.history.length)}</button>
      )}
      {user && user.n_history > user.history.length && <p class="small">The newest {figure(user.history.length)} of {figure(user.n_history)}.</p>}
    </Panel>
  );
}

function Related({ id }: { id: string }) {
  const { data, problem, reload } = useLoad<Answers>(`${path`/v1/collections/${id}/related`}${query({ k: 10 })}`);
  return (
    <Panel id="related" title="Related collections">
      {problem && <Problem problem={problem} retry={reload} />}
      {!data && !problem && <Loading />}
      {data?.items.length === 0 && <p class="note">{data.note ?? 'None.'}</p>}
      <ol class="plain tight">{data?.items.map((user) => <li key={user.id}><ItemLink item={user} user /><span class="score">{figure(user.score)}</span></li>)}</ol>
    </Panel>
  );
}

function Recommended({ id }: { id: string }) {
  const [k, setK] = useState(10);
  const [diversity, setDiversity] = useState(0);
  const { data, problem, reload } = useLoad<Answers>(`${path`/v1/users/${id}/recommendations`}${query({ k, diversity })}`);
  const scores = data?.items.map((item) => item.score) ?? [];
  const [most, least] = [Math.max(...scores, 0), Math.min(...scores, 0)];
  return (
    <Panel
      id="recommended" title="Recommended"
      aside={(
        <div class="row">
          <label class="inline">Show <select value={k} onChange={(event) => setK(Number(event.currentTarget.value))}>{[10, 20, 50].map((n) => <option key={n}>{n}</option>)}</select></label>
          <label class="inline">Diversity{' '}
            <select value={diversity} onChange={(event) => setDiversity(Number(event.currentTarget.value))}>
              <option value={0}>none</option><option value={0.2}>some</option><option value={0.5}>much</option>
            </select>
          </label>
        </div>
      )}
    >
      {problem && <Problem problem={problem} retry={reload} />}
      {!data && !problem && <Loading rows={10} />}
      {data?.note && <p class="note">{data.note}</p>}
      <ol class="plain ranked">
        {data?.items.map((item) => <Recommendation key={item.id} user={id} item={item} most={Math.max(most, -least)} />)}
      </ol>
    </Panel>
  );
}

function Recommendation({ user, item, most }: { user: string; item: Ranked; most: number }) {
  const [open, setOpen] = useState(false);
  return (
    <li>
      <div class="entry">
        <span class="rank">{item.rank}</span>
        <ItemLink item={item} />
        <span class="score">{figure(item.score)}</span>
        <button type="button" class="quiet why" aria-expanded={open} aria-label={`Why ${item.title ?? item.id}?`} onClick={() => setOpen(!open)}>Why?</button>
        <Bar value={item.score} most={most} />
      </div>
      {open && <Why user={user} item={item.id} />}
    </li>
  );
}

/** Asked for only when it is opened: an explanation of every row would be as many requests. */
function Why({ user, item }: { user: string; item: string }) {
  const { data, problem, reload } = useLoad<Reasons>(`/v1/explain${query({ item, user })}`);
  if (problem) return <Problem problem={problem} retry={reload} />;
  if (!data) return <Loading rows={3} />;
  const most = Math.max(...data.reasons.map((reason) => Math.abs(reason.term)), Math.abs(data.rest), Math.abs(data.own));
  return (
    <div class="reasons">
      <p class="small">The score {figure(data.score)} is a sum over what was taken:</p>
      <table>
        <thead class="unseen"><tr><th scope="col">Because of</th><th scope="col" colSpan={2}>Adds</th></tr></thead>
        <tbody>
          {data.reasons.map((reason) => <tr key={reason.id}><td><ItemLink item={reason} /></td><Term value={reason.term} most={most} /></tr>)}
          {data.n_rest > 0 && <tr><td class="small">{figure(data.n_rest)} others together</td><Term value={data.rest} most={most} /></tr>}
          {data.own !== 0 && <tr><td class="small">the user’s own vector, beyond the history</td><Term value={data.own} most={most} /></tr>}
        </tbody>
      </table>
    </div>
  );
}

function Term({ value, most }: { value: number; most: number }) {
  return <><td class="bars"><Bar value={value} most={most} /></td><td class="number">{value > 0 ? '+' : ''}{figure(value)}</td></>;
}
